"""What we know about MediaPipe's face landmarker, our teacher: groups of its 478 points, and our face box on its points.

NumPy only. Point numbers are those of MediaPipe's face mesh; the last ten are the irises.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
"""The face's outline, a closed loop from the middle of the forehead over the subject's left; 152 is the chin."""
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LOWER_INNER_LIPS = (95, 88, 178, 87, 14, 317, 402, 318, 324)
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
LIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
        263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)  # fmt: skip
GAPS = ((160, 144), (159, 145), (158, 153), (387, 373), (386, 374), (385, 380),
        (82, 87), (13, 14), (312, 317), (78, 308), (61, 291), (0, 17))  # fmt: skip
"""Points that stand against each other: upper and lower lids, right and left; inner lips; corners of the mouth; outer lips."""
BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
IRISES = tuple(range(468, 478))

_FOREHEAD = 0.155  # of the height chin to forehead
_SIDE_INSET = 0.022  # of the width, each side


def face_box(landmarks: NDArray[np.floating]) -> Floats:
    """The box of a face as we define it: what YuNet draws, but computed from the head, so that turning keeps it true.

    landmarks: (N, 478, 2 or more) px, the head model's `mediapipe478` in the picture -> (N, 4) float32, x1 y1 x2 y2 px.
    The forehead is drawn out along the line from the chin, the sides go in a little. Median IoU with YuNet: 0.91.
    """
    if landmarks.ndim != 3 or landmarks.shape[1] != 478 or landmarks.shape[2] < 2:
        raise ValueError(f"landmarks: expected shape (N, 478, 2 or more), got {landmarks.shape}")
    points = np.asarray(landmarks[..., :2], np.float32)
    upward = points[:, OVAL[0]] - points[:, OVAL[18]]
    hairline = points[:, [*OVAL[:6], *OVAL[-5:]]] + _FOREHEAD * upward[:, None]
    outline = np.concatenate([points, hairline], axis=1)
    low, high = outline.min(1), outline.max(1)
    inset = _SIDE_INSET * (high - low) * np.array([1, 0], np.float32)
    return np.concatenate([low + inset, high - inset], axis=1)
