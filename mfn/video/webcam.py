"""Read live frames: from a camera, or from a clip at its own speed. Only the newest frame is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mfn.video.reader import read_frames
from mfn.video.readers.opencv import open_capture
from retarget.io.images import Image

_TIMEOUT_S = 10.0  # a camera that delivers no image for so long is lost
_JOIN_TIMEOUT_S = 2.0
_MAX_CAMERA_DIGITS = 3  # longer numbers are taken for file names


class Frame(NamedTuple):
    """One frame of a live source."""

    number: int  # how many frames were read before it
    time_s: float  # its time stamp
    read_s: float  # when it was read, on the clock of `time.perf_counter`
    picture: Image  # (H, W, 3) uint8 RGB


class NewestFrame:
    """Read frames in a thread and keep only the newest.

    Reading never waits for the consumer, so a slow consumer drops frames instead of falling behind.
    """

    def __init__(self, frames: Iterator[tuple[float, Image]], paced: bool) -> None:
        """Start reading.

        Args:
            frames: Time stamps (s) and images.
            paced: Read no faster than the time stamps say: for a clip that stands in for a camera.
        """
        self.paced = paced
        """Whether the frames are those of a clip. See `__init__`."""
        self._frames = frames
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._stopped, self._ended = threading.Event(), False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def after(self, number: int, wait_s: float = np.inf) -> Frame | None:
        """Wait for a frame that is newer than frame `number`.

        Args:
            number: Number of the last frame that was used; -1 for none.
            wait_s: How long to wait at most, seconds.

        Returns:
            The newest frame, or None once the source has ended or the wait is over.

        Raises:
            ValueError: A camera delivered no frame in time; a clip may show one picture for long. An error of the source
                itself is raised here too.
        """
        until_s = time.perf_counter() + wait_s

        def newer() -> bool:
            return self._newest is not None and self._newest.number > number

        with self._changed:
            while not newer() and not self._ended:
                left_s = until_s - time.perf_counter()
                if left_s <= 0:
                    return None
                arrived = self._changed.wait_for(lambda: self._ended or newer(), min(_TIMEOUT_S, left_s))
                if not arrived and not self.paced and left_s > _TIMEOUT_S:
                    raise ValueError(f"expected a picture within {_TIMEOUT_S:g} s, got none: check whether another program uses the camera")
            if newer():
                return self._newest
            if self._error is not None:
                raise self._error
            return None

    def stop(self) -> None:
        """End the thread and release the source."""
        self._stopped.set()
        self._thread.join(timeout=_JOIN_TIMEOUT_S)

    def _read(self) -> None:
        start: float | None = None
        try:
            for number, (time_s, picture) in enumerate(self._frames):
                now = time.perf_counter()
                start = now - time_s if start is None else start
                if self.paced and start + time_s > now:
                    self._stopped.wait(start + time_s - now)
                if self._stopped.is_set():
                    break
                with self._changed:
                    self._newest = Frame(number, time_s, time.perf_counter(), picture)
                    self._changed.notify()
        except BaseException as error:  # raised again in the thread that waits for a frame
            self._error = error
        finally:
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._ended = True
                self._changed.notify()


def is_camera(source: str | int | Path) -> bool:
    """Return whether a source is the number of a camera."""
    return isinstance(source, int) or (str(source).isdecimal() and len(str(source)) <= _MAX_CAMERA_DIGITS)


def open_source(source: str | int | Path) -> Iterator[tuple[float, Image]]:
    """Open a camera or a clip.

    Args:
        source: Number of a camera (0 is the first), or a video file.

    Returns:
        An iterator over (time, image): seconds; (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The source delivers no image. The first image is read here, so that an error appears at once.
    """
    frames = _camera_frames(int(source)) if is_camera(source) else read_frames(str(source))  # type: ignore[arg-type]
    first = next(frames, None)
    if first is None:
        raise ValueError(f"{source}: a video without a picture that can be read")

    def chained() -> Iterator[tuple[float, Image]]:
        yield first
        yield from frames

    return chained()


def _camera_frames(number: int) -> Iterator[tuple[float, Image]]:
    import cv2

    capture = open_capture(number)
    try:
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        start = time.perf_counter()
        while True:
            read, frame = capture.read() if capture.isOpened() else (False, None)
            if not read:
                raise ValueError(
                    f"expected a picture from camera {number}, got none: check that it is connected and free"
                )
            yield time.perf_counter() - start, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()
