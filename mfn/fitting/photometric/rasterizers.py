"""Two rasterizers with gradients: our own, and PyTorch3D's. Letters: N faces, V vertices, T triangles, S side of the crop in px."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

Rasterized = tuple[torch.Tensor, torch.Tensor]
Rasterizer = Callable[[torch.Tensor, torch.Tensor, int], Rasterized]
"""Function of points (N, V, 3) px of the crop (smaller z is nearer), triangles (T, 3) and S. It returns the nearest triangle of each pixel
(N, S, S) int64, -1 for none, and barycentric weights (N, S, S, 3) that are differentiable by the points."""


INSTALL_HINT = "PyTorch3D is missing: pip install \".[render]\" (a third party's wheels for torch 2.12), or build it from source"


def has_pytorch3d() -> bool:
    """Return whether PyTorch3D can be imported."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes  # noqa: F401
    except ImportError:
        return False
    return True


def rasterize_pytorch3d(points: torch.Tensor, triangles: torch.Tensor, side: int) -> Rasterized:
    """Rasterize with PyTorch3D, a `Rasterizer`. Its x points left and its y up, from 1 to -1 over the crop; visible is z > 0."""
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    plane = 1 - 2 * points[..., :2] / side
    depth = (points[..., 2:] - points[..., 2:].amin((1, 2), keepdim=True)) / side + 1
    meshes = Meshes(torch.cat([plane, depth], 2), triangles.expand(len(points), -1, -1))
    triangle, _, barycentric, _ = rasterize_meshes(meshes, side, blur_radius=0.0, faces_per_pixel=1, perspective_correct=False)
    first = len(triangles) * torch.arange(len(points))[:, None, None]  # PyTorch3D counts the triangles of all meshes on
    triangle = triangle[..., 0]
    return torch.where(triangle >= 0, triangle - first, triangle), barycentric[..., 0, :]


def rasterize_numpy(points: torch.Tensor, triangles: torch.Tensor, side: int) -> Rasterized:
    """Rasterize with `retarget.render.rasterizer`, a `Rasterizer`. On a CPU it is much faster than PyTorch3D."""
    from retarget.render.rasterizer import nearest_triangles

    corners = triangles.numpy()
    found = [nearest_triangles(face.detach().numpy().astype(np.float64), corners, side, side)[0] for face in points]
    triangle = torch.from_numpy(np.stack(found)).long() if found else torch.zeros(0, side, side, dtype=torch.long)
    row = torch.arange(side, dtype=points.dtype) + 0.5
    pixel = torch.stack([row.expand(side, side), row[:, None].expand(side, side)], 2)
    at = triangles[triangle.clamp_min(0)]  # (N, S, S, 3)
    corner = points[torch.arange(len(points))[:, None, None, None], at, :2] - pixel[..., None, :]
    x, y = corner.unbind(-1)
    area = torch.stack([x[..., i - 2] * y[..., i - 1] - x[..., i - 1] * y[..., i - 2] for i in range(3)], -1)
    total = area.sum(-1, keepdim=True)
    return triangle, area / torch.where(total.abs() < 1e-9, torch.ones_like(total), total)
