"""The nine real spherical harmonics of degrees 0 to 2, for soft light.

A surface that scatters light evenly can be lit with them alone (Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance
Environment Maps", SIGGRAPH 2001).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

HARMONIC_COUNT = 9
#: (9,) factors that make the polynomials orthonormal over the sphere.
HARMONIC_SCALES = np.array([0.2821, 0.4886, 0.4886, 0.4886, 1.0925, 1.0925, 0.3154, 1.0925, 0.5463], np.float32)


def harmonic_polynomials(x: Any, y: Any, z: Any) -> list[Any]:
    """Compute the harmonics without their scale factors.

    Args:
        x, y, z: coordinates of unit vectors, arrays of any one shape. NumPy arrays and torch tensors work alike.

    Returns:
        Nine arrays of the same shape, in the order of `HARMONIC_SCALES`: 1, y, z, x, xy, yz, 3z²-1, xz, x²-y².
    """
    return [x * 0 + 1, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]


def spherical_harmonics(direction: NDArray[np.floating]) -> Floats:
    """Compute the orthonormal harmonics of unit directions.

    Args:
        direction: (..., 3) unit vectors.

    Returns:
        (..., 9) float32.
    """
    x, y, z = np.moveaxis(np.asarray(direction, np.float32), -1, 0)
    return (np.stack(harmonic_polynomials(x, y, z), -1) * HARMONIC_SCALES).astype(np.float32)
