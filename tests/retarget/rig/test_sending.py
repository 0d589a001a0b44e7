"""Which expressions are sent to an avatar that another program draws: those of our pictures, under the names it knows."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.gltf.document import write_glb
from retarget.rig.load import load_rig
from retarget.rig.vrm.sending import expressions_of_avatar
from tests.helpers.skeletons import coefficients
from tests.helpers.vrms import TARGETS, make_new, make_old


def test_a_group_without_a_preset_keeps_the_case_of_its_name():
    """Receivers distinguish upper and lower case. A group of a known preset is called as the preset."""
    rows = [("joy", "unknown"), ("surprised", "unknown"), ("Mouth_A", "a"), ("EXTRA", "unknown")]
    groups = [{"name": name, "presetName": preset} for name, preset in rows]
    expressions = expressions_of_avatar({"extensions": {"VRM": {"blendShapeMaster": {"blendShapeGroups": groups}}}})
    assert expressions.mapping.names == ("A", "joy", "surprised")
    smile = coefficients(mouthSmileLeft=1, mouthSmileRight=1, cheekSquintLeft=1, cheekSquintRight=1, jawOpen=0.8)
    assert expressions.values(smile)[0].tolist() == [0, 1, 0], "an emotion suppresses the mouth"


@pytest.mark.parametrize("is_old", [True, False])
def test_presets_fill_what_perfect_sync_lacks(is_old, tmp_path):
    """An avatar with 36 of ARKit's shapes but no eyeBlink: it blinks by its presets, as in our pictures."""
    own = [name for name in ARKIT_NAMES if not name.startswith("eye")][:36]
    targets = (*TARGETS, *own)
    if is_old:
        presets = [("Blink_L", "blink_l", {"Lid_L": 100}, False), ("Blink_R", "blink_r", {"Lid_R": 100}, False)]
        presets += [("Joy", "joy", {"Smile": 100}, False), ("A", "a", {"Mouth_A": 100}, False)]
        glb = make_old([*presets, *((name, "unknown", {name: 100}, False) for name in own)], targets)
    else:
        presets = {"blinkLeft": ({"Lid_L": 1}, {}), "blinkRight": ({"Lid_R": 1}, {}), "happy": ({"Smile": 1}, {})}
        glb = make_new(presets | {"aa": ({"Mouth_A": 1}, {})}, {name: ({name: 1}, {}) for name in own}, targets)
    write_glb(glb, tmp_path / "a.vrm")
    sent, drawn = expressions_of_avatar(glb.document), load_rig(tmp_path / "a.vrm").expressions
    assert sent.mapping.names == (("Blink_L", "Blink_R") if is_old else ("blinkLeft", "blinkRight")) + tuple(own)
    random = np.random.default_rng(0).uniform(0, 1, (4, 52)).astype(np.float32)
    np.testing.assert_array_equal(sent.values(random), drawn.values(random))
    assert sent.values(coefficients(eyeBlinkLeft=1))[0, :2].tolist() == [1, 0]


def test_a_few_of_arkits_names_are_sent_beside_the_presets():
    expressions = {"preset": {"aa": {}}, "custom": {"JawOpen": {}, "TongueOut": {}, "Wave": {}}}
    assert expressions_of_avatar({"extensions": {"VRMC_vrm": {"expressions": expressions}}}).mapping.names == ("aa", "TongueOut")


def test_empty_expressions_do_not_displace_the_presets():
    """An avatar with empty groups under ARKit's names and working presets: the presets drive it, as in our pictures."""
    presets = {"blinkLeft": ({"Lid_L": 1}, {}), "blinkRight": ({"Lid_R": 1}, {}), "aa": ({"Mouth_A": 1}, {})}
    glb = make_new(presets, {name: ({}, {}) for name in ARKIT_NAMES}, TARGETS)
    assert set(expressions_of_avatar(glb.document).mapping.names) == set(presets)
