"""Find the shot boundaries (cuts) of a clip."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from retarget.io.images import Image

_MIN_CHANGE = 0.08  # mean absolute difference of two thumbnails, gray levels 0 to 1
_MIN_CHANGE_RATIO = 5.0  # the same, divided by the median over the neighboring frames
_NEIGHBORS = 4  # frames on each side of the median's window
_THUMBNAIL_PX = (32, 18)  # width, height
_SUBSAMPLE_ABOVE_PX = 256  # larger images are read at every fourth pixel: faster, and precise enough


def thumbnail(image: Image) -> NDArray[np.float32]:
    """Shrink an image to the size at which frames are compared.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (18, 32) gray levels, 0 to 1.
    """
    import cv2

    large = min(image.shape[:2]) > _SUBSAMPLE_ABOVE_PX
    small = cv2.resize(image[::4, ::4] if large else image, _THUMBNAIL_PX, interpolation=cv2.INTER_AREA)
    return np.asarray(np.asarray(small, np.float32).mean(2) / 255, np.float32)


def thumbnail_change(previous: NDArray[np.float32] | None, current: NDArray[np.float32]) -> float:
    """Return the mean absolute difference of two thumbnails, 0 to 1; 0 where there is no previous frame."""
    return 0.0 if previous is None else float(np.abs(current - previous).mean())


def may_be_cut(change: float) -> bool:
    """Return whether a frame may begin a new shot, by its `thumbnail_change` alone. Fast camera motion changes as much."""
    return change > _MIN_CHANGE


class CutWatch:
    """Tells of each frame whether it may begin a new shot, while the future is not known."""

    def __init__(self) -> None:
        """Start without frames."""
        self._before: NDArray[np.float32] | None = None  # the frame before the last one
        self._last: NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=_NEIGHBORS + 1)

    def is_cut(self, image: Image) -> bool:
        """Compare the next frame (H, W, 3) uint8 with the one before. See `may_be_cut`."""
        self._before, self._last = self._last, thumbnail(image)
        change = thumbnail_change(self._before, self._last)
        if self._before is not None:
            self._changes.append(change)
        return may_be_cut(change)

    def is_sure(self) -> bool:
        """Return whether the last frame changed much more than the few before it. Fast camera motion does so only where it begins."""
        *before, change = self._changes or [0.0]
        usual = float(np.median(before)) if before else 0.0
        return may_be_cut(change) and change > _MIN_CHANGE_RATIO * usual

    def is_flash(self, following: Image) -> bool:
        """Return whether the last frame was a flash: the following one is again like the one before. It is forgotten then."""
        if self._before is None or may_be_cut(thumbnail_change(self._before, thumbnail(following))):
            return False
        self._last = self._before
        self._changes.pop()
        return True


def shot_boundaries(change: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the first frame of every new shot.

    Args:
        change: (F,) `thumbnail_change` of each frame to the frame before it.

    Returns:
        (F,) True where a new shot begins.

    At a cut the whole image changes, and much more than in the frames around it. The second condition rejects
    fast camera motion, during which every frame changes much. Beyond the ends of the clip the frames count mirrored: a
    repeated last frame would be its own median, and hide a cut.
    """
    if not len(change):
        return np.zeros(0, np.bool_)
    padded = np.pad(change, _NEIGHBORS, mode="reflect")
    usual = np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBORS + 1), axis=1)
    return np.asarray((change > _MIN_CHANGE) & (change > _MIN_CHANGE_RATIO * usual))
