"""Closest points on triangle meshes. SciPy is needed (the extra `rig`).

Letters: V vertices, T triangles, S slits, P query points. Lengths are in the unit of the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.mesh import Floats, Ints, boundary_vertices, triangle_normals

_CANDIDATES = 12  # triangles that are compared for each point
_POINTS_AT_ONCE = 4000
_MIN_AREA = 1e-30


@dataclass(frozen=True)
class SurfacePoints:
    """Points on a mesh.

    Attributes:
        triangle: (P,) the triangle that each point lies on.
        weight: (P, 3) barycentric weights of its corners.
        distance: (P,) distance from the query point.
    """

    triangle: Ints
    weight: Floats
    distance: Floats


class ClosestPointIndex:
    """Finds the closest points on a mesh.

    Args:
        points: (V, 3)
        triangles: (T, 3)
        sides: (V, S) on which side of each slit a vertex lies, from `slit_sides`.
        facing: A query point whose normal is opposite to that of a triangle counts as 2 * facing farther from it.
        apart: A query point on the other side of a slit counts as 2 * apart farther.
    """

    def __init__(self, points: Floats, triangles: Ints, sides: Floats, facing: float, apart: float) -> None:
        from scipy.spatial import cKDTree

        self.points, self.triangles, self.sides = points, triangles, sides
        self.normals = triangle_normals(points, triangles).normal
        self.boundary = boundary_vertices(len(points), triangles)
        self._factors = facing, apart
        self._feature = self._features(points[triangles].mean(1), self.normals, sides[triangles].mean(1))
        self._tree = cKDTree(self._feature)

    def closest(self, points: Floats, normals: Floats, sides: Floats) -> SurfacePoints:
        """Find the points of the mesh that are closest to query points.

        Args:
            points: (P, 3)
            normals: (P, 3) unit normals at the query points.
            sides: (P, S) on which side of each slit they lie.
        """
        wanted = self._features(points, normals, sides)
        count = min(_CANDIDATES, len(self.triangles))
        parts = []
        for rows in np.array_split(np.arange(len(points)), max(1, -(-len(points) // _POINTS_AT_ONCE))):
            candidate = self._tree.query(wanted[rows], count)[1].reshape(len(rows), count)
            corners = self.points[self.triangles[candidate]]  # (p, candidates, 3 corners, 3)
            weight = closest_in_triangle(points[rows, None], corners)
            offset = np.einsum("pnki,pnk->pni", corners, weight) - points[rows, None]
            squared = _dot(offset, offset)
            cost = squared + ((self._feature[candidate, 3:] - wanted[rows, None, 3:]) ** 2).sum(-1)
            best = np.arange(len(rows)), cost.argmin(1)
            parts.append((candidate[best], weight[best], np.sqrt(squared[best])))
        triangle, weight, distance = (np.concatenate(column) for column in zip(*parts))
        return SurfacePoints(triangle, weight, distance)

    def interpolate(self, found: SurfacePoints, values: NDArray[Any]) -> NDArray[Any]:
        """Return the values (P, ...) at points of the mesh between values (V, ...) at its vertices."""
        weight = found.weight.reshape(found.weight.shape + (1,) * (values.ndim - 1))
        return np.asarray((values[self.triangles[found.triangle]] * weight).sum(1))

    def on_boundary(self, found: SurfacePoints) -> NDArray[np.bool_]:
        """Return for each point (P,) whether it lies on an open boundary, where the mesh ends."""
        return np.asarray((self.boundary[self.triangles[found.triangle]] | (found.weight < 1e-6)).all(1))

    def _features(self, points: Floats, normals: Floats, sides: Floats) -> Floats:
        return np.concatenate([points, normals * self._factors[0], sides * self._factors[1]], axis=1)


def closest_in_triangle(points: Floats, corners: Floats) -> Floats:
    """Find the points of triangles that are closest to given points.

    Args:
        points: (..., 3)
        corners: (..., 3 corners, 3)

    Returns:
        (..., 3) barycentric weights of the corners.
    """
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11, d20, d21 = (_dot(*two) for two in ((ab, ab), (ab, ac), (ac, ac), (ap, ab), (ap, ac)))
    area = d00 * d11 - d01 * d01
    safe = np.where(area > _MIN_AREA, area, 1)
    v, w = (d11 * d20 - d01 * d21) / safe, (d00 * d21 - d01 * d20) / safe
    best = np.stack([1 - v - w, v, w], -1)
    inside = (best >= 0).all(-1) & (area > _MIN_AREA)
    smallest = np.where(inside, -1.0, np.inf)  # if the foot of the perpendicular is inside, no edge is closer
    for i in range(3):
        j = (i + 1) % 3
        edge = corners[..., j, :] - corners[..., i, :]
        t = (_dot(points - corners[..., i, :], edge) / np.maximum(_dot(edge, edge), _MIN_AREA)).clip(0, 1)
        offset = corners[..., i, :] + t[..., None] * edge - points
        squared = _dot(offset, offset)
        weight = np.zeros(best.shape)
        weight[..., i], weight[..., j] = 1 - t, t
        best = np.where((squared < smallest)[..., None], weight, best)
        smallest = np.minimum(smallest, squared)
    return best


def _dot(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.einsum("...i,...i->...", a, b), np.float64)
