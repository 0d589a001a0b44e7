"""Tests of `retarget.gltf.builder`: stored arrays, file size and rejected parts."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.gltf.accessors import read_accessor
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import read_glb, write_glb
from retarget.rig.load import load_rig
from tests.helpers.characters import ball


def test_parts_colors_and_images_are_stored(tmp_path):
    points, triangles, normals = ball()
    deltas = np.random.default_rng(0).normal(size=(2, len(points), 3))
    colors = np.linspace(0, 1, len(points) * 3).reshape(-1, 3)
    uv = points[:, :2]
    first = Part(points, triangles, normals, uv, colors, deltas, 1)
    second = Part(points + 1, triangles, deltas=deltas * 0)
    nodes = [Node("root", (1, 2, 3), (0, 1, 0, 0), [1]), Node("leaf", shape=0)]
    shape = Shape("two", [first, second], ["jawOpen", "x"])
    materials = [{"name": "a"}, {"name": "b", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    glb = build_glb(nodes, [shape], materials, [b"\x89PNG...", b"\xff\xd8..."], copyright="CC0")
    write_glb(glb, tmp_path / "a.glb")
    back = read_glb(tmp_path / "a.glb")
    assert back.document == glb.document and back.document["asset"]["copyright"] == "CC0"
    assert [image["mimeType"] for image in back.document["images"]] == ["image/png", "image/jpeg"]
    assert back.document["scenes"] == [{"nodes": [0]}] and back.document["nodes"][0]["translation"] == [1, 2, 3]
    one, two = back.document["meshes"][0]["primitives"]
    assert one["material"] == 1 and "material" not in two and "NORMAL" not in two["attributes"]
    for name, values, close in (("POSITION", points, 1e-6), ("NORMAL", normals, 1e-6), ("TEXCOORD_0", uv, 1e-6)):
        np.testing.assert_allclose(read_accessor(back, one["attributes"][name]), values, atol=close)
    np.testing.assert_allclose(read_accessor(back, one["attributes"]["COLOR_0"]), colors, atol=1 / 255)
    np.testing.assert_array_equal(read_accessor(back, one["indices"]).reshape(-1, 3), triangles)
    for k in range(2):
        np.testing.assert_allclose(read_accessor(back, one["targets"][k]["POSITION"]), deltas[k], rtol=1e-6)
        assert (read_accessor(back, two["targets"][k]["POSITION"]) == 0).all()


def test_a_character_of_3000_vertices_is_small(tmp_path):
    points, triangles, normals = ball(0.1, rings=50, sides=60)
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(52, 3))
    centers *= 0.1 / np.linalg.norm(centers, axis=1, keepdims=True)
    distance = np.linalg.norm(points[None] - centers[:, None], axis=2)
    deltas = np.where(distance < 0.09, np.exp(-((distance / 0.03) ** 2)), 0)[..., None] * rng.normal(
        0, 0.005, (52, 1, 3)
    )
    part = Part(points, triangles, normals, colors=np.abs(normals), deltas=deltas)
    write_glb(build_glb([Node("head", shape=0)], [Shape("face", [part], ARKIT_NAMES)]), tmp_path / "a.glb")
    assert len(points) == 3000 and (tmp_path / "a.glb").stat().st_size < 1_000_000
    rig = load_rig(tmp_path / "a.glb")
    assert rig.unmapped == ()
    assert np.abs(rig.mesh.parts[0].deltas - deltas).max() < 2e-5


@pytest.mark.parametrize(
    "changes, names, message",
    [
        ({"normals": np.zeros((5, 3))}, [], r"s, part 0: normals: expected shape \(108, 3\), got \(5, 3\)"),
        ({"uv": np.zeros((108, 3))}, [], r"uv: expected shape \(108, 2\)"),
        ({"deltas": np.zeros((1, 9, 3))}, ["a"], r"deltas: expected shape \(M, 108, 3\), got \(1, 9, 3\)"),
        ({"deltas": np.zeros((1, 108, 3))}, [], "1 morph targets for 0 target_names"),
        ({}, ["jawOpen"], "0 morph targets for 1 target_names"),
        ({"triangles": np.zeros((0, 3), int)}, [], "at least one element"),
    ],
)
def test_wrong_parts_raise(changes, names, message):
    points, triangles, _ = ball()
    part = Part(**{"positions": points, "triangles": triangles, **changes})
    with pytest.raises(ValueError, match=message):
        build_glb([Node("a", shape=0)], [Shape("s", [part], names)])
