"""Clips in, frame by frame, in constant memory: through PyAV where it is installed (`pip install '.[video]'`), through
OpenCV otherwise. Times are the file's own, from 0 at the first picture, whatever the rate does in between."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retarget.io.images import VIDEO_SUFFIXES, Picture

MAX_PIXELS = 1 << 26  # 8192 x 8192; a video that claims more is refused before it is decoded
_MAX_DAMAGED = 1000  # packets in a row that cannot be decoded before a file is given up

_log = logging.getLogger(__name__)


class Clip(NamedTuple):
    """What a file says of itself, upright. frames: about how many, 0 if it does not say; sound: whether it has any."""

    width: int
    height: int
    fps: float
    frames: int
    sound: bool = False


def is_clip(path: str | Path) -> bool:
    """Whether the suffix is that of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def has_pyav() -> bool:
    """Whether videos are read by PyAV here, and can be written."""
    return find_spec("av") is not None


def probe(path: str | Path) -> Clip:
    """Size, rate and length. ValueError in one line if it is not a video with a picture that can be read."""
    _check_file(path)
    return _probe_av(path) if has_pyav() else _probe_cv(path)


def read_frames(path: str | Path) -> Iterator[tuple[float, Picture]]:
    """(time in seconds, RGB (H, W, 3) uint8) of every frame, upright, by the file's own time stamps, which rise.

    Damaged stretches are left out, and said through `logging`; ValueError in one line if nothing is left.
    """
    _check_file(path)
    return _rising(_read_av(path) if has_pyav() else _read_cv(path), probe(path).fps)


def _rising(frames: Iterator[tuple[float | None, Picture]], fps: float) -> Iterator[tuple[float, Picture]]:
    """Some files have no stamps, or equal ones: time must go on."""
    last = -1 / fps
    for stamp, picture in frames:
        last = stamp if stamp is not None and stamp > last else last + 1 / fps
        yield max(last, 0.0), picture


def _check_file(path: str | Path) -> None:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    if not path.stat().st_size:
        raise ValueError(f"{path}: empty file")


def _check_size(path: str | Path, width: int, height: int) -> None:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"{path}: pictures of {width} x {height} px (expected 1 to {MAX_PIXELS} pixels)")


# PyAV


def open_av(path: str | Path) -> Any:
    """The file as PyAV's container. ValueError in one line where that cannot be, or it has no picture."""
    import av

    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"{path}: not a video that can be read, or a damaged one ({_why(error)})") from None
    # A song's cover is a video stream too, of one picture.
    films = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not films:
        sound = bool(container.streams.audio)
        container.close()
        raise ValueError(f"{path}: {'sound without pictures' if sound else 'no pictures in it'} (expected a video)")
    if films[0].codec_context is None:
        container.close()
        raise ValueError(f"{path}: its pictures are stored in a way that PyAV does not know")
    return container


def picture_stream(container: Any) -> Any:
    """The stream of pictures of what `open_av` opened."""
    import av

    return next(s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)


def _why(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _probe_av(path: str | Path) -> Clip:
    with open_av(path) as container:
        stream = picture_stream(container)
        first = next(_decode(container, path), None)
        if first is None:
            raise ValueError(f"{path}: a video without a picture that can be read")
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        fps = fps if 0 < fps < 1000 else 30.0
        length_s = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
        count = stream.frames or max(0, round(length_s * fps))
        width, height = (first.height, first.width) if first.rotation % 180 else (first.width, first.height)
        return Clip(width, height, fps, count, bool(container.streams.audio))


def _read_av(path: str | Path) -> Iterator[tuple[float | None, Picture]]:
    with open_av(path) as container:
        start = picture_start_s(container)
        for frame in _decode(container, path):
            stamp = None if frame.pts is None else float(frame.pts * frame.time_base) - start
            yield stamp, upright(frame.to_ndarray(format="rgb24"), frame.rotation)


def picture_start_s(container: Any) -> float:
    """When the first picture is shown by the file's own clock, seconds."""
    stream = picture_stream(container)
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def upright(picture: Picture, rotation: int) -> Picture:
    """(H, W, 3) turned counter-clockwise by `rotation` degrees, a multiple of 90, as FFmpeg gives it."""
    return np.ascontiguousarray(np.rot90(picture, round(rotation / 90) % 4))


def _decode(container: Any, path: str | Path) -> Iterator[Any]:
    """Frames in the order of showing; packets that cannot be decoded are skipped."""
    import av

    stream = picture_stream(container)
    stream.thread_type = "AUTO"
    damaged, in_a_row = 0, 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            frames = packet.decode()
            in_a_row = 0
        except StopIteration:
            break
        except (av.FFmpegError, OSError):
            damaged, in_a_row = damaged + 1, in_a_row + 1
            if in_a_row > _MAX_DAMAGED:
                break
            continue
        for frame in frames:
            _check_size(path, frame.width, frame.height)
            yield frame
    if damaged:
        _log.warning("%s: damaged; %d pieces of it could not be read and were left out", path, damaged)


# OpenCV


def _probe_cv(path: str | Path) -> Clip:
    import cv2

    capture = _open_cv(path)
    try:
        fps = capture.get(cv2.CAP_PROP_FPS)
        count = int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        _, first = capture.read()
        if first is None:
            raise ValueError(f"{path}: a video without a picture that can be read")
        return Clip(first.shape[1], first.shape[0], fps if 0 < fps < 1000 else 30.0, count)
    finally:
        capture.release()


def _read_cv(path: str | Path) -> Iterator[tuple[float | None, Picture]]:
    import cv2

    capture = _open_cv(path)
    try:
        while True:
            read, frame = capture.read()
            if not read:
                return
            yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()


def _open_cv(path: str | Path) -> Any:
    import cv2

    loudness = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        capture = cv2.VideoCapture(str(path))
    finally:
        cv2.utils.logging.setLogLevel(loudness)
    if not capture.isOpened():
        raise ValueError(
            f"{path}: not a video that can be read, a damaged one, or sound without pictures "
            "(pip install '.[video]' reads more kinds)"
        )
    _check_size(path, int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    return capture
