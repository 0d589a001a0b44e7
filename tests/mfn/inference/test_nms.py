
import numpy as np
import pytest

from mfn.inference.nms import merge, nms
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


def test_the_detection_of_the_best_scale_is_kept():
    box = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]], float)
    assert merge(box, np.array([0.9, 0.8, 0.95]), np.array([0.7, 1, 1])).tolist() == [2, 1]


def test_parts_of_a_face_are_dropped_and_small_faces_beside_it_are_kept():
    face, nose, beside = [0, 0, 100, 100], [40, 40, 60, 60], [90, 40, 110, 60]
    assert merge(np.array([nose, face, beside]), np.array([0.95, 0.9, 0.7]), np.ones(3)).tolist() == [1, 2]
    assert merge(np.array([nose, face]), np.array([0.95, 0.1]), np.ones(2)).tolist() == [0, 1]
    assert merge(np.zeros((0, 4)), np.zeros(0), np.zeros(0)).tolist() == []


def test_half_a_face_is_no_face_of_its_own():
    box = np.array([[0, 0, 68, 72], [24, 12, 76, 66]])  # the size of a half beside its face in a real frame; their IoU is 0.43
    assert merge(box, np.array([0.99, 0.84]), np.ones(2)).tolist() == [0]
    assert merge(box, np.array([0.6, 0.84]), np.ones(2)).tolist() == [1, 0], "a face that is much less sure is no whole"
    beside = np.array([[0, 0, 68, 72], [50, 12, 102, 66]])
    assert merge(beside, np.array([0.99, 0.84]), np.ones(2)).tolist() == [0, 1]


def test_a_box_of_a_bad_scale_does_not_take_a_face_for_its_part():
    """A head and its shoulders, seen in a pass that is too coarse for them, and the face in them."""
    box, score = np.array([[0, 0, 47, 66], [7, 33, 32, 65]]), np.array([0.72, 0.88])
    assert merge(box, score, np.array([0.47, 1.0])).tolist() == [0]
    assert merge(box, score, np.array([0.47, 1.0]), whole=np.array([0.47, 1.0])).tolist() == [1, 0]
