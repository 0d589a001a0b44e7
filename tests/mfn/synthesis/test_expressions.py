"""Random expressions stay in range, do not contradict themselves and show every shape."""

import numpy as np
import pytest

from mfn.synthesis.expressions import (
    CHANGED_SHAPES,
    CHANGES,
    OPPOSITES,
    change_expression,
    changes_of,
    cover_mouth,
    expression_from_weights,
    random_expressions,
    random_moods,
)
from retarget.arkit import EXPRESSION_NAMES

INDEX = {name: k for k, name in enumerate(EXPRESSION_NAMES)}


def test_random_expressions_are_in_range_and_do_not_contradict() -> None:
    many = random_expressions(400, np.random.default_rng(1))
    assert many.min() >= 0 and many.max() <= 1
    for a, b in OPPOSITES:
        assert (np.minimum(many[:, INDEX[a]], many[:, INDEX[b]]) <= 0.0801).all(), (a, b)
    assert (many[:, INDEX["mouthClose"]] <= many[:, INDEX["jawOpen"]] + 1e-6).all()
    assert ((many > 0.3).mean(0) > 0.005).all(), "every shape is drawn"
    wink = np.abs(many[:, INDEX["eyeBlinkLeft"]] - many[:, INDEX["eyeBlinkRight"]]) > 0.5
    assert wink.mean() > 0.01


def test_both_eyes_look_in_one_direction() -> None:
    many = random_expressions(50, np.random.default_rng(2))
    for left, right in (("eyeLookOutLeft", "eyeLookInRight"), ("eyeLookInLeft", "eyeLookOutRight")):
        np.testing.assert_array_equal(many[:, INDEX[left]], many[:, INDEX[right]])


@pytest.mark.parametrize("draw", [random_expressions, random_moods])
def test_no_expressions_and_the_same_seed(draw) -> None:
    assert draw(0, np.random.default_rng(0)).shape == (0, 51)
    first, second = (draw(3, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (3, 51) and first.min() >= 0 and first.max() <= 1


def test_a_mask_hides_the_mouth() -> None:
    covered = cover_mouth(np.ones((2, 51), np.float32))[0]
    assert covered[INDEX["mouthSmileLeft"]] == 0 and covered[INDEX["eyeBlinkLeft"]] == 1
    assert covered[INDEX["jawOpen"]] == covered[INDEX["mouthClose"]] == 0.5


def test_named_weights() -> None:
    expression = expression_from_weights({"jawOpen": 0.4})
    assert expression[INDEX["jawOpen"]] == np.float32(0.4) and expression.sum() == np.float32(0.4)


def test_changed_expressions_keep_the_lips_in_order_and_the_input_unchanged() -> None:
    rng, start = np.random.default_rng(5), np.full(51, 0.3, np.float32)
    changed = np.stack([change_expression(start, rng) for _ in range(200)])
    assert (start == np.float32(0.3)).all()
    assert changed.min() >= 0 and changed.max() <= 1
    assert (changed[:, INDEX["mouthClose"]] <= changed[:, INDEX["jawOpen"]]).all()
    assert (np.abs(changed - start).max(1) > 0.1).mean() > 0.9


@pytest.mark.parametrize("name", CHANGED_SHAPES)
def test_chosen_shapes_are_shown(name: str) -> None:
    rng, start, changes = np.random.default_rng(6), np.full(51, 0.1, np.float32), changes_of([name])
    changed = np.stack([change_expression(start, rng, changes) for _ in range(40)])
    sides = [INDEX[name]] if name in INDEX else [INDEX[f"{name}Left"], INDEX[f"{name}Right"]]
    assert len(changes) and np.median(changed[:, sides].min(1)) > 0.15


def test_of_two_changes_to_opposite_sides_one_remains() -> None:
    rng, changes = np.random.default_rng(7), changes_of(["jawLeft", "jawRight"])
    changed = np.stack([change_expression(np.zeros(51, np.float32), rng, changes) for _ in range(60)])
    jaws = np.sort(changed[:, [INDEX["jawLeft"], INDEX["jawRight"]]], 1)
    assert (jaws[:, 0] == 0).all() and (jaws[:, 1] >= 0.4).all()
    assert (changed[:, INDEX["browInnerUp"]] == 0).all(), "other shapes stay"


def test_changes_name_real_shapes() -> None:
    for change in CHANGES:
        for name, (low, high) in change.ranges.items():
            assert name in INDEX or f"{name}Left" in INDEX, name
            assert 0 <= low <= high <= 1
