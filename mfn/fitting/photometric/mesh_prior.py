"""A prior of PyTorch3D on the movement of the mesh: neighbors move alike."""

from __future__ import annotations

import torch

_MM_PER_M = 1000.0


def uneven_movement(moved: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Measure how unevenly vertices moved: the mean length of the Laplacian of their movement, by `mesh_laplacian_smoothing`.

    Args:
        moved: (N, V, 3) movement of the vertices since the first fit, meters.
        triangles: (T, 3).

    Returns:
        (), mm, the mean over the faces.

    Raises:
        ImportError: PyTorch3D is missing.
    """
    from pytorch3d.loss import mesh_laplacian_smoothing
    from pytorch3d.structures import Meshes

    meshes = Meshes(moved * _MM_PER_M, triangles.expand(len(moved), -1, -1))
    return mesh_laplacian_smoothing(meshes, method="uniform")
