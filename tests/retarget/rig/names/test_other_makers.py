"""All names of Daz, SRanipal, Mixamo's Fuse and Unity's sample head, each in a list of its maker."""

from __future__ import annotations

import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.rig.names.target_names import match_targets

SRANIPAL = {
    "Eye_Left_Blink": "eyeBlinkLeft", "Eye_Right_Blink": "eyeBlinkRight", "Eye_Left_Wide": "eyeWideLeft",
    "Eye_Left_Left": "eyeLookOutLeft", "Eye_Left_Right": "eyeLookInLeft", "Eye_Right_Left": "eyeLookInRight",
    "Eye_Right_Right": "eyeLookOutRight", "Eye_Left_Up": "eyeLookUpLeft", "Eye_Right_Down": "eyeLookDownRight",
    "Eye_Left_squeeze": "eyeSquintLeft", "EyeRightSqueeze": "eyeSquintRight", "EyeLeftBlink": "eyeBlinkLeft",
    "Jaw_Left": "jawLeft", "Jaw_Right": "jawRight", "Jaw_Forward": "jawForward", "Jaw_Open": "jawOpen",
    "Mouth_Ape_Shape": "mouthClose", "Mouth_Upper_Left": "mouthLeft", "Mouth_Lower_Right": "mouthRight",
    "Mouth_Upper_Overturn": "mouthFunnel", "Mouth_Lower_Overturn": "mouthFunnel", "Mouth_Pout": "mouthPucker",
    "Mouth_Smile_Left": "mouthSmileLeft", "Mouth_Sad_Right": "mouthFrownRight", "Cheek_Puff_Left": "cheekPuff",
    "Mouth_Upper_UpLeft": "mouthUpperUpLeft", "Mouth_Lower_DownRight": "mouthLowerDownRight",
    "Mouth_Upper_Inside": "mouthRollUpper", "Mouth_Lower_Inside": "mouthRollLower", "Mouth_Lower_Overlay": "mouthShrugLower",
    "Tongue_LongStep1": "tongueOut", "Tongue_LongStep2": "tongueOut",
}  # fmt: skip
DAZ = {
    "facs_jnt_JawOpen": "jawOpen", "facs_bs_BrowInnerUpLeft_div2": "browInnerUp", "facs_bs_CheekPuffRight_div2": "cheekPuff",
    "Genesis9__facs_bs_EyeBlinkLeft_div2": "eyeBlinkLeft", "Genesis8_1Female__facs_bs_EyeBlinkLeft_div2": "eyeBlinkLeft",
    "facs_BrowDownLeft": "browDownLeft", "facs_ctrl_CheekPuff": "cheekPuff", "facs_jnt_EyesWideLeft": "eyeWideLeft",
    "facs_bs_EyelidOpenUpperRight_div2": "eyeWideRight", "eCTRLEyesClosedL": "eyeBlinkLeft", "PHMEyesClosedR": "eyeBlinkRight",
}  # fmt: skip
FUSE_OF_A_SIDE = {
    "Blink": "eyeBlink", "Squint": "eyeSquint", "EyesWide": "eyeWide", "Smile": "mouthSmile", "Frown": "mouthFrown",
    "BrowsDown": "browDown", "BrowsIn": "browDown", "BrowsUp": "browOuterUp", "NoseScrunch": "noseSneer", "Midmouth": "mouth",
    "UpperLipUp": "mouthUpperUp", "LowerLipDown": "mouthLowerDown", "Jaw": "jaw",
}  # fmt: skip
FUSE = {f"{name}_{side}": shape + side for name, shape in FUSE_OF_A_SIDE.items() for side in ("Left", "Right")}
FUSE |= {
    "CheekPuff_Left": "cheekPuff", "MouthNarrow_Right": "mouthPucker", "MouthWhistle_NarrowAdjust_Left": "mouthPucker",
    "LowerLipIn": "mouthRollLower", "UpperLipIn": "mouthRollUpper", "LowerLipOut": "mouthFunnel", "UpperLipOut": "mouthFunnel",
    "JawForeward": "jawForward", "MouthOpen": "jawOpen", "Facial_Blends.BrowsUp_Left": "browOuterUpLeft",
}  # fmt: skip
NO_SHAPES = ["Tongue_Left", "Tongue_Roll", "Cheek_Suck", "facs_cbs_EyeLookUpLeft_BlinkLeft", "facs_ctrl_vM", "eye_left", "LeftEyeRight"]
NO_SHAPES += ["BrowsOuterLower_Left", "JawBackward", "JawRotateY_Left", "JawRotateZ_Right", "Jaw_Down", "Jaw_Up", "MouthUp", "TongueUp"]


@pytest.mark.parametrize("name, shape", [*SRANIPAL.items(), *DAZ.items(), *FUSE.items()])
def test_a_name_alone(name, shape):
    assert match_targets([[name]]) == [{shape: 1.0}]


@pytest.mark.parametrize("name", NO_SHAPES)
def test_names_of_other_things(name):
    assert match_targets([[name]]) == [{}]


@pytest.mark.parametrize("form", ["facs_bs_{}_div2", "facs_jnt_{}", "Genesis9__facs_bs_{}", "facs_{}"])
def test_every_shape_of_daz(form):
    names = [form.format(name[0].upper() + name[1:]) for name in ARKIT_NAMES]
    assert match_targets([names]) == [{name: 1.0} for name in ARKIT_NAMES]


def test_jaw_open_gives_way_to_a_shape_that_opens_it_with_closed_lips():
    assert match_targets([["Jaw_Open", "Mouth_Ape_Shape"]]) == [{"jawOpen": 1.0, "mouthClose": -1.0}, {"mouthClose": 1.0}]


def test_whole_lists_leave_only_what_arkit_lacks():
    found = match_targets([list(SRANIPAL)])
    assert all(found) and {name for row in found for name in row} >= set(SRANIPAL.values())
