"""Small triangle meshes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sphere(rings: int = 9, sides: int = 12) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return vertices (V, 3) and triangles (T, 3) of a unit sphere, counter-clockwise as seen from outside.

    Args:
        rings: Rows of vertices from pole to pole. The vertices of a pole are not merged.
        sides: Vertices of a row.
    """
    up, around = np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, sides, endpoint=False)
    x, z = np.outer(np.sin(up), np.cos(around)), np.outer(np.sin(up), np.sin(around))
    y = np.outer(np.cos(up), np.ones(sides))
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    triangles = np.stack([a, b, a + sides, b, b + sides, a + sides], -1).reshape(-1, 3)
    return np.stack([x, y, z], -1).reshape(-1, 3), triangles
