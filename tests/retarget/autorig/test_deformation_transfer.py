"""Shapes on other heads: how near they come to the true ones, what must stay still or shut, who is left and right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("scipy", reason="making shapes needs SciPy: the `rig` extra")

from retarget.arkit import EXPRESSION_NAMES
from retarget.autorig.deformation_transfer import transfer_shapes
from retarget.autorig.disconnected_parts import move_disconnected_parts
from retarget.autorig.eyelids import blink_gains
from retarget.autorig.registration import make_target
from retarget.autorig.source_head import LANDMARKS, load_source_head
from tests.helpers.heads import TURN, make_head, strange, stretched

ROW = {name: k for k, name in enumerate(EXPRESSION_NAMES)}


@pytest.fixture(scope="module")
def source():
    return load_source_head()


@pytest.fixture(scope="module", params=[stretched, strange], ids=["stretched", "strange"])
def rigged(source, request):
    head = make_head(source, request.param)
    return head, transfer_shapes(source, head.points, head.triangles, head.landmarks), request.param


def test_near_the_true_shapes(rigged):
    head, (shapes, (scale, rotation, _)), warp = rigged
    error = np.linalg.norm(shapes - head.shapes, axis=2) / head.units_per_m * 1000
    truth = np.linalg.norm(head.shapes, axis=2) / head.units_per_m * 1000
    moving = truth > 0.5
    share = error[moving].mean() / truth[moving].mean()
    # On a snout a warped movement is no truth: triangles turn there as they do on the source, and carry what is longer farther.
    assert share < (0.2 if warp is stretched else 0.5)
    assert error[~moving].mean() < 0.2
    assert 0.005 < scale < 0.02
    assert np.abs(rotation @ TURN - np.eye(3)).max() < 0.25


def test_eyelids_meet_and_lips_stay_closed(source, rigged):
    head, (shapes, _), _ = rigged
    gaps = []
    for side in ("Left", "Right"):
        above, below = head.landmarks[f"eyeUpper{side}"], head.landmarks[f"eyeLower{side}"]
        rest = head.points[above] - head.points[below]
        for name, high in ((f"eyeBlink{side}", 0.3), (f"eyeWide{side}", 2.0)):
            gaps.append(np.linalg.norm(rest + shapes[ROW[name], above] - shapes[ROW[name], below]) / np.linalg.norm(rest))
            assert gaps[-1] < high
    assert min(gaps[1::2]) > 1.05
    above, below = head.landmarks["upperLip"], head.landmarks["lowerLip"]
    rest = np.linalg.norm(head.points[above] - head.points[below])
    for name, low, high in (("jawOpen", 1.5, 9.0), ("mouthSmileLeft", 0.7, 1.4)):
        gap = np.linalg.norm(head.points[above] + shapes[ROW[name], above] - head.points[below] - shapes[ROW[name], below])
        assert low < gap / rest < high


def test_left_is_the_subjects_left(rigged):
    head, (shapes, _), _ = rigged
    size = np.linalg.norm(shapes, axis=2)
    for name in ("eyeBlinkLeft", "mouthSmileLeft", "browOuterUpLeft"):
        corner = {"eyeBlink": "eyeUpper", "mouthSmile": "mouthCorner", "browOuterUp": "browOuter"}[name[:-4]]
        assert size[ROW[name], head.landmarks[f"{corner}Left"]] > 5 * size[ROW[name], head.landmarks[f"{corner}Right"]]


def test_back_of_the_head_stays(source, rigged):
    head, (shapes, _), _ = rigged
    scalp = head.region == source.region_names.index("scalp")
    assert np.abs(shapes[:, scalp]).mean() / head.units_per_m < 2e-4


def test_wound_inside_out(source):
    head = make_head(source)
    for triangles in (head.triangles, head.triangles[:, ::-1]):
        target = make_target(head.points @ TURN / head.units_per_m, triangles, head.landmarks, source)
        np.testing.assert_array_equal(target.triangles, head.triangles)


@pytest.fixture(scope="module")
def itself(source):
    """The source's own head, eyes and teeth included, as a target."""
    landmarks = {name: int(vertex[weight.argmax()]) for name, (vertex, weight) in source.landmarks.items()}
    return make_target(source.neutral, source.triangles, landmarks, source)


@pytest.mark.parametrize("share, low, high", [(1.0, 1.0, 1.1), (0.8, 1.15, 1.35), (0.0, 1.0, 1.0)])
def test_blinks_are_amplified_until_the_eyelids_meet(source, itself, share, low, high):
    factors = blink_gains(source, source.neutral, itself, source.shapes * share)
    assert factors.shape == (2,) and low <= factors.min() and factors.max() <= high


def test_eyes_turn_and_teeth_follow_their_jaw(source, itself):
    shapes = move_disconnected_parts(source, source.neutral, source.shapes, itself, source.shapes)
    is_disconnected = ~itself.skin
    assert is_disconnected.sum() == (~source.skin).sum()
    error = np.linalg.norm(shapes - source.shapes[:, is_disconnected], axis=2) * 1000
    assert error.mean() < 0.05
    for name in ("eyeball_left", "pupil", "teeth"):
        assert error[:, source.mask(name)[is_disconnected]].max() < 2
    assert np.abs(shapes[ROW["jawOpen"], source.mask("eyeball_right")[is_disconnected]]).max() < 1e-4


def test_no_disconnected_parts(source, itself):
    bare = replace(itself, skin=np.ones(len(itself.points), bool))
    assert move_disconnected_parts(source, source.neutral, source.shapes, bare, source.shapes).shape == (51, 0, 3)


def test_landmarks_on_another_piece_go_to_the_face(source, itself):
    on_eye = int(np.flatnonzero(source.mask("pupil"))[0])
    target = make_target(itself.points, itself.triangles, {**itself.landmarks, "eyeUpperLeft": on_eye}, source)
    assert (target.skin == itself.skin).all() and itself.skin[target.landmarks["eyeUpperLeft"]]


def test_landmarks_are_where_they_say(source):
    place = {name: source.at_landmarks(source.neutral, [name])[0] for name in LANDMARKS}
    assert all(place[name][0] > 0.01 for name in LANDMARKS if name.endswith("Left"))
    assert all(abs(place[name][0]) < 0.002 for name in LANDMARKS if not name.endswith(("Left", "Right")))
    assert place["upperLip"][1] > place["lowerLip"][1] > place["chin"][1]
    assert place["noseTip"][2] == max(spot[2] for spot in place.values())
