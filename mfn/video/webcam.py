"""Frames as they come: from a camera, or from a clip as if it were one; only the newest is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from retarget.io.images import Picture

_PATIENCE_S = 10.0  # a camera that gives nothing for so long is gone


class Frame(NamedTuple):
    """One picture (H, W, 3) uint8 RGB; number: how many were read before it; time_s: its own time; read_s: when it
    was read, on `time.perf_counter`'s clock."""

    number: int
    time_s: float
    read_s: float
    picture: Picture


class NewestFrame:
    """Reads frames in a thread of its own and keeps the last. `paced`: no faster than their own times say, as a clip
    must be that stands in for a camera."""

    def __init__(self, frames: Iterator[tuple[float, Picture]], paced: bool) -> None:
        self._frames, self._paced = frames, paced
        self._news = threading.Condition()
        self._newest: Frame | None = None
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def after(self, number: int) -> Frame | None:
        """The newest frame as soon as it is a later one than `number`; None once there are no more. What went wrong
        while reading is raised here."""
        with self._news:
            there = self._news.wait_for(
                lambda: self._ended or (self._newest is not None and self._newest.number > number), _PATIENCE_S
            )
            if self._newest is not None and self._newest.number > number:
                return self._newest
            if self._error is not None:
                raise self._error
            if not there:
                raise ValueError(f"no picture came for {_PATIENCE_S:g} s (is the camera in use by another program?)")
            return None

    def stop(self) -> None:
        """End the thread and give the source back."""
        self._stopped = True
        self._thread.join(timeout=2)

    def _read(self) -> None:
        start: float | None = None
        try:
            for number, (time_s, picture) in enumerate(self._frames):
                now = time.perf_counter()
                start = now - time_s if start is None else start
                if self._paced and start + time_s > now:
                    time.sleep(start + time_s - now)
                if self._stopped:
                    break
                with self._news:
                    self._newest = Frame(number, time_s, time.perf_counter(), picture)
                    self._news.notify()
        except BaseException as error:  # said where somebody waits for a frame
            self._error = error
        finally:
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()
            with self._news:
                self._ended = True
                self._news.notify()


def is_camera(source: str) -> bool:
    """Whether a source is a camera's number."""
    return source.isdecimal() and len(source) < 4


def open_source(source: str) -> Iterator[tuple[float, Picture]]:
    """(time in seconds, RGB (H, W, 3)) of a camera's frames or a clip's. The first is asked for here, so that what is
    wrong is said now."""
    from mfn.video.reader import read_frames

    frames = _camera_frames(int(source)) if is_camera(source) else read_frames(source)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{source}: a video without a picture that can be read")

    def chained() -> Iterator[tuple[float, Picture]]:
        yield first
        yield from frames

    return chained()


def _camera_frames(number: int) -> Iterator[tuple[float, Picture]]:
    import cv2

    loudness = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        capture = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(loudness)
    try:
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        start = time.perf_counter()
        while True:
            read, frame = capture.read() if capture.isOpened() else (False, None)
            if not read:
                raise ValueError(
                    f"camera {number}: gives no picture (is it there, allowed, and not in use by another program?)"
                )
            yield time.perf_counter() - start, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()
