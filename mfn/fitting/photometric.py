"""Photometric refinement: pose, identity and expression so that the lit, coloured head looks like the picture, not only its landmarks.

Analysis by synthesis, as MobileFace (Chinaev et al. 2018) labels its pictures. Each region of the head (skin, lips, brows, eyeballs) has
one colour, under light of second-order spherical harmonics (Ramamoorthi and Hanrahan 2001); both follow from the picture in closed form.
What is left between picture and rendering moves the vertices, by the gradient through each pixel's barycentric weights; landmarks hold
them near where the fit had put them. PyTorch3D rasterises (`rasterize_pytorch3d`); nothing else here needs it. Letters: N faces,
V vertices, T triangles, S side of the crop in px, C region colours, P pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from mfn.fitting.fitter import FitBasis, FitResult, fitted_points
from mfn.fitting.gauss_newton import rotation_from_vector

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel
    from retarget.io.images import Picture

Rasterised = tuple[torch.Tensor, torch.Tensor]
Rasterizer = Callable[[torch.Tensor, torch.Tensor, int], Rasterised]
"""(points (N, V, 3) px of the crop with z, smaller is nearer; triangles (T, 3); S) -> (triangle (N, S, S) int64, -1 none; barycentric
(N, S, S, 3), differentiable by the points while what is visible stays as it is)."""

HOW = (
    "photometric refinement needs PyTorch3D, which has no wheels on PyPI: with a C++ compiler and PyTorch installed, "
    "pip install --no-build-isolation 'git+https://github.com/facebookresearch/pytorch3d.git'"
)
SEEN = ("face", "lids", "lips", "brows", "eyeball_left", "eyeball_right", "iris", "pupil", "mouth_inside", "teeth")


@dataclass(frozen=True)
class PhotometricOptions:
    """steps: of Adam; side: px of the crop; margin: its size in sizes of the landmarks' box; the rest weighs a mean over pixels against
    pulls: landmarks in % of the crop's side, identity and expression in units of `strays`, all towards the fit."""

    steps: int = 25
    side: int = 96
    margin: float = 1.15
    rate: float = 0.02
    landmarks: float = 0.02
    prior: float = 0.005
    strays: tuple[float, float] = (0.3, 0.1)


def check_pytorch3d() -> None:
    """ImportError in one line, with what to do, unless PyTorch3D is here."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes  # noqa: F401
    except ImportError:
        raise ImportError(HOW) from None


def rasterize_pytorch3d(points: torch.Tensor, triangles: torch.Tensor, side: int) -> Rasterised:
    """A `Rasterizer` by PyTorch3D, whose x points left and y up, from 1 to -1 over the picture, with all that is seen at z > 0."""
    check_pytorch3d()
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    plane = 1 - 2 * points[..., :2] / side
    depth = (points[..., 2:] - points[..., 2:].amin((1, 2), keepdim=True)) / side + 1
    meshes = Meshes(torch.cat([plane, depth], 2), triangles.expand(len(points), -1, -1))
    triangle, _, barycentric, _ = rasterize_meshes(meshes, side, blur_radius=0.0, faces_per_pixel=1, perspective_correct=False)
    first = len(triangles) * torch.arange(len(points))[:, None, None]  # it numbers the triangles of all meshes in one row
    triangle = triangle[..., 0]
    return torch.where(triangle >= 0, triangle - first, triangle), barycentric[..., 0, :]


def rasterize_numpy(points: torch.Tensor, triangles: torch.Tensor, side: int) -> Rasterised:
    """A `Rasterizer` by `retarget.render.rasterizer`, slower: for tests and measurements where PyTorch3D is absent."""
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


def normals(vertices: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Unit normals (N, V, 3) of vertices (N, V, 3): means of the triangles around, by area."""
    a, b, c = (vertices[:, triangles[:, k]] for k in range(3))
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total = total.index_add(1, triangles[:, k], face)
    return torch.nn.functional.normalize(total, dim=2, eps=1e-12)


def harmonics(normal: torch.Tensor) -> torch.Tensor:
    """The nine spherical harmonics of up to second order, without their constants: (..., 3) unit -> (..., 9)."""
    x, y, z = normal.unbind(-1)
    return torch.stack([torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], -1)


def explain(colour: torch.Tensor, region: torch.Tensor, light: torch.Tensor, seen: torch.Tensor, rounds: int = 3) -> torch.Tensor:
    """What the pixels would be: region colours under one light per channel, found by least squares, each in turn.

    colour (N, P, 3) picture, region (N, P, C) share of each region, light (N, P, 9) harmonics, seen (N, P) 0 or 1 -> (N, P, 3). Gradients
    flow through region and light; colours and lamps are held.
    """
    weight = seen[..., None]
    with torch.no_grad():
        lamp = torch.zeros(len(colour), 9, 3)
        lamp[:, 0] = 1.0
        for _ in range(rounds):
            lit = light @ lamp
            albedo = torch.stack([_solve(region * lit[..., [k]], colour[..., [k]], weight)[..., 0] for k in range(3)], 2)
            skin = region @ albedo
            lamp = torch.stack([_solve(light * skin[..., [k]], colour[..., [k]], weight)[..., 0] for k in range(3)], 2)
    return (region @ albedo) * (light @ lamp)


def _solve(columns: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Least squares with a little pull to zero: (N, P, K), (N, P, 1), (N, P, 1) -> (N, K, 1)."""
    scaled = columns * weight
    square = scaled.transpose(1, 2) @ columns
    pull = 1e-3 * square.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-6)
    return torch.linalg.solve(square + pull[:, None, None] * torch.eye(columns.shape[2]), scaled.transpose(1, 2) @ wanted)


def photometric_loss(
    turned: torch.Tensor, points: torch.Tensor, crop: torch.Tensor, head: tuple[torch.Tensor, torch.Tensor], rasterise: Rasterizer
) -> torch.Tensor:
    """Mean robust difference between crop and rendering over the pixels of the face: (N,).

    turned (N, V, 3) vertices in the camera's axes, points (N, V, 3) px of the crop, crop (N, S, S, 3) in 0 to 1, head: triangles (T, 3)
    and region (V, C), all zero for vertices that do not count.
    """
    triangles, region = head
    triangle, barycentric = rasterise(points, triangles, crop.shape[1])
    values = torch.cat([region.expand(len(points), -1, -1), -normals(turned, triangles)], 2)
    row = torch.arange(len(points))[:, None, None, None]
    pixel = (values[row, triangles[triangle.clamp_min(0)]] * barycentric[..., None]).sum(3).flatten(1, 2)
    share, normal = pixel[..., :-3], torch.nn.functional.normalize(pixel[..., -3:], dim=2, eps=1e-6)
    seen = ((triangle.flatten(1) >= 0) & (share.detach().sum(2) > 0.5)).float()
    colour = crop.flatten(1, 2)
    off = (explain(colour, share, harmonics(normal), seen) - colour).pow(2).sum(2)
    return ((off + 1e-3).sqrt() * seen).sum(1) / seen.sum(1).clamp_min(1)


def crops(pictures: Sequence[Picture], points: torch.Tensor, options: PhotometricOptions) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Squares around the landmarks (N, K, 2) px of each face's picture: (N, S, S, 3) in 0 to 1, gain (N,) and corner (N, 2), such that
    crop px are gain * px - corner."""
    import cv2

    low, high = points.amin(1), points.amax(1)
    gain = options.side / (options.margin * (high - low).amax(1).clamp_min(1.0))
    corner = gain[:, None] * (low + high) / 2 - options.side / 2
    out = np.zeros((len(points), options.side, options.side, 3), np.float32)
    for i, picture in enumerate(pictures):
        g, (x, y) = float(gain[i]), corner[i].tolist()
        matrix = np.array([[g, 0, 0.5 * g - 0.5 - x], [0, g, 0.5 * g - 0.5 - y]])  # OpenCV counts from the first pixel's middle
        blurred = cv2.GaussianBlur(picture, (0, 0), 0.5 / g) if g < 1 else picture
        out[i] = cv2.warpAffine(blurred, matrix, (options.side, options.side), borderMode=cv2.BORDER_REPLICATE) / 255.0
    return torch.from_numpy(out), gain, corner


def refine(
    found: FitResult,
    pictures: Sequence[Picture],
    model: HeadModel,
    basis: FitBasis,
    rasterise: Rasterizer = rasterize_pytorch3d,
    options: PhotometricOptions | None = None,
) -> FitResult:
    """The fits (N) after a look at the pictures themselves, uint8 RGB, one for each face. `residual` stays the landmarks' of the fit."""
    options = options or PhotometricOptions()
    if len(pictures) != len(found.scale):
        raise ValueError(f"pictures: expected one for each of {len(found.scale)} faces, got {len(pictures)}")
    if not len(pictures):
        return found
    names = [model.region_names.index(name) for name in SEEN if name in model.region_names]
    region = torch.from_numpy((model.region[:, None] == names).astype(np.float32))
    head = torch.from_numpy(model.triangles.astype(np.int64)), region
    mean, shapes = (torch.from_numpy(x) for x in (model.mean, np.concatenate([model.identity_basis, model.expression_basis])))
    marks = fitted_points(basis, found)
    crop, gain, corner = crops(pictures, marks, options)
    unknown = [torch.zeros(len(pictures), width, requires_grad=True) for width in (6, len(basis.identity), found.expression.shape[1])]
    adam = torch.optim.Adam([{"params": [u], "lr": options.rate * (0.1 if i == 0 else 1.0)} for i, u in enumerate(unknown)])
    for _ in range(options.steps):
        now = _moved(found, unknown, options.side / gain, options)
        vertices = mean + (torch.cat([now.identity, now.expression], 1) @ shapes.flatten(1)).reshape(len(pictures), -1, 3)
        turned = vertices @ now.rotation.transpose(1, 2)
        place = torch.cat([now.center * gain[:, None] - corner, torch.zeros(len(pictures), 1)], 1)
        points = turned * (now.scale * gain)[:, None, None] + place[:, None]
        off = (fitted_points(basis, now) - marks) * gain[:, None, None] * 100 / options.side
        loss = photometric_loss(turned, points, crop, head, rasterise) + options.landmarks * off.pow(2).sum(2).mean(1)
        loss = loss + options.prior * (unknown[1].pow(2).sum(1) + unknown[2].pow(2).sum(1))
        adam.zero_grad()
        loss.sum().backward()
        adam.step()
    with torch.no_grad():
        return _moved(found, unknown, options.side / gain, options)


def _moved(found: FitResult, unknown: Sequence[torch.Tensor], size_px: torch.Tensor, options: PhotometricOptions) -> FitResult:
    """The fit moved by the unknowns: pose (N, 6) turn, log scale, shift in sizes of the crop (N,) px; identity (N, I);
    expression (N, 51)."""
    pose, identity, expression = unknown
    return FitResult(
        rotation_from_vector(pose[:, :3]) @ found.rotation,
        found.scale * pose[:, 3].exp(),
        found.center + pose[:, 4:] * size_px[:, None],
        found.identity + options.strays[0] * identity,
        (found.expression + options.strays[1] * expression).clamp(0, 1),
        found.residual,
    )
