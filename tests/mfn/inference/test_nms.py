
import numpy as np
import pytest

from mfn.inference.nms import nms
from tests.helpers.faces import random_boxes, slow_iou


def slow_keep(box, score, iou) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(box)), key=lambda i: -score[i]):
        if all(slow_iou(box[i], box[j]) <= iou for j in kept):
            kept.append(i)
    return sorted(kept)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40, 100])
@pytest.mark.parametrize("spread", [5, 60, 1000])
def test_against_slow(count, spread):
    box, score = random_boxes(count, spread, seed=count)
    for iou in (0.0, 0.3, 0.45, 0.9):
        assert np.flatnonzero(nms(box, score, iou)).tolist() == slow_keep(box, score, iou)


def test_empty_boxes_suppress_nothing():
    box = np.array([[5, 5, 5, 9], [5, 5, 5, 9], [0, 0, 10, 10], [9, 9, 2, 2]], np.float32)
    assert nms(box, np.array([0.9, 0.8, 0.7, 0.6]), 0.4).all()


def test_order_permuting_rows_permutes_the_mask():
    box, score = random_boxes(60, 80, seed=3)
    order = np.random.default_rng(0).permutation(60)
    assert (nms(box[order], score[order], 0.45) == nms(box, score, 0.45)[order]).all()


def test_of_equal_scores_the_first_wins():
    box = np.tile(np.array([[0, 0, 10, 10]], np.float32), (3, 1))
    assert nms(box, np.ones(3), 0.5).tolist() == [True, False, False]
