"""Shadows and glasses on crops of eyes, which must not be taken for a shut lid, and winks made of the eyes of two faces.

Pictures are (B, 3, S, S) float32 RGB, 0 to 255.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHADOW_SHARE, GLASSES_SHARE = 0.3, 0.25
SHADOW = (0.3, 0.8)  # light that is left in a shadow
REFLECTION = (0.0, 0.6)  # share of the mirrored surroundings in a lens
LENS = (0.3, 0.46)  # half axes of a lens, in sides of the crop
TINT = 0.35  # share of the glasses that are sunglasses
SEEN_THROUGH = (0.3, 0.9)  # light that sunglasses let through
FRAME = (0.02, 0.08)  # thickness of a frame, in half axes of the lens
SWAP_SHARE, WINK_SHARE = 0.3, 0.6  # share of the faces that get an eye of another face; share of these in which the lids differ
MAX_TURN = 0.25  # distance between the directions of the two faces
EVEN_LIDS, WINKING_LIDS = 0.12, 0.45  # largest difference of two even lids, smallest of two lids in a wink


def cast_shadows(picture: Tensor) -> Tensor:
    """Cast a shadow with a straight, more or less soft edge on a share of the pictures."""
    count, device = len(picture), picture.device
    right, down = _axes(picture)
    toward = 2 * math.pi * _uniform(count, device)
    beyond = right * toward.cos() + down * toward.sin() - 0.5 * (_uniform(count, device) - 0.5)
    inside = torch.sigmoid(beyond * torch.exp(1.5 + 2.5 * _uniform(count, device)))
    depth = (1 - _uniform(count, device, *SHADOW)) * (_uniform(count, device) < SHADOW_SHARE)
    return picture * (1 - depth * inside)


def put_on_glasses(picture: Tensor) -> Tensor:
    """Put a share of the faces behind glasses: a frame, the tint of sunglasses, and what the lenses mirror.

    Args:
        picture: The left and the right eye of each face, one after the other. Both lenses have the same size and tint; each mirrors
            something else.
    """
    count, device = len(picture), picture.device
    right, down = _axes(picture)

    def each_face(low: float = 0.0, high: float = 1.0) -> Tensor:
        return _uniform(count // 2, device, low, high).repeat_interleave(2, 0)

    def nearby() -> Tensor:
        return 0.08 * torch.randn(count, 1, 1, 1, device=device)

    x, y = (right + nearby()) / each_face(*LENS), (down + nearby()) / each_face(*LENS)
    power = each_face(2.0, 5.0)
    radius = (x.abs() ** power + y.abs() ** power) ** (1 / power)
    order = torch.randperm(count, device=device)
    mirrored = (1.4 * picture[order].transpose(2, 3)).clamp(max=255)
    share = _uniform(count, device, *REFLECTION) * _uniform(count, device)
    tint = torch.where(each_face() < TINT, each_face(*SEEN_THROUGH), 1.0)
    behind = picture * tint * (1 - share) + mirrored * share
    metal = 255 * each_face() ** 2
    frame = ((radius - 1).abs() < each_face(*FRAME)).float()
    seen = torch.where(radius < 1, behind, picture) * (1 - frame) + metal * frame
    return torch.where(each_face() < GLASSES_SHARE, seen, picture)


def choose_swaps(direction: Tensor, lid: Tensor) -> Tensor:
    """Choose the faces that get an eye of another face, and which: winks, and as a contrast pairs whose lids are even.

    Args:
        direction: (B, 3) in which the faces look, the left and the right eye of each face one after the other.
        lid: (B,) how far each lid is shut.

    Returns:
        (B,) index of the eye that each gets, of the same side. Most keep their own. At most one eye of a face is another's.

    Photos of winks are rare. Faces whose lids are even are swapped too: a network would otherwise learn that eyes of two faces wink.
    """
    count, device = len(lid), lid.device
    index = torch.arange(count, device=device)
    side = torch.randint(2, (count // 2,), device=device)
    own = index.reshape(-1, 2).gather(1, side[:, None])[:, 0]
    partner = own + 1 - 2 * side
    turn = torch.cdist(direction[own], direction)
    difference = (lid[partner][:, None] - lid).abs()
    wink = torch.rand(len(own), 1, device=device) < WINK_SHARE
    fits = torch.where(wink, difference > WINKING_LIDS, difference < EVEN_LIDS) & (turn < MAX_TURN)
    fits &= (index % 2 == side[:, None]) & (index // 2 != torch.arange(len(own), device=device)[:, None])
    rank = torch.where(fits, torch.rand(fits.shape, device=device), -1.0)
    chosen = (rank.amax(1) >= 0) & (torch.rand(len(own), device=device) < SWAP_SHARE)
    return index.index_copy(0, own[chosen], rank.argmax(1)[chosen])


def match_colors(picture: Tensor, like: Tensor) -> Tensor:
    """Give pictures (B, 3, S, S) the mean and the contrast of each color of other pictures."""
    mean, spread = picture.mean((2, 3), keepdim=True), picture.std((2, 3), keepdim=True)
    wanted_mean, wanted_spread = like.mean((2, 3), keepdim=True), like.std((2, 3), keepdim=True)
    gain = (wanted_spread / spread.clamp(min=1)).clamp(0.5, 2)
    return ((picture - mean) * gain + wanted_mean).clamp(0, 255)


def _axes(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places (1, 1, 1, S) and (1, 1, S, 1) of the px from the middle of the crop, in sides."""
    height, width = picture.shape[2:]
    across = torch.linspace(-0.5, 0.5, width, device=picture.device)
    along = torch.linspace(-0.5, 0.5, height, device=picture.device)
    return across[None, None, None], along[None, None, :, None]


def _uniform(count: int, device: torch.device, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw (B, 1, 1, 1) numbers."""
    return low + (high - low) * torch.rand(count, 1, 1, 1, device=device)
