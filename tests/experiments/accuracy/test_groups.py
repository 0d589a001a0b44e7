"""The arithmetic behind the detection figures."""

import numpy as np
import pytest

from experiments.accuracy.groups import (
    FalseDetection,
    average_precision,
    draw_false,
    judge,
    match,
    pooled_precision,
)
from mfn.structures.faces import Faces
from tests.helpers.experiments import one_face

BOX = np.array([[0, 0, 40, 40], [100, 0, 140, 40], [200, 0, 240, 40.0]])


def test_each_true_box_is_hit_once_by_the_best():
    box = np.concatenate([BOX[:1], BOX[:1] + 2, BOX[1:2]])
    hit, counted, found = match(box, np.array([0.8, 0.9, 0.7]), BOX, np.ones(3, bool))
    assert hit.tolist() == [False, True, True] and counted.all() and found.tolist() == [True, True, False]


def test_boxes_that_do_not_count_are_neither_right_nor_wrong():
    hit, counted, _ = match(BOX, np.array([0.9, 0.8, 0.7]), BOX, np.array([True, False, True]))
    assert hit.tolist() == [True, False, True] and counted.tolist() == [True, False, True]


def test_without_true_boxes_everything_is_wrong():
    hit, counted, _ = match(BOX, np.array([0.9, 0.8, 0.7]), np.zeros((0, 4)), np.zeros(0, bool))
    assert not hit.any() and counted.all()


@pytest.mark.parametrize(
    ("hits", "positives", "expected"),
    [([1, 1], 2, 1.0), ([0, 1], 1, 0.5), ([1, 0, 1], 2, 0.5 + 0.5 * 2 / 3), ([], 3, 0.0), ([1], 2, 0.5)],
)
def test_average_precision_by_hand(hits, positives, expected):
    score = np.linspace(0.9, 0.1, len(hits))
    assert average_precision(np.array(hits, bool), score, positives) == pytest.approx(expected)


def test_a_picture_is_judged_by_height_and_score(tmp_path):
    rows = [[*BOX[0], 0.9], [*BOX[1], 0.5], [200, 0, 210, 10, 0.9]]
    np.savetxt(tmp_path / "a.txt", rows)
    faces = Faces.concatenate([one_face(BOX[0]), one_face(BOX[1]), one_face((300, 0, 310, 10)), one_face((400, 0, 440, 40))])
    judgment = judge(tmp_path / "a.jpg", faces, min_height_px=16)
    assert judgment.positives == 1 and len(judgment.ignored) == 2
    assert judgment.hit.tolist() == [True, False, False, False]
    assert judgment.counted.tolist() == [True, False, False, True]  # unsure, too small, wrong
    assert pooled_precision([judgment], [np.array([0.9, 0.8, 0.7, 0.6])]) == 1.0
    assert judge(tmp_path / "a.jpg", faces, min_height_px=160).positives == 0


def test_the_sheet_of_false_detections(tmp_path):
    import cv2

    picture = np.full((60, 60, 3), 90, np.uint8)
    false = [FalseDetection(picture, np.array([10, 10, 30, 30], np.float32), 0.6, np.zeros((1, 4)))]
    draw_false(tmp_path / "false.png", false)
    draw_false(tmp_path / "none.png", [])
    assert cv2.imread(str(tmp_path / "false.png")).shape == cv2.imread(str(tmp_path / "none.png")).shape == (160, 1280, 3)
