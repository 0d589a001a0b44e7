"""What we know about MediaPipe's face landmarker, our teacher: groups of its 478 points, its scores of a resting face,
and our face box on its points.

NumPy only. Point numbers are those of MediaPipe's face mesh; the last ten are the irises.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES

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

# What MediaPipe gives a resting face (median over many): taken off before its numbers are believed.
_REST: dict[str, float] = {
    "eyeSquint": 0.40, "eyeLookDown": 0.18, "eyeBlink": 0.13, "eyeLookOut": 0.13, "browDown": 0.08,
    "eyeLookUp": 0.08, "eyeLookIn": 0.04, "mouthPress": 0.05,
}  # fmt: skip
_FULL: dict[str, float] = {"eyeBlink": 0.65}  # what it gives where a shape is complete, if that is not 1


def by_prefix(table: dict[str, float], default: float) -> Floats:
    """Value of the first key in `table` that begins each of EXPRESSION_NAMES -> (51,) float32."""
    values = [next((v for key, v in table.items() if name.startswith(key)), default) for name in EXPRESSION_NAMES]
    return np.asarray(values, np.float32)


def teacher_expression(blendshapes: NDArray[np.floating], names: list[str]) -> Floats:
    """MediaPipe's scores in our order, less what it gives a resting face.

    blendshapes: (N, B) in [0, 1], named by `names` (B) -> (N, 51) in [0, 1].
    """
    if blendshapes.ndim != 2 or blendshapes.shape[1] != len(names):
        raise ValueError(f"blendshapes: expected shape (N, {len(names)}), got {blendshapes.shape}")
    missing = [n for n in EXPRESSION_NAMES if n not in names]
    if missing:
        raise ValueError(f"blendshape names lack {', '.join(missing)}: give MediaPipe's 52 names in its order")
    ordered = blendshapes[:, [names.index(n) for n in EXPRESSION_NAMES]].astype(np.float32)
    rest = by_prefix(_REST, 0.0)
    return np.clip((ordered - rest) / (by_prefix(_FULL, 1.0) - rest), 0, 1)


def teacher_scores(expression: NDArray[np.floating], names: list[str]) -> Floats:
    """The scores (N, B) that `teacher_expression` would read as these weights (N, 51); names it does not know get 0."""
    rest = by_prefix(_REST, 0.0)
    ordered = rest + np.asarray(expression) * (by_prefix(_FULL, 1.0) - rest)
    out = np.zeros((len(ordered), len(names)), np.float32)
    out[:, [names.index(name) for name in EXPRESSION_NAMES]] = ordered
    return out


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
