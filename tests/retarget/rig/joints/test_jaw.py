"""A jaw joint follows jawOpen, jawForward, jawLeft and jawRight: as far as the skin, or as a person's jaw."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.animation.scene import write_scene
from retarget.cli.report import list_effects
from retarget.gltf.accessors import add_accessor, overwrite_accessor, read_accessor
from retarget.gltf.document import write_glb
from retarget.performance.take import Take
from retarget.rig.load import load_rig
from tests.helpers.skeletons import JAW_AT, TARGETS, coefficients, make_character

AHEAD = np.array([[0, 0, 0, 1.0]])


def loaded(glb, tmp_path, **given):
    write_glb(glb, tmp_path / "a.glb")
    return load_rig(tmp_path / "a.glb", **given)


def teeth_movement(rig, **values):
    """How the middle of the lower teeth moves (3,)."""
    teeth = slice(rig.mesh.parts[3].start, rig.mesh.parts[3].stop)
    rest, moved = (pose_vertices(rig, coefficients(**v), AHEAD, np.zeros((1, 3)))[0, teeth].mean(axis=0) for v in ({}, values))
    return moved - rest


def test_lower_teeth_follow_the_chin(tmp_path):
    """The target lowers the chin by 2 cm and moves it back by 1 cm."""
    rig = loaded(make_character(jaw="Jaw"), tmp_path)
    effects = dict(list_effects(rig))
    assert effects["jawOpen"] == "Face.jawOpen, jaw joint" and effects["jawLeft"] == "jaw joint"
    opened = teeth_movement(rig, jawOpen=1)
    assert -0.03 < opened[1] < -0.012 and opened[2] < 0 and abs(opened[0]) < 1e-9
    half = teeth_movement(rig, jawOpen=0.5)
    assert opened[1] < half[1] < 0.4 * opened[1]
    assert 0.005 < teeth_movement(rig, jawLeft=1)[0] < 0.009 and teeth_movement(rig, jawRight=1)[0] < -0.005
    assert 0.005 < teeth_movement(rig, jawForward=1)[2] < 0.009
    assert not teeth_movement(rig, mouthPucker=1).any()


def test_without_a_target_it_opens_as_a_persons_jaw(tmp_path):
    rig = loaded(make_character(TARGETS[1:], jaw="lowerJaw"), tmp_path)
    assert rig.jaw.open_rad == pytest.approx(0.38) and "jawOpen" not in rig.unmapped
    np.testing.assert_allclose(rig.jaw.pivot, JAW_AT, atol=1e-6)


def test_a_rig_of_joints_only(tmp_path):
    rig = loaded(make_character((), jaw="Jaw"), tmp_path)
    assert set(rig.unmapped).isdisjoint({"jawOpen", "eyeLookUpLeft"}) and "eyeBlinkLeft" in rig.unmapped
    assert teeth_movement(rig, jawOpen=1)[1] < -0.02 and rig.weights(coefficients(jawOpen=1)).shape == (1, 0)


def test_teeth_on_a_node_of_their_own_turn_about_the_hinge(tmp_path):
    """The node lies in the teeth: turning it there would not open the mouth."""
    glb = make_character(jaw="teeth_lower")
    node = glb.document["nodes"][5]
    node["translation"] = [0, 0.04, 0.08]
    glb.document["skins"][0]["inverseBindMatrices"] = add_accessor(glb, _bind_matrices(glb, 5, (0, 1.54, 0.08)))
    rig = loaded(glb, tmp_path)
    assert rig.jaw is not None and rig.jaw.pivot[2] < 0.05
    assert teeth_movement(rig, jawOpen=1)[1] < -0.01


def _bind_matrices(glb, joint, place):
    matrices = read_accessor(glb, glb.document["skins"][0]["inverseBindMatrices"])
    matrices[joint] = np.eye(4).ravel()
    matrices[joint, 12:15] = -np.array(place)
    return matrices


def test_targets_that_move_the_jaw_themselves_win(tmp_path):
    """The teeth have a target of their own: the joint must not move them twice."""
    glb = make_character(jaw="Jaw")
    mesh = glb.document["meshes"][3]
    target = np.tile(np.float32([0, -0.02, 0]), (108, 1))
    mesh["primitives"][0]["targets"] = [{"POSITION": add_accessor(glb, target, 34962)}]
    mesh["extras"] = {"targetNames": ["teeth_jawOpen"]}
    rig = loaded(glb, tmp_path)
    np.testing.assert_allclose(teeth_movement(rig, jawOpen=1), (0, -0.02, 0), atol=1e-6)
    assert teeth_movement(rig, jawLeft=1)[0] > 0
    assert rig.remarks == ("its jaw joint does not follow jawOpen, because morph targets move the same vertices",)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Head", "a.glb: jaw: the whole head hangs on the node 'Head'"),
        ("Hips", "the whole head hangs on the node 'Hips'"),
        ("Neck", "the whole head hangs on the node 'Neck'"),
        ("LeftEye", "a.glb: jaw: no jaw hangs on the node 'LeftEye'"),
    ],
)
def test_a_given_joint_that_is_no_jaw_is_an_error(given, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        loaded(make_character(jaw="Jaw"), tmp_path, jaw=given)
    assert "\n" not in str(caught.value)


def test_a_given_jaw_may_be_large(tmp_path):
    """A puppet whose face hangs on its jaw: by its name it is not taken, but the user may name it."""
    glb = make_character(jaw="Jaw")
    face, head = (glb.document["meshes"][k]["primitives"][0]["attributes"]["JOINTS_0"] for k in (0, 1))
    overwrite_accessor(glb, face, np.tile(np.uint8([5, 0, 0, 0]), (glb.document["accessors"][face]["count"], 1)))
    overwrite_accessor(glb, head, np.tile(np.uint8([2, 0, 0, 0]), (glb.document["accessors"][head]["count"], 1)))
    assert loaded(glb, tmp_path).joints.jaw is None
    joints = loaded(glb, tmp_path, jaw="Jaw").joints
    assert joints.jaw == 5 and joints.found_by.jaw == "given"


@pytest.mark.parametrize("mirror", [(1, 1, 1), (-1, 1, 1)])
def test_the_scene_says_the_same_as_the_picture(mirror, tmp_path):
    rig = loaded(make_character(jaw="Jaw", mirror=mirror), tmp_path)
    given = coefficients(jawOpen=0.7, jawLeft=0.5, jawForward=0.3, eyeLookOutLeft=0.6, eyeLookDownRight=0.5)
    rotation, place = np.array([[0.1, 0.2, 0.05, 0.97]]), np.array([[0.1, 0.2, -1]])
    rotation /= np.linalg.norm(rotation)
    write_scene(
        Take(np.zeros(1), np.zeros(1, int), given.astype("f4"), rotation.astype("f4"), place.astype("f4")),
        [rig],
        tmp_path / "out.glb",
    )
    scene = load_rig(tmp_path / "out.glb", eyes="LeftEye,RightEye")  # its rest pose is the first sample
    expected = pose_vertices(rig, given, rotation, place)[0]
    weights = np.concatenate([scene.glb.document["nodes"][m.node]["weights"] for m in scene.morphs])
    moved = scene.mesh.apply_morphs([weights[None] if len(p.deltas) else np.zeros((1, 0)) for p in scene.mesh.parts])
    found = scene.mesh.apply_skinning(moved, np.tile(np.eye(4), (1, 6, 1, 1)))[0]
    np.testing.assert_allclose(found, expected, atol=2e-5)
