"""Head, neck and eyes: found by name, given, or not there."""

from __future__ import annotations

import pytest

from retarget.rig.joints.find import JointNames, find_joints
from tests.helpers.characters import make_body, make_face


def document(**names):
    glb = make_body()
    for number, name in names.items():
        glb.document["nodes"][int(number[1:])]["name"] = name
    return glb.document


def test_found_by_name():
    assert find_joints(make_body().document) == (2, 1, (3, 4), None, (*("by its name",) * 3, ""))
    face = find_joints(make_face().document)
    assert face == (0, None, (2, 3), None, ("by its name", "", "by its name", ""))


@pytest.mark.parametrize(
    "head, neck, left, right",
    [
        ("CC_Base_Head", "CC_Base_NeckTwist01", "CC_Base_L_Eye", "CC_Base_R_Eye"),
        ("J_Bip_C_Head", "J_Bip_C_Neck", "J_Adj_L_FaceEye", "J_Adj_R_FaceEye"),
        ("DEF-head", "DEF-neck", "eye.L", "eye.R"),
        ("Head_05", "neck_01", "LeftEye_06", "RightEye_07"),
        ("Head_M", "Neck_M", "Eye_L", "Eye_R"),
        ("head_jnt", "neck_jnt", "l_eye_jnt", "r_eye_jnt"),
        ("Bip01 Head", "Bip01 Neck", "eyeball_L", "eyeball_R"),
        ("ValveBiped.Bip01_Head1", "ValveBiped.Bip01_Neck1", "Character1_LeftEye", "Character1_RightEye"),
        ("head", "neckUpper", "FACIAL_L_Eye", "FACIAL_R_Eye"),
        ("頭", "首", "左目", "右目"),
        ("Avatar_v2:Head", "Avatar_v2:Neck", "Player_eye.L", "Player_eye.R"),
    ],
)
def test_usual_names(head, neck, left, right):
    found = find_joints(document(_1=neck, _2=head, _3=left, _4=right))
    assert found.head == 2 and found.neck == 1 and found.eyes == (3, 4)


@pytest.mark.parametrize("name", ["HeadTop_End", "forehead", "Headphones", "lefteyelid", "eyelash_L", "righteyebrow", "neckTie"]
    + ["My_HeadTop_End", "UpperLeftEyelid", "face_eyelash_L", "Character1_Forehead", "Head_Hair"])
def test_other_things(name):
    found = find_joints(document(_0=name, _1="a", _2="b", _3="c", _4="d"))
    assert found == (None, None, None, None, ("", "", "", ""))


def test_given_by_name_or_number():
    nodes = document(_1="Throat", _2="Skull", _3="a", _4="b")
    assert find_joints(nodes).head is None
    found = find_joints(nodes, JointNames(head="Skull", neck="1", eyes="a, 4"))
    assert found == (2, 1, (3, 4), None, ("given", "given", "given", ""))


def test_a_neck_is_above_the_head():
    assert find_joints(document(_5="neck", _1="x")).neck is None
    with pytest.raises(ValueError, match="the head is not below the node 'LeftArm'"):
        find_joints(document(), JointNames(neck="LeftArm"))


@pytest.mark.parametrize(
    "given, message",
    [
        ({"head": "mixamorig:Hed"}, r"head: it has no node 'mixamorig:Hed'; did you mean 'mixamorig:Head'\?"),
        ({"head": "99"}, "head: it has no node '99'"),
        ({"head": "Person"}, "'Person' is a skinned mesh"),
        ({"eyes": "LeftEye"}, "expected two nodes, LEFT,RIGHT"),
        ({"eyes": "LeftEye,Right"}, "right eye: it has no node 'Right'"),
    ],
)
def test_unknown_is_one_line(given, message):
    with pytest.raises(ValueError, match=message):
        find_joints(document(), JointNames(**given))
