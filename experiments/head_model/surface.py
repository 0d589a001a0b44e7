"""Compute on triangle surfaces: boundary loops, distances, harmonic functions, level lines and closest points.

Lengths have the unit of the input. Letters: V vertices, T triangles, P surface points.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from retarget.geometry.closest_point import closest_in_triangle

Floats = NDArray[np.float64]
AnyFloats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class SurfacePoints(NamedTuple):
    """Hold P points on a surface: `corners` (P, 3) vertex numbers and barycentric `weights` (P, 3), each row of sum 1."""

    corners: Ints
    weights: Floats

    def interpolate(self, values: Floats) -> Floats:
        """Interpolate `values` (V, ...), one row a vertex, at the points; returns (P, ...)."""
        weights = self.weights.reshape(self.weights.shape + (1,) * (values.ndim - 1))
        return np.asarray((values[self.corners] * weights).sum(1))

    def take(self, index: Ints) -> SurfacePoints:
        """Return the points with the given numbers."""
        return SurfacePoints(self.corners[index], self.weights[index])


def concatenate_points(parts: list[SurfacePoints]) -> SurfacePoints:
    """Concatenate sets of surface points."""
    return SurfacePoints(np.concatenate([p.corners for p in parts]), np.concatenate([p.weights for p in parts]))


def at_vertices(index: Ints) -> SurfacePoints:
    """Return surface points that lie on the vertices `index` (P,)."""
    index = np.asarray(index)
    weights = np.zeros((len(index), 3))
    weights[:, 0] = 1.0
    return SurfacePoints(np.repeat(index[:, None], 3, 1), weights)


def boundary_loops(triangles: Ints) -> list[Ints]:
    """Find the boundary loops of an oriented surface.

    Args:
        triangles: (T, 3) vertex numbers.

    Returns:
        Ordered vertex numbers of each loop, the loop with most vertices first.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    known = set(map(tuple, edges.tolist()))
    follow = {a: b for a, b in known if (b, a) not in known}
    loops = []
    while follow:
        start = next(iter(follow))
        loop = [start]
        while (nxt := follow.pop(loop[-1])) != start:
            loop.append(nxt)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def cotangent_laplacian(vertices: Floats, triangles: Ints) -> tuple[csr_matrix, Floats]:
    """Compute the cotangent Laplacian of a mesh.

    Args:
        vertices: (V, 3) positions.
        triangles: (T, 3) vertex numbers.

    Returns:
        The positive semi-definite Laplacian (V, V) and the lumped area (V,) of each vertex.

    Cotangents are clipped to [1e-3, 20], so that thin triangles do not spoil the linear system.
    """
    count = len(vertices)
    rows, cols, vals = [], [], []
    for k in range(3):
        i, j, o = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        u, w = vertices[i] - vertices[o], vertices[j] - vertices[o]
        cot = (u * w).sum(1) / np.maximum(np.linalg.norm(np.cross(u, w), axis=1), 1e-12)
        cot = np.clip(cot, 1e-3, 20.0) / 2
        rows += [i, j]
        cols += [j, i]
        vals += [cot, cot]
    weight = coo_matrix(
        (np.concatenate(vals), (np.concatenate(rows), np.concatenate(cols))), shape=(count, count)
    ).tocsr()
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    lumped = np.bincount(triangles.ravel(), np.repeat(area / 3, 3), minlength=count)
    return diags(np.asarray(weight.sum(1)).ravel()) - weight, np.maximum(lumped, 1e-9)


def heat_distance(vertices: Floats, triangles: Ints, source: Ints) -> Floats:
    """Compute geodesic distances with the heat method.

    Args:
        vertices: (V, 3) positions.
        triangles: (T, 3) vertex numbers.
        source: (S,) vertices at distance 0.

    Returns:
        Distance (V,) of every vertex to the closest source.

    Method: Crane, Weischedel and Wardetzky, "Geodesics in Heat", 2013.
    """
    laplacian, area = cotangent_laplacian(vertices, triangles)
    edge = vertices[triangles[:, [1, 2, 0]]] - vertices[triangles]
    time = np.linalg.norm(edge, axis=2).mean() ** 2 * 2.0
    unit = np.zeros(len(vertices))
    unit[source] = 1.0
    used = np.zeros(len(vertices), bool)
    used[triangles.ravel()] = True
    ghost = diags((~used).astype(float))  # makes the matrix regular at vertices that no triangle uses
    heat = splu((diags(area) + time * laplacian + ghost).tocsc()).solve(unit)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    double = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = normal / np.maximum(double, 1e-12)
    gradient = sum(heat[triangles[:, k], None] * np.cross(normal, edge[:, (k + 1) % 3]) for k in range(3))
    field = -gradient / np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), 1e-300)
    divergence = np.zeros(len(vertices))
    for k in range(3):
        i, j, o = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        eij, eio, ejo = vertices[j] - vertices[i], vertices[o] - vertices[i], vertices[o] - vertices[j]
        cot_o = (eio * ejo).sum(1) / np.maximum(double[:, 0], 1e-12)
        cot_j = -(eij * ejo).sum(1) / np.maximum(double[:, 0], 1e-12)
        np.add.at(divergence, i, 0.5 * (cot_o * (eij * field).sum(1) + cot_j * (eio * field).sum(1)))
    pinned = diags(np.where(used, 1e-9, 1.0))
    distance = splu((laplacian + pinned).tocsc()).solve(-divergence)
    distance -= distance[source].mean()
    distance[source] = 0.0
    return np.asarray(distance)


def harmonic(vertices: Floats, triangles: Ints, fixed: Ints, values: Floats) -> Floats:
    """Solve for harmonic functions with fixed values at some vertices.

    Args:
        vertices: (V, 3) positions.
        triangles: (T, 3) vertex numbers.
        fixed: (F,) vertices with known values.
        values: (F, ...) the known values.

    Returns:
        Values (V, ...); 0 at vertices that no triangle uses.
    """
    laplacian, _ = cotangent_laplacian(vertices, triangles)
    out = np.zeros((len(vertices),) + values.shape[1:])
    out[fixed] = values
    free = np.setdiff1d(np.unique(triangles), fixed)
    rhs = -(laplacian[free][:, fixed] @ values)
    out[free] = splu(laplacian[free][:, free].tocsc()).solve(rhs)
    return out


def harmonic_fit(vertices: Floats, triangles: Ints, points: SurfacePoints, values: Floats) -> Floats:
    """Fit a smooth function to values at surface points.

    This is a least-squares form of `harmonic` for lines that do not follow mesh edges.

    Args:
        vertices: (V, 3) positions.
        triangles: (T, 3) vertex numbers.
        points: P points with known values.
        values: (P,) the known values.

    Returns:
        Values (V,) of the function.
    """
    laplacian, _ = cotangent_laplacian(vertices, triangles)
    rows = np.repeat(np.arange(len(values)), 3)
    selection = coo_matrix(
        (points.weights.ravel(), (rows, points.corners.ravel())), shape=(len(values), len(vertices))
    ).tocsr()
    unused = np.ones(len(vertices))
    unused[triangles.ravel()] = 0.0
    system = laplacian + 1e3 * (selection.T @ selection) + diags(unused + 1e-9)
    return np.asarray(splu(system.tocsc()).solve(1e3 * (selection.T @ values)))


def level_line(vertices: Floats, triangles: Ints, field: Floats, level: float) -> SurfacePoints:
    """Extract the longest connected line on which a function has a given value.

    Args:
        vertices: (V, 3) positions.
        triangles: (T, 3) vertex numbers.
        field: (V,) values of the function.
        level: The value on the line.

    Returns:
        Ordered points, each on a mesh edge: its corners are (a, b, b). A closed line repeats its first point at the end.
    """
    above = field > level
    tri = triangles[(above[triangles].sum(1) % 3) != 0]
    crossing: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for t in tri.tolist():
        keys = [tuple(sorted((t[k], t[(k + 1) % 3]))) for k in range(3) if above[t[k]] != above[t[(k + 1) % 3]]]
        crossing.setdefault(keys[0], []).append(keys[1])
        crossing.setdefault(keys[1], []).append(keys[0])
    lines = []
    remaining = set(crossing)
    while remaining:
        ends = [k for k in remaining if len(crossing[k]) == 1]
        start = ends[0] if ends else next(iter(remaining))
        line = [start]
        remaining.discard(start)
        while True:
            following = [k for k in crossing[line[-1]] if k in remaining]
            if not following:
                if len(line) > 2 and line[0] in crossing[line[-1]] and not ends:
                    line.append(line[0])
                break
            line.append(following[0])
            remaining.discard(following[0])
        lines.append(np.array(line))
    edges = max(lines, key=len)
    fa, fb = field[edges[:, 0]], field[edges[:, 1]]
    t = (level - fa) / (fb - fa)
    return SurfacePoints(edges[:, [0, 1, 1]], np.stack([1 - t, t, np.zeros_like(t)], 1))


def closest_points(
    points: AnyFloats, vertices: AnyFloats, triangles: NDArray[np.integer[Any]], near: int = 40
) -> tuple[SurfacePoints, Floats]:
    """Find the closest surface point of each query point.

    Args:
        points: (P, 3) query positions.
        vertices: (V, 3) positions.
        triangles: (T, 3) vertex numbers.
        near: Number of triangles that are tested for each point: those with the nearest centroids.

    Returns:
        The closest points and their distances (P,).
    """
    near = min(near, len(triangles))
    tree = cKDTree(vertices[triangles].mean(1))
    best_d = np.full(len(points), np.inf)
    best_t, best_w = np.zeros(len(points), int), np.zeros((len(points), 3))
    for chunk in np.array_split(np.arange(len(points)), max(1, len(points) // 4000)):
        cand = tree.query(points[chunk], near)[1].reshape(len(chunk), near)
        weights = closest_in_triangle(np.asarray(points[chunk][:, None], np.float64), vertices[triangles[cand]])
        target = (vertices[triangles[cand]] * weights[..., None]).sum(2)
        distance = np.linalg.norm(target - points[chunk][:, None], axis=2)
        pick = distance.argmin(1)
        rows = np.arange(len(chunk))
        best_d[chunk], best_t[chunk], best_w[chunk] = distance[rows, pick], cand[rows, pick], weights[rows, pick]
    return SurfacePoints(triangles[best_t].astype(np.int64), best_w), best_d
