"""Photometric refinement: move fitted heads so that the lit, colored head looks like the photo, not only its landmarks.

Analysis by synthesis, as MobileFace (Chinaev et al. 2018) makes its labels. Each region of the head (skin, lips, brows, eyeballs) has one
color, under light of second-order spherical harmonics (Ramamoorthi and Hanrahan 2001); least squares finds both. The remaining difference
between photo and rendering moves the vertices, by the gradient through each pixel's barycentric weights; the landmarks hold the head near
the first fit. PyTorch3D rasterizes (`rasterize_pytorch3d`); nothing else here needs it. Letters: N faces, V vertices, T triangles, S side
of the crop in px, C region colors, P pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from mfn.fitting.fit_basis import FitBasis
from mfn.fitting.fitter import FitResult, fitted_points
from mfn.fitting.gauss_newton import rotation_from_vector
from retarget.render.spherical_harmonics import harmonic_polynomials

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel
    from retarget.io.images import Image

Rasterized = tuple[torch.Tensor, torch.Tensor]
Rasterizer = Callable[[torch.Tensor, torch.Tensor, int], Rasterized]
"""Function of points (N, V, 3) px of the crop (smaller z is nearer), triangles (T, 3) and S. It returns the nearest triangle of each pixel
(N, S, S) int64, -1 for none, and barycentric weights (N, S, S, 3) that are differentiable by the points."""

INSTALL_HINT = (
    "photometric refinement needs PyTorch3D, which has no wheels on PyPI: with a C++ compiler and PyTorch installed, "
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/pytorch3d.git'"
)
VISIBLE_REGIONS = ("face", "lids", "lips", "brows", "eyeball_left", "eyeball_right", "iris", "pupil", "mouth_inside", "teeth")


@dataclass(frozen=True)
class PhotometricOptions:
    """Constants of the refinement.

    Attributes:
        steps: steps of Adam.
        side: px of the crop's side.
        margin: size of the crop, in sizes of the landmarks' box.
        rate: learning rate.
        landmarks: weight of the landmarks' squared distance, in % of the crop's side.
        prior: weight of the squared change of identity and expression, in units of `deviations`.
        deviations: expected change of identity and of expression.
    """

    steps: int = 25
    side: int = 96
    margin: float = 1.15
    rate: float = 0.02
    landmarks: float = 0.02
    prior: float = 0.005
    deviations: tuple[float, float] = (0.3, 0.1)


def check_pytorch3d() -> None:
    """Raise ImportError with an install hint if PyTorch3D is missing."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes  # noqa: F401
    except ImportError:
        raise ImportError(INSTALL_HINT) from None


def rasterize_pytorch3d(points: torch.Tensor, triangles: torch.Tensor, side: int) -> Rasterized:
    """Rasterize with PyTorch3D, a `Rasterizer`. Its x points left and its y up, from 1 to -1 over the crop; visible is z > 0."""
    check_pytorch3d()
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
    """Rasterize with `retarget.render.rasterizer`, a `Rasterizer`. Slower; for tests and measurements without PyTorch3D."""
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


class Crops(NamedTuple):
    """Square crops around N faces. px of the crop = gain * px of the photo - corner.

    Attributes:
        image: (N, S, S, 3) float32 in [0, 1].
        gain: (N,).
        corner: (N, 2) px.
    """

    image: torch.Tensor
    gain: torch.Tensor
    corner: torch.Tensor


def crop_faces(pictures: Sequence[Image], points: torch.Tensor, options: PhotometricOptions) -> Crops:
    """Cut squares around the landmarks (N, K, 2) px out of each face's photo."""
    import cv2

    low, high = points.amin(1), points.amax(1)
    gain = options.side / (options.margin * (high - low).amax(1).clamp_min(1.0))
    corner = gain[:, None] * (low + high) / 2 - options.side / 2
    out = np.zeros((len(points), options.side, options.side, 3), np.float32)
    for i, picture in enumerate(pictures):
        g, (x, y) = float(gain[i]), corner[i].tolist()
        matrix = np.array([[g, 0, 0.5 * g - 0.5 - x], [0, g, 0.5 * g - 0.5 - y]])  # OpenCV counts from the center of the first pixel
        blurred = cv2.GaussianBlur(picture, (0, 0), 0.5 / g) if g < 1 else picture
        out[i] = cv2.warpAffine(blurred, matrix, (options.side, options.side), borderMode=cv2.BORDER_REPLICATE) / 255.0
    return Crops(torch.from_numpy(out), gain, corner)


def refine(
    found: FitResult,
    pictures: Sequence[Image],
    model: HeadModel,
    basis: FitBasis,
    rasterize: Rasterizer = rasterize_pytorch3d,
    options: PhotometricOptions | None = None,
) -> FitResult:
    """Refine fits by the colors of their photos.

    Args:
        found: N fits.
        pictures: N photos (H, W, 3) uint8 RGB, one for each face.
        model: the head model.
        basis: the head model at the landmarks that were fitted.
        rasterize: the rasterizer.
        options: constants of the refinement.

    Returns:
        The refined fits. `residual` stays that of the landmarks' fit.
    """
    options = options or PhotometricOptions()
    if len(pictures) != len(found.scale):
        raise ValueError(f"pictures: expected one for each of {len(found.scale)} faces, got {len(pictures)}")
    if not len(pictures):
        return found
    names = [model.region_names.index(name) for name in VISIBLE_REGIONS if name in model.region_names]
    region = torch.from_numpy((model.region[:, None] == names).astype(np.float32))
    head = torch.from_numpy(model.triangles.astype(np.int64)), region
    mean, shapes = (torch.from_numpy(x) for x in (model.mean, np.concatenate([model.identity_basis, model.expression_basis])))
    landmarks = fitted_points(basis, found)
    crop, gain, corner = crop_faces(pictures, landmarks, options)
    unknown = [torch.zeros(len(pictures), width, requires_grad=True) for width in (6, len(basis.identity), found.expression.shape[1])]
    adam = torch.optim.Adam([{"params": [u], "lr": options.rate * (0.1 if i == 0 else 1.0)} for i, u in enumerate(unknown)])
    for _ in range(options.steps):
        now = _moved(found, unknown, options.side / gain, options)
        vertices = mean + (torch.cat([now.identity, now.expression], 1) @ shapes.flatten(1)).reshape(len(pictures), -1, 3)
        rotated = vertices @ now.rotation.transpose(1, 2)
        place = torch.cat([now.center * gain[:, None] - corner, torch.zeros(len(pictures), 1)], 1)
        points = rotated * (now.scale * gain)[:, None, None] + place[:, None]
        off = (fitted_points(basis, now) - landmarks) * gain[:, None, None] * 100 / options.side
        loss = photometric_loss(rotated, points, crop, head, rasterize) + options.landmarks * off.pow(2).sum(2).mean(1)
        loss = loss + options.prior * (unknown[1].pow(2).sum(1) + unknown[2].pow(2).sum(1))
        adam.zero_grad()
        loss.sum().backward()
        adam.step()
    with torch.no_grad():
        return _moved(found, unknown, options.side / gain, options)


def _moved(found: FitResult, unknown: Sequence[torch.Tensor], size_px: torch.Tensor, options: PhotometricOptions) -> FitResult:
    """Apply the unknowns to the fits.

    unknown: pose (N, 6) as rotation vector, log scale and shift in sizes of the crop; identity (N, I) and expression (N, 51) in units of
    `deviations`. size_px: (N,) sizes of the crops in px of the photo.
    """
    pose, identity, expression = unknown
    return FitResult(
        rotation_from_vector(pose[:, :3]) @ found.rotation,
        found.scale * pose[:, 3].exp(),
        found.center + pose[:, 4:] * size_px[:, None],
        found.identity + options.deviations[0] * identity,
        (found.expression + options.deviations[1] * expression).clamp(0, 1),
        found.residual,
    )
