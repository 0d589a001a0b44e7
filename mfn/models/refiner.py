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

from mfn.structures.camera import project_xy
from mfn.structures.cells import PARAMETER_SIZE, PARAMETERS, SLICES, read_parameters
from mfn.structures.head_model import HeadModel

# Of the 68: every second point of the jaw, and the points of brows, nose, eyes and mouth that span them. Of MediaPipe's: the forehead's.
POINTS_68 = (
    *(0, 2, 4, 6, 8, 10, 12, 14, 16, 17, 19, 21, 22, 24, 26, 27, 30, 31, 33, 35),
    *(36, 37, 39, 41, 42, 44, 45, 46, 48, 50, 52, 54, 56, 58, 62, 66),
)
POINTS_478 = (10, 54, 284, 127, 356)
LOOKED_AT = 12  # one in so many cells is read again, those with the best scores: 189 of a 16:9 picture of the large model


class Level(NamedTuple):
    """What one size of the picture gives: features (B, C, h, w) at half the stride of its cells."""

    features: Tensor
    stride: int


class Places(NamedTuple):
    """Where the features of cells lie: of each level (L, 6) stride, its first cell, how many a row, its first feature, rows and columns of
    them; and the features (B, T, C) of all, one level's behind the other's."""

    levels: Tensor
    features: Tensor


class Where(NamedTuple):
    """Of cells: center (N, 2) px, stride (N,), and first, height, width (N,) of the features of their level."""

    center: Tensor
    stride: Tensor
    first: Tensor
    height: Tensor
    width: Tensor


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

    def forward(self, cells: Tensor, levels: list[Level]) -> Tensor:
        """cells: (B, A, D) of the strides of `levels`, in their order -> (B, A, D)"""
        places, (pictures, count) = find_places(levels), cells.shape[:2]
        best = cells[..., SLICES["score"].start].topk(count // LOOKED_AT + 1, 1).indices  # (B, K)
        picture = torch.arange(pictures, device=cells.device)[:, None] + torch.zeros_like(best)
        picture, best = picture.flatten(), best.flatten()
        flat, rows = cells.flatten(0, 1), picture * count + best  # one index instead of two: far fewer steps in the graph
        seen = flat[rows]  # (B * K, D)
        told = seen[:, PARAMETERS]
        for _ in range(self.looks):
            told = told + self.correction(told, picture, best, places)
        # whole rows at once: cells are many, and every change of them is a copy
        return flat.index_put((rows,), torch.cat([seen[:, : PARAMETERS.start], told], 1)).view_as(cells)

    def correction(self, raw: Tensor, picture: Tensor, cell: Tensor, places: Places) -> Tensor:
        """What to add to the parameters (N, P) of cells: picture (N,) and cell (N,) long say which they are. -> (N, P)"""
        where = look_up(places, cell)
        points = self._project(raw, where.center, where.stride)
        seen = _sample(points, picture, where, places.features)
        return self.out(self.layers(torch.cat([seen.flatten(1), raw], 1)))

    def _project(self, raw: Tensor, center: Tensor, stride: Tensor) -> Tensor:
        """The points (N, L, 2) px of what cells say."""
        told = read_parameters(raw, center, stride, torch)
        offset = told["identity"] @ self.identity + told["expression"] @ self.expression
        shape = self.mean + offset.unflatten(1, (-1, 3))
        return project_xy(shape, told["rotation"], told["scale"], told["center"])


def find_places(levels: list[Level]) -> Places:
    """The levels' features, laid one behind the other, and what tells where in them those of a cell are.

    Made of tensors, as the exported graph has to follow the size of its input.
    """
    device = levels[0].features.device
    stride = torch.tensor([level.stride for level in levels], dtype=torch.float32, device=device)
    one = torch.ones((), device=device)  # times a number of the traced graph: of the number alone a constant would be made
    size = torch.stack([one * n for level in levels for n in level.features.shape[2:]])
    rows, columns = size.unflatten(0, (-1, 2)).unbind(1)
    across = ((columns + 1) / 2).floor()  # cells: features are at half their stride, and may be one less
    cells, features = across * ((rows + 1) / 2).floor(), rows * columns
    table = torch.stack([stride, cells.cumsum(0) - cells, across, features.cumsum(0) - features, rows, columns], 1)
    return Places(table, torch.cat([level.features.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], 1))


def look_up(places: Places, cell: Tensor) -> Where:
    """Where the cells (N,) long of all levels are; centres and strides are those of `mfn.structures.cells.grid`."""
    level = (cell[:, None] >= places.levels[1:, 1]).long().sum(1)
    stride, before, across, first, height, width = places.levels[level].unbind(1)
    number = cell - before
    row = (number / across).floor()
    center = torch.stack([number - row * across, row], 1)
    return Where((center + 0.5) * stride[:, None], stride, first, height, width)


def _sample(points: Tensor, picture: Tensor, where: Where, features: Tensor) -> Tensor:
    """Features (N, L, C) at points (N, L, 2) px, between four of them in proportion; beyond the border, the border's.

    picture: (N,) long; features: (B, T, C)
    """
    first = (picture * features.shape[1])[:, None] + where.first[:, None].long()
    flat = features.flatten(0, 1)
    most = torch.stack([where.width, where.height], 1)[:, None] - 1  # (N, 1, 2)
    at = torch.minimum((2 / where.stride[:, None, None] * points - 0.5).clamp(min=0), most)
    low = at.floor()
    high = torch.minimum(low + 1, most)
    (right, below), (left, above) = (at - low).unbind(2), (low + 1 - at).unbind(2)
    (x0, y0), (x1, y1) = low.unbind(2), high.unbind(2)
    width = where.width[:, None]
    top, bottom = first + (y0 * width).long(), first + (y1 * width).long()
    x0, x1 = x0.long(), x1.long()
    upper = flat[top + x0] * (left * above)[..., None] + flat[top + x1] * (right * above)[..., None]
    lower = flat[bottom + x0] * (left * below)[..., None] + flat[bottom + x1] * (right * below)[..., None]
    return upper + lower


def _points(model: HeadModel) -> tuple[Tensor, Tensor, Tensor]:
    """mean (L, 3), identity (I, L * 3), expression (51, L * 3) of the points that are looked at, metres."""
    named = model.landmark_basis("ibug68"), model.landmark_basis("mediapipe478")
    parts = [torch.cat([torch.from_numpy(a[..., POINTS_68, :]), torch.from_numpy(b[..., POINTS_478, :])], -2) for a, b in zip(*named)]
    return parts[0], parts[1].flatten(1), parts[2].flatten(1)
