"""VRM's expressions: which of them follow ARKit's 52, and what they do to each other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from retarget.animation.scene import write_scene
from retarget.arkit import ARKIT_NAMES, EYE_TURN_RAD
from retarget.cli.report import describe_rig, list_effects
from retarget.gltf.accessors import add_accessor
from retarget.gltf.document import Glb, read_glb, write_glb
from retarget.rig.load import load_rig
from retarget.rig.vrm.expressions import VrmExpressions, apply_overrides, expression_map
from retarget.rig.vrm.presets import BLINK, GAZE, MOUTH, PRESETS
from tests.helpers.characters import make_face, make_take
from tests.helpers.skeletons import make_character
from tests.helpers.vrms import TARGETS, make_new, make_old

OLD = [
    ("A", "a", {"Mouth_A": 100}, False),
    ("O", "o", {"Mouth_O": 50}, False),
    ("Blink_L", "blink_l", {"Lid_L": 100}, False),
    ("Blink_R", "blink_r", {"Lid_R": 100}, False),
    ("Blink", "blink", {"Lid_L": 100, "Lid_R": 100}, False),
    ("Joy", "joy", {"Smile": 100}, False),
]
NEW = {
    "aa": ({"Mouth_A": 1}, {}),
    "blinkLeft": ({"Lid_L": 1}, {}),
    "blinkRight": ({"Lid_R": 1}, {}),
    "happy": ({"Smile": 1}, {"overrideMouth": "blend", "overrideBlink": "block"}),
}


def loaded(glb, tmp_path, **given):
    write_glb(glb, tmp_path / "a.vrm")
    return load_rig(tmp_path / "a.vrm", **given)


def coefficients(**values):
    row = np.zeros((1, 52))
    for name, value in values.items():
        row[0, ARKIT_NAMES.index(name)] = value
    return row


def shown(rig, **values):
    weights = rig.weights(coefficients(**values))[0]
    return {name: pytest.approx(float(w), abs=1e-6) for name, w in zip(rig.morphs[0].names, weights, strict=True) if w}


SMILE = dict.fromkeys(("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight"), 1.0)


def test_old_presets(tmp_path):
    rig = loaded(make_old(OLD), tmp_path)
    assert rig.expressions.mapping.names == ("A", "O", "Blink_L", "Blink_R", "Joy")  # winks take the place of the blink
    assert shown(rig, jawOpen=0.5) == {"Mouth_A": 0.5} and shown(rig, mouthFunnel=1) == {"Mouth_O": 0.5}
    assert shown(rig, eyeBlinkLeft=1, eyeBlinkRight=0.25) == {"Lid_L": 1, "Lid_R": 0.25}
    assert shown(rig, **SMILE) == {"Smile": 1}
    assert shown(rig, **SMILE, jawOpen=1, eyeBlinkLeft=1) == {"Smile": 1}, "no jaw and no lid on top of a full feeling"
    assert shown(rig, mouthSmileLeft=0.5, mouthSmileRight=0.5) == {}, "a hint is no feeling"
    assert rig.front_rotation[2, 2] == -1 and rig.eyes_turn and rig.undriven == ("Angry",) and "tongueOut" in rig.unmapped
    assert dict(list_effects(rig))["mouthFunnel"] == "O (skin.Mouth_O 0.5)"


def test_one_blink_is_for_both_eyes(tmp_path):
    rig = loaded(make_old(OLD[4:5]), tmp_path)
    assert shown(rig, eyeBlinkLeft=1) == {"Lid_L": 0.5, "Lid_R": 0.5}
    assert rig.eye_center == pytest.approx([0, 0, 0.04])


def test_unknown_groups_by_their_names(tmp_path):
    groups = [("Surprised", "unknown", {"Angry": 100}, False), ("Extra", "unknown", {"Smile": 100}, False)]
    rig = loaded(make_old(groups), tmp_path)
    assert rig.expressions.mapping.names == ("Surprised",) and "Smile" in rig.undriven
    assert shown(rig, eyeWideLeft=1, eyeWideRight=1, browOuterUpLeft=1, browOuterUpRight=1) == {"Angry": 1}


def test_new_presets_and_overrides(tmp_path):
    rig = loaded(make_new(NEW), tmp_path)
    assert rig.front_rotation[2, 2] == 1 and shown(rig, jawOpen=0.5) == {"Mouth_A": 0.5}
    half = dict.fromkeys(("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight"), 0.9 / 1.4)
    assert shown(rig, **half, jawOpen=0.8, eyeBlinkLeft=1) == {"Smile": 0.5, "Mouth_A": 0.4}


@pytest.mark.parametrize("old", [False, True])
def test_perfect_sync_wins(old, tmp_path):
    names = [name[0].upper() + name[1:] for name in ARKIT_NAMES]
    targets = [*TARGETS, *(f"s{k}" for k in range(52))]
    if old:
        groups = [(name, "unknown", {f"s{k}": 100}, False) for k, name in enumerate(names)]
        glb = make_old([*OLD, *groups], tuple(targets))
    else:
        glb = make_new(NEW, {name: ({f"s{k}": 1}, {}) for k, name in enumerate(names)}, tuple(targets))
    rig = loaded(glb, tmp_path)
    assert rig.expressions.is_perfect_sync and len(rig.expressions.mapping.names) == 52 and rig.unmapped == ()
    given = np.random.default_rng(0).uniform(0, 1, (7, 52))
    np.testing.assert_allclose(rig.weights(given)[:, 6:], given, atol=1e-6)
    assert (rig.weights(given)[:, :6] == 0).all()


def test_targets_named_as_arkit_win_over_presets(tmp_path):
    targets = ("Mouth_A", *ARKIT_NAMES[:40])
    rig = loaded(make_new({"aa": ({"Mouth_A": 1}, {})}, targets=targets), tmp_path)
    assert rig.expressions is None and shown(rig, jawOpen=1) == {"jawOpen": 1}


def test_few_arkit_names_fill_what_presets_leave(tmp_path):
    targets = ("Mouth_A", "jawOpen", "cheekPuff")
    rig = loaded(make_new({"aa": ({"Mouth_A": 1}, {})}, {"TongueOut": ({"jawOpen": 0.5}, {})}, targets), tmp_path)
    assert shown(rig, jawOpen=1) == {"Mouth_A": 1} and shown(rig, cheekPuff=1) == {"cheekPuff": 1}
    assert shown(rig, tongueOut=1) == {"jawOpen": 0.5}


def test_gaze(tmp_path):
    preset = {"lookLeft": ({"Smile": 1}, {}), "aa": ({"Mouth_A": 1}, {})}
    glb = make_new(preset)
    rig = loaded(glb, tmp_path)
    assert rig.eyes_turn and rig.expressions.mapping.names == ("aa",), "it has eye bones"
    np.testing.assert_allclose(rig.eye_angles_rad, EYE_TURN_RAD)
    look_at = {"type": "bone", "rangeMapHorizontalInner": {"inputMaxValue": 90, "outputScale": 10}}
    glb.document["extensions"]["VRMC_vrm"]["lookAt"] = look_at
    rig = loaded(glb, tmp_path)
    turned = rig.eye_rotations(coefficients(eyeLookInLeft=1, eyeLookOutRight=1))[0] @ [0, 0, 1]
    assert np.rad2deg(np.arcsin(-turned[:, 0])) == pytest.approx([10, np.rad2deg(EYE_TURN_RAD[0])])
    look_at["rangeMapVerticalUp"] = {"inputMaxValue": 90, "outputScale": 0}
    assert loaded(glb, tmp_path).eye_angles_rad.tolist() == pytest.approx([np.deg2rad(10), *EYE_TURN_RAD[1:3], 0])
    look_at["type"] = "expression"
    rig = loaded(glb, tmp_path)
    assert not rig.eyes_turn and shown(rig, eyeLookOutLeft=1, eyeLookInRight=1) == {"Smile": 1}


def test_an_old_avatar_whose_eyes_do_not_turn_up(tmp_path):
    glb = make_old(OLD)
    glb.document["extensions"]["VRM"]["firstPerson"] = {"lookAtTypeName": "Bone", "lookAtVerticalUp": {"xRange": 90, "yRange": 0}}
    assert loaded(glb, tmp_path).eye_angles_rad.tolist() == [*EYE_TURN_RAD[:3], 0]


def clips(kind, binary, override):
    count = len(kind)
    shown = expression_map([str(k) for k in range(count)], [{}] * count)
    return VrmExpressions(shown, np.array(kind), np.array(binary), np.array(override).T, np.eye(count, dtype=np.float32))


@pytest.mark.parametrize(
    "kind, binary, override, values, expected",
    [
        # A feeling, then a blink that it overrides.
        ((-1, BLINK), (0, 0), ((0, 0, 0), (0, 0, 0)), (0.5, 1), (0.5, 1)),
        ((-1, BLINK), (0, 0), ((1, 0, 0), (0, 0, 0)), (0.3, 1), (0.3, 0.7)),
        ((-1, BLINK), (0, 0), ((2, 0, 0), (0, 0, 0)), (0.01, 1), (0.01, 0)),
        ((-1, BLINK), (0, 0), ((2, 0, 0), (0, 0, 0)), (0, 1), (0, 1)),
        ((-1, BLINK), (1, 0), ((1, 0, 0), (0, 0, 0)), (0.4, 1), (0, 1)),  # binary: off, so it suppresses nothing
        ((-1, BLINK), (1, 0), ((1, 0, 0), (0, 0, 0)), (0.6, 1), (1, 0)),
        ((-1, BLINK), (0, 1), ((1, 0, 0), (0, 0, 0)), (0.1, 1), (0.1, 0)),  # binary: suppressed at all is off
        ((-1, MOUTH), (0, 0), ((2, 2, 0), (0, 0, 0)), (1, 1), (1, 1)),  # other kinds go on
        ((-1, GAZE), (0, 0), ((0, 2, 0), (0, 0, 0)), (1, 1), (1, 0)),
        ((BLINK, BLINK), (0, 0), ((2, 0, 0), (1, 0, 0)), (0.5, 1), (0.5, 1)),  # nothing suppresses its own kind
        ((-1, -1, MOUTH), (0, 0, 0), ((0, 0, 1), (0, 0, 1), (0, 0, 0)), (0.7, 0.6, 1), (0.7, 0.6, 0)),
    ],
)
def test_overrides(kind, binary, override, values, expected):
    got = apply_overrides(clips(kind, np.array(binary, bool), override), np.array([values], np.float32))
    np.testing.assert_allclose(got[0], expected, atol=1e-6)


def test_a_curve_above_1_scales_the_targets_of_an_expression(tmp_path):
    curves = {"curves": {"jawOpen": [[0, 0], [1, 1.5]], "mouthSmile": [[0, 0], [1, 1.6]], "eyeBlink": [[0, 0], [1, 2]]}}
    binary = {**NEW, "blinkRight": ({"Lid_R": 1}, {"isBinary": True})}
    rig = loaded(make_new(binary), tmp_path, names=curves)
    assert shown(rig, jawOpen=1) == {"Mouth_A": 1.5} and shown(rig, jawOpen=0.5) == {"Mouth_A": 0.75}
    assert shown(rig, eyeBlinkLeft=0.75, eyeBlinkRight=1) == {"Lid_L": 1.5, "Lid_R": 1}
    assert shown(rig, **SMILE) == {"Smile": 0.35 * (2 * 1.6 + 2) - 0.4}
    assert shown(rig, **SMILE, jawOpen=1) == {"Smile": 0.35 * (2 * 1.6 + 2) - 0.4}, "a full feeling leaves nothing of the mouth"
    given = np.random.default_rng(0).uniform(0, 1, (9, 52))
    assert loaded(make_new(NEW), tmp_path).weights(given).max() <= 1


def test_many_is_one_and_empty(tmp_path):
    rig = loaded(make_new(NEW), tmp_path)
    given = np.random.default_rng(0).uniform(-0.2, 1.2, (40, 52))
    np.testing.assert_allclose(rig.weights(given), np.concatenate([rig.weights(row[None]) for row in given]), atol=1e-6)
    assert rig.weights(np.zeros((0, 52))).shape == (0, 6)


def test_presets_are_made_of_arkit_names():
    assert len({p.name for p in PRESETS}) == len({p.vrm0_name for p in PRESETS}) == len(PRESETS) == 17
    for preset in PRESETS:
        assert set(preset.weights) <= set(ARKIT_NAMES)
        max_value = sum(max(0, factor) for factor in preset.weights.values()) + preset.offset
        assert 0.2 < max_value <= 1 + 1e-9 or preset.name == "ee"


def test_inspect_tells_version_and_gaze(tmp_path):
    text = describe_rig(loaded(make_new(NEW), tmp_path))
    assert "VRM                  1.0, driven by 4 VRM expressions" in text
    assert "head joint           head (VRM bone)" in text and "gaze                 eye joints" in text


def test_scene_keeps_the_extension(tmp_path):
    rig, take = loaded(make_new(NEW), tmp_path), make_take(2, 3)
    write_scene(take, [rig], tmp_path / "out.glb")
    document = read_glb(tmp_path / "out.glb").document
    kept = document["extensions"]["VRMC_vrm"]
    assert kept == rig.glb.document["extensions"]["VRMC_vrm"] and document["nodes"][1]["name"] == "skin"


def test_stale_binds_do_nothing_and_bad_ones_are_one_line(tmp_path):
    glb = make_new(NEW)
    binds = glb.document["extensions"]["VRMC_vrm"]["expressions"]["preset"]["aa"]["morphTargetBinds"]
    binds += [{"node": 99, "index": 0, "weight": 1}, {"node": 1, "index": 50, "weight": 1}]
    assert shown(loaded(glb, tmp_path), jawOpen=1) == {"Mouth_A": 1}
    binds[0]["weight"] = 1e9
    with pytest.raises(ValueError, match=r"a\.vrm: a VRM expression has a weight of 1e\+09"):
        loaded(glb, tmp_path)
    glb = make_face(("a", "b"))
    glb.document["extensions"] = {"VRMC_vrm": {}}
    with pytest.raises(ValueError, match="none of its 2 morph targets"):
        loaded(glb, tmp_path)


@pytest.mark.parametrize("make", [lambda: make_old(OLD), lambda: make_new(NEW)])
def test_any_expression_may_be_junk(make, tmp_path):
    junk = [None, True, -1, 10**9, 1e300, "a", "", [], {}, [[]], [{}], [3]]
    base, rng = make(), np.random.default_rng(0)
    places = list(_places(base.document["extensions"]))
    for number in rng.permutation(len(places))[:60]:
        document = json.loads(json.dumps(base.document))
        place = document["extensions"]
        for key in places[number][:-1]:
            place = place[key]
        place[places[number][-1]] = junk[rng.integers(len(junk))]
        write_glb(Glb(document, base.binary), tmp_path / "junk.vrm")
        try:
            describe_rig(load_rig(tmp_path / "junk.vrm"))
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 500


def _places(item, path=()):
    if path:
        yield path
    for key, value in item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ():
        yield from _places(value, (*path, key))


COLORS = {"material": 0, "targetValue": [1, 0, 0, 1], "type": "color"}


def test_an_avatar_with_colors_and_textures_only_turns_head_and_eyes(tmp_path):
    binds = {"materialColorBinds": [COLORS]}
    moved = {"textureTransformBinds": [{"material": 0, "offset": [0.5, 0]}]}
    glb = make_new({"happy": ({}, binds), "blink": ({}, moved), "aa": ({}, moved)}, targets=())
    rig = loaded(glb, tmp_path)
    assert rig.head == 0 and rig.eyes_turn and rig.weights(coefficients(jawOpen=1)).shape == (1, 0)
    assert rig.remarks == (
        "expressions that change colors or textures, which is not shown: happy, blink, aa",
        "none of its expressions moves a vertex: only the head, and eyes and jaw on joints, move",
    )
    assert set(rig.unmapped) == {name for name in ARKIT_NAMES if not name.startswith("eyeLook")}
    write_scene(make_take(2, 2), [rig], tmp_path / "out.glb")
    paths = {channel["target"]["path"] for channel in read_glb(tmp_path / "out.glb").document["animations"][0]["channels"]}
    assert "rotation" in paths and "weights" not in paths


def test_an_old_avatar_with_colors_only(tmp_path):
    glb = make_old([("Blink", "blink", {}, False)])
    glb.document["extensions"]["VRM"]["blendShapeMaster"]["blendShapeGroups"][0]["materialValues"] = [{"materialName": "skin"}]
    rig = loaded(glb, tmp_path)
    assert "expressions that change colors or textures, which is not shown: Blink" in rig.remarks and rig.eyes_turn


def test_an_avatar_whose_bones_move_all(tmp_path):
    rig = loaded(make_new({}, targets=("a", "b")), tmp_path)
    assert rig.remarks == ("none of its expressions moves a vertex: only the head, and eyes and jaw on joints, move",)
    assert rig.head == 0 and rig.eyes_turn


@pytest.mark.parametrize("surprise, closed", [(0.0, 1), (0.03, 1), (0.4, 1), (0.9, 0)])
def test_an_old_binary_blink_closes_in_spite_of_a_hint_of_an_emotion(surprise, closed, tmp_path):
    groups = [("Blink_L", "blink_l", {"Lid_L": 100}, True), ("Surprised", "unknown", {"Angry": 100}, False)]
    rig = loaded(make_old(groups), tmp_path)
    wide = (surprise + 0.4) / 1.4 if surprise else 0
    values = dict.fromkeys(("eyeWideLeft", "eyeWideRight", "browOuterUpLeft", "browOuterUpRight"), wide)
    weights = dict(zip(rig.morphs[0].names, rig.weights(coefficients(eyeBlinkLeft=0.8, **values))[0], strict=True))
    assert weights["Lid_L"] == closed and weights["Angry"] == pytest.approx(surprise, abs=1e-6)


def test_expressions_of_empty_targets_leave_their_shapes_to_presets(tmp_path):
    """Perfect sync with an empty jawOpen: the preset aa opens the mouth."""
    glb = make_new(NEW, {name: ({f"s{k}": 1}, {}) for k, name in enumerate(ARKIT_NAMES)}, (*TARGETS, *(f"s{k}" for k in range(52))))
    number = len(TARGETS) + ARKIT_NAMES.index("jawOpen")
    target = glb.document["meshes"][0]["primitives"][0]["targets"][number]
    count = glb.document["accessors"][target["POSITION"]]["count"]
    target["POSITION"] = add_accessor(glb, np.zeros((count, 3), np.float32), 34962)
    rig = loaded(glb, tmp_path)
    assert shown(rig, jawOpen=0.5, mouthFunnel=0.5) == {"Mouth_A": 0.5, f"s{ARKIT_NAMES.index('mouthFunnel')}": 0.5}
    assert rig.unmapped == ()


def test_an_old_avatar_that_faces_forward_is_not_turned(tmp_path):
    """The face itself says where it looks, if eyelids, lips and skin agree."""
    glb = make_character()
    bones = [{"bone": bone, "node": k} for k, bone in enumerate(("hips", "neck", "head", "leftEye", "rightEye"))]
    binds = {"Blink_L": 1, "Blink_R": 2, "U": 5, "A": 0}
    groups = [{"name": name, "presetName": name.lower(), "binds": [{"mesh": 0, "index": k, "weight": 100}]} for name, k in binds.items()]
    glb.document["extensions"] = {"VRM": {"humanoid": {"humanBones": bones}, "blendShapeMaster": {"blendShapeGroups": groups}}}
    assert np.array_equal(loaded(glb, tmp_path).front_rotation, np.eye(3))
    glb.document["nodes"][-1]["rotation"] = [0, 1, 0, 0]
    assert np.array_equal(loaded(glb, tmp_path).front_rotation, np.diag([-1, 1, -1]))
