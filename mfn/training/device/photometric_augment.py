"""Effects of light, cameras and files on a batch of pictures at once. Pictures are (B, 3, H, W) float32 RGB, 0 to 255."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

RGB_TO_YCC = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))
JPEG_STEPS = (16.0, 11.0, 10.0, 16.0, 24.0, 40.0, 51.0, 61.0)  # quantization steps of the lowest row, annex K of the JPEG standard


def jitter_colors(picture: Tensor) -> Tensor:
    """Draw exposure, contrast, gamma, color cast and side light for each picture. Some pictures turn gray."""
    count, device = len(picture), picture.device

    def normal(*size: int) -> Tensor:
        return torch.randn(count, *size, 1, 1, device=device)

    x = (picture / 255).clamp(1e-4, 1) ** (0.25 * normal(1)).exp()
    x = x * (0.15 * normal(1)).exp() * (1 + 0.05 * normal(3)) + 0.05 * normal(1)
    x = x * _side_light(x)
    gray = x.mean(1, keepdim=True).expand_as(x)
    x = torch.where(_chosen(count, 0.15, device), gray, x)
    return 255 * x.clamp(0, 1)


def _side_light(x: Tensor) -> Tensor:
    """Return factors (B, 1, H, W): one picture in four is lit from one side, by up to 2.2 times at the border."""
    count, device = len(x), x.device
    toward = torch.rand(count, 1, 1, 1, device=device) * 2 * math.pi
    most = math.log(2.2) * (0.3 + 0.7 * torch.rand(count, 1, 1, 1, device=device)) * _chosen(count, 0.25, device)
    across = torch.linspace(-1, 1, x.shape[3], device=device)[None, None, None]
    down = torch.linspace(-1, 1, x.shape[2], device=device)[None, None, :, None]
    return (most * (toward.cos() * across + toward.sin() * down).clamp(-1, 1)).exp()


def degrade(picture: Tensor) -> Tensor:
    """Add blur, haze, darkness, noise and JPEG artifacts, each to a share of the pictures, and round to whole values."""
    count, device = len(picture), picture.device
    x = _apply(_blur, picture, 0.15)
    haze = _chosen(count, 0.1, device) * (0.3 + 0.55 * torch.rand(count, 1, 1, 1, device=device))
    x = x + haze * (150 + 90 * torch.rand(count, 1, 1, 1, device=device) - x)
    dark = torch.where(_chosen(count, 0.1, device), torch.exp(-2.6 * torch.rand(count, 1, 1, 1, device=device)), 1.0)
    x = x * dark
    noise = _chosen(count, 0.25, device) * (2 + 10 * torch.rand(count, 1, 1, 1, device=device)) * dark.sqrt()
    x = x + noise * torch.randn_like(x)
    return _apply(_jpeg, x.clamp(0, 255).round(), 0.3).round()


def lower_resolution(picture: Tensor, sides_px: Sequence[int], share: float) -> Tensor:
    """Shrink some pictures and enlarge them again, so that they look like crops of small faces.

    Args:
        picture: (B, 3, H, W).
        sides_px: Sides to shrink to.
        share: Share of the batch for each of the sides. The others keep their resolution.

    Returns:
        (B, 3, H, W).
    """
    order = torch.randperm(len(picture), device=picture.device)
    out, start = picture.clone(), 0
    for side in sides_px:
        rows = order[start : start + int(share * len(picture))]
        start += len(rows)
        if len(rows):
            small = F.interpolate(picture[rows], size=(side, side), mode="area")
            mode = "bilinear" if torch.rand(()) < 0.7 else "bicubic"
            out[rows] = F.interpolate(small, size=picture.shape[2:], mode=mode, align_corners=False).clamp(0, 255)
    return out


def occlude(picture: Tensor, cover: Tensor, share: float) -> Tensor:
    """Cover up to a third of some pictures by an ellipse or a rectangle of other pictures.

    Args:
        picture: (B, 3, H, W).
        cover: (B, 3, H, W), where the patches come from.
        share: Share of the pictures that are covered.
    """
    count, _, height, width = picture.shape
    device = picture.device
    x = torch.linspace(0, 1, width, device=device)[None, None, None]
    y = torch.linspace(0, 1, height, device=device)[None, None, :, None]
    rand = torch.rand(count, 6, 1, 1, 1, device=device).unbind(1)
    cx, cy, rx, ry = rand[0], rand[1], 0.06 + 0.22 * rand[2], 0.06 + 0.22 * rand[3]
    turn = math.pi * rand[4]
    u = ((x - cx) * turn.cos() + (y - cy) * turn.sin()) / rx
    v = ((y - cy) * turn.cos() - (x - cx) * turn.sin()) / ry
    oval, oblong = u**2 + v**2 < 1, (u.abs() < 0.9) & (v.abs() < 0.9)
    mask = torch.where(rand[5] < 0.5, oval, oblong) & _chosen(count, share, device)
    return torch.where(mask, cover, picture)


def _chosen(count: int, share: float, device: torch.device) -> Tensor:
    """Choose a share of the pictures: (B, 1, 1, 1) bool."""
    return torch.rand(count, 1, 1, 1, device=device) < share


def _apply(effect: Callable[[Tensor], Tensor], picture: Tensor, share: float) -> Tensor:
    """Apply an effect to a random share of the pictures. The others are not computed."""
    rows = torch.randperm(len(picture), device=picture.device)[: round(share * len(picture))]
    return picture.index_copy(0, rows, effect(picture[rows])) if len(rows) else picture


def _blur(picture: Tensor) -> Tensor:
    """Blur by a Gaussian, with the same sigma for all pictures."""
    sigma = 0.4 + 1.2 * float(torch.rand(()))
    reach = int(3 * sigma) + 1
    at = torch.arange(-reach, reach + 1, device=picture.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    x = F.conv2d(F.pad(picture, (reach, reach, 0, 0), mode="replicate"), kernel[:, :, None, :], groups=3)
    return F.conv2d(F.pad(x, (0, 0, reach, reach), mode="replicate"), kernel[:, :, :, None], groups=3)


def _jpeg(picture: Tensor) -> Tensor:
    """Quantize 8 x 8 cosine blocks as a JPEG file of quality 30 to 90 does; colors keep their resolution.

    The cosine transform is a product of long rows with one 8 x 8 matrix, along each axis: products of many small matrices took most of a
    training step.
    """
    device = picture.device
    n = torch.arange(8, device=device, dtype=torch.float32)
    cosine = torch.cos((2 * n[None] + 1) * n[:, None] * math.pi / 16) * 0.5
    cosine[0] /= math.sqrt(2)
    quality = 30 + 60 * torch.rand(len(picture), 1, 1, 1, 1, 1, device=device)
    factor = torch.where(quality < 50, 50 / quality, 2 - quality / 50)
    first = torch.tensor(JPEG_STEPS, device=device)
    steps = torch.maximum(first[:, None, None], first) * factor  # (B, 1, 1, 8, 1, 8): frequency down, frequency across
    to_ycc = torch.tensor(RGB_TO_YCC, device=device)
    ycc = torch.einsum("ij,bjhw->bihw", to_ycc, picture - 128.0)
    blocks = ycc.unflatten(3, (-1, 8)).unflatten(2, (-1, 8))  # (B, 3, h, 8, w, 8)
    waves = _along_rows_and_columns(blocks, cosine)
    blocks = _along_rows_and_columns((waves / steps).round() * steps, cosine.T)
    ycc = blocks.flatten(4, 5).flatten(2, 3)
    return (torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_ycc), ycc) + 128.0).clamp(0, 255)


def _along_rows_and_columns(blocks: Tensor, matrix: Tensor) -> Tensor:
    """Multiply blocks (B, 3, h, 8, w, 8) by a matrix (8, 8) along both axes of 8."""
    across = blocks @ matrix.T
    return (across.transpose(3, 5) @ matrix.T).transpose(3, 5)
