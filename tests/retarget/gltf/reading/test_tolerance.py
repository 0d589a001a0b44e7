"""Usual mistakes of exporters: the character loads, the document becomes valid, and a remark says what was corrected."""

from __future__ import annotations

import json

import pytest

from retarget.animation.scene import build_scene
from retarget.arkit import ARKIT_NAMES
from retarget.gltf.accessors import add_accessor, read_accessor
from retarget.gltf.builder import Node
from retarget.gltf.document import Glb, read_glb, write_glb
from retarget.rig.load import load_rig
from tests.helpers.characters import ball, make_face, make_take
from tests.helpers.vrms import make_new

NAMES = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")


def with_teeth(targets: int = 0) -> Glb:
    """A face whose mesh has a second part with fewer morph targets."""
    glb = make_face(NAMES)
    points, triangles, _ = ball(0.02, (0, -0.03, 0.03))
    attributes = {"POSITION": add_accessor(glb, points.astype("f4"), 34962)}
    part = {"attributes": attributes, "indices": add_accessor(glb, triangles.ravel().astype("u2"), 34963), "material": 1}
    if targets:
        part["targets"] = [{"POSITION": add_accessor(glb, points.astype("f4"), 34962)} for _ in range(targets)]
    glb.document["meshes"][0]["primitives"].append(part)
    return glb


@pytest.mark.parametrize("targets, remark", [
    (0, "mesh face: 1 of its 2 parts has no morph targets and stays still"),
    (2, "mesh face: 1 of its 2 parts lacks some of its morph targets"),
])  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_targets_on_some_parts_only(targets, remark, first, tmp_path):
    glb = with_teeth(targets)
    if first:
        glb.document["meshes"][0]["primitives"].reverse()
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert rig.remarks[0] == remark and "jawOpen" not in rig.unmapped
    primitives = rig.glb.document["meshes"][0]["primitives"]
    assert [len(primitive["targets"]) for primitive in primitives] == [3, 3]
    padded = primitives[0 if first else 1]["targets"][-1]["POSITION"]
    assert not read_accessor(rig.glb, padded).any() and read_accessor(rig.glb, padded).shape == (108, 3)


@pytest.mark.parametrize("names, kept, remark", [
    (("Basis", *NAMES), NAMES, "mesh face: 4 names for 3 morph targets; the first, Basis, is left out"),
    (("jawOpen", "eyeBlinkLeft"), None, "mesh face: 2 names for 3 morph targets; the names are ignored"),
    ((*NAMES, "mouthPucker", "smile"), None, "mesh face: 5 names for 3 morph targets; the names are ignored"),
    ("jawOpen", None, "mesh face: names that are no list for 3 morph targets; the names are ignored"),
])  # fmt: skip
def test_names_of_a_wrong_number(names, kept, remark, tmp_path):
    glb = make_face(NAMES)
    glb.document["meshes"][0]["extras"]["targetNames"] = names if isinstance(names, str) else list(names)
    write_glb(glb, tmp_path / "a.glb")
    read = read_glb(tmp_path / "a.glb")
    assert read.remarks == [remark]
    found = read.document["meshes"][0]["extras"].get("targetNames")
    assert found == (None if kept is None else list(kept))
    if kept:
        assert not {"jawOpen", "eyeBlinkLeft", "eyeBlinkRight"} & set(load_rig(tmp_path / "a.glb").unmapped)


def test_ignored_names_can_be_given_again(tmp_path):
    glb = make_face(NAMES)
    glb.document["meshes"][0]["extras"]["targetNames"] = ["a"]
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb", {"jawOpen": "target_0"})
    assert rig.matrix[ARKIT_NAMES.index("jawOpen"), 0] == 1


def test_weights_of_a_wrong_number(tmp_path):
    glb = make_face(NAMES)
    glb.document["meshes"][0]["weights"] = [0.5] * 9
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert rig.remarks[0] == "mesh face: its weights are not one for each of its 3 morph targets; they are ignored"
    assert not rig.rest_weights.any()


EMPTY = {"componentType": 5126, "type": "VEC3", "count": 0}


def test_an_empty_accessor_that_nothing_uses(tmp_path):
    glb = make_face(NAMES)
    glb.document["accessors"].append(dict(EMPTY))
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    write_glb(build_scene(make_take(1), [rig]), tmp_path / "b.glb")
    assert all(accessor["count"] for accessor in read_glb(tmp_path / "b.glb").document["accessors"])


@pytest.mark.parametrize("kind", ["vertices", "triangles"])
def test_an_empty_part_is_left_out(kind, tmp_path):
    glb = make_face(NAMES)
    accessors, (primitive,) = glb.document["accessors"], glb.document["meshes"][0]["primitives"]
    accessors.append(EMPTY | ({} if kind == "vertices" else {"componentType": 5123, "type": "SCALAR"}))
    empty = {"attributes": {"POSITION": len(accessors) - 1}} if kind == "vertices" else {**primitive, "indices": len(accessors) - 1}
    glb.document["meshes"][0]["primitives"] = [empty, primitive]
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert rig.remarks[0] == "mesh face: parts without vertices or triangles are left out" and "jawOpen" not in rig.unmapped
    write_glb(build_scene(make_take(1), [rig]), tmp_path / "b.glb")
    assert read_glb(tmp_path / "b.glb").remarks == []


def test_an_empty_mesh_is_left_out(tmp_path):
    glb = make_face(NAMES, extra=[Node("hat")])
    glb.document["accessors"].append(dict(EMPTY))
    glb.document["meshes"].append({"name": "hat", "primitives": [{"attributes": {"POSITION": len(glb.document["accessors"]) - 1}}]})
    glb.document["nodes"][4]["mesh"] = 2
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert rig.remarks[0] == "mesh hat: it has no vertices or no triangles; it is left out" and "jawOpen" not in rig.unmapped
    write_glb(build_scene(make_take(1), [rig]), tmp_path / "b.glb")
    assert read_glb(tmp_path / "b.glb").remarks == []


def test_scenes_of_files_with_other_extensions_have_no_empty_accessor(tmp_path):
    """There, all parts of the character stay in the scene."""
    glb = make_new({"aa": ({"Mouth_A": 1.0}, {})})
    glb.document["accessors"].append({**EMPTY, "componentType": 5125, "type": "SCALAR"})
    eye = glb.document["meshes"][glb.document["nodes"][2]["mesh"]]["primitives"][0]
    eye["indices"] = len(glb.document["accessors"]) - 1
    write_glb(glb, tmp_path / "a.vrm")
    write_glb(build_scene(make_take(1), [load_rig(tmp_path / "a.vrm")]), tmp_path / "b.glb")
    content = (tmp_path / "b.glb").read_bytes()
    document = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    assert len(document["accessors"]) > 10 and all(accessor["count"] for accessor in document["accessors"])


def test_an_empty_accessor_that_is_used_is_an_error(tmp_path):
    glb = make_face(NAMES)
    glb.document["accessors"].append(dict(EMPTY))
    glb.document["meshes"][0]["primitives"][0]["targets"][0]["POSITION"] = len(glb.document["accessors"]) - 1
    write_glb(glb, tmp_path / "a.glb")
    with pytest.raises(ValueError, match="claims 0 elements"):
        load_rig(tmp_path / "a.glb")
