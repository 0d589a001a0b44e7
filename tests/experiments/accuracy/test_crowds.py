"""Detection on boxes that people drew: matching by height, the default score and the detectors' interface."""

import numpy as np
import pytest

from experiments.accuracy import crowds, detectors
from experiments.accuracy.detectors import Boxes, Runs
from tests.helpers.experiments import numbered_pictures, write_tar

LOW, HIGH = [0.0, 0, 10, 10], [20.0, 0, 60, 50]  # boxes of 10 and 50 px height
ALL = crowds.Range(0, np.inf)


def boxes(*rows, score=0.9):
    return Boxes(np.array(rows, float).reshape(-1, 4), np.full(len(rows), score))


def test_ranges_cover_all_heights_from_the_lowest_on():
    parts = crowds.ranges(6.0)
    assert list(parts) == ["all", "6 to 16 px", "16 to 24 px", "24 to 32 px", "32 to 48 px", "48 to 96 px", "96 px and more"]
    box = np.array([[0, 0, 1, height] for height in (5.9, 6, 16, 500)])
    assert parts["all"].holds(box).tolist() == [False, True, True, True]
    assert sum(part.holds(box).astype(int) for name, part in parts.items() if name != "all").tolist() == [0, 1, 1, 1]


def test_boxes_of_other_heights_are_neither_right_nor_wrong():
    true = [np.array([LOW, HIGH])]
    found = [boxes(LOW, HIGH, [200, 0, 210, 10], [200, 100, 250, 150])]  # two right, two false, one of each height
    verdict = crowds.judge(found, true, crowds.Range(0, 16), 0.4)
    assert verdict.positives == 1 and verdict.hit.tolist() == [True, False]
    assert crowds.judge(found, true, ALL, 0.4).hit.tolist() == [True, True, False, False]


@pytest.mark.parametrize(("iou", "hits"), [(0.4, 1), (0.6, 0)])
def test_a_detection_is_right_from_the_given_overlap_on(iou, hits):
    assert crowds.judge([boxes([0, 0, 10, 5])], [np.array([LOW])], ALL, iou).hit.sum() == hits


def test_precision_and_recall_are_those_of_the_default_run():
    true = [np.array([LOW, HIGH])]
    curve = [Boxes(np.array([LOW, HIGH, [200, 0, 250, 50]]), np.array([0.9, 0.3, 0.1]))]
    figures = crowds.measure(Runs(curve, [boxes(LOW)]), true, ALL, 0.4)
    assert figures == {"faces": 2, "ap": 1.0, "recall": 0.5, "precision": 1.0, "false": 0}


def test_a_crowd_has_the_boxes_of_each_photo(tmp_path):
    write_tar(tmp_path / "streets.tar", numbered_pictures(3))
    np.savez(tmp_path / "streets.npz", box=np.array([LOW, HIGH, LOW], np.float32), box_picture=np.array([0, 2, 2]))
    crowd = crowds.read_crowd(tmp_path, "streets")
    assert [len(true) for true in crowd.boxes] == [1, 0, 2] and len(crowd.pictures) == 3
    with pytest.raises(FileNotFoundError, match="--eval"):
        crowds.read_crowd(tmp_path, "parties")


def test_a_peer_reports_faces_from_its_score_on():
    found = Boxes(np.array([LOW, HIGH]), np.array([0.7, 0.5]))
    runs = detectors.Detector(lambda picture: found, 0.6).run([None])
    assert len(runs.curve[0].box) == 2 and runs.default[0].box.tolist() == [LOW]


def test_our_network_is_run_at_two_scores_and_a_missing_yunet_is_named(tmp_path):
    loaded = detectors.load_detectors({"small": "small"}, None)
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    runs = loaded["small"].run([picture])
    assert len(runs.curve[0].box) >= len(runs.default[0].box) and loaded["small"].default is not None
    with pytest.raises(FileNotFoundError, match="--yunet"):
        detectors.load_yunet(tmp_path / "yunet.onnx")
