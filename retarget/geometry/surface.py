"""Triangle meshes as surfaces: normals, closest points, distances along them, smoothness operators.

Letters: V vertices, T triangles, P query points. Lengths are in the mesh's unit. SciPy is needed (the `rig` extra).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_NEAR = 12
_PORTION = 4000


def need_scipy() -> None:
    """ImportError with one line that names the extra, if SciPy is not installed."""
    try:
        import scipy  # noqa: F401
    except ImportError:
        raise ImportError("making shapes for a mesh needs SciPy: pip install '.[rig]'") from None


@dataclass(frozen=True)
class Contact:
    """Closest points: triangle (P,), weight (P, 3) of its corners, distance (P,)."""

    triangle: Ints
    weight: Floats
    distance: Floats


class Surface:
    """A mesh to find closest points on. points: (V, 3). triangles: (T, 3). sides: (V, S) on which side of each slit a
    vertex lies, +1 above to -1 below (`slit_sides`). facing, apart: lengths; a point whose normal is opposite counts as 2 x
    facing farther, one on the other side of a slit as 2 x apart."""

    def __init__(self, points: Floats, triangles: Ints, sides: Floats, facing: float, apart: float) -> None:
        from scipy.spatial import cKDTree

        self.points, self.triangles, self.sides = points, triangles, sides
        self.scale = facing, apart
        self.normals = triangle_normals(points, triangles)[0]
        self.rim = rim(len(points), triangles)
        self._feature = self._features(points[triangles].mean(1), self.normals, sides[triangles].mean(1))
        self._tree = cKDTree(self._feature)

    def closest(self, points: Floats, normals: Floats, sides: Floats) -> Contact:
        """points (P, 3), their normals (P, 3) and sides (P, S) -> the closest points of this surface."""
        wanted = self._features(points, normals, sides)
        near = min(_NEAR, len(self.triangles))
        parts = []
        for rows in np.array_split(np.arange(len(points)), max(1, -(-len(points) // _PORTION))):
            candidate = self._tree.query(wanted[rows], near)[1].reshape(len(rows), near)
            corners = self.points[self.triangles[candidate]]  # (p, near, 3 corners, 3)
            weight = closest_in_triangle(points[rows, None], corners)
            off = np.einsum("pnki,pnk->pni", corners, weight) - points[rows, None]
            squared = _dot(off, off)
            cost = squared + ((self._feature[candidate, 3:] - wanted[rows, None, 3:]) ** 2).sum(-1)
            pick = np.arange(len(rows)), cost.argmin(1)
            parts.append((candidate[pick], weight[pick], np.sqrt(squared[pick])))
        triangle, weight, distance = (np.concatenate(column) for column in zip(*parts))
        return Contact(triangle, weight, distance)

    def at(self, contact: Contact, values: NDArray[Any]) -> NDArray[Any]:
        """Per-vertex values (V, ...) at closest points -> (P, ...)."""
        weight = contact.weight.reshape(contact.weight.shape + (1,) * (values.ndim - 1))
        return np.asarray((values[self.triangles[contact.triangle]] * weight).sum(1))

    def at_rim(self, contact: Contact) -> NDArray[np.bool_]:
        """(P,) the closest point lies on the open border: the surface ends there."""
        return np.asarray((self.rim[self.triangles[contact.triangle]] | (contact.weight < 1e-6)).all(1))

    def _features(self, points: Floats, normals: Floats, sides: Floats) -> Floats:
        return np.concatenate([points, normals * self.scale[0], sides * self.scale[1]], axis=1)


def closest_in_triangle(points: Floats, corners: Floats) -> Floats:
    """Weights (..., 3) of the points of triangles (..., 3 corners, 3) that are closest to points (..., 3)."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    ab, ac, ap = b - a, c - a, points - a
    d00, d01, d11, d20, d21 = (_dot(*two) for two in ((ab, ab), (ab, ac), (ac, ac), (ap, ab), (ap, ac)))
    area = d00 * d11 - d01 * d01
    safe = np.where(area > 1e-30, area, 1)
    v, w = (d11 * d20 - d01 * d21) / safe, (d00 * d21 - d01 * d20) / safe
    best = np.stack([1 - v - w, v, w], -1)
    inside = (best >= 0).all(-1) & (area > 1e-30)
    least = np.where(inside, -1.0, np.inf)  # within its triangle nothing on an edge is closer
    for i in range(3):
        j = (i + 1) % 3
        edge = corners[..., j, :] - corners[..., i, :]
        t = (_dot(points - corners[..., i, :], edge) / np.maximum(_dot(edge, edge), 1e-30)).clip(0, 1)
        off = corners[..., i, :] + t[..., None] * edge - points
        squared = _dot(off, off)
        weight = np.zeros(best.shape)
        weight[..., i], weight[..., j] = 1 - t, t
        best = np.where((squared < least)[..., None], weight, best)
        least = np.minimum(least, squared)
    return best


def _dot(a: Floats, b: Floats) -> Floats:
    return np.einsum("...i,...i->...", a, b)


def triangle_normals(points: Floats, triangles: Ints) -> tuple[Floats, Floats]:
    """Unit normals (T, 3), zero for triangles without area, and areas (T,)."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    return normal / np.maximum(length, 1e-300)[:, None], length / 2


def point_normals(points: Floats, triangles: Ints) -> Floats:
    """Unit vertex normals (V, 3), triangles weighted by area; zero where there is none."""
    unit, area = triangle_normals(points, triangles)
    total = np.zeros(points.shape)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(triangles[:, k], unit[:, axis] * area, len(points))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-300)


def point_areas(points: Floats, triangles: Ints) -> Floats:
    """(V,) a third of the area of the triangles around each vertex."""
    area = triangle_normals(points, triangles)[1]
    return np.bincount(triangles.ravel(), np.repeat(area / 3, 3), len(points)).astype(np.float64)


def edge_graph(points: Floats, triangles: Ints) -> Any:
    """Symmetric sparse (V, V) matrix of edge lengths."""
    from scipy.sparse import coo_matrix

    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    length = np.maximum(np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1), 1e-12)
    graph = coo_matrix((length, (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points))).tocsr()
    return graph + graph.T


def components(count: int, triangles: Ints) -> Ints:
    """(V,) number of the connected piece of each of `count` vertices."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows, columns = triangles[:, [0, 1]].T, triangles[:, [1, 2]].T
    pairs = np.concatenate([rows, columns], axis=1)
    graph = coo_matrix((np.ones(pairs.shape[1], np.int8), (pairs[0], pairs[1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def rim(count: int, triangles: Ints) -> NDArray[np.bool_]:
    """(V,) vertices on an open border."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    key = np.sort(edges, axis=1) @ np.array([count, 1])
    unique, times = np.unique(key, return_counts=True)
    single = unique[times == 1]
    result = np.zeros(count, bool)
    result[single // count] = result[single % count] = True
    return result


def slit_sides(graph: Any, slits: list[tuple[int, int, float]]) -> Floats:
    """On which side of each of S slits (mouth, eyes) every vertex lies: (V, S), +1 above, -1 below, fading out away from it.

    slits: a vertex above, one below, and the half length of the slit. Distances run along the surface, round the slit's
    ends, so that lips that touch are still far from each other.
    """
    from scipy.sparse.csgraph import dijkstra

    columns = []
    for above, below, half in slits:
        up, down = dijkstra(graph, directed=False, indices=[above, below], limit=8 * half).clip(0, 8 * half)
        side = np.tanh(4 * (down - up) / np.maximum(down + up, 1e-12))
        columns.append(side * np.exp(-np.maximum(np.minimum(up, down) / half - 1, 0)))
    return np.stack(columns, axis=1) if columns else np.zeros((graph.shape[0], 0))


def solver(system: Any) -> Callable[[Floats], Floats]:
    """Solves with a sparse symmetric positive definite (V, V) matrix for right sides (V, K), factorised once."""
    from scipy.sparse.linalg import splu

    factor = splu(system.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return factor.solve  # type: ignore[no-any-return]


def gradients(points: Floats, triangles: Ints) -> tuple[Any, Floats]:
    """The operator (3T, V) that gives each triangle's gradient of a function on the vertices (rows 3t to 3t + 2: x, y, z),
    and areas (T,). Slivers have a gradient of zero."""
    from scipy.sparse import coo_matrix

    normal, area = triangle_normals(points, triangles)
    usable = area > 1e-9 * max(float(area.mean()), 1e-30)
    rows, columns, values = [], [], []
    for k in range(3):
        opposite = points[triangles[:, (k + 2) % 3]] - points[triangles[:, (k + 1) % 3]]
        hat = np.cross(normal, opposite) / np.where(usable, 2 * area, np.inf)[:, None]  # (T, 3)
        rows.append(np.arange(3 * len(triangles)))
        columns.append(np.repeat(triangles[:, k], 3))
        values.append(hat.ravel())
    shape = 3 * len(triangles), len(points)
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return coo_matrix(entries, shape=shape).tocsr(), np.where(usable, area, 0.0)
