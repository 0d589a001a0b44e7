"""Read clips frame by frame, in constant memory.

PyAV is used where it is installed (`pip install '.[video]'`), OpenCV otherwise. Times are the time stamps of the file,
from 0 at the first image, also where the frame rate varies.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from retarget.io.files import similar_file
from retarget.io.images import VIDEO_SUFFIXES, Image

MAX_PIXELS = 1 << 26  # 8192 x 8192 px; a file that claims larger images is refused before it is decoded
_MAX_DAMAGED_PACKETS = 1000  # damaged packets in a row after which reading ends
_DEFAULT_FPS = 30.0  # assumed where a file states no frame rate, or an impossible one
_MAX_FPS = 1000

_log = logging.getLogger(__name__)


class Clip(NamedTuple):
    """What a video file states about itself. Width and height are those of the upright image."""

    width: int
    height: int
    fps: float
    frames: int  # number of frames, about; 0 where the file does not state it
    sound: bool = False  # whether it has an audio stream


def is_clip(path: str | Path) -> bool:
    """Return whether the suffix is that of a video file."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def has_pyav() -> bool:
    """Return whether PyAV is installed. It reads more kinds of video than OpenCV, and it can write."""
    return find_spec("av") is not None


def probe(path: str | Path) -> Clip:
    """Read the size, frame rate and length of a video.

    Args:
        path: Video file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, damaged or not a video.
    """
    _check_file(path)
    return _probe_av(path) if has_pyav() else _probe_cv(path)


def read_frames(path: str | Path) -> Iterator[tuple[float, Image]]:
    """Read a video frame by frame.

    Args:
        path: Video file.

    Returns:
        An iterator over (time, image): seconds from the first image on, rising; upright (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, not a video, or so damaged that no image can be read.

    Damaged parts are left out, and reported as a `logging` warning.
    """
    _check_file(path)
    return _with_rising_times(_read_av(path) if has_pyav() else _read_cv(path), probe(path).fps)


def _with_rising_times(frames: Iterator[tuple[float | None, Image]], fps: float) -> Iterator[tuple[float, Image]]:
    """Replace missing, equal and falling time stamps."""
    last = -1 / fps
    for stamp, image in frames:
        last = stamp if stamp is not None and stamp > last else last + 1 / fps
        yield max(last, 0.0), image


def _check_file(path: str | Path) -> None:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file' + similar_file(path)}")
    if not path.stat().st_size:
        raise ValueError(f"{path}: empty file")


def _check_size(path: str | Path, width: int, height: int) -> None:
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"{path}: images of {width} x {height} px (expected 1 to {MAX_PIXELS} pixels)")


def _plausible_fps(fps: float) -> float:
    return fps if 0 < fps < _MAX_FPS else _DEFAULT_FPS


# PyAV


def open_av(path: str | Path) -> Any:
    """Open a video with PyAV.

    Args:
        path: Video file.

    Returns:
        PyAV's container, which holds at least one video stream that can be decoded.

    Raises:
        ValueError: The file is damaged or not a video.
    """
    import av

    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"{path}: not a video that can be read, or a damaged one ({_reason(error)})") from None
    streams = _video_streams(container)
    if not streams:
        sound = bool(container.streams.audio)
        container.close()
        raise ValueError(f"{path}: {'sound without pictures' if sound else 'no pictures in it'} (expected a video)")
    if streams[0].codec_context is None:
        container.close()
        raise ValueError(f"{path}: PyAV does not know the codec of its images")
    return container


def _video_streams(container: Any) -> list[Any]:
    """Return the video streams. The cover image of a song is stored as a video stream too, and is left out."""
    import av

    return [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _probe_av(path: str | Path) -> Clip:
    with open_av(path) as container:
        stream = _video_streams(container)[0]
        first = next(_decode(container, path), None)
        if first is None:
            raise ValueError(f"{path}: a video without a picture that can be read")
        fps = _plausible_fps(float(stream.average_rate or stream.guessed_rate or 0))
        length_s = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
        count = stream.frames or max(0, round(length_s * fps))
        width, height = (first.height, first.width) if first.rotation % 180 else (first.width, first.height)
        return Clip(width, height, fps, count, bool(container.streams.audio))


def _read_av(path: str | Path) -> Iterator[tuple[float | None, Image]]:
    with open_av(path) as container:
        start_s = first_image_time_s(container)
        for frame in _decode(container, path):
            time_s = None if frame.pts is None else float(frame.pts * frame.time_base) - start_s
            yield time_s, _upright(frame.to_ndarray(format="rgb24"), frame.rotation)


def first_image_time_s(container: Any) -> float:
    """Return the time stamp of the first image, seconds, on the clock of the file."""
    stream = _video_streams(container)[0]
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def _upright(image: Image, rotation_deg: int) -> Image:
    """Rotate (H, W, 3) counterclockwise by a multiple of 90 degrees, as FFmpeg states it."""
    return np.ascontiguousarray(np.rot90(image, round(rotation_deg / 90) % 4))


def _decode(container: Any, path: str | Path) -> Iterator[Any]:
    """Yield frames in the order of presentation. Packets that cannot be decoded are skipped."""
    import av

    stream = _video_streams(container)[0]
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
            if in_a_row > _MAX_DAMAGED_PACKETS:
                break
            continue
        for frame in frames:
            _check_size(path, frame.width, frame.height)
            yield frame
    if damaged:
        _log.warning("%s: damaged; %d packets could not be decoded and were left out", path, damaged)


# OpenCV


def _probe_cv(path: str | Path) -> Clip:
    import cv2

    capture = _open_cv(path)
    try:
        fps = _plausible_fps(capture.get(cv2.CAP_PROP_FPS))
        count = int(max(0, capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        _, first = capture.read()
        if first is None:
            raise ValueError(f"{path}: a video without a picture that can be read")
        return Clip(first.shape[1], first.shape[0], fps, count)
    finally:
        capture.release()


def _read_cv(path: str | Path) -> Iterator[tuple[float | None, Image]]:
    import cv2

    capture = _open_cv(path)
    try:
        while True:
            read, frame = capture.read()
            if not read:
                return
            yield capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()


def _open_cv(path: str | Path) -> Any:
    capture = open_capture(str(path))
    if not capture.isOpened():
        raise ValueError(
            f"{path}: not a video that can be read, a damaged one, or sound without pictures "
            "(pip install '.[video]' reads more kinds)"
        )
    import cv2

    _check_size(path, int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    return capture


def open_capture(source: str | int) -> Any:
    """Open OpenCV's `VideoCapture` of a file or of a camera, without OpenCV's own messages on stderr."""
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)
    try:
        return cv2.VideoCapture(source)
    finally:
        cv2.utils.logging.setLogLevel(level)
