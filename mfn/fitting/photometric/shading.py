"""Predict the colors of a photo from the head: one color a region, lit by spherical harmonics (Ramamoorthi and Hanrahan 2001).

Letters: N faces, V vertices, T triangles, S side of the crop in px, C region colors, P pixels.
"""

from __future__ import annotations

import torch

from mfn.fitting.photometric.rasterizers import Rasterizer
from retarget.render.spherical_harmonics import harmonic_polynomials


def vertex_normals(vertices: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Compute unit normals (N, V, 3) of vertices (N, V, 3), with gradients; triangles (T, 3) are weighted by area."""
    a, b, c = (vertices[:, triangles[:, k]] for k in range(3))
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total = total.index_add(1, triangles[:, k], face)
    return torch.nn.functional.normalize(total, dim=2, eps=1e-12)


def harmonics(normal: torch.Tensor) -> torch.Tensor:
    """Compute the nine spherical harmonics up to degree 2, without scale factors: (..., 3) unit normals to (..., 9)."""
    return torch.stack(harmonic_polynomials(*normal.unbind(-1)), -1)


def shade_by_region(
    color: torch.Tensor, region: torch.Tensor, light: torch.Tensor, visible: torch.Tensor, rounds: int = 3
) -> torch.Tensor:
    """Predict the pixels from one color for each region and one light for each channel, found by alternating least squares.

    Args:
        color: (N, P, 3) colors of the photo.
        region: (N, P, C) share of each region.
        light: (N, P, 9) spherical harmonics of the normals.
        visible: (N, P) 0 or 1.
        rounds: of the least squares.

    Returns:
        (N, P, 3). Gradients flow through `region` and `light`; colors and lamps are constants.
    """
    weight = visible[..., None]
    with torch.no_grad():
        lamp = torch.zeros(len(color), 9, 3)
        lamp[:, 0] = 1.0
        for _ in range(rounds):
            lit = light @ lamp
            albedo = torch.stack([_solve(region * lit[..., [k]], color[..., [k]], weight)[..., 0] for k in range(3)], 2)
            skin = region @ albedo
            lamp = torch.stack([_solve(light * skin[..., [k]], color[..., [k]], weight)[..., 0] for k in range(3)], 2)
    return (region @ albedo) * (light @ lamp)


def _solve(columns: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Solve regularized least squares: (N, P, K), target (N, P, 1), weight (N, P, 1) to (N, K, 1)."""
    scaled = columns * weight
    square = scaled.transpose(1, 2) @ columns
    damping = 1e-3 * square.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-6)
    return torch.linalg.solve(square + damping[:, None, None] * torch.eye(columns.shape[2]), scaled.transpose(1, 2) @ target)


def photometric_loss(
    rotated: torch.Tensor, points: torch.Tensor, crop: torch.Tensor, head: tuple[torch.Tensor, torch.Tensor], rasterize: Rasterizer
) -> torch.Tensor:
    """Compute the mean robust difference between photo and rendering over the pixels of each face.

    Args:
        rotated: (N, V, 3) meters, vertices in camera axes.
        points: (N, V, 3) px of the crop.
        crop: (N, S, S, 3) in [0, 1].
        head: triangles (T, 3) and regions (V, C); vertices whose regions are all 0 do not count.
        rasterize: the rasterizer.

    Returns:
        (N,).
    """
    triangles, region = head
    triangle, barycentric = rasterize(points, triangles, crop.shape[1])
    values = torch.cat([region.expand(len(points), -1, -1), -vertex_normals(rotated, triangles)], 2)
    row = torch.arange(len(points))[:, None, None, None]
    pixel = (values[row, triangles[triangle.clamp_min(0)]] * barycentric[..., None]).sum(3).flatten(1, 2)
    share, normal = pixel[..., :-3], torch.nn.functional.normalize(pixel[..., -3:], dim=2, eps=1e-6)
    visible = ((triangle.flatten(1) >= 0) & (share.detach().sum(2) > 0.5)).float()
    color = crop.flatten(1, 2)
    difference = (shade_by_region(color, share, harmonics(normal), visible) - color).pow(2).sum(2)
    return ((difference + 1e-3).sqrt() * visible).sum(1) / visible.sum(1).clamp_min(1)
