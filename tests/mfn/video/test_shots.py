"""Tests of the detection of shot boundaries."""

import numpy as np

from mfn.video.shots import CutWatch, may_be_cut, shot_boundaries, thumbnail, thumbnail_change


def test_a_sudden_change_is_a_cut_and_a_moving_camera_is_not():
    change = np.full(60, 0.01)
    change[30] = 0.3
    change[40:50] = 0.2  # a fast pan
    assert np.flatnonzero(shot_boundaries(change)).tolist() == [30]


def test_no_frame_and_one_frame():
    assert shot_boundaries(np.zeros(0)).shape == (0,)
    assert shot_boundaries(np.zeros(1)).tolist() == [False]


def test_thumbnails_have_one_size_and_the_range_0_to_1():
    for shape in ((30, 20, 3), (1080, 1920, 3)):
        small = thumbnail(np.full(shape, 255, np.uint8))
        assert small.shape == (18, 32) and np.allclose(small, 1)


def test_change_is_the_mean_difference():
    black, white = np.zeros((18, 32), np.float32), np.ones((18, 32), np.float32)
    assert thumbnail_change(None, white) == 0 and thumbnail_change(black, white) == 1


def test_a_watch_tells_cuts_from_the_next_frame_of_a_shot():
    dark, light = np.full((90, 160, 3), 40, np.uint8), np.full((90, 160, 3), 200, np.uint8)
    watch = CutWatch()
    assert [watch.is_cut(frame) for frame in (dark, dark + 5, light, light, dark)] == [False, False, True, False, True]
    assert may_be_cut(0.5) and not may_be_cut(0.0)
