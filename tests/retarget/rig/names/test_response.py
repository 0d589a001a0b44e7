"""Strength and response curves: what they change, where they end, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from retarget.arkit import ARKIT_NAMES
from retarget.cli import main
from retarget.cli.report import describe_rig
from retarget.gltf.document import write_glb
from retarget.rig.load import load_rig
from retarget.rig.names.response import AREA_NAMES, parse_strength, read_response
from tests.helpers.characters import make_face, make_take
from tests.helpers.skeletons import coefficients, make_character


def value(response, shape, given):
    return float(response.apply(coefficients(**{shape: given}))[0, ARKIT_NAMES.index(shape)])


def test_strength_scales_and_stops_at_one():
    response = read_response({"brows": 1.5, "jaw": 0.5, "eyeBlinkLeft": 2}, {})
    assert value(response, "browInnerUp", 0.4) == pytest.approx(0.6) and value(response, "browDownLeft", 0.9) == 1
    assert value(response, "jawOpen", 1) == 0.5 and value(response, "eyeBlinkLeft", 0.3) == pytest.approx(0.6)
    assert value(response, "eyeBlinkRight", 0.3) == 0.3 and value(response, "mouthPucker", 0.7) == 0.7


def test_the_more_exact_name_counts():
    response = read_response({"all": 0.5, "mouthSmile": 1.2, "mouth": 0.8, "mouthSmileLeft": 1}, {})
    assert value(response, "mouthSmileLeft", 0.5) == 0.5 and value(response, "mouthSmileRight", 0.5) == pytest.approx(0.6)
    assert value(response, "mouthPucker", 0.5) == pytest.approx(0.4) and value(response, "cheekPuff", 0.5) == 0.25


def test_curves():
    response = read_response({}, {"eyeBlink": [[0, 0], [0.8, 1]], "brows": 1.5, "browInnerUp": [[0.1, 0], [1, 1.4]]})
    assert value(response, "eyeBlinkLeft", 0.4) == pytest.approx(0.5) and value(response, "eyeBlinkRight", 0.85) == 1
    assert value(response, "browInnerUp", 0.05) == 0 and value(response, "browInnerUp", 1) == pytest.approx(1.4)
    assert value(response, "browOuterUpLeft", 0.4) == pytest.approx(0.6)
    both = read_response({"browInnerUp": 2}, {"browInnerUp": [[0, 0], [1, 0.5]]})
    assert value(both, "browInnerUp", 0.25) == pytest.approx(0.25), "strength first, then the curve"


def test_nothing_given_changes_nothing():
    given = np.random.default_rng(0).uniform(-0.2, 1.2, (5, 52))
    assert read_response({}, {}).apply(given) is given
    assert read_response({"brows": 1.0}, {}).is_changed is False


def test_every_coefficient_has_an_area():
    covered = set()
    for area in AREA_NAMES[:-1]:
        changed = read_response({area: 0.5}, {}).strength != 1
        assert not covered & set(np.flatnonzero(changed)), f"{area} overlaps"
        covered |= set(np.flatnonzero(changed))
    assert len(covered) == 52


def test_a_rig_answers_more_strongly(tmp_path):
    write_glb(make_character(), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb", strength={"brows": 1.5, "gaze": 0.5})
    assert rig.weights(coefficients(browInnerUp=0.4))[0].max() == pytest.approx(0.6)
    plain = load_rig(tmp_path / "a.glb")
    half = plain.eye_rotations(coefficients(eyeLookUp=0.5))
    np.testing.assert_allclose(rig.eye_rotations(coefficients(eyeLookUp=1)), half)
    assert any(line.startswith("response             eyeLookDownLeft 0.5, ") for line in describe_rig(rig))
    assert not any(line.startswith("response") for line in describe_rig(plain))


def test_only_a_curve_goes_above_one(tmp_path):
    write_glb(make_character(), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb", {"curves": {"browInnerUp": [[0, 0], [1, 1.6]]}}, strength={"jaw": 3})
    weights = rig.weights(coefficients(browInnerUp=1, jawOpen=1))[0]
    assert sorted(weights[weights > 0].tolist()) == [1, pytest.approx(1.6)]


def test_a_map_holds_names_and_curves(tmp_path):
    write_glb(make_face(("Jaw_Opn", "eyeBlinkLeft")), tmp_path / "a.glb")
    (tmp_path / "n.json").write_text(json.dumps({"_why": "weak", "jawOpen": "Jaw_Opn", "curves": {"jaw": 1.5}}))
    rig = load_rig(tmp_path / "a.glb", tmp_path / "n.json")
    assert rig.weights(coefficients(jawOpen=0.4))[0, 0] == pytest.approx(0.6)


def test_on_the_command_line(tmp_path, capsys):
    write_glb(make_character(), tmp_path / "a.glb")
    make_take(1).save(tmp_path / "t.npz")
    run = ["animate", str(tmp_path / "t.npz"), str(tmp_path / "a.glb"), "--out", str(tmp_path / "o.glb")]
    assert main([*run, "--strength", "brows=1.5,jaw=0.8", "--strength", "eyeBlink=1.2"]) == 0
    capsys.readouterr()
    assert main([*run, "--strength", "brow=1.5"]) == 1
    assert capsys.readouterr().err.endswith("'brow' is no area of the face; did you mean 'brows'?\n")
    assert main(["inspect", str(tmp_path / "a.glb"), "--strength", "brows"]) == 1
    assert "--strength 'brows': expected NAME=FACTOR, such as brows=1.5" in capsys.readouterr().err


def test_parse():
    assert (
        parse_strength(["brows=1.5, jaw=2", "eyeBlink_L=0"]) == {"brows": 1.5, "jaw": 2.0, "eyeBlink_L": 0.0}
        and parse_strength([]) == {}
    )


@pytest.mark.parametrize("curves, message", [
    ({"brwos": 1.5}, "'brwos' is no area of the face; did you mean 'brows'"),
    ({"brows": -1}, "strength -1; expected a factor of 0 to 10"),
    ({"brows": float("nan")}, "strength nan"),
    ({"brows": True}, "expected a factor"),
    ({"brows": "much"}, "expected a factor"),
    ({"brows": [[0, 0]]}, "expected a factor"),
    ({"brows": [[0, 0], [1, "a"]]}, "expected a factor"),
    ({"brows": [[0.5, 0], [0.5, 1]]}, "rising inputs of 0 to 1"),
    ({"brows": [[0, 0], [1, 9]]}, "outputs of 0 to 2"),
    ({"brows": [[0, 0], [2, 1]]}, "rising inputs"),
])  # fmt: skip
def test_bad_curves_are_one_line(curves, message, tmp_path):
    write_glb(make_face(), tmp_path / "a.glb")
    with pytest.raises(ValueError, match=message) as caught:
        load_rig(tmp_path / "a.glb", {"curves": curves})
    assert "\n" not in str(caught.value)


def test_curves_that_are_no_object(tmp_path):
    write_glb(make_face(), tmp_path / "a.glb")
    with pytest.raises(ValueError, match="curves: expected"):
        load_rig(tmp_path / "a.glb", {"curves": 3})
