"""Joints of the skeletons of usual tools are found, also beside control bones that carry nothing."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.gltf.document import write_glb
from retarget.rig.load import load_rig
from tests.helpers.characters import make_take
from tests.helpers.skeletons import TARGETS, coefficients, make_character, node_number

TOOLS = {
    "Rigify": ("DEF-spine", "DEF-spine.004", "DEF-spine.006", "DEF-eye.L", "DEF-eye.R", "DEF-jaw"),
    "Rigify in three.js": ("DEF-spine", "DEF-spine004", "DEF-spine006", "DEF-eyeL", "DEF-eyeR", "DEF-jaw_master"),
    "Rigify on Sketchfab": ("DEF-spine_01", "DEF-spine.005_05", "DEF-spine.006_06", "DEF-eye.L_07", "DEF-eye.R_08", "DEF-jaw_09"),
    "Rigify metarig": ("spine", "spine.004", "spine.006", "eye.L", "eye.R", "jaw"),
    "Auto-Rig Pro": ("root.x", "neck.x", "head.x", "c_eye.l", "c_eye.r", "c_jawbone.x"),
    "Auto-Rig Pro deform": ("root.x", "c_neck.x", "c_head.x", "c_eye_offset.l", "c_eye_offset.r", "jawbone.x"),
    "Character Creator": ("CC_Base_Hip", "CC_Base_NeckTwist01", "CC_Base_Head", "CC_Base_L_Eye", "CC_Base_R_Eye", "CC_Base_JawRoot"),
    "Daz Genesis 8": ("hip", "neckLower", "head", "lEye", "rEye", "lowerJaw"),
    "Daz Genesis 9": ("hip", "neck1", "head", "l_eye", "r_eye", "lowerjaw"),
    "MakeHuman": ("root", "neck01", "head", "eye.L", "eye.R", "jaw"),
    "MakeHuman game engine": ("Root", "neck_01", "head", "eye_l", "eye_r", "jaw"),
    "Unity Humanoid": ("Hips", "Neck", "Head", "LeftEye", "RightEye", "Jaw"),
    "Unreal MetaHuman": ("pelvis", "neck_01", "head", "FACIAL_L_Eye", "FACIAL_R_Eye", "FACIAL_C_Jaw"),
    "Mixamo": ("mixamorig:Hips", "mixamorig:Neck", "mixamorig:Head", "mixamorig:LeftEye", "mixamorig:RightEye", "mixamorig:Jaw"),
    "Advanced Skeleton": ("Root_M", "Neck_M", "Head_M", "Eye_L", "Eye_R", "Jaw_M"),
    "3ds Max Biped": ("Bip001", "Bip001 Neck", "Bip001 Head", "Bip001 LEye", "Bip001 REye", "Bip001 Jaw"),
    "VRoid": ("J_Bip_C_Hips", "J_Bip_C_Neck", "J_Bip_C_Head", "J_Adj_L_FaceEye", "J_Adj_R_FaceEye", "J_Bip_C_Jaw"),
    "MikuMikuDance": ("センター", "首", "頭", "左目", "右目", "あご"),
}


def loaded(glb, tmp_path, **given):
    write_glb(glb, tmp_path / "a.glb")
    return load_rig(tmp_path / "a.glb", **given)


@pytest.mark.parametrize("tool", TOOLS)
def test_joints_of_a_tool(tool, tmp_path):
    *joints, jaw = TOOLS[tool]
    rig = loaded(make_character(joints=joints, jaw=jaw), tmp_path)
    assert (rig.head, rig.neck, rig.eyes, rig.joints.jaw) == (2, 1, (3, 4), 5)
    assert rig.has_body and rig.eyes_turn and rig.jaw is not None
    assert rig.joints.found_by == ("by its name",) * 4


@pytest.mark.parametrize("name", ["spine.006", "Knochen.012", "Bone_37", "nod"])
def test_a_head_without_a_usual_name_is_where_the_face_hangs(name, tmp_path):
    rig = loaded(make_character(joints=("Becken", "Wirbel", name, "a", "b")), tmp_path)
    assert rig.head == 2 and rig.has_body
    assert rig.joints.found_by.head == ("by its name" if name.startswith("spine") else "by the skin of the face")


def test_chest_bones_with_arms_are_no_head(tmp_path):
    """Unreal counts its back from spine_01 to spine_05."""
    glb = make_character(joints=("pelvis", "spine_04", "spine_05", "a", "b"))
    glb.document["nodes"].append({"name": "clavicle_l"})
    glb.document["nodes"][2]["children"].append(len(glb.document["nodes"]) - 1)
    assert loaded(glb, tmp_path).joints.found_by.head == "by the skin of the face"


def test_control_bones_that_carry_nothing_are_passed_over(tmp_path):
    """A rig that was exported with its controls: `head`, `jaw` and `eye.L` exist twice."""
    glb = make_character(joints=("DEF-spine", "DEF-spine.004", "DEF-spine.006", "DEF-eye.L", "DEF-eye.R"), jaw="DEF-jaw")
    nodes = glb.document["nodes"]
    first = len(nodes)
    nodes += [{"name": "neck", "children": [first + 1]}, {"name": "head", "children": [first + 2, first + 3, first + 4]}]
    nodes += [{"name": "eye.L"}, {"name": "eye.R"}, {"name": "jaw"}]
    nodes[first - 1]["children"].insert(0, first)
    rig = loaded(glb, tmp_path)
    assert (rig.head, rig.neck, rig.eyes, rig.joints.jaw) == (2, 1, (3, 4), 5)


def test_meshes_that_lost_their_skin_are_no_eyes(tmp_path):
    """gltfpack leaves empty nodes with the names of skinned meshes at the origin."""
    glb = make_character()
    nodes = glb.document["nodes"]
    nodes += [{"name": "EyeLeft"}, {"name": "EyeRight"}]
    glb.document["scenes"][0]["nodes"] += [len(nodes) - 2, len(nodes) - 1]
    rig = loaded(glb, tmp_path)
    assert rig.eyes == (3, 4) and rig.eyes_turn
    np.testing.assert_allclose(rig.eye_center, (0, 1.63, 0.085), atol=1e-6)


def test_a_jaw_on_which_the_whole_head_hangs_is_none(tmp_path):
    glb = make_character(joints=("Hips", "Neck", "Jaw", "LeftEye", "RightEye"))
    rig = loaded(glb, tmp_path)
    assert rig.joints.jaw is None and rig.head == 2


def test_the_head_turns_and_the_body_stays(tmp_path):
    for tool in ("Rigify", "Auto-Rig Pro"):
        *joints, jaw = TOOLS[tool]
        rig = loaded(make_character(joints=joints, jaw=jaw), tmp_path)
        take = make_take(1)
        take.rotation[:] = (0.3, 0, 0, 0.95)  # nodding
        still, nodding = (pose_vertices(rig, coefficients(), q, take.translation)[0] for q in ([(0, 0, 0, 1)], take.rotation))
        body = slice(rig.mesh.parts[-1].start, None)
        head = slice(0, rig.mesh.parts[0].stop)
        moved = (still - still[body].mean(axis=0)) - (nodding - nodding[body].mean(axis=0))
        assert np.abs(moved[body]).max() < 1e-6 and np.abs(moved[head]).max() > 0.05


def test_given_jaw(tmp_path):
    glb = make_character(TARGETS[1:], jaw="Kinn_12")
    assert loaded(glb, tmp_path).jaw is None
    rig = loaded(glb, tmp_path, jaw="Kinn_12")
    assert rig.jaw.joint == node_number(glb, "Kinn_12") and rig.joints.found_by.jaw == "given"
    with pytest.raises(ValueError, match="jaw: it has no node 'Kin'"):
        loaded(glb, tmp_path, jaw="Kin")
