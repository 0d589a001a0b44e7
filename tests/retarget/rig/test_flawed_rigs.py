"""Rigs as people have them: empty targets, other scenes, mirrored roots, parts with names of their own."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.animation.scene import write_scene
from retarget.arkit import ARKIT_NAMES
from retarget.cli import main
from retarget.cli.report import describe_rig, list_effects
from retarget.gltf.accessors import add_accessor
from retarget.gltf.document import read_glb, write_glb
from retarget.performance.take import Take
from retarget.render.scene import render_scene
from retarget.rig.load import load_rig
from tests.helpers.characters import make_face, make_take
from tests.helpers.skeletons import TARGETS, coefficients, make_character

AHEAD = np.array([[0, 0, 0, 1.0]])


def loaded(glb, tmp_path, **given):
    write_glb(glb, tmp_path / "a.glb")
    return load_rig(tmp_path / "a.glb", **given)


def driven(rig, **values):
    weights = rig.weights(coefficients(**values))[0]
    names = [name for morph in rig.morphs for name in morph.names]
    return {name: round(float(w), 4) for name, w in zip(names, weights, strict=True) if w}


@pytest.mark.parametrize("shape, other", [
    ("jawOpen", "viseme_aa"), ("jawOpen", "Fcl_MTH_A"), ("jawOpen", "Mouth_Open"), ("jawOpen", "A25_Jaw_Open"),
    ("eyeBlinkLeft", "Eye_Blink_L"), ("eyeBlinkLeft", "Fcl_EYE_Close_L"), ("mouthSmileLeft", "Mouth_Smile_L"),
    ("mouthPucker", "viseme_U"), ("browInnerUp", "Brow_Raise_Inner_L"),
])  # fmt: skip
def test_an_empty_target_leaves_its_shape_to_the_next_that_moves(shape, other, tmp_path):
    rig = loaded(make_character((*TARGETS, other), empty=[shape]), tmp_path)
    assert driven(rig, **{shape: 1})[other] == 1 and shape not in rig.unmapped
    assert rig.remarks == (f"empty targets, which move nothing: {shape} ({other} is used)",)
    assert next(line for line in describe_rig(rig) if line.startswith(shape)).split(maxsplit=1)[1] == f"Face.{other} ({shape} is empty)"


def test_an_alias_is_not_used_beside_a_target_that_moves(tmp_path):
    rig = loaded(make_character((*TARGETS, "viseme_aa", "Mouth_Open")), tmp_path)
    assert driven(rig, jawOpen=1) == {"jawOpen": 1} and rig.remarks == ()


def test_an_empty_target_without_another_is_said(tmp_path):
    rig = loaded(make_character((*TARGETS, "cheekPuff"), empty=["cheekPuff"]), tmp_path)
    assert "cheekPuff" in rig.unmapped and rig.remarks == ("empty targets, for which there is no other: cheekPuff",)
    assert "cheekPuff            no effect (cheekPuff is empty)" in describe_rig(rig)


def test_inspect_lists_remarks_and_animate_prints_them(tmp_path, capsys):
    write_glb(make_character((*TARGETS, "viseme_aa"), empty=["jawOpen"]), tmp_path / "a.glb")
    make_take(1).save(tmp_path / "take.npz")
    assert main(["inspect", str(tmp_path / "a.glb")]) == 0
    assert "remark               empty targets, which move nothing: jawOpen (viseme_aa is used)" in capsys.readouterr().out
    run = ["animate", str(tmp_path / "take.npz"), str(tmp_path / "a.glb"), "--out", str(tmp_path / "o.glb")]
    assert main(run) == 0
    assert capsys.readouterr().err.startswith(f"note: {tmp_path / 'a.glb'}: empty targets")
    assert main([*run, "--quiet"]) == 0 and capsys.readouterr().err == ""


def test_a_drafted_map_leaves_empty_targets_out(tmp_path, capsys):
    write_glb(make_character((*TARGETS, "viseme_aa"), empty=["jawOpen"]), tmp_path / "a.glb")
    assert main(["inspect", str(tmp_path / "a.glb"), "--write-map", str(tmp_path / "n.json")]) == 0
    assert driven(load_rig(tmp_path / "a.glb", tmp_path / "n.json"), jawOpen=1)["viseme_aa"] == 1


PARTS = ("tongue_jawOpen", "tongue_jawLeft", "tongue_tongueOut", "teeth_lower_jawOpen")


def test_tongue_and_teeth_in_the_same_mesh_follow(tmp_path):
    """Unity's sample head has all parts in one mesh."""
    rig = loaded(make_character(("jawOpen", "jawLeft", "eyeBlinking_Left", "mouthClosed", "browDown_Left", *PARTS)), tmp_path)
    assert driven(rig, jawOpen=1) == {"jawOpen": 1, "tongue_jawOpen": 1, "teeth_lower_jawOpen": 1}
    assert driven(rig, tongueOut=1) == {"tongue_tongueOut": 1} and driven(rig, jawLeft=1) == {"jawLeft": 1, "tongue_jawLeft": 1}
    assert driven(rig, eyeBlinkLeft=1, browDownLeft=1, mouthClose=1) == dict.fromkeys(
        ("eyeBlinking_Left", "browDown_Left", "mouthClosed"), 1
    )


def test_teeth_with_names_of_another_maker_follow(tmp_path):
    glb = make_character()
    mesh = glb.document["meshes"][3]
    mesh["primitives"][0]["targets"] = [{"POSITION": add_accessor(glb, np.full((108, 3), 0.01, np.float32), 34962)}]
    mesh["extras"] = {"targetNames": ["Mouth_Open"]}
    assert dict(list_effects(loaded(glb, tmp_path)))["jawOpen"] == "Face.jawOpen, Teeth.Mouth_Open"


@pytest.mark.parametrize("change", [
    lambda scenes: (scenes.insert(0, {"name": "cameras"}), 0)[1],
    lambda scenes: (scenes.insert(0, {"name": "empty", "nodes": []}), None)[1],
    lambda scenes: (scenes.append({"name": "other"}), 1)[1],
])  # fmt: skip
def test_the_face_in_another_scene(change, tmp_path):
    glb = make_character()
    scenes = glb.document["scenes"]
    scenes[0]["name"] = "people"
    default = change(scenes)
    glb.document.pop("scene", None)
    if default is not None:
        glb.document["scene"] = default
    rig = loaded(glb, tmp_path)
    assert rig.remarks == ("the face is not in the default scene but in another one (people), which is used",)
    assert driven(rig, jawOpen=1) == {"jawOpen": 1} and rig.has_body
    write_scene(make_take(2), [rig], tmp_path / "out.glb")
    out = read_glb(tmp_path / "out.glb").document
    assert len(out["scenes"]) == 1 and any("Armature" in str(node.get("name")) for node in out["nodes"])


def test_a_face_in_no_scene(tmp_path):
    glb = make_character()
    glb.document["scenes"] = [{"name": "empty"}]
    assert driven(loaded(glb, tmp_path), jawOpen=1) == {"jawOpen": 1}


@pytest.mark.parametrize("mirror", [(-1, 1, 1), (1, 1, -1)])
def test_a_mirrored_root_is_drawn_and_turned_as_any_other(mirror, tmp_path):
    write_glb(make_character(jaw="Jaw"), tmp_path / "plain.glb")
    plain, rig = load_rig(tmp_path / "plain.glb"), loaded(make_character(jaw="Jaw", mirror=mirror), tmp_path)
    if mirror == (-1, 1, 1):
        assert "it is mirrored, so that its left side is called right; left and right are exchanged" in rig.remarks
    rotation = np.array([[0, 0.3, 0, 0.954]])
    given = coefficients(jawOpen=0.5, eyeBlinkLeft=1, eyeLookOutLeft=1, eyeLookInRight=1)
    for values in (coefficients(), given):
        expected = pose_vertices(plain, values, rotation, np.zeros((1, 3)))[0]
        found = pose_vertices(rig, values, rotation, np.zeros((1, 3)))[0]
        distance = np.linalg.norm(found[:, None] - expected[None, ::7], axis=2).min(axis=0)
        assert distance.max() < 2e-3, "a symmetric character looks the same in a mirror"
    take = Take(np.zeros(1), np.zeros(1, int), given.astype("f4"), rotation.astype("f4"), np.array([[0, 0, -1.0]], "f4"))
    pictures = [render_scene(take, [r], 80, 80, 200, np.zeros((80, 80, 3), np.uint8)).astype(int) for r in (plain, rig)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 3 and pictures[0].mean() > 20


def test_a_root_that_mirrors_what_was_stored_mirrored_is_left_alone(tmp_path):
    """Some exporters change the handedness by a mirroring root: left is left again."""
    glb = make_character()
    nodes, mirrored = glb.document["nodes"], make_character(mirror=(-1, 1, 1))
    targets = [name.replace("Left", "?").replace("Right", "Left").replace("?", "Right") for name in TARGETS]
    mirrored.document["meshes"][0]["extras"]["targetNames"] = targets
    for left, right in (("LeftEye", "RightEye"),):
        numbers = [[node["name"] for node in nodes].index(name) for name in (left, right)]
        mirrored.document["nodes"][numbers[0]]["name"], mirrored.document["nodes"][numbers[1]]["name"] = right, left
    rig = loaded(mirrored, tmp_path)
    assert rig.remarks == () and rig.eyes == (4, 3)
    assert driven(rig, eyeBlinkLeft=1) == {"eyeBlinkLeft": 1} and np.array_equal(rig.front_rotation, np.eye(3))


def test_names_of_targets_in_accessors(tmp_path):
    glb = make_character()
    mesh = glb.document["meshes"][0]
    for name, target in zip(mesh.pop("extras")["targetNames"], mesh["primitives"][0]["targets"], strict=True):
        glb.document["accessors"][target["POSITION"]]["name"] = name
    assert driven(loaded(glb, tmp_path), jawOpen=1) == {"jawOpen": 1}


def test_names_that_do_not_fit_leave_eyes_and_head(tmp_path):
    glb = make_character()
    glb.document["meshes"][0]["extras"]["targetNames"] = [*TARGETS[1:]]
    rig = loaded(glb, tmp_path)
    assert rig.remarks == ("mesh Face: 6 names for 7 morph targets; the names are ignored",)
    assert rig.head == 2 and set(rig.unmapped) == {name for name in ARKIT_NAMES if not name.startswith("eyeLook")}


def test_a_quaternion_of_length_0_is_no_rotation(tmp_path):
    glb = make_character(TARGETS)
    straight = loaded(glb, tmp_path)
    name = glb.document["nodes"][straight.head]["name"]
    assert "rotation" not in glb.document["nodes"][straight.head]
    glb.document["nodes"][straight.head]["rotation"] = [0, 0, 0, 0]
    rig = loaded(glb, tmp_path)
    remark = f"node {name}: its rotation is a quaternion of length 0; it is left out"
    assert remark in rig.remarks and set(rig.remarks) - {remark} == set(straight.remarks)
    np.testing.assert_array_equal(rig.world, straight.world)
    write_scene(make_take(1, 3), [rig], tmp_path / "o.glb")
    assert read_glb(tmp_path / "o.glb").remarks == []


def test_vertices_without_skin_weights_follow_their_first_joint(tmp_path):
    glb = make_character()
    straight = loaded(glb, tmp_path)
    accessor = glb.document["accessors"][glb.document["meshes"][0]["primitives"][0]["attributes"]["WEIGHTS_0"]]
    start = glb.document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    glb.binary[start : start + 10 * 16] = bytes(10 * 16)  # ten vertices with four weights each
    rig = loaded(glb, tmp_path)
    np.testing.assert_allclose(rig.mesh.rest_positions(), straight.mesh.rest_positions(), atol=1e-9)
    np.testing.assert_array_equal(rig.mesh.group_weights, straight.mesh.group_weights)


def test_joints_without_weight_may_have_any_number(tmp_path):
    glb = make_character()
    straight = loaded(glb, tmp_path)
    accessor = glb.document["accessors"][glb.document["meshes"][0]["primitives"][0]["attributes"]["JOINTS_0"]]
    start = glb.document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    glb.binary[start + 1] = glb.binary[start + 7] = 255
    rig = loaded(glb, tmp_path)
    np.testing.assert_array_equal(rig.mesh.rest_positions(), straight.mesh.rest_positions())
    np.testing.assert_array_equal(rig.mesh.group_weights, straight.mesh.group_weights)
    glb.binary[start] = 255
    with pytest.raises(ValueError, match=r"vertices of node \d+ use joint 255 of 5"):
        loaded(glb, tmp_path)


@pytest.mark.parametrize("scale, is_said", [((1, 1.3, 1), True), ((1.3, 1.3, 1.3), False), ((1, -1, 1), False)])
def test_a_scale_that_differs_by_axis_is_said(scale, is_said, tmp_path):
    remark = "a node above its head has different scales along x, y and z, so that turned heads differ a little in scenes and pictures"
    assert (remark in loaded(make_character(mirror=scale), tmp_path).remarks) == is_said


def test_a_scale_above_nothing_that_turns_is_not_said(tmp_path):
    glb = make_face(("jawOpen", "eyeBlinkLeft"))
    for node, name in zip(glb.document["nodes"], ("head", "skin", "ballOne", "ballTwo"), strict=True):
        node["name"] = name
    glb.document["nodes"][0]["scale"] = [1.0, 1.3, 1.0]
    assert loaded(glb, tmp_path).remarks == ()
