"""Read clips frame by frame, in constant memory.

PyAV is used where it is installed (`pip install ".[video]"`), OpenCV otherwise, and Pillow for animated images. Times are
the time stamps of the file, from 0 at the first image, also where the frame rate varies.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mfn.video.readers import animated_image, opencv, pyav
from mfn.video.readers.animated_image import is_animated_image
from mfn.video.readers.clip import Clip as Clip
from retarget.io.files import similar_file
from retarget.io.images import Image
from retarget.io.signatures import HEAD_BYTES, image_kind, is_video

_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".webm", ".avi", ".divx", ".wmv", ".asf", ".flv"),
    *(".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".ts", ".mts", ".m2ts", ".m2t", ".mxf", ".ogv", ".ogg", ".y4m", ".dv", ".rm", ".rmvb"),
)  # of files whose first bytes tell nothing, and of missing files
_MISSING_SHARE, _MISSING_FRAMES = 0.02, 2.0  # a clip that ends more than both before its stated end is reported
_MISSING_SHARE_GUESSED, _MISSING_S_GUESSED = 0.1, 0.5  # the same where only the whole file's length is stated

_log = logging.getLogger(__name__)


def is_clip(path: str | Path) -> bool:
    """Return whether a file is a clip: a video, or an image with several frames. Its first bytes decide, then its suffix."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        head = b""
    kind = image_kind(head)
    return is_video(head) or is_animated_image(path, kind) or (kind is None and path.suffix.lower() in _SUFFIXES)


def has_pyav() -> bool:
    """Return whether PyAV is installed. It reads more kinds of video than OpenCV, and it can write."""
    return find_spec("av") is not None


def probe(path: str | Path) -> Clip:
    """Read the size, frame rate and length of a clip.

    Args:
        path: Video file or animated image.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, damaged or not a video.
    """
    _check_file(path)
    if _is_animated(path):
        return animated_image.probe(path)
    return pyav.probe(path) if has_pyav() else opencv.probe(path)


def read_frames(path: str | Path, start_s: float = 0.0, end_s: float | None = None) -> Iterator[tuple[float, Image]]:
    """Read a clip frame by frame.

    Args:
        path: Video file or animated image.
        start_s: Leave out the frames before this time, seconds.
        end_s: Leave out the frames from this time on, seconds. None: read to the end.

    Returns:
        An iterator over (time, image): seconds from `start_s` on, rising; upright (H, W, 3) uint8 RGB, square pixels, all of
        the size that `probe` returns.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, not a video, or so damaged that no image can be read.

    Damaged parts are left out, and reported as a `logging` warning. So is a file that ends before its stated end.
    """
    clip = probe(path)
    if _is_animated(path):
        frames = animated_image.read(path)
    else:
        frames = (pyav if has_pyav() else opencv).read(path, start_s)
    return _selected(_with_rising_times(frames, clip.fps), clip, path, start_s, end_s)


def _selected(
    frames: Iterator[tuple[float, Image]], clip: Clip, path: str | Path, start_s: float, end_s: float | None
) -> Iterator[tuple[float, Image]]:
    """Yield the frames from `start_s` to `end_s`, and report a missing end."""
    margin_s = 0.25 / clip.fps  # time stamps are rounded
    last_s: float | None = None
    for time_s, image in frames:
        if end_s is not None and time_s >= end_s - margin_s:
            return
        last_s = time_s
        if time_s >= start_s - margin_s:
            yield max(time_s - start_s, 0.0), _resized(image, clip)
    read_s = 0.0 if last_s is None else last_s + 1 / clip.fps
    if clip.exact:
        tolerated_s = max(_MISSING_SHARE * clip.duration_s, _MISSING_FRAMES / clip.fps)
    else:
        tolerated_s = max(_MISSING_SHARE_GUESSED * clip.duration_s, _MISSING_S_GUESSED)
    if clip.duration_s - read_s > tolerated_s:
        _log.warning("%s: the file ends early: the first %.1f of %.1f s could be read", path, read_s, clip.duration_s)


def _resized(image: Image, clip: Clip) -> Image:
    """Fit an image (H, W, 3) into the size of the clip's first one: streams and joined clips may change their size midway.

    Where the shape differs, the rest is black. OpenCV resizes by itself, and stretches: then the image comes in this size.
    """
    height, width = image.shape[:2]
    if (width, height) == (clip.width, clip.height):
        return image
    import cv2

    scale = min(clip.width / width, clip.height / height)
    size = min(max(round(width * scale), 1), clip.width), min(max(round(height * scale), 1), clip.height)
    fitted = np.zeros((clip.height, clip.width, 3), np.uint8)
    left, top = (clip.width - size[0]) // 2, (clip.height - size[1]) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=how)
    return fitted


def _with_rising_times(frames: Iterator[tuple[float | None, Image]], fps: float) -> Iterator[tuple[float, Image]]:
    """Replace missing, equal and falling time stamps."""
    last: float | None = None
    for stamp, image in frames:
        if last is None:
            last = max(stamp or 0.0, 0.0)
        else:
            last = stamp if stamp is not None and stamp > last else last + 1 / fps
        yield last, image


def _is_animated(path: str | Path) -> bool:
    with Path(path).open("rb") as file:
        return is_animated_image(path, image_kind(file.read(HEAD_BYTES)))


def _check_file(path: str | Path) -> None:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file' + similar_file(path)}")
    if not path.stat().st_size:
        raise ValueError(f"{path}: empty file")
