"""The resting smile, and lips that open round: what shapes of the mouth add to the head model's.

The characters rest with a wide, smiling mouth. Without an addition, a lowered jaw would grin, and neither "oo" nor anger could be read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from avatars.source.parts.primitives import Floats, near, smoothstep
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES


class Rounding(NamedTuple):
    """What a shape does to the mouth at weight 1.

    narrow: share of its width that it loses. level: share of the resting smile that it takes away.
    """

    narrow: float
    level: float


_ROUNDINGS = {
    "jawOpen": Rounding(0.10, 1.0),
    "mouthFunnel": Rounding(0.10, 0.8),
    "mouthPucker": Rounding(0.27, 0.8),
    "mouthFrown": Rounding(0.0, 1.2),
    "mouthShrugLower": Rounding(0.0, 0.6),
    "mouthRoll": Rounding(0.0, 0.4),
    "mouthPress": Rounding(0.0, 0.4),
}  # fmt: skip
"""Start of a shape's name -> what it does. A shape of one side does it to that side."""
_RESTING_EXPRESSION = {"mouthSmileLeft": 0.25, "mouthSmileRight": 0.25}
_SMILE_PER_M = 14.0
"""The mouth corners of all characters lie higher by this factor times x squared, in addition to a slight smile."""
_MOUTH_M, _MOUTH_SIZE_M = (0.0, -0.078), (0.062, 0.046)
_SIDE_M = 0.012


def raised_corners(place: Floats) -> Floats:
    """Return how far places (..., 3) of the head model rise, in character space, so that the mouth smiles."""
    x, y = place[..., 0], place[..., 1]
    return np.asarray(_SMILE_PER_M * x**2 * near(x, y, (0, -0.07), (0.03, 0.025)))


def resting_expression(model: HeadModel) -> Floats:
    """Return how far the characters' resting expression moves all vertices (V, 3) of the head model."""
    amounts = [much * model.expression_basis[EXPRESSION_NAMES.index(name)] for name, much in _RESTING_EXPRESSION.items()]
    return np.asarray(sum(amounts), np.float64)


def round_lips(name: str, place: Floats, smile: Floats, depth: Callable[[Floats, Floats], Floats]) -> Floats:
    """Return how far a shape moves places (V, 3) in addition to the head model's shape, in character space.

    Args:
        name: The shape.
        place: (V, 3) at rest.
        smile: (V, 3) motion of the resting smile.
        depth: function of x and y (meters) that returns the z of the smooth face.
    """
    rounding = next((value for start, value in _ROUNDINGS.items() if name.startswith(start)), None)
    if rounding is None:
        return np.zeros_like(place)
    x, y = place[:, 0], place[:, 1]
    side = np.ones_like(x)
    if name.endswith(("Left", "Right")):
        side = smoothstep(x if name.endswith("Left") else -x, -_SIDE_M, _SIDE_M)
    inwards = -rounding.narrow * x * near(x, y, _MOUTH_M, _MOUTH_SIZE_M)
    move = np.stack([inwards, np.zeros_like(x), depth(x + inwards, y) - depth(x, y)], 1)
    return np.asarray(side[:, None] * (move - rounding.level * smile))
