"""Triangle meshes: normals, areas, edges, connected pieces, boundaries.

Letters: V vertices, T triangles, B meshes. Triangles are (T, 3) vertex numbers, counter-clockwise as seen from outside.
Lengths are in the unit of the mesh. The functions of edges and pieces need SciPy (the extra `rig`).
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
AnyFloat = TypeVar("AnyFloat", bound=np.floating)

_TINY = 1e-300


def require_scipy() -> None:
    """Raise ImportError that names the extra if SciPy is not installed."""
    try:
        import scipy  # noqa: F401
    except ImportError:
        raise ImportError('making shapes for a mesh needs SciPy: pip install ".[rig]"') from None


def vertex_normals(vertices: NDArray[AnyFloat], triangles: NDArray[np.integer]) -> NDArray[AnyFloat]:
    """Return unit normals of vertices: means of the normals of the triangles around, weighted by area.

    Args:
        vertices: (..., V, 3) meshes of the same triangles.
        triangles: (T, 3)

    Returns:
        (..., V, 3) in the precision of `vertices`, outward; (0, 0, 0) for a vertex without triangles.
    """
    points = np.asarray(vertices, np.float64)
    count = points.shape[-2]
    flat = points.reshape(-1, 3)
    batch = flat.shape[0] // count if count else 0
    index = (np.asarray(triangles)[None] + count * np.arange(batch)[:, None, None]).reshape(-1, 3)  # (B T, 3)
    doubled = _doubled_area_vectors(flat, index)
    total = np.empty_like(flat)
    for axis in range(3):
        total[:, axis] = np.bincount(index.ravel(), np.repeat(doubled[:, axis], 3), minlength=len(flat))
    normals = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), _TINY)
    result: NDArray[AnyFloat] = normals.reshape(points.shape).astype(vertices.dtype)
    return result


class TriangleNormals(NamedTuple):
    """Normals and areas of triangles.

    Attributes:
        normal: (T, 3) unit, outward; zero for a triangle without area.
        area: (T,)
    """

    normal: Floats
    area: Floats


def triangle_normals(points: Floats, triangles: Ints) -> TriangleNormals:
    """Return unit normals and areas of triangles (T, 3) between points (V, 3)."""
    doubled = _doubled_area_vectors(points, triangles)
    length = np.linalg.norm(doubled, axis=1)
    return TriangleNormals(doubled / np.maximum(length, _TINY)[:, None], length / 2)


def vertex_areas(points: Floats, triangles: Ints) -> Floats:
    """Return for each vertex (V,) a third of the area of the triangles around it."""
    area = triangle_normals(points, triangles).area
    return np.bincount(triangles.ravel(), np.repeat(area / 3, 3), len(points)).astype(np.float64)


def edge_graph(points: Floats, triangles: Ints) -> Any:
    """Return the symmetric sparse matrix (V, V) of the lengths of edges."""
    from scipy.sparse import coo_matrix

    pairs = np.unique(np.sort(_edges(triangles), axis=1), axis=0)
    length = np.maximum(np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1), 1e-12)
    graph = coo_matrix((length, (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points))).tocsr()
    return graph + graph.T


def connected_pieces(count: int, triangles: Ints) -> Ints:
    """Return for each of `count` vertices (V,) the number of the connected piece it belongs to."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def boundary_vertices(count: int, triangles: Ints) -> NDArray[np.bool_]:
    """Return for each of `count` vertices (V,) whether it lies on an open boundary: on an edge of one triangle only."""
    key = np.sort(_edges(triangles), axis=1) @ np.array([count, 1])
    unique, times = np.unique(key, return_counts=True)
    single = unique[times == 1]
    result = np.zeros(count, bool)
    result[single // count] = result[single % count] = True
    return result


def slit_sides(graph: Any, slits: list[tuple[int, int, float]]) -> Floats:
    """Find the side of slits, such as the mouth and the eyes, on which vertices lie.

    Args:
        graph: (V, V) sparse lengths of edges, from `edge_graph`.
        slits: S slits: a vertex above, a vertex below, and half the length of the slit.

    Returns:
        (V, S) +1 above to -1 below, toward 0 far from the slit.

    Distances run along the surface around the ends of the slit, so that lips that touch are still far apart.
    """
    from scipy.sparse.csgraph import dijkstra

    columns = []
    for above, below, half_length in slits:
        limit = 8 * half_length
        up, down = dijkstra(graph, directed=False, indices=[above, below], limit=limit).clip(0, limit)
        side = np.tanh(4 * (down - up) / np.maximum(down + up, 1e-12))
        columns.append(side * np.exp(-np.maximum(np.minimum(up, down) / half_length - 1, 0)))
    return np.stack(columns, axis=1) if columns else np.zeros((graph.shape[0], 0))


def _doubled_area_vectors(points: Floats, triangles: NDArray[np.integer]) -> Floats:
    """Return normals (T, 3) whose length is twice the area of the triangle."""
    columns = np.ascontiguousarray(points.T)
    a, b, c = (columns.take(corner, 1) for corner in np.ascontiguousarray(triangles.T))
    (ux, uy, uz), (vx, vy, vz) = b - a, c - a
    return np.stack([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], axis=1)  # np.cross is slower


def _edges(triangles: Ints) -> Ints:
    """Return the edges (3T, 2) of triangles, shared ones twice."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
