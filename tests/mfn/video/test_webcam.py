"""Tests of live sources: only the newest frame is kept, a clip is read at its own speed, errors reach the caller."""

import threading
import time

import numpy as np
import pytest

from mfn.video import webcam
from mfn.video.webcam import Frame, NewestFrame, is_camera, open_source


def numbered_frames(count, then=None):
    """Yield `count` frames of 2 x 2 px at 100 frames/s, then wait for an event."""
    for k in range(count):
        yield k * 0.01, np.full((2, 2, 3), k, np.uint8)
    if then is not None:
        then.wait(20)


def test_only_the_newest_frame_is_kept():
    go = threading.Event()
    frames = NewestFrame(numbered_frames(60, go), paced=False)
    number = -1
    while number < 59:
        frame = frames.after(number)
        number = frame.number
    assert frame.picture[0, 0, 0] == 59 and frame.time_s == 0.59
    assert frames.after(-1).number == 59  # a late caller gets the last frame
    go.set()
    assert frames.after(59) is None


def test_a_clip_keeps_its_own_speed():
    start, frames, number = time.perf_counter(), NewestFrame(numbered_frames(30), paced=True), -1
    while (frame := frames.after(number)) is not None:
        assert frame.number > number and frame.read_s - start >= frame.time_s - 0.01
        number = frame.number
    assert number == 29


def test_an_error_while_reading_is_raised_in_the_waiting_thread():
    def broken():
        yield from numbered_frames(2)
        raise ValueError("camera 3: unplugged")

    frames = NewestFrame(broken(), paced=False)
    with pytest.raises(ValueError, match="unplugged"):
        for number in (-1, 0, 1):
            frames.after(number)


def test_stop_releases_the_source():
    released = threading.Event()

    def endless():
        try:
            while True:
                yield 0.0, np.zeros((2, 2, 3), np.uint8)
        finally:
            released.set()

    frames = NewestFrame(endless(), paced=False)
    assert isinstance(frames.after(-1), Frame)
    frames.stop()
    assert released.wait(2)


def test_a_camera_that_delivers_nothing(monkeypatch):
    monkeypatch.setattr(webcam, "_TIMEOUT_S", 0.05)
    go = threading.Event()
    frames = NewestFrame(numbered_frames(0, go), paced=False)
    with pytest.raises(ValueError, match=r"expected a picture within 0\.05 s"):
        frames.after(-1)
    go.set()


def test_a_clip_may_show_one_picture_for_long(monkeypatch):
    monkeypatch.setattr(webcam, "_TIMEOUT_S", 0.05)
    slides = iter([(time_s, np.zeros((2, 2, 3), np.uint8)) for time_s in (0.0, 0.3)])
    frames = NewestFrame(slides, paced=True)
    assert frames.after(-1).time_s == 0.0 and frames.after(0).time_s == 0.3 and frames.after(1) is None


def test_a_wait_ends_in_time_and_stopping_does_not_wait_for_the_next_picture():
    slides = iter([(time_s, np.zeros((2, 2, 3), np.uint8)) for time_s in (0.0, 60.0)])
    frames, start = NewestFrame(slides, paced=True), time.perf_counter()
    assert frames.after(-1).time_s == 0.0 and frames.after(0, 0.1) is None
    frames.stop()
    assert 0.1 <= time.perf_counter() - start < 1.0


def test_camera_numbers():
    assert is_camera("0") and is_camera(12) and not is_camera("0.mp4") and not is_camera("20260101")


def test_a_source_that_cannot_be_opened_is_reported_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_source(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match="expected a picture from camera 99"):
        open_source(99)


def test_a_clip_as_a_source(clip):
    assert len(list(open_source(clip))) == 20
