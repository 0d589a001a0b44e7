"""How much stronger the characters' shapes are than a human's, and what the cheeks add to theirs.

The head model has ARKit's units. The plate is wider than a face but hardly taller. So vertical shapes need a factor above 1 to reach as far
in parts of the distance between the eyes. `python -m experiments.rigs.character_reach` prints the result beside another rig.
"""

from __future__ import annotations

import numpy as np

from avatars.source.parts.primitives import Floats, near, smoothstep

_SHAPE_STRENGTHS = {
    "browInnerUp": 1.2, "browOuterUp": 1.35, "browDown": 1.3, "cheekPuff": 1.9, "cheekSquint": 1.7, "eye": 0.2, "noseSneer": 1.7,
    "jawOpen": 1.22, "mouthClose": 1.22, "jawLeft": 1.45, "jawRight": 1.45, "jawForward": 1.5, "mouthSmile": 1.3, "mouthFrown": 1.9,
    "mouthDimple": 1.4, "mouthStretch": 1.35, "mouthPress": 1.2, "mouthRollLower": 0.9, "mouthUpperUp": 1.3, "mouthLowerDown": 1.3,
    "mouthShrug": 1.45, "mouthPucker": 1.35, "mouthFunnel": 1.2, "mouthLeft": 1.1, "mouthRight": 1.1,
}  # fmt: skip
_BULGE_AT, _BULGE_SIZE_M = (0.064, -0.066), (0.032, 0.034)
_BULGE_M = (0.008, 0.001, 0.018)
"""How far the middle of a puffed cheek moves: outward, up, forward."""
_LIPS_Y_M, _LIPS_HALF_M = -0.078, (0.046, 0.028)


def shape_strength(name: str) -> float:
    """Return the factor by which a shape is stronger than on a human."""
    return next((value for start, value in _SHAPE_STRENGTHS.items() if name.startswith(start)), 1.15)


def cheek_bulge(place: Floats) -> Floats:
    """Return how far puffed cheeks move places (V, 3) in character space, in addition to the head model's shape."""
    x, y = place[:, 0], place[:, 1]
    away = np.stack([np.sign(x), np.ones_like(x), np.ones_like(x)], 1) * _BULGE_M
    beside_lips = smoothstep(
        np.hypot(x / _LIPS_HALF_M[0], (y - _LIPS_Y_M) / _LIPS_HALF_M[1]), 0.9, 1.5
    )  # else the lips would part
    return np.asarray((beside_lips * near(np.abs(x), y, _BULGE_AT, _BULGE_SIZE_M))[:, None] * away)
