"""What a clip states about itself, and what all readers do with its frames."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.io.images import Image

MAX_PIXELS = 1 << 26
"""8192 x 8192 px. A file that claims larger frames is refused before it is decoded."""
DEFAULT_FPS = 30.0
"""Assumed where a file states no frame rate, or an impossible one."""

_MAX_FPS = 1000
_MAX_PIXEL_ASPECT = 8.0  # a larger ratio of a pixel's sides is an error of the file
_SQUARE_TOLERANCE = 0.01


class Clip(NamedTuple):
    """What a video file states about itself. Width and height are those of the upright image with square pixels."""

    width: int
    height: int
    fps: float
    frames: int  # number of frames, about; 0 where the file does not state it
    sound: bool = False  # whether it has an audio stream
    exact: bool = False  # whether `frames` is the length of the images alone, not that of the sound

    @property
    def duration_s(self) -> float:
        """Length in seconds, about; 0 where the file does not state it."""
        return self.frames / self.fps


def no_image_error(path: str | Path) -> ValueError:
    """Return the error for a video of which no frame can be decoded."""
    return ValueError(f"{path}: a video without a picture that can be read")


def check_size(path: str | Path, width: int, height: int) -> None:
    """Raise ValueError unless frames of this size may be decoded."""
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise ValueError(f"{path}: images of {width} x {height} px (expected 1 to {MAX_PIXELS} pixels)")


def plausible_fps(fps: float) -> float:
    """Return a frame rate, or `DEFAULT_FPS` for an impossible one."""
    return fps if 0 < fps < _MAX_FPS else DEFAULT_FPS


def square_pixel_size(width: int, height: int, pixel_aspect: float) -> tuple[int, int]:
    """Return the (width, height) that an image has once its pixels are square. No side becomes smaller.

    Args:
        width: Stored width, px.
        height: Stored height, px.
        pixel_aspect: Width of a stored pixel over its height; 0 where the file does not state it.
    """
    if not 1 / _MAX_PIXEL_ASPECT <= pixel_aspect <= _MAX_PIXEL_ASPECT or abs(pixel_aspect - 1) < _SQUARE_TOLERANCE:
        return width, height
    return (round(width * pixel_aspect), height) if pixel_aspect > 1 else (width, round(height / pixel_aspect))


def with_square_pixels(image: Image, pixel_aspect: float) -> Image:
    """Resize an image (H, W, 3) so that its pixels are square. See `square_pixel_size`."""
    height, width = image.shape[:2]
    size = square_pixel_size(width, height, pixel_aspect)
    if size == (width, height):
        return image
    import cv2

    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def orientation_of_matrix(matrix: NDArray[np.int32]) -> int:
    """Return the EXIF orientation, 1 to 8, that is nearest to the display matrix of a video.

    Args:
        matrix: (9,) a b u c d v x y w. A stored point (p, q), q downward, is shown at (a p + c q, b p + d q).
    """
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return {(False, False): 1, (True, False): 2, (True, True): 3, (False, True): 4}[a < 0, d < 0]
    return {(False, False): 5, (True, False): 6, (True, True): 7, (False, True): 8}[c < 0, b < 0]
