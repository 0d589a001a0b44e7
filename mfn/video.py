"""Clips in, frame by frame, through OpenCV. A first version: no audio, constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mfn.pictures import VIDEO_SUFFIXES, Picture


class Clip(NamedTuple):
    """What a file says of itself. frames: about how many, 0 if it does not say."""

    width: int
    height: int
    fps: float
    frames: int


def is_clip(path: str | Path) -> bool:
    """Whether the suffix is that of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def probe(path: str | Path) -> Clip:
    """Size and rate. ValueError in one line if it is not a video that can be read."""
    import cv2

    capture = _open(path)
    try:
        fps = capture.get(cv2.CAP_PROP_FPS)
        count = int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        _, first = capture.read()
        if first is None:
            raise ValueError(f"{path}: a video without a picture that can be read")
        return Clip(first.shape[1], first.shape[0], fps if 0 < fps < 1000 else 30.0, count)
    finally:
        capture.release()


def read_frames(path: str | Path) -> Iterator[tuple[float, Picture]]:
    """(time in seconds, RGB (H, W, 3) uint8) of every frame, upright, by the file's own time stamps."""
    import cv2

    fps = probe(path).fps
    capture = _open(path)
    try:
        time_s, number = -1.0, 0
        while True:
            read, frame = capture.read()
            if not read:
                return
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # of the frame just read
            # Some files have no stamps, or equal ones: time must go on.
            time_s = stamp if stamp > time_s else (number / fps if number / fps > time_s else time_s + 1 / fps)
            yield time_s, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            number += 1
    finally:
        capture.release()


def _open(path: str | Path):  # type: ignore[no-untyped-def]  # cv2.VideoCapture, imported lazily
    import cv2

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    if not path.stat().st_size:
        raise ValueError(f"{path}: empty file")
    loudness = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        capture = cv2.VideoCapture(str(path))
    finally:
        cv2.utils.logging.setLogLevel(loudness)
    if not capture.isOpened():
        raise ValueError(f"{path}: not a video that can be read (or a damaged one)")
    return capture
