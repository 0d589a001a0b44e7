"""Tests of the detection of shot boundaries."""

import numpy as np
import pytest

from mfn.video.shots import CutWatch, may_be_cut, shot_boundaries, thumbnail, thumbnail_change


def test_a_sudden_change_is_a_cut_and_a_moving_camera_is_not():
    change = np.full(60, 0.01)
    change[30] = 0.3
    change[40:50] = 0.2  # a fast pan
    assert np.flatnonzero(shot_boundaries(change)).tolist() == [30]


@pytest.mark.parametrize("frame", [1, 2, 28, 29])
def test_a_cut_near_an_end_is_seen(frame):
    change = np.full(30, 0.01)
    change[0], change[frame] = 0, 0.3
    assert np.flatnonzero(shot_boundaries(change)).tolist() == [frame]


def test_a_camera_that_moves_at_an_end_makes_no_cut():
    change = np.full(30, 0.2)
    change[6:-6] = 0.01
    assert not shot_boundaries(change).any()


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


def test_a_watch_is_sure_of_a_cut_and_not_of_a_moving_camera():
    shades = [40] * 6 + [200] * 6 + [170, 140, 110, 80]  # a cut, then every frame changes as much as a cut may
    watch, told = CutWatch(), []
    for shade in shades:
        told.append((watch.is_cut(np.full((90, 160, 3), shade, np.uint8)), watch.is_sure()))
    assert [number for number, (may, _) in enumerate(told) if may] == [6, 12, 13, 14, 15]
    assert [number for number, (_, sure) in enumerate(told) if sure] == [6, 12, 13]


def test_a_flash_of_one_frame_is_no_cut_and_forgotten():
    dark, light = np.full((90, 160, 3), 90, np.uint8), np.full((90, 160, 3), 200, np.uint8)
    watch = CutWatch()
    assert [watch.is_cut(frame) for frame in (dark, dark, light)] == [False, False, True]
    assert watch.is_flash(dark) and not watch.is_cut(dark) and not watch.is_sure()
    assert watch.is_cut(light) and watch.is_sure() and not watch.is_flash(light) and not watch.is_cut(light)
