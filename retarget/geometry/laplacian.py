"""Sparse operators on triangle meshes. SciPy is needed (the extra `rig`).

The Laplacian of a mesh is `gradient.T @ diags(areas) @ gradient`, with the operator of `gradient_operator`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from retarget.geometry.mesh import Floats, Ints, triangle_normals

_MIN_RELATIVE_AREA = 1e-9


class GradientOperator(NamedTuple):
    """The gradient of functions on the vertices.

    Attributes:
        matrix: (3T, V) sparse; rows 3t to 3t + 2 give x, y, z of the gradient in triangle t.
        area: (T,) areas of the triangles; zero for triangles that are too thin to have a gradient.
    """

    matrix: Any
    area: Floats


def gradient_operator(points: Floats, triangles: Ints) -> GradientOperator:
    """Return the gradient operator of a mesh of points (V, 3) and triangles (T, 3)."""
    from scipy.sparse import coo_matrix

    normal, area = triangle_normals(points, triangles)
    usable = area > _MIN_RELATIVE_AREA * max(float(area.mean()), 1e-30)
    rows, columns, values = [], [], []
    for k in range(3):
        opposite = points[triangles[:, (k + 2) % 3]] - points[triangles[:, (k + 1) % 3]]
        hat = np.cross(normal, opposite) / np.where(usable, 2 * area, np.inf)[:, None]  # (T, 3) gradient of one corner
        rows.append(np.arange(3 * len(triangles)))
        columns.append(np.repeat(triangles[:, k], 3))
        values.append(hat.ravel())
    shape = 3 * len(triangles), len(points)
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return GradientOperator(coo_matrix(entries, shape=shape).tocsr(), np.where(usable, area, 0.0))


def factorize(system: Any) -> Callable[[Floats], Floats]:
    """Factorize a sparse symmetric positive definite matrix (V, V).

    Returns:
        A function that solves the system for right-hand sides (V, K).
    """
    from scipy.sparse.linalg import splu

    factor = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    solve: Callable[[Floats], Floats] = factor.solve
    return solve
