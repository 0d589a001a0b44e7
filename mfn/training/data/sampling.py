"""How often each face of a pack is drawn: rare expressions and rotations are drawn more often than they occur."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EXPRESSION_EXPONENT = 1.5  # sampling weight = (strength of the expression / median strength) ** 1.5, limited to the range below
EXPRESSION_WEIGHTS = (0.7, 4.0)
MIN_STRENGTH = 1e-3  # smallest median strength, so that a pack of neutral faces has finite weights
YAW_RANGE_DEG = (15.0, 35.0)  # between these yaws the sampling weight rises from 1 to MAX_YAW_WEIGHT
MAX_YAW_WEIGHT = 4.0


def expression_weights(expression: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute sampling weights from the strength of expressions, because open mouths and closed eyes are rare.

    Args:
        expression: (N, 51) weights in [0, 1].

    Returns:
        (N,), larger for faces that differ more from the median face.
    """
    strength = np.linalg.norm(expression - np.median(expression, 0), axis=1) if len(expression) else np.zeros(0)
    median = max(float(np.median(strength)), MIN_STRENGTH) if len(strength) else 1.0
    return np.clip((strength / median) ** EXPRESSION_EXPONENT, *EXPRESSION_WEIGHTS)


def yaw_weights(rotation: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute sampling weights from the yaw of faces, because only one photo in thirty shows a yaw of more than 30 degrees.

    Args:
        rotation: (N, 3, 3) head to camera.

    Returns:
        (N,), from 1 to MAX_YAW_WEIGHT.
    """
    yaw = np.degrees(np.arctan2(np.abs(rotation[:, 0, 2]), np.abs(rotation[:, 2, 2])))
    return np.interp(yaw, YAW_RANGE_DEG, (1.0, MAX_YAW_WEIGHT))


def rows_by_picture(image: NDArray[np.integer], pictures: int) -> list[NDArray[np.intp]]:
    """Return, for each of `pictures` pictures, the rows of `image` (N,) that hold its number."""
    order = np.argsort(image, kind="stable")
    return np.split(order, np.searchsorted(image[order], np.arange(1, pictures)))
