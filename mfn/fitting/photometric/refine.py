"""Photometric refinement: move fitted heads so that the lit, colored head looks like the photo, not only its landmarks.

Analysis by synthesis, as MobileFace (Chinaev et al. 2018) makes its labels. Each region of the head (skin, lips, brows, eyeballs) has one
color, under light of second-order spherical harmonics; least squares finds both. The remaining difference between photo and rendering
moves the vertices, by the gradient through each pixel's barycentric weights; the landmarks hold the head near the first fit. Letters:
N faces, V vertices, T triangles, S side of the crop in px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from mfn.fitting.fit_basis import FitBasis
from mfn.fitting.fitter import FitResult, fitted_points
from mfn.fitting.gauss_newton import rotation_from_vector
from mfn.fitting.photometric.mesh_prior import uneven_movement
from mfn.fitting.photometric.rasterizers import Rasterizer, has_pytorch3d, rasterize_numpy
from mfn.fitting.photometric.shading import photometric_loss

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel
    from retarget.io.images import Image

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
        evenness: weight of the unevenness of the movement in mm; it needs PyTorch3D.
    """

    steps: int = 25
    side: int = 96
    margin: float = 1.15
    rate: float = 0.02
    landmarks: float = 0.02
    prior: float = 0.005
    deviations: tuple[float, float] = (0.3, 0.1)
    evenness: float = 0.05


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
    rasterize: Rasterizer = rasterize_numpy,
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
        The refined fits. Without PyTorch3D there is no prior on the evenness. `residual` stays that of the landmarks' fit.
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
    even = has_pytorch3d()
    first = mean + (torch.cat([found.identity, found.expression], 1) @ shapes.flatten(1)).reshape(len(pictures), -1, 3)
    for _ in range(options.steps):
        now = _moved(found, unknown, options.side / gain, options)
        vertices = mean + (torch.cat([now.identity, now.expression], 1) @ shapes.flatten(1)).reshape(len(pictures), -1, 3)
        rotated = vertices @ now.rotation.transpose(1, 2)
        place = torch.cat([now.center * gain[:, None] - corner, torch.zeros(len(pictures), 1)], 1)
        points = rotated * (now.scale * gain)[:, None, None] + place[:, None]
        off = (fitted_points(basis, now) - landmarks) * gain[:, None, None] * 100 / options.side
        loss = photometric_loss(rotated, points, crop, head, rasterize) + options.landmarks * off.pow(2).sum(2).mean(1)
        loss = loss + options.prior * (unknown[1].pow(2).sum(1) + unknown[2].pow(2).sum(1))
        total = loss.sum()
        if options.evenness and even:
            total = total + options.evenness * len(pictures) * uneven_movement(vertices - first, head[0])
        adam.zero_grad()
        total.backward()
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
