"""The second look: found faces are read once more at their own points, and put right. Its cost does not follow the number of faces.

A cell guesses pose, identity and expression; the points of that guess are put on a map of local features, and what lies there tells what
is wrong with it. A face then stands in its own frame, whatever its place, size and turn, as after the crop of a network that reads one
face at a time, and as in a step of cascaded regression (Xiong and De la Torre, CVPR 2013, eq. 8; Ren et al., CVPR 2014).
Only cells of strides 16 to 64 are looked at: faces from about 40 px of the network's input on. Smaller ones keep their first guess.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mfn.decode import read_parameters
from mfn.face_loss import project
from mfn.head_model import HeadModel
from mfn.network.layout import PARAMETER_SIZE, PARAMETERS, SLICES

# Of the 68: every second point of the jaw, and the points of brows, nose, eyes and mouth that span them. Of MediaPipe's: the forehead's.
POINTS_68 = (
    *(0, 2, 4, 6, 8, 10, 12, 14, 16, 17, 19, 21, 22, 24, 26, 27, 30, 31, 33, 35),
    *(36, 37, 39, 41, 42, 44, 45, 46, 48, 50, 52, 54, 56, 58, 62, 66),
)
POINTS_478 = (10, 54, 284, 127, 356)
LOOKED_AT = 12  # one in so many cells is read again, those with the best scores: 189 of a 16:9 picture of the large model


class Level(NamedTuple):
    """What one size of the picture gives: features (B, C, h, w) at half the cells' stride, for cells (H, W) of this stride."""

    features: Tensor
    stride: int
    height: int | Tensor
    width: int | Tensor


class Places(NamedTuple):
    """Where the features of the cells lie: center (A, 2) px, stride, first, width, height (A,) of each cell's map, features (B, T, C)."""

    center: Tensor
    stride: Tensor
    first: Tensor
    width: Tensor
    height: Tensor
    features: Tensor


class Refiner(nn.Module):
    """Cells -> the same cells with the best of them put right.

    channels: of the features; looks: how often, each time at the points that the last look gave; hidden: of the two layers.
    """

    def __init__(self, channels: int, looks: int = 1, hidden: tuple[int, int] = (192, 128)) -> None:
        super().__init__()
        self.looks = looks
        for name, value in zip(("mean", "identity", "expression"), _points(HeadModel.load()), strict=True):
            self.register_buffer(name, value, persistent=False)
        size = len(self.mean) * channels + PARAMETER_SIZE
        # leaky: of plain ReLUs two thirds came out of training dead
        self.layers = nn.Sequential(nn.Linear(size, hidden[0]), nn.LeakyReLU(), nn.Linear(hidden[0], hidden[1]), nn.LeakyReLU())
        self.out = nn.Linear(hidden[1], PARAMETER_SIZE)
        nn.init.zeros_(self.out.weight)  # begins as no change
        nn.init.zeros_(self.out.bias)

    def forward(self, cells: Tensor, fine: int | Tensor, levels: list[Level]) -> Tensor:
        """cells: (B, A, D) of all strides; those behind the first `fine` are of the strides of `levels`, in their order -> (B, A, D)"""
        places = find_places(levels)
        score = cells[:, fine:, SLICES["score"].start]
        best = score.topk(score.shape[1] // LOOKED_AT + 1, 1).indices  # (B, K)
        picture = torch.zeros_like(best) + torch.arange(score.shape[0], device=cells.device)[:, None]
        seen = cells[picture, best + fine]  # (B, K, D)
        told = seen[..., PARAMETERS]
        for _ in range(self.looks):
            told = told + self.correction(told.flatten(0, 1), picture.flatten(), best.flatten(), places).view_as(told)
        # whole rows at once: cells are many, and every change of them is a copy
        return cells.index_put((picture, best + fine), torch.cat([seen[..., : PARAMETERS.start], told], 2))

    def correction(self, raw: Tensor, picture: Tensor, cell: Tensor, places: Places) -> Tensor:
        """What to add to the parameters (N, P) of cells: picture (N,) and cell (N,) long say which they are. -> (N, P)"""
        stride = places.stride[cell]
        points = self._project(raw, places.center[cell], stride)
        seen = _sample(points, stride, picture, cell, places)
        return self.out(self.layers(torch.cat([seen.flatten(1), raw], 1)))

    def _project(self, raw: Tensor, center: Tensor, stride: Tensor) -> Tensor:
        """The points (N, L, 2) px of what cells say."""
        told = read_parameters(raw, center, stride, torch)
        offset = told["identity"] @ self.identity + told["expression"] @ self.expression
        shape = self.mean + offset.unflatten(1, (-1, 3))
        return project(shape, told["rotation"], told["scale"], told["center"])


def find_places(levels: list[Level]) -> Places:
    """Where in the features of all levels, laid one behind the other, those of each cell are.

    Centres and strides are those of `mfn.decode.grid`, made of tensors as the exported graph has to follow the size of its input.
    """
    centers, numbers, features, behind = [], [], [], 0
    for level in levels:
        device = level.features.device
        y = (torch.arange(level.height, device=device, dtype=torch.float32) + 0.5) * level.stride
        x = (torch.arange(level.width, device=device, dtype=torch.float32) + 0.5) * level.stride
        y, x = (y[:, None] + torch.zeros_like(x)).flatten(), (torch.zeros_like(y)[:, None] + x).flatten()
        height, width = level.features.shape[2:]
        one = torch.ones_like(x)
        centers.append(torch.stack([x, y], 1))
        numbers.append(torch.stack([one * level.stride, one * behind, one * width, one * height]))
        features.append(level.features.permute(0, 2, 3, 1).flatten(1, 2))
        behind = behind + height * width
    stride, first, width, height = torch.cat(numbers, 1).unbind(0)
    return Places(torch.cat(centers), stride, first, width, height, torch.cat(features, 1))


def _sample(points: Tensor, stride: Tensor, picture: Tensor, cell: Tensor, places: Places) -> Tensor:
    """Features (N, L, C) at points (N, L, 2) px, between four of them in proportion; beyond the border, the border's."""
    pictures, count, channels = places.features.shape
    features = places.features.reshape(pictures * count, channels)
    width, height = places.width[cell][:, None], places.height[cell][:, None]
    first = picture[:, None] * count + places.first[cell][:, None].long()
    u, v = (2 / stride[:, None, None] * points - 0.5).unbind(2)
    u, v = torch.minimum(u.clamp(min=0), width - 1), torch.minimum(v.clamp(min=0), height - 1)
    left, top = u.floor(), v.floor()
    right, bottom = torch.minimum(left + 1, width - 1), torch.minimum(top + 1, height - 1)
    seen = features.new_zeros(())
    for x, y, weight in (
        (left, top, (left + 1 - u) * (top + 1 - v)),
        (right, top, (u - left) * (top + 1 - v)),
        (left, bottom, (left + 1 - u) * (v - top)),
        (right, bottom, (u - left) * (v - top)),
    ):
        seen = seen + features[first + (y * width + x).long()] * weight[..., None]
    return seen


def _points(model: HeadModel) -> tuple[Tensor, Tensor, Tensor]:
    """mean (L, 3), identity (I, L * 3), expression (51, L * 3) of the points that are looked at, metres."""
    named = model.landmark_basis("ibug68"), model.landmark_basis("mediapipe478")
    parts = [torch.cat([torch.from_numpy(a[..., POINTS_68, :]), torch.from_numpy(b[..., POINTS_478, :])], -2) for a, b in zip(*named)]
    return parts[0], parts[1].flatten(1), parts[2].flatten(1)
