"""The arithmetic behind the detection figures."""

import numpy as np
import pytest

from experiments.accuracy.groups import average_precision, match

BOX = np.array([[0, 0, 40, 40], [100, 0, 140, 40], [200, 0, 240, 40.0]])


def test_each_true_box_is_hit_once_by_the_best():
    found = np.concatenate([BOX[:1], BOX[:1] + 2, BOX[1:2]])
    hit, judged, seen = match(found, np.array([0.8, 0.9, 0.7]), BOX, np.ones(3, bool))
    assert hit.tolist() == [False, True, True] and judged.all() and seen.tolist() == [True, True, False]


def test_boxes_not_asked_for_are_neither_hit_nor_false():
    hit, judged, _ = match(BOX, np.array([0.9, 0.8, 0.7]), BOX, np.array([True, False, True]))
    assert hit.tolist() == [True, False, True] and judged.tolist() == [True, False, True]


def test_without_truth_everything_is_false():
    hit, judged, _ = match(BOX, np.array([0.9, 0.8, 0.7]), np.zeros((0, 4)), np.zeros(0, bool))
    assert not hit.any() and judged.all()


@pytest.mark.parametrize(
    ("hits", "positives", "expected"),
    [([1, 1], 2, 1.0), ([0, 1], 1, 0.5), ([1, 0, 1], 2, 0.5 + 0.5 * 2 / 3), ([], 3, 0.0), ([1], 2, 0.5)],
)
def test_average_precision_by_hand(hits, positives, expected):
    score = np.linspace(0.9, 0.1, len(hits))
    assert average_precision(np.array(hits, bool), score, positives) == pytest.approx(expected)
