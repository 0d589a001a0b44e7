"""Arms hang down, however a tool names the joints, stores them, and turns or mirrors the scene."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.geometry.rotations import rotation_about
from retarget.gltf.document import add, write_glb
from retarget.gltf.node_tree import local_matrix, world_matrices
from retarget.rig.joints.arm_pose import lower_arms
from retarget.rig.load import load_rig
from tests.helpers.characters import make_body
from tests.retarget.rig.test_facing import make_head

FRONT = np.eye(3)
LEFT, RIGHT = (0.22, -0.97, 0.06), (-0.22, -0.97, 0.06)


def directions(document, front=FRONT):
    """Both arms, from the upper arm to the forearm, as the front rotation turns them."""
    world, numbers = world_matrices(document), {node.get("name"): n for n, node in enumerate(document["nodes"])}
    result = []
    for side in ("Left", "Right"):
        vector = front @ (world[numbers[f"{side}ForeArm"], :3, 3] - world[numbers[f"{side}Arm"], :3, 3])
        result.append(vector / np.linalg.norm(vector))
    return result


def check_lowered(document, front=FRONT):
    np.testing.assert_allclose(directions(document, front), np.array([LEFT, RIGHT]) / np.linalg.norm(LEFT), atol=1e-6)


def named(document, name):
    return next(node for node in document["nodes"] if node.get("name") == name)


def test_stretched_arms_are_lowered_and_what_was_is_returned():
    document = make_body().document
    before = {5: dict(document["nodes"][5]), 7: dict(document["nodes"][7])}
    assert lower_arms(document, {}, FRONT) == before
    check_lowered(document)
    assert lower_arms(document, {}, FRONT) == {}, "they hang already"


def test_arms_that_are_stored_as_matrices():
    document = make_body().document
    for name in ("LeftArm", "RightArm"):
        node = named(document, name)
        node["matrix"] = local_matrix(node).T.ravel().tolist()
        del node["translation"]
    lower_arms(document, {}, FRONT)
    check_lowered(document)


@pytest.mark.parametrize("helpers", [
    [{"name": "LeftArmTwist"}],
    [{"name": "LeftArmTwist", "children": [11]}, {"name": "LeftArmTwistEnd", "translation": [0, 0.1, 0]}],
    [{"name": "Muscle", "translation": [0, 0.1, 0]}],
])  # fmt: skip
def test_helpers_before_the_forearm(helpers):
    document = make_body().document
    assert len(document["nodes"]) == 10
    document["nodes"] += helpers
    named(document, "LeftArm")["children"].insert(0, 10)
    lower_arms(document, {}, FRONT)
    check_lowered(document)


def test_a_twist_joint_that_carries_the_forearm():
    document = make_body().document
    document["nodes"].append({"name": "LeftArmTwist", "children": [6]})
    named(document, "LeftArm")["children"] = [10]
    lower_arms(document, {}, FRONT)
    check_lowered(document)


def test_a_shoulder_with_the_name_of_an_arm():
    """The upper arm below it turns."""
    document = make_body().document
    for side in ("Left", "Right"):
        shoulder = named(document, f"{side}Arm")
        document["nodes"].append({"name": f"{side[0]}_UpperArm", "translation": [0, 0, -0.1], "children": shoulder["children"]})
        shoulder.update(name=f"{side[0]}_Arm", children=[len(document["nodes"]) - 1])
    assert list(lower_arms(document, {}, FRONT)) == [10, 11]


def test_a_forearm_without_a_usual_name_has_the_longest_chain():
    glb = make_body()
    document = glb.document
    nodes = [add(glb, "nodes", {"name": name, "translation": at}) for name, at in (("Muscle", [0, 0.1, 0]), ("Hand", [0.2, 0, 0]))]
    named(document, "LeftArm")["children"].insert(0, nodes[0])
    forearm = named(document, "LeftForeArm")
    forearm.update(name="Joint", children=[nodes[1]])
    lower_arms(document, {}, FRONT)
    forearm["name"] = "LeftForeArm"
    check_lowered(document)


def test_the_forearm_that_a_vrm_states():
    document = make_body().document
    document["nodes"] += [{"name": "Elbow", "translation": [0, 0.2, 0], "children": [11]}, {"name": "End", "translation": [0, 0.2, 0]}]
    named(document, "LeftArm")["children"].insert(0, 10)
    lower_arms(document, {"leftUpperArm": 5, "leftLowerArm": 6}, FRONT)
    check_lowered(document)


def test_an_arm_that_its_own_scale_mirrors():
    """Maya mirrors a joint so."""
    document = make_body().document
    named(document, "RightArm")["scale"] = [-1.0, 1.0, 1.0]
    named(document, "RightForeArm")["translation"][0] *= -1
    lower_arms(document, {}, FRONT)
    check_lowered(document)


@pytest.mark.parametrize("turn", [rotation_about("x", np.pi / 2), rotation_about("y", np.pi), rotation_about("x", -np.pi / 2)])
def test_a_scene_whose_top_is_not_y(turn, tmp_path):
    glb = make_head(turn)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        forearm = add(glb, "nodes", {"name": f"{side}ForeArm", "translation": [0.3 * sign, 0.0, 0.0]})
        arm = add(glb, "nodes", {"name": f"{side}Arm", "translation": [0.2 * sign, -0.2, 0.0], "children": [forearm]})
        glb.document["nodes"][0]["children"].append(arm)
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    np.testing.assert_allclose(rig.front_rotation, turn.T, atol=1e-6)
    check_lowered(rig.glb.document, rig.front_rotation)
    np.testing.assert_allclose(rig.world, world_matrices(rig.glb.document), atol=1e-9)


@pytest.mark.parametrize("left, right", [
    ("lShldrBend", "rShldrBend"), ("upperarm01.L", "upperarm01.R"), ("Arm.L", "Arm.R"), ("L_Arm", "R_Arm"),
    ("DEF-upper_arm.L", "DEF-upper_arm.R"), ("CC_Base_L_Upperarm", "CC_Base_R_Upperarm"), ("upperarm_l", "upperarm_r"),
])  # fmt: skip
def test_names_of_tools(left, right):
    document = make_body().document
    arms = named(document, "LeftArm"), named(document, "RightArm")
    for arm, name in zip(arms, (left, right), strict=True):
        arm["name"] = name
    lower_arms(document, {}, FRONT)
    arms[0]["name"], arms[1]["name"] = "LeftArm", "RightArm"
    check_lowered(document)


def test_other_joints_are_no_arms():
    for name in ("LeftArmature", "Alarm", "LeftShoulder", "lShldrTwist"):
        document = make_body().document
        named(document, "LeftArm")["name"] = name
        assert list(lower_arms(document, {}, FRONT)) == [7]


def test_the_mesh_follows(brunette_path):
    rig = load_rig(brunette_path)
    check_lowered(rig.glb.document)
    assert np.ptp(rig.mesh.rest_positions()[:, 0]) < 1.1, "it has 1.6 m from hand to hand in T-pose"
