"""Geometry on triangle surfaces: loops, distances, level lines, flattening and closest points. Units are those of the input.

A point on a surface is written as one triangle corner triple and its barycentric weights: `corners (P, 3)`, `weights (P, 3)`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from retarget.geometry.closest_point import closest_in_triangle


class Points(NamedTuple):
    """Points on a surface: `corners (P, 3)` int vertex numbers and `weights (P, 3)` that sum to one."""

    corners: np.ndarray
    weights: np.ndarray

    def on(self, values: np.ndarray) -> np.ndarray:
        """Interpolate per-vertex `values (V, …)` -> (P, …)."""
        weights = self.weights.reshape(self.weights.shape + (1,) * (values.ndim - 1))
        return (values[self.corners] * weights).sum(1)

    def take(self, index: np.ndarray) -> Points:
        return Points(self.corners[index], self.weights[index])


def join(parts: list[Points]) -> Points:
    """Concatenate point lists."""
    return Points(np.concatenate([p.corners for p in parts]), np.concatenate([p.weights for p in parts]))


def at_vertices(index: np.ndarray) -> Points:
    """Points that sit on vertices `index (P,)`."""
    index = np.asarray(index)
    weights = np.zeros((len(index), 3))
    weights[:, 0] = 1.0
    return Points(np.repeat(index[:, None], 3, 1), weights)


def boundary_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """Boundary loops of an oriented surface, each an ordered array of vertices, longest first."""
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


def cotangent_laplacian(vertices: np.ndarray, triangles: np.ndarray) -> tuple[csr_matrix, np.ndarray]:
    """Positive semi-definite cotangent Laplacian (V, V) and lumped vertex areas (V,)."""
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


def heat_distance(vertices: np.ndarray, triangles: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Geodesic distance (V,) from the vertices `source` by the heat method (Crane et al. 2013)."""
    laplacian, area = cotangent_laplacian(vertices, triangles)
    edge = vertices[triangles[:, [1, 2, 0]]] - vertices[triangles]
    time = np.linalg.norm(edge, axis=2).mean() ** 2 * 2.0
    unit = np.zeros(len(vertices))
    unit[source] = 1.0
    used = np.zeros(len(vertices), bool)
    used[triangles.ravel()] = True
    ghost = diags((~used).astype(float))  # keeps the matrix regular at vertices that no triangle uses
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
    return distance


def harmonic(vertices: np.ndarray, triangles: np.ndarray, fixed: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Harmonic function(s) with given `values (F, …)` at the vertices `fixed (F,)`; unused vertices get 0."""
    laplacian, _ = cotangent_laplacian(vertices, triangles)
    out = np.zeros((len(vertices),) + values.shape[1:])
    out[fixed] = values
    free = np.setdiff1d(np.unique(triangles), fixed)
    rhs = -(laplacian[free][:, fixed] @ values)
    out[free] = splu(laplacian[free][:, free].tocsc()).solve(rhs)
    return out


def harmonic_near(vertices: np.ndarray, triangles: np.ndarray, points: Points, values: np.ndarray) -> np.ndarray:
    """Smooth function (V,) that comes close to `values (P,)` at surface points; for lines that do not follow mesh edges."""
    laplacian, _ = cotangent_laplacian(vertices, triangles)
    rows = np.repeat(np.arange(len(values)), 3)
    picks = coo_matrix(
        (points.weights.ravel(), (rows, points.corners.ravel())), shape=(len(values), len(vertices))
    ).tocsr()
    unused = np.ones(len(vertices))
    unused[triangles.ravel()] = 0.0
    system = laplacian + 1e3 * (picks.T @ picks) + diags(unused + 1e-9)
    return splu(system.tocsc()).solve(1e3 * (picks.T @ values))


def level_line(vertices: np.ndarray, triangles: np.ndarray, field: np.ndarray, level: float) -> Points:
    """The longest connected line `field = level`, ordered; closed lines repeat their first point.

    Each of its points lies on a mesh edge: `corners` are (a, b, b).
    """
    above = field > level
    tri = triangles[(above[triangles].sum(1) % 3) != 0]
    crossing: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for t in tri.tolist():
        keys = [tuple(sorted((t[k], t[(k + 1) % 3]))) for k in range(3) if above[t[k]] != above[t[(k + 1) % 3]]]
        crossing.setdefault(keys[0], []).append(keys[1])
        crossing.setdefault(keys[1], []).append(keys[0])
    lines = []
    left = set(crossing)
    while left:
        ends = [k for k in left if len(crossing[k]) == 1]
        here = ends[0] if ends else next(iter(left))
        line, previous = [here], None
        left.discard(here)
        while True:
            ahead = [k for k in crossing[line[-1]] if k in left]
            if not ahead:
                if len(line) > 2 and line[0] in crossing[line[-1]] and not ends:
                    line.append(line[0])
                break
            line.append(ahead[0])
            left.discard(ahead[0])
            previous = here
        lines.append(np.array(line))
        del previous
    edges = max(lines, key=len)
    fa, fb = field[edges[:, 0]], field[edges[:, 1]]
    t = (level - fa) / (fb - fa)
    return Points(edges[:, [0, 1, 1]], np.stack([1 - t, t, np.zeros_like(t)], 1))


def closest_points(
    points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, near: int = 40
) -> tuple[Points, np.ndarray]:
    """Closest surface point of each of `points (P, 3)`, and the distance (P,). Looks at the `near` nearest triangles."""
    near = min(near, len(triangles))
    tree = cKDTree(vertices[triangles].mean(1))
    best_d = np.full(len(points), np.inf)
    best_t, best_w = np.zeros(len(points), int), np.zeros((len(points), 3))
    for chunk in np.array_split(np.arange(len(points)), max(1, len(points) // 4000)):
        cand = tree.query(points[chunk], near)[1].reshape(len(chunk), near)
        weights = closest_in_triangle(points[chunk][:, None], vertices[triangles[cand]])
        spot = (vertices[triangles[cand]] * weights[..., None]).sum(2)
        distance = np.linalg.norm(spot - points[chunk][:, None], axis=2)
        pick = distance.argmin(1)
        rows = np.arange(len(chunk))
        best_d[chunk], best_t[chunk], best_w[chunk] = distance[rows, pick], cand[rows, pick], weights[rows, pick]
    return Points(triangles[best_t], best_w), best_d
