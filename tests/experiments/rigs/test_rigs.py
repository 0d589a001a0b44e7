"""The animation check on a small take, and the figures of shape transfer."""

import numpy as np
import pytest

from experiments.head_model.ict import Ict
from experiments.rigs import animation_check, transfer_error
from retarget import load_rig
from retarget.animation.pose import place_rig
from retarget.arkit import EXPRESSION_NAMES
from retarget.rig.avatars import find_avatar


@pytest.fixture(scope="module")
def take():
    return animation_check.make_take(people=2, frames=12)


def test_the_made_take_moves_and_is_the_same_for_a_seed(take):
    assert len(take) == 24 and take.actors().tolist() == [0, 1]
    assert take.coefficients.min() >= 0 and take.coefficients.max() <= 1 and take.coefficients.std(0).max() > 0.05
    np.testing.assert_array_equal(take.coefficients, animation_check.make_take(2, 12).coefficients)


def test_a_higher_tolerance_needs_fewer_keyframes(take, tmp_path):
    rigs = [load_rig(find_avatar("robot"))]
    exact, coarse = (animation_check.write_and_measure(take, rigs, t, tmp_path / "a.glb") for t in (0.0, 0.05))
    assert coarse["keys_per_channel"] < exact["keys_per_channel"] <= 12 and coarse["file_mb"] <= exact["file_mb"]


def test_blenders_curves_of_the_take_itself_have_no_error(take):
    """Write the take as the curves that Blender would report, in Blender's axes."""
    rig, curves = load_rig(find_avatar("robot")), {}
    for actor in (0, 1):
        own = take[take.actor == actor]
        weights = rig.weights(own.coefficients)
        for morph in rig.morphs:
            for column, name in enumerate(morph.names):
                curves[f"w|{actor}|{name}"] = weights[:, morph.start + column]
        root = place_rig(rig, own.rotation, own.translation).root
        place = root[:, :3, 3]
        w = np.sqrt(np.maximum(1 + np.trace(root[:, :3, :3] / rig.scale, axis1=1, axis2=2), 0)) / 2
        turn = root[:, :3, :3] / rig.scale
        x, y, z = (
            (turn[:, 2, 1] - turn[:, 1, 2]) / (4 * w),
            (turn[:, 0, 2] - turn[:, 2, 0]) / (4 * w),
            (turn[:, 1, 0] - turn[:, 0, 1]) / (4 * w),
        )
        curves[f"p|{actor}"] = np.stack([place[:, 0], -place[:, 2], place[:, 1], w, x, -z, y], 1)
    figures = animation_check.compare(take, [rig], curves)
    assert figures["weights"] == 0 and figures["place_m"] == 0 and figures["turn_rad"] < 1e-3
    assert figures["weight_curves"] == 2 * sum(len(morph.names) for morph in rig.morphs)
    curves["p|1"][:, 0] += 0.25
    assert animation_check.compare(take, [rig], curves)["place_m"] == pytest.approx(0.25)


def test_errors_are_split_into_moving_and_still():
    true = np.zeros((51, 4))
    true[:, 0] = 2.0
    error = np.full((51, 4), 0.1)
    error[:, 0] = 0.5
    error[transfer_error.MOUTH_CLOSE, 0] = 9.0
    figures = transfer_error.figures_of(error, true)
    assert (figures["moving_mm"], figures["error_mm"], figures["still_error_mm"]) == (2.0, 0.5, 0.1)
    assert figures["mouth_close_error_mm"] == 9 and figures["shape_error_mm"]["jawOpen"] == 0.5


def test_eyelids_that_meet_leave_no_gap():
    landmarks, vertices = np.arange(68), np.zeros((68, 3))
    vertices[:, 0] = landmarks
    shapes = np.zeros((51, 68, 3))
    ict = Ict(vertices, np.zeros((1, 68, 3)), shapes, np.zeros((0, 4), int), landmarks, {})
    assert transfer_error.lid_gap(ict, vertices, shapes) == 1
    for name, pairs in transfer_error.LID_PAIRS.items():
        for upper, lower in pairs:
            shapes[EXPRESSION_NAMES.index(name), upper] = vertices[lower] - vertices[upper]
    assert transfer_error.lid_gap(ict, vertices, shapes) == 0


def test_landmarks_are_displaced_by_the_wanted_distance():
    vertices = np.random.default_rng(0).uniform(-10, 10, (3000, 3))
    exact = {str(k): k for k in range(100)}
    same = transfer_error.displaced(vertices, exact, 0.0, np.random.default_rng(0))
    assert same == exact
    other = transfer_error.displaced(vertices, exact, 20.0, np.random.default_rng(0))
    assert sum(other[name] != exact[name] for name in exact) > 50
