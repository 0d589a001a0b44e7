"""Chamfer distance and normal consistency of two surfaces, by PyTorch3D."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES = 4000


def has_pytorch3d() -> bool:
    """Return whether PyTorch3D is installed."""
    return find_spec("pytorch3d") is not None


def surface_figures(
    pairs: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
    first: NDArray[np.integer],
    second: NDArray[np.integer],
    seed: int,
) -> dict[str, float]:
    """Compare pairs of surfaces by points that are drawn evenly from both.

    Args:
        pairs: Vertices (V, 3) and (W, 3) of each pair, meters.
        first: (T, 3) triangles of the first surface.
        second: (U, 3) triangles of the second one.
        seed: Seed of the drawn points.

    Returns:
        `chamfer_mm`: mean distance of a drawn point from the other surface, both ways.
        `normal_consistency`: mean cosine between the normals of a point and of the closest one, 1 at best.
    """
    import torch
    from pytorch3d.loss import chamfer_distance
    from pytorch3d.ops import sample_points_from_meshes
    from pytorch3d.structures import Meshes

    torch.manual_seed(seed)
    distance, normals = [], []
    for vertices in pairs:
        meshes = [
            Meshes(torch.from_numpy(np.asarray(points, np.float32))[None], torch.from_numpy(np.asarray(corners, np.int64))[None])
            for points, corners in zip(vertices, (first, second), strict=True)
        ]
        drawn = [sample_points_from_meshes(mesh, SAMPLES, return_normals=True) for mesh in meshes]
        (a, a_normals), (b, b_normals) = drawn
        _, apart = chamfer_distance(a, b, x_normals=a_normals, y_normals=b_normals, abs_cosine=False)
        normals.append(1 - float(apart) / 2)  # it is the sum of both ways
        distance += [_distance_mm(a[0], meshes[1]), _distance_mm(b[0], meshes[0])]
    return {"chamfer_mm": round(float(np.mean(distance)), 3), "normal_consistency": round(float(np.mean(normals)), 4)}


def _distance_mm(points: Any, mesh: Any) -> float:
    """Return the mean distance in mm of points (P, 3) from a mesh; the small limit of areas lets no triangle of a head count as a line."""
    import torch
    from pytorch3d.loss.point_mesh_distance import point_face_distance

    triangles, start = mesh.verts_packed()[mesh.faces_packed()], torch.zeros(1, dtype=torch.long)
    squared = point_face_distance(1000 * points, start, 1000 * triangles, start, len(points), 1e-6)
    return float(squared.sqrt().mean())
