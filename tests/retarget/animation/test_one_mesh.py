"""A character as one mesh: the same surface, moved by the same weights, as an independent reader sees it."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.one_mesh import as_one_mesh
from retarget.animation.pose import pose_vertices
from retarget.animation.scene import SceneOptions, build_scene, write_scene_files
from retarget.gltf.accessors import read_accessor
from retarget.gltf.builder import Node
from retarget.gltf.document import read_glb, write_glb
from retarget.rig.avatars import AVATAR_NAMES
from retarget.rig.load import load_rig
from tests.helpers.characters import make_body, make_face, make_take


def posed(glb, node, frame):
    """Scene positions of the only mesh of a node, from its node and animation alone."""
    document = glb.document
    properties = dict(document["nodes"][node])
    (animation,) = document["animations"]
    for channel in animation["channels"]:
        if channel["target"]["node"] == node:
            values = read_accessor(glb, animation["samplers"][channel["sampler"]]["output"])
            count = len(read_accessor(glb, animation["samplers"][channel["sampler"]]["input"]))
            properties[channel["target"]["path"]] = values.reshape(count, -1)[frame]
    parts = []
    for primitive in document["meshes"][properties["mesh"]]["primitives"]:
        points = read_accessor(glb, primitive["attributes"]["POSITION"]).astype(float)
        for weight, target in zip(properties["weights"], primitive["targets"], strict=True):
            points += weight * read_accessor(glb, target["POSITION"])
        parts.append(points)
    x, y, z, w = properties["rotation"]
    points = np.concatenate(parts)
    side = np.cross((x, y, z), points)
    turned = points + 2 * (w * side + np.cross((x, y, z), side))
    return turned * properties.get("scale", 1) + properties["translation"]


@pytest.mark.parametrize("name", AVATAR_NAMES)
def test_our_characters_are_one_object_and_move_as_before(name):
    rig, take = load_rig(name), make_take(2, 3)
    glb = build_scene(take, [rig])
    people = [number for number, node in enumerate(glb.document["nodes"]) if "actor" in node.get("extras", {})]
    assert len(glb.document["nodes"]) == 5 and len(glb.document["meshes"]) == 1  # two people, camera, two lights
    for actor, node in zip((1, 3), people, strict=True):
        own = take[take.actor == actor][2]
        expected = pose_vertices(rig, own.coefficients, own.rotation, own.translation)[0]
        np.testing.assert_allclose(posed(glb, node, 2), expected, atol=5e-6)


def test_places_and_sizes_of_nodes_are_kept(tmp_path):
    glb = make_face(("jawOpen", "eyeBlink_L"), extra=[Node("hat", (0.0, 0.1, 0.0), (0.0, 0.6, 0.0, 0.8), shape=0)])
    for number, name in ((2, "ballOne"), (3, "ballTwo")):
        glb.document["nodes"][number]["name"] = name
    glb.document["nodes"][0]["children"].append(4)
    glb.document["scenes"][0]["nodes"] = [0]
    glb.document["nodes"][4]["scale"] = [0.5, 0.4, 0.3]
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    joined = as_one_mesh(rig)
    (mesh,) = joined.glb.document["meshes"]
    assert len(mesh["primitives"]) == 4 and mesh["extras"]["targetNames"] == ["jawOpen", "eyeBlink_L"]
    points = [read_accessor(joined.glb, primitive["attributes"]["POSITION"]) for primitive in mesh["primitives"]]
    np.testing.assert_allclose(np.concatenate(points), rig.mesh.rest_positions(), atol=1e-6)
    for primitive in mesh["primitives"]:
        length = np.linalg.norm(read_accessor(joined.glb, primitive["attributes"]["NORMAL"]), axis=1)
        np.testing.assert_allclose(length, 1, atol=1e-5)
    assert sorted(primitive["material"] for primitive in mesh["primitives"]) == [0, 0, 1, 1]


def face_with_teeth(name):
    """A face without a skeleton and with still eyes; the lower teeth hang on a node of this name."""
    nodes = [Node(name, (0.0, -0.05, 0.0), children=[5]), Node("teeth", (0.0, 0.0, 0.05), shape=1)]
    glb = make_face(("eyeBlink_L", "eyeBlink_R"), extra=nodes)
    for number, eye in ((2, "ballOne"), (3, "ballTwo")):
        glb.document["nodes"][number]["name"] = eye
    glb.document["nodes"][0]["children"].append(4)
    glb.document["scenes"][0]["nodes"] = [0]
    return glb


def test_a_jaw_that_turns_keeps_its_node(tmp_path):
    write_glb(face_with_teeth("Jaw"), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert rig.jaw is not None and not rig.eyes_turn and as_one_mesh(rig) is None
    out = build_scene(make_take(1, 3), [rig]).document
    targets = [channel["target"] for channel in out["animations"][0]["channels"]]
    assert "Jaw" in {out["nodes"][target["node"]]["name"] for target in targets if target["path"] == "rotation"}
    write_glb(face_with_teeth("beard"), tmp_path / "b.glb")
    assert as_one_mesh(load_rig(tmp_path / "b.glb")) is not None


def test_others_stay_as_their_makers_built_them(tmp_path, face_path, body_path):
    assert as_one_mesh(load_rig(face_path)) is None  # its eyes turn
    assert as_one_mesh(load_rig(body_path)) is None  # a skeleton
    write_glb(make_body(), tmp_path / "b.glb")
    write_scene_files(make_take(1, 2), [load_rig("robot")], tmp_path / "out.glb", SceneOptions(separate_meshes=True))
    names = [node.get("name") for node in read_glb(tmp_path / "out.glb").document["nodes"]]
    assert {"head", "face", "leftEye", "rightEye", "shell"} <= set(names)


def head_with(extension, tmp_path):
    """A head of three meshes whose material has an extension, with two textures of which one is used."""
    glb = make_face(("jawOpen", "eyeBlink_L"))
    for number, name in ((2, "ballOne"), (3, "ballTwo")):
        glb.document["nodes"][number]["name"] = name
    glb.document["images"] = [{"bufferView": 0, "mimeType": "image/png"}, {"bufferView": 1, "mimeType": "image/webp"}]
    glb.document["textures"] = [{"source": 0}, {"source": 1, "extensions": {"EXT_texture_webp": {"source": 1}}}]
    if extension == "KHR_materials_sheen":
        glb.document["materials"][0]["extensions"] = {extension: {"sheenColorTexture": {"index": 1}}}
    if extension == "KHR_materials_variants":
        primitive = glb.document["meshes"][0]["primitives"][0]
        primitive["extensions"] = {extension: {"mappings": [{"material": 0, "variants": [0]}]}}
    glb.document["extensionsUsed"] = [extension]
    write_glb(glb, tmp_path / "a.glb")
    return build_scene(make_take(2), [load_rig(tmp_path / "a.glb")]).document


@pytest.mark.parametrize("extension", [
    "KHR_materials_sheen", "KHR_materials_unlit", "KHR_texture_transform", "EXT_texture_webp", "KHR_mesh_quantization",
])  # fmt: skip
def test_no_copy_remains_beside_the_scene(extension, tmp_path):
    document = head_with(extension, tmp_path)
    assert len(document["nodes"]) == 5 == len(document["scenes"][0]["nodes"])  # two people, camera, two lights
    if extension == "KHR_materials_sheen":
        texture = document["textures"][document["materials"][0]["extensions"][extension]["sheenColorTexture"]["index"]]
        assert document["images"][texture["extensions"]["EXT_texture_webp"]["source"]]["mimeType"] == "image/webp"
        assert len(document["textures"]) == len(document["images"]) == 1


@pytest.mark.parametrize("extension", ["KHR_x", "KHR_materials_variants"])
def test_an_extension_that_names_unknown_things_keeps_all(extension, tmp_path):
    assert len(head_with(extension, tmp_path)["nodes"]) == 6
