"""CIELAB, in which equal distances look about equal: lightness 0 to 100, and two axes of hue. White is D65."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_WHITE = np.array([0.9505, 1.0, 1.089])
_RGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear_to_lab(rgb: Floats) -> Floats:
    """Convert linear light (..., 3) to CIELAB (..., 3), D65."""
    t = rgb @ _RGB_TO_XYZ.T / _WHITE
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def lab_to_linear(lab: Floats) -> Floats:
    """Convert CIELAB (..., 3) to linear light (..., 3), clipped to [0, 1]."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    t = np.where(f**3 > 216 / 24389, f**3, (116 * f - 16) * 27 / 24389)
    return np.asarray(np.clip(t * _WHITE @ np.linalg.inv(_RGB_TO_XYZ).T, 0, 1))
