"""Rigs as other tools make them: Ready Player Me's meshes, quantized numbers, textures that are transformed, files of several parts."""

from __future__ import annotations

import base64
import json
import struct

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.animation.scene import write_scene
from retarget.arkit import ARKIT_NAMES
from retarget.cli.report import describe_rig, list_effects
from retarget.gltf.accessors import add_accessor, read_accessor
from retarget.gltf.document import Glb, add_view, read_glb, write_glb
from retarget.rig.load import load_rig
from tests.helpers.characters import make_body, make_face, make_take, quantized

VISEMES = ("viseme_sil", "viseme_PP", "viseme_aa")


def two_meshes() -> Glb:
    """Wolf3D_Head with visemes and all 52, Wolf3D_Teeth whose targets bear the same names, two of which move."""
    glb = make_face((*VISEMES, *ARKIT_NAMES))
    nodes, meshes = glb.document["nodes"], glb.document["meshes"]
    nodes[1]["name"] = "Wolf3D_Head"
    teeth = json.loads(json.dumps(meshes[nodes[1]["mesh"]]))
    still = add_accessor(glb, np.zeros((108, 3), np.float32))
    for name, target in zip(teeth["extras"]["targetNames"], teeth["primitives"][0]["targets"], strict=True):
        if name not in ("jawOpen", "tongueOut"):
            target["POSITION"] = still
    meshes.append(teeth)
    nodes.append({"name": "Wolf3D_Teeth", "mesh": len(meshes) - 1})
    nodes[0]["children"].append(len(nodes) - 1)
    return glb


def test_ready_player_me(tmp_path):
    write_glb(two_meshes(), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    effects = dict(list_effects(rig))
    assert effects["jawOpen"] == "Wolf3D_Head.jawOpen, Wolf3D_Teeth.jawOpen" and effects["mouthLeft"] == "Wolf3D_Head.mouthLeft"
    assert rig.unmapped == () and rig.undriven == VISEMES
    assert describe_rig(rig)[-1] == "52 of 52 have an effect; nothing is missing"
    weights = rig.weights(np.eye(52)[[ARKIT_NAMES.index("jawOpen")]])[0]
    assert weights.sum() == 2 and weights[[m.start + m.names.index("jawOpen") for m in rig.morphs]].tolist() == [1, 1]


@pytest.mark.parametrize("kind, normalized", [(np.int16, True), (np.int16, False), (np.int8, True)])
def test_quantised_is_the_same_but_rounded(kind, normalized, tmp_path):
    write_glb(make_face(), tmp_path / "plain.glb")
    write_glb(quantized(make_face(), kind, normalized), tmp_path / "small.glb")
    take = make_take(2)
    plain, small = (load_rig(tmp_path / name) for name in ("plain.glb", "small.glb"))
    assert list_effects(plain) == list_effects(small)
    a, b = (pose_vertices(rig, take.coefficients, take.rotation, take.translation) for rig in (plain, small))
    np.testing.assert_allclose(a, b, atol=0.2 / np.iinfo(kind).max)
    write_scene(take, [small], tmp_path / "out.glb")
    assert read_glb(tmp_path / "out.glb").document["extensionsRequired"] == ["KHR_mesh_quantization"]


def test_texture_transform_and_second_set(tmp_path):
    glb, uv = make_face(), np.random.default_rng(0).uniform(0, 1, (108, 2)).astype(np.float32)
    attributes = glb.document["meshes"][0]["primitives"][0]["attributes"]
    attributes["TEXCOORD_1"] = add_accessor(glb, np.round(uv * 4095).astype(np.uint16), 34962)
    change = {"texCoord": 1, "scale": [1 / 4095, 2 / 4095], "offset": [0.25, 0], "rotation": 0.3}
    texture = {"index": 0, "extensions": {"KHR_texture_transform": change}}
    glb.document["materials"][0]["pbrMetallicRoughness"] = {"baseColorTexture": texture}
    write_glb(glb, tmp_path / "a.glb")
    x, y = uv[:, 0], uv[:, 1] * 2
    c, s = np.cos(0.3), np.sin(0.3)
    expected = np.stack([c * x + s * y + 0.25, c * y - s * x], 1)
    np.testing.assert_allclose(load_rig(tmp_path / "a.glb").mesh.uv[:108], expected, atol=1e-3)
    change["scale"] = [1e30, 1]
    write_glb(glb, tmp_path / "a.glb")
    with pytest.raises(ValueError, match="texture coordinates that are no finite numbers"):
        load_rig(tmp_path / "a.glb")


@pytest.mark.parametrize("inside", [True, False])
def test_gltf_with_its_buffer_inside_or_beside(inside, tmp_path):
    glb = make_face()
    document = json.loads(json.dumps(glb.document))
    uri = "data:application/octet-stream;base64," + base64.b64encode(glb.binary).decode() if inside else "face.bin"
    document["buffers"] = [{"byteLength": len(glb.binary), "uri": uri}]
    (tmp_path / "face.bin").write_bytes(glb.binary)
    (tmp_path / "face.gltf").write_text(json.dumps(document))
    write_glb(glb, tmp_path / "face.glb")
    assert list_effects(load_rig(tmp_path / "face.gltf")) == list_effects(load_rig(tmp_path / "face.glb"))


def test_node_constraints_follow_their_nodes(tmp_path):
    paths = []
    for name in ("a", "b"):
        glb = make_body()
        glb.document["nodes"][6]["extensions"] = {"VRMC_node_constraint": {"constraint": {"roll": {"source": 5, "rollAxis": "X"}}}}
        glb.document["extensionsUsed"] = ["VRMC_node_constraint"]
        paths.append(tmp_path / f"{name}.glb")
        write_glb(glb, paths[-1])
    write_scene(make_take(4), [load_rig(path) for path in paths], tmp_path / "out.glb")
    nodes = read_glb(tmp_path / "out.glb").document["nodes"]
    held = [node["extensions"]["VRMC_node_constraint"] for node in nodes if "VRMC_node_constraint" in str(node)]
    held = [item["constraint"]["roll"]["source"] for item in held]
    assert len(set(held)) == 4 and all(nodes[source]["name"] == "LeftArm" for source in held)


def with_animation(glb: Glb, name: str) -> Glb:
    """The head nods by itself, as files from animation libraries do."""
    clock, turns = add_accessor(glb, np.array([0, 1], np.float32)), np.array([[0, 0, 0, 1], [0.1, 0, 0, 0.995]])
    sampler = {"input": clock, "output": add_accessor(glb, turns)}
    channel = {"sampler": 0, "target": {"node": 2, "path": "rotation"}}
    glb.document["animations"] = [{"name": name, "samplers": [sampler], "channels": [channel]}]
    return glb


def test_animations_are_kept_after_the_takes(tmp_path):
    for name in ("a", "b"):
        glb = with_animation(make_body(), name)
        pointer = {"KHR_animation_pointer": {"pointer": "/materials/0/emissiveFactor"}}
        pointed = {"sampler": 0, "target": {"path": "pointer", "extensions": pointer}}
        glb.document["animations"].append({**glb.document["animations"][0], "name": f"{name} 2", "channels": [pointed]})
        write_glb(glb, tmp_path / f"{name}.glb")
    write_scene(make_take(4, 2), [load_rig(tmp_path / "a.glb"), load_rig(tmp_path / "b.glb")], tmp_path / "out.glb")
    out = read_glb(tmp_path / "out.glb")
    assert [animation["name"] for animation in out.document["animations"]] == ["take", "a", "a 2", "b"]
    of_nodes = out.document["animations"][1::2]
    for animation in of_nodes:
        (channel,), (sampler,) = animation["channels"], animation["samplers"]
        assert out.document["nodes"][channel["target"]["node"]]["name"] == "mixamorig:Head"
        assert read_accessor(out, sampler["output"]).shape == (2, 4) and read_accessor(out, sampler["input"])[:, 0].tolist() == [0, 1]
    first, second = (animation["channels"][0]["target"]["node"] for animation in of_nodes)
    assert first != second


def test_a_scene_never_replaces_its_character(face_path):
    before = face_path.read_bytes()
    with pytest.raises(ValueError, match="a character's own file"):
        write_scene(make_take(1), [load_rig(face_path)], face_path)
    assert face_path.read_bytes() == before


def picture(ending: str) -> bytes:
    """All red, 4 x 4."""
    import cv2

    return cv2.imencode(ending, np.full((4, 4, 3), (0, 0, 255), np.uint8))[1].tobytes()


def test_specular_glossiness_materials_have_their_colour(tmp_path):
    glb = make_face()
    glb.document["images"] = [{"bufferView": add_view(glb, picture(".png")), "mimeType": "image/png"}]
    glb.document["textures"] = [{"source": 0}]
    old = {"diffuseFactor": [1, 0.5, 1, 1], "diffuseTexture": {"index": 0}, "glossinessFactor": 0.3}
    glb.document["materials"][0] = {"extensions": {"KHR_materials_pbrSpecularGlossiness": old}}
    write_glb(glb, tmp_path / "a.glb")
    material = load_rig(tmp_path / "a.glb").materials[0]
    assert material.color.tolist() == [1, 0.5, 1, 1] and material.mips[0][0, 0].tolist() == [255, 0, 0, 255]
    assert material.gloss == pytest.approx(0.3)


@pytest.mark.parametrize("ending, kind", [(".png", "image/png"), (".jpg", "image/jpeg"), (".webp", "image/webp")])
def test_pictures_beside_a_gltf_keep_their_kind(ending, kind, tmp_path):
    glb = make_face()
    document = {**glb.document, "images": [{"uri": f"my%20skin{ending}"}], "textures": [{"source": 0}]}
    document["buffers"] = [{"byteLength": len(glb.binary), "uri": "face.bin"}]
    (tmp_path / "face.bin").write_bytes(glb.binary)
    (tmp_path / f"my skin{ending}").write_bytes(picture(ending))
    (tmp_path / "face.gltf").write_text(json.dumps(document))
    assert read_glb(tmp_path / "face.gltf").document["images"][0]["mimeType"] == kind


def test_json_padded_with_zeros(face_path):
    data = face_path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    head = struct.pack("<III", 0x46546C67, 2, len(data) + 4) + struct.pack("<I", size + 4) + data[16:20]
    face_path.write_bytes(head + data[20 : 20 + size] + b"\0" * 4 + data[20 + size :])
    assert "jawOpen" not in load_rig(face_path).unmapped


def test_a_head_that_nothing_follows_is_none(tmp_path):
    """A skeleton that was exported without its skin: the whole turns."""
    glb = make_face()
    nodes = glb.document["nodes"]
    nodes[0]["name"] = "all"
    nodes.append({"name": "Armature", "children": [len(nodes) + 1]})
    nodes.append({"name": "neck", "children": [len(nodes) + 1]})
    nodes.append({"name": "head"})
    glb.document["scenes"][0]["nodes"].append(len(nodes) - 3)
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert rig.head is None and rig.neck is None and not rig.has_body and rig.eyes == (2, 3)
    assert load_rig(tmp_path / "a.glb", head="head").head == len(nodes) - 1
