"""The box of a face, from the landmarks of its head."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.mediapipe_points import OVAL

_FOREHEAD = 0.155  # how far a face's box reaches above the mesh, relative to the height from chin to forehead
_SIDE_INSET = 0.022  # how far the box's sides lie inside the mesh, relative to its width


def face_box(landmarks: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Compute the boxes of faces from MediaPipe's landmarks: the boxes of fitted and rendered labels.

    Args:
        landmarks: (N, 478, 2 or more) px, the head model's "mediapipe478" in the picture.

    Returns:
        (N, 4) float32, x1 y1 x2 y2 in px.

    The box is that of a common face detector (YuNet, median IoU 0.91), but it follows from the head, so that it stays consistent when the
    head turns. The forehead is extended along the line from the chin, and the sides are moved in a little.

    Photos of crowds have boxes that people drew instead. From these the face reader of `large` and `small` learned its boxes, and
    `Predictor` returns them (`ScoreRule.box`). So they may differ a little from the boxes of this function.
    """
    if landmarks.ndim != 3 or landmarks.shape[1] != 478 or landmarks.shape[2] < 2:
        raise ValueError(f"landmarks: expected shape (N, 478, 2 or more), got {landmarks.shape}")
    points = np.ascontiguousarray(landmarks[..., :2].swapaxes(1, 2), np.float32)  # points last: minima are ten times as fast
    upward = points[:, :, OVAL[0]] - points[:, :, OVAL[18]]
    hairline = points[:, :, [*OVAL[:6], *OVAL[-5:]]] + _FOREHEAD * upward[:, :, None]
    low, high = np.minimum(points.min(2), hairline.min(2)), np.maximum(points.max(2), hairline.max(2))
    inset = _SIDE_INSET * (high - low) * np.array([1, 0], np.float32)
    return np.concatenate([low + inset, high - inset], axis=1)
