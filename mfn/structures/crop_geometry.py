"""The square crop that a single-face network reads: where it lies in the picture, and how it is cut out.

Letters: N boxes, S = `CROP_SIZE`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CROP_SIZE = 128
"""Side of the crop in px."""
CROP_CELLS = 4.0
"""The network output is read as one cell whose stride is the crop's side divided by this (see `mfn.structures.cells`)."""
CROP_MARGIN = 1.3
"""Side of the crop relative to the longer side of the face's box."""
REACH = 1.1
"""Range of a position map relative to the crop's side: its values 0 to 1 span 0 to 1.1 sides, as in PRNet."""
_MIN_GAIN = 0.6  # crops that shrink the picture more than this are shrunk by area first
_OVERSAMPLE = 1.2


def crop_windows(boxes: NDArray[Any]) -> NDArray[np.float32]:
    """Return the square windows that are cropped for boxes.

    Args:
        boxes: (N, 4) x1 y1 x2 y2 in px of the picture.

    Returns:
        (N, 3) center x, center y and side, in px of the picture.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    side = CROP_MARGIN * (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, side], 1)


def crop_matrix(window: NDArray[Any]) -> NDArray[np.float64]:
    """Return the affine map (2, 3) from px of the picture to px of the crop, for one window (3,) of `crop_windows`."""
    gain = CROP_SIZE / float(window[2])
    return np.array([[gain, 0, CROP_SIZE / 2 - gain * window[0]], [0, gain, CROP_SIZE / 2 - gain * window[1]]])


def crop_face(picture: NDArray[np.uint8], matrix: NDArray[Any], background: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Cut a crop out of a picture.

    Args:
        picture: (H, W, 3) uint8.
        matrix: (2, 3) affine map from px of the picture to px of the crop. Positions are counted from the edges of pixels.
        background: (S, S, 3) uint8, shown where the crop reaches beyond the picture; it is written into. None for black.

    Returns:
        The crop (S, S, 3) uint8.

    A plain warp aliases when it shrinks, so the visible part of the picture is shrunk by area first.
    """
    import cv2

    size, a, t = CROP_SIZE, matrix[:, :2], matrix[:, 2]
    gain = float(np.sqrt(abs(np.linalg.det(a))))
    if gain < _MIN_GAIN:
        corners = np.linalg.solve(a, np.array([[0, size, 0, size], [0, 0, size, size]]) - t[:, None])
        low = np.clip(np.floor(corners.min(1)), 0, [s - 1 for s in picture.shape[1::-1]]).astype(int)
        high = np.clip(np.ceil(corners.max(1)), low + 1, picture.shape[1::-1]).astype(int)
        part = picture[low[1] : high[1], low[0] : high[0]]
        inner = np.maximum(np.rint((high - low) * gain * _OVERSAMPLE), 1).astype(int)
        picture = cv2.resize(part, inner.tolist(), interpolation=cv2.INTER_AREA)
        t, a = t + a @ low, a * ((high - low) / inner)
    # OpenCV counts from the centers of pixels, we count from their edges.
    warp = np.concatenate([a, (t + a @ [0.5, 0.5] - 0.5)[:, None]], 1)
    if background is not None:
        crop = cv2.warpAffine(picture, warp, (size, size), background, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    else:
        crop = cv2.warpAffine(picture, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(crop, np.uint8)
