"""Names of targets as exporters write them, and which of ARKit's they show."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.gltf.document import write_glb
from retarget.rig.load import load_rig
from retarget.rig.names.name_map import write_name_map_draft
from retarget.rig.names.target_names import match_targets, split_side
from tests.helpers.characters import make_face
from tests.helpers.vrms import make_new

ALONE = [
    ("blendShape1.jawOpen", "jawOpen"),  # Maya
    ("Key 1.eyeBlinkLeft", "eyeBlinkLeft"),  # Blender
    ("jawOpen.001", "jawOpen"),
    ("Face_geo|mouthLeft", "mouthLeft"),
    ("A25_Jaw_Open", "jawOpen"),  # Character Creator 3 and 4
    ("A06_Eye_Look_Up_Left", "eyeLookUpLeft"),
    ("Eye_L_Look_L", "eyeLookOutLeft"),
    ("Eye_R_Look_L", "eyeLookInRight"),
    ("Eye_L_Look_Up", "eyeLookUpLeft"),
    ("Brow_Raise_Inner_L", "browInnerUp"),
    ("Mouth_L", "mouthLeft"),
    ("Mouth_Funnel_Up_L", "mouthFunnel"),
    ("CTRL_expressions_browRaiseOuterR", "browOuterUpRight"),  # MetaHuman
    ("CTRL_expressions_mouthLipsPurseUL", "mouthPucker"),
    ("CTRL_expressions_eyeLookLeftR", "eyeLookInRight"),
    ("head_lod0_mesh__eye_blink_L", "eyeBlinkLeft"),
    ("head_lod0_mesh__mouth_cornerPull_R", "mouthSmileRight"),
    ("Face.M_F00_000_00_Fcl_EYE_Close_L", "eyeBlinkLeft"),  # VRoid
    ("Fcl_MTH_A", "jawOpen"),
    ("EyeClosedRight", "eyeBlinkRight"),  # Unified Expressions
    ("LeftEyeBlink", "eyeBlinkLeft"),
    ("L_eyeBlink", "eyeBlinkLeft"),
    ("eyeBlinkL", "eyeBlinkLeft"),
    ("EYE_BLINK.R", "eyeBlinkRight"),
    ("browInnerUp_R", "browInnerUp"),
    ("SmileL", "mouthSmileLeft"),
    ("Mouth_mouthSmileLeft", "mouthSmileLeft"),  # behind the name of a mesh
    ("Jaw_jawOpen", "jawOpen"),
    ("mouth_blendShape_mouthFunnel", "mouthFunnel"),
    ("mouth-jawOpen", "jawOpen"),
    ("Face_Jaw_L", "jawLeft"),
]


@pytest.mark.parametrize("name, expected", ALONE)
def test_one_shape(name, expected):
    assert match_targets([[name]]) == [{expected: 1.0}]


BOTH = [("eyesClosed", "eyeBlink"), ("mouthSmile", "mouthSmile"), ("Fcl_BRW_Angry", "browDown"), ("まばたき", "eyeBlink")]


@pytest.mark.parametrize("name, stem", [*BOTH, ("vrc.blink", "eyeBlink")])
def test_both_sides_share_one(name, stem):
    assert match_targets([[name]]) == [{f"{stem}Left": 0.5, f"{stem}Right": 0.5}]


NOTHING = ["viseme_PP", "jawOpen_mouthFunnel", "eyeBlink_jawOpen", "Fcl_ALL_Joy", "eyebrow_left", "lefteyelid", "mouth_up"]
BODY_SHAPES = ["Wide_Jaw", "Big_Mouth", "Square Jaw", "Jaw", "Mouth", "wide-mouth", "Face_Round_Mouth"]
CORRECTIVES = ["A25_Jaw_Open_Mouth_Smile_L", "jaw_left_mouthSmile", "Jaw_L_mouthSmile", "x_mouth_left_jawOpen", "Mouth_L_Jaw_Open"]


@pytest.mark.parametrize("name", [*NOTHING, *BODY_SHAPES, *CORRECTIVES, "Angry", "Curl", "Mouth_A", "Lid_L", "", "."])
def test_nothing(name):
    assert match_targets([[name]]) == [{}]


def test_what_is_nearest_to_arkit_counts():
    names = ["jawOpen", "Mouth_Open", "A25_Jaw_Open", "Eye_Blink_L", "EyeClosedLeft", "A15_Eye_Blink_Right", "eyesClosed"]
    shown = match_targets([names])
    assert shown == [{"jawOpen": 1.0}, {}, {}, {"eyeBlinkLeft": 1.0}, {}, {"eyeBlinkRight": 1.0}, {}]
    # Meshes are matched each by itself: teeth may have a prefix or another maker's names.
    assert match_targets([["jawOpen"], ["teeth_jawOpen"], ["Mouth_Open"]]) == [{"jawOpen": 1.0}] * 3
    assert match_targets([["Mouth_Open"], ["Mouth_Open"]]) == [{"jawOpen": 1.0}] * 2
    assert match_targets([["Mouth_Open", "x_jawOpen"]], other_makers=False) == [{}, {"jawOpen": 1.0}] and match_targets([]) == []


def test_every_name_is_its_own_behind_a_prefix():
    for name in ARKIT_NAMES:
        for own in (name, f"mesh.{name}", f"head_geo_{name}", f"CTRL_expressions_{name}", name.upper()):
            assert match_targets([[own]]) == [{name: 1.0}], own
        assert canonical_name(f"blendShapes.{name}") == name and canonical_name(f"x_{name}") is None


def test_visemes_alone_move_the_lips():
    names = ["viseme_sil", "viseme_aa", "viseme_O", "vrc.v_ou"]
    nothing, open_, round_, pursed = match_targets([names])
    assert nothing == {} and open_ == {"jawOpen": 1.0, "mouthFunnel": -0.7, "mouthPucker": -0.7}
    assert round_ == {"mouthFunnel": 1.0} and pursed == {"mouthPucker": 1.0, "mouthFunnel": -0.5}
    assert match_targets([["viseme_aa", "viseme_O", "jawOpen", "mouthFunnel", "mouthPucker"]])[:2] == [{}, {}]
    assert match_targets([["viseme_aa", "viseme_O", "jawOpen"]])[:2] == [{}, {"mouthFunnel": 1.0}]


def test_endless_names_take_no_time():
    assert match_targets([["a_" * 1_000_000, "." * 1_000_000, "x_" * 1_000_000 + "jawOpen"]]) == [{}, {}, {"jawOpen": 1.0}]


def test_sides():
    assert split_side("Eye_L_Look_Up") == ("eyelookup", "left") and split_side("mouthFunnelUR") == ("mouthfunnelu", "right")
    assert split_side("jawOpen") == ("jawopen", "") and split_side("Left") == ("", "left")


def test_a_rig_of_another_maker_is_driven(tmp_path):
    names = ("Mouth_Open", "Eye_Blink_L", "Eye_Blink_R", "Brow_Raise_Inner_L", "Brow_Raise_Inner_R", "Mouth_Smile")
    write_glb(make_face(names), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    value = dict.fromkeys(("jawOpen", "eyeBlinkRight", "browInnerUp", "mouthSmileLeft"), 1.0)
    coefficients = np.array([[value.get(name, 0.0) for name in ARKIT_NAMES]])
    assert rig.weights(coefficients)[0].tolist() == [1, 0, 1, 1, 1, 0.5] and len(rig.unmapped) == 52 - 6 - 8


def test_the_shape_of_a_jaw_keeps_its_weight(tmp_path):
    glb = make_face(("jawOpen", "mouthSmileLeft", "Wide_Jaw"))
    glb.document["meshes"][0]["weights"] = [0, 0, 1]
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert rig.undriven == ("Wide_Jaw",) and rig.weights(np.ones((1, 52)))[0].tolist() == [1, 1, 1]
    write_name_map_draft(tmp_path / "map.json", make_face(("jawOpen", "Jaw", "Jaws")))
    assert '"_not used": [\n  "Jaw",\n  "Jaws"' in (tmp_path / "map.json").read_text()


def test_a_vrm_is_driven_by_its_expressions(tmp_path):
    targets = ("Mouth_Open", "EyeClosedLeft", "Mouth_Frown")
    glb = make_new({"aa": ({"Mouth_Open": 1}, {}), "blink": ({"EyeClosedLeft": 1}, {})}, targets=targets)
    write_glb(glb, tmp_path / "a.vrm")
    rig = load_rig(tmp_path / "a.vrm")
    assert not rig.matrix.any() and rig.undriven == ("Mouth_Frown",)
