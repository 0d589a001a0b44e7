import time

import numpy as np
import pytest

from mfn.inference.nms import nms
from mfn.structures.boxes import box_iou


def slow_iou(a, b) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = [max(0.0, r[2] - r[0]) * max(0.0, r[3] - r[1]) for r in (a, b)]
    return width * height / max(sum(area) - width * height, 1e-12)


def slow_keep(box, score, iou) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(box)), key=lambda i: -score[i]):
        if all(slow_iou(box[i], box[j]) <= iou for j in kept):
            kept.append(i)
    return sorted(kept)


def some_boxes(count: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    corner = random.random((count, 2)) * spread
    box = np.concatenate([corner, corner + random.random((count, 2)) * 30 + 5], 1).astype(np.float32)
    return box, random.random(count).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40, 100])
@pytest.mark.parametrize("spread", [5, 60, 1000])
def test_against_slow(count, spread):
    box, score = some_boxes(count, spread, seed=count)
    for iou in (0.0, 0.3, 0.45, 0.9):
        assert np.flatnonzero(nms(box, score, iou)).tolist() == slow_keep(box, score, iou)


def test_overlaps_against_slow():
    a, b = some_boxes(9, 30, 1)[0], some_boxes(5, 30, 2)[0]
    expected = [[slow_iou(p, q) for q in b] for p in a]
    np.testing.assert_allclose(box_iou(a, b), expected, atol=1e-6)
    assert box_iou(a[:0], b).shape == (0, 5)


def test_empty_boxes_hide_nothing():
    box = np.array([[5, 5, 5, 9], [5, 5, 5, 9], [0, 0, 10, 10], [9, 9, 2, 2]], np.float32)
    assert nms(box, np.array([0.9, 0.8, 0.7, 0.6]), 0.4).all()


def test_order_permuting_rows_permutes_the_mask():
    box, score = some_boxes(60, 80, seed=3)
    order = np.random.default_rng(0).permutation(60)
    assert (nms(box[order], score[order], 0.45) == nms(box, score, 0.45)[order]).all()


def test_of_equal_scores_the_first_wins():
    box = np.tile(np.array([[0, 0, 10, 10]], np.float32), (3, 1))
    assert nms(box, np.ones(3), 0.5).tolist() == [True, False, False]


def test_time_does_not_follow_the_number_of_faces():
    """256 boxes: all of one face against all of different faces. A factor of two leaves room for a busy machine."""

    def best_time(spread: float) -> float:
        box, score = some_boxes(256, spread, seed=4)
        times = []
        for _ in range(30):
            start = time.perf_counter()
            nms(box, score, 0.45)
            times.append(time.perf_counter() - start)
        return min(times)

    assert 0.5 < best_time(2) / best_time(100000) < 2
