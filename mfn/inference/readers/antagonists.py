"""Shapes that move the same points in opposite directions: a face shows one of them at a time."""

from __future__ import annotations

import numpy as np

from mfn.structures.faces import Faces
from retarget.arkit import ANTAGONISTS, EXPRESSION_NAMES

_PAIRS = np.array([[EXPRESSION_NAMES.index(name) for name in pair] for pair in ANTAGONISTS])


def cancel_antagonists(faces: Faces) -> Faces:
    """Subtract from both shapes of each pair in ANTAGONISTS what they have in common.

    A network that is not sure where an eye looks gives some weight to up and to down. Their difference is what it saw.
    """
    expression = faces.expression.copy()
    both = np.minimum(expression[:, _PAIRS[:, 0]], expression[:, _PAIRS[:, 1]])
    for column in (0, 1):
        expression[:, _PAIRS[:, column]] -= both
    return faces.replace(expression=expression)
