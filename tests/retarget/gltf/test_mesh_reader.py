"""Strips and fans are read as the triangles that they stand for, with the same side outside."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.scene import build_scene
from retarget.gltf.accessors import add_accessor, read_accessor
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import read_glb, write_glb
from retarget.gltf.mesh_reader import read_node_mesh
from retarget.rig.load import load_rig
from tests.helpers.characters import make_face, make_take

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 2, 0]], float)


def read(mode, indices):
    glb = build_glb([Node("a", shape=0)], [Shape("a", [Part(SQUARE, np.array([[0, 1, 2]]))])])
    primitive = glb.document["meshes"][0]["primitives"][0]
    primitive |= {"mode": mode, "indices": add_accessor(glb, np.array(indices, np.uint16), 34963)}
    return read_node_mesh(glb, 0, np.eye(4)[None], np.zeros(1, np.int64), 1)


@pytest.mark.parametrize("mode, indices, triangles", [
    (4, [0, 1, 2, 1, 3, 2], [[0, 1, 2], [1, 3, 2]]),
    (5, [0, 1, 2, 3, 4], [[0, 1, 2], [1, 3, 2], [2, 3, 4]]),
    (5, [0, 1, 2, 2, 2, 3, 3, 4, 2], [[0, 1, 2], [3, 4, 2]]),
    (6, [0, 1, 3, 2], [[1, 3, 0], [3, 2, 0]]),
    (5, [0, 1], []),
])  # fmt: skip
def test_triangles_of_a_mode(mode, indices, triangles):
    mesh = read(mode, indices)
    assert mesh.triangles.tolist() == triangles and len(mesh.material) == len(triangles)
    corners = mesh.positions[mesh.triangles]
    assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()


def test_lines_and_points_are_left_out():
    assert read(1, [0, 1]) is None and read(0, [0, 1]) is None


def test_a_face_of_strips(tmp_path):
    glb = make_face()
    write_glb(glb, tmp_path / "plain.glb")
    for mesh in glb.document["meshes"]:
        (primitive,) = mesh["primitives"]
        a, b, c = read_accessor(glb, primitive["indices"]).reshape(-1, 3).T.astype(np.uint16)
        joined = np.stack([a, b, c, c, c, np.roll(a, -1)], axis=1).ravel()[:-3]
        primitive |= {"mode": 5, "indices": add_accessor(glb, joined, 34963)}
    write_glb(glb, tmp_path / "strips.glb")
    plain, strips = load_rig(tmp_path / "plain.glb"), load_rig(tmp_path / "strips.glb")
    np.testing.assert_array_equal(strips.mesh.triangles, plain.mesh.triangles)
    write_glb(build_scene(make_take(1), [strips]), tmp_path / "scene.glb")
    assert all(p["mode"] == 5 for mesh in read_glb(tmp_path / "scene.glb").document["meshes"] for p in mesh["primitives"])
