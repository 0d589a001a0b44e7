import numpy as np
import pytest

from experiments.accuracy.expression.attributes import Reading, calibrate, choose_threshold, precision_recall


def test_the_threshold_lies_in_the_middle_of_the_best():
    value, yes = np.array([0.1, 0.2, 0.6, 0.7]), np.array([False, False, True, True])
    assert choose_threshold("smile", value, yes) == pytest.approx(0.41, abs=0.02)
    assert choose_threshold("looking_at_camera", np.array([4.0, 5.0, 20.0]), np.array([True, True, False])) == pytest.approx(12.5, abs=0.5)


def test_precision_and_recall():
    flags, yes = np.array([True, True, False, False]), np.array([True, False, True, True])
    assert precision_recall(flags, yes) == {"yes": 3, "no": 1, "precision": 0.5, "recall": 0.333}
    assert precision_recall(flags[:0], yes[:0]) == {"yes": 0, "no": 0, "precision": None, "recall": None}


def test_the_smallest_size_is_where_the_flag_stays_right():
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(4000) < 0.4, 0.9, 0.05)
    height = rng.uniform(10, 200, 4000)
    value = np.where(height < 48, rng.random(4000), truth)  # small faces are read at random
    found = calibrate("eyes_closed", Reading(truth, value, height, np.zeros(4000)))
    assert found["threshold"]["min_network_px"] == 48 and 0.1 < found["threshold"]["value"] < 0.9
    assert found["by_size"]["144 px and more"]["precision"] == 1 and found["by_size"]["0 to 24 px"]["precision"] < 0.7


def test_unclear_and_turned_faces_are_left_out():
    truth, yaw = np.array([0.9, 0.05, 0.45, 0.9]), np.array([0, 0, 0, 80])
    found = calibrate("eyes_closed", Reading(truth, truth, np.full(4, 200.0), yaw))
    assert found["by_size"]["144 px and more"] == {"yes": 1, "no": 1, "precision": 1.0, "recall": 1.0}
