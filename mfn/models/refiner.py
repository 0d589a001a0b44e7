"""The refinement head: it samples local features at the projected landmarks of each candidate face and predicts a correction.

A cell predicts pose, identity and expression. The landmarks of that prediction are projected onto a map of local
features, and the features found there show what is wrong with the prediction. This aligns the features of every face,
whatever its position, size and rotation, as the crop of a single-face network does. It is one step of cascaded
regression (Xiong and De la Torre, CVPR 2013, eq. 8; Ren et al., CVPR 2014).

The number of refined cells is fixed, so the runtime does not depend on the number of faces. Only cells of the strides
16 to 64 are refined: faces from about 40 px of the network's input. Smaller faces keep their first prediction.

Letters: B pictures, A cells of a picture, N cells in a list, L landmarks, C channels, T feature vectors of a picture, P = PARAMETER_SIZE.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mfn.structures.camera import project_xy
from mfn.structures.cells import PARAMETER_SIZE, PARAMETERS, SLICES, read_parameters
from mfn.structures.head_model import HeadModel

# Of the 68 landmarks: every second one of the jaw, and those of brows, nose, eyes and mouth that span these parts.
IBUG68_INDICES = (
    *(0, 2, 4, 6, 8, 10, 12, 14, 16, 17, 19, 21, 22, 24, 26, 27, 30, 31, 33, 35),
    *(36, 37, 39, 41, 42, 44, 45, 46, 48, 50, 52, 54, 56, 58, 62, 66),
)
MEDIAPIPE478_INDICES = (10, 54, 284, 127, 356)  # of the forehead, which the 68 landmarks do not cover
REFINED_FRACTION = 12  # one cell in 12 is refined, those with the best scores: 189 cells of a 16:9 picture of the large model


class FeatureLevel(NamedTuple):
    """The local features of one scale of the picture.

    Attributes:
        features: (B, C, h, w), at half the stride of the cells.
        stride: Stride of the cells, px.
    """

    features: Tensor
    stride: int


class FeaturePyramid(NamedTuple):
    """The local features of all levels, one level after the other.

    Attributes:
        levels: (levels, 6) float32, for each level: stride, index of its first cell, cells in a row, index of its first
            feature vector, rows and columns of feature vectors.
        features: (B, T, C).
    """

    levels: Tensor
    features: Tensor


class PyramidIndex(NamedTuple):
    """Where N cells and their features lie in a pyramid.

    Attributes:
        center: (N, 2) x y of the cells, px of the network's input.
        stride: (N,) px.
        first: (N,) index of the first feature vector of the cell's level.
        height: (N,) rows of feature vectors of that level.
        width: (N,) columns of feature vectors of that level.
    """

    center: Tensor
    stride: Tensor
    first: Tensor
    height: Tensor
    width: Tensor


class Refiner(nn.Module):
    """Correct the parameters of the cells with the best scores.

    Args:
        channels: Channels of the local features.
        model: The head model whose landmarks are projected.
        steps: Number of refinement steps. Each samples at the landmarks of the step before.
        hidden: Widths of the two hidden layers.
    """

    mean: Tensor
    identity: Tensor
    expression: Tensor

    def __init__(self, channels: int, model: HeadModel, steps: int = 1, hidden: tuple[int, int] = (192, 128)) -> None:
        super().__init__()
        self.steps = steps
        mean, identity, expression = landmark_basis(model)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("identity", identity.flatten(1), persistent=False)
        self.register_buffer("expression", expression.flatten(1), persistent=False)
        size = len(mean) * channels + PARAMETER_SIZE
        # Leaky ReLUs: with plain ReLUs, two thirds of the units were dead after training.
        self.layers = nn.Sequential(nn.Linear(size, hidden[0]), nn.LeakyReLU(), nn.Linear(hidden[0], hidden[1]), nn.LeakyReLU())
        self.out = nn.Linear(hidden[1], PARAMETER_SIZE)
        nn.init.zeros_(self.out.weight)  # an untrained refiner changes nothing
        nn.init.zeros_(self.out.bias)

    def forward(self, cells: Tensor, levels: list[FeatureLevel]) -> Tensor:
        """Refine the best cells.

        Args:
            cells: (B, A, D) raw cells of the strides of `levels`, in their order.
            levels: The local features.

        Returns:
            (B, A, D): the cells, the parameters of the best ones corrected.
        """
        pyramid, (pictures, count) = build_pyramid(levels), cells.shape[:2]
        best = cells[..., SLICES["score"].start].topk(count // REFINED_FRACTION + 1, 1).indices  # (B, K)
        picture = torch.arange(pictures, device=cells.device)[:, None] + torch.zeros_like(best)
        picture, best = picture.flatten(), best.flatten()
        # One index into (B * A) instead of two into (B, A): the exported graph has far fewer nodes.
        flat, rows = cells.flatten(0, 1), picture * count + best
        chosen = flat[rows]  # (B * K, D)
        parameters = chosen[:, PARAMETERS]
        for _ in range(self.steps):
            parameters = parameters + self.correction(parameters, picture, best, pyramid)
        # Write whole rows once: each write copies all cells.
        return flat.index_put((rows,), torch.cat([chosen[:, : PARAMETERS.start], parameters], 1)).view_as(cells)

    def correction(self, raw: Tensor, picture: Tensor, cell: Tensor, pyramid: FeaturePyramid) -> Tensor:
        """Predict what to add to the parameters of N cells.

        Args:
            raw: (N, P) raw parameters.
            picture: (N,) long, the picture of each cell.
            cell: (N,) long, the index of each cell in its picture.
            pyramid: The local features.

        Returns:
            (N, P).
        """
        index = locate(pyramid, cell)
        landmarks = self.project_landmarks(raw, index.center, index.stride)
        features = sample_features(landmarks, picture, index, pyramid.features)
        correction: Tensor = self.out(self.layers(torch.cat([features.flatten(1), raw], 1)))
        return correction

    def project_landmarks(self, raw: Tensor, center: Tensor, stride: Tensor) -> Tensor:
        """Project the landmarks of N predicted faces.

        Args:
            raw: (N, P) raw parameters.
            center: (N, 2) x y of the cells, px of the network's input.
            stride: (N,) px.

        Returns:
            (N, L, 2) x y, px of the network's input.
        """
        pred = read_parameters(raw, center, stride, torch)
        offset = pred["identity"] @ self.identity + pred["expression"] @ self.expression
        shape = self.mean + offset.unflatten(1, (-1, 3))
        return project_xy(shape, pred["rotation"], pred["scale"], pred["center"])


def build_pyramid(levels: list[FeatureLevel]) -> FeaturePyramid:
    """Concatenate the features of all levels, and make the table from which `locate` finds those of a cell.

    The table is computed with tensors, because the exported graph has to follow the size of its input.
    """
    device = levels[0].features.device
    stride = torch.tensor([level.stride for level in levels], dtype=torch.float32, device=device)
    one = torch.ones((), device=device)  # tracing makes a constant of a plain number, but not of its product with a tensor
    size = torch.stack([one * n for level in levels for n in level.features.shape[2:]])
    rows, columns = size.unflatten(0, (-1, 2)).unbind(1)
    cells_per_row = ((columns + 1) / 2).floor()  # features have half the stride of the cells; an odd side has one less
    cells, features = cells_per_row * ((rows + 1) / 2).floor(), rows * columns
    table = torch.stack([stride, cells.cumsum(0) - cells, cells_per_row, features.cumsum(0) - features, rows, columns], 1)
    return FeaturePyramid(table, torch.cat([level.features.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], 1))


def locate(pyramid: FeaturePyramid, cell: Tensor) -> PyramidIndex:
    """Find where cells (N,) long, counted over all levels, lie in a pyramid. Centers and strides equal those of `grid`."""
    level = (cell[:, None] >= pyramid.levels[1:, 1]).long().sum(1)
    stride, first_cell, cells_per_row, first_feature, height, width = pyramid.levels[level].unbind(1)
    number = cell - first_cell
    row = (number / cells_per_row).floor()
    center = torch.stack([number - row * cells_per_row, row], 1)
    return PyramidIndex((center + 0.5) * stride[:, None], stride, first_feature, height, width)


def sample_features(points: Tensor, picture: Tensor, index: PyramidIndex, features: Tensor) -> Tensor:
    """Sample features bilinearly; outside the map, the nearest border's.

    Args:
        points: (N, L, 2) x y, px of the network's input.
        picture: (N,) long, the picture of each row.
        index: Where the N cells lie.
        features: (B, T, C).

    Returns:
        (N, L, C).
    """
    first = (picture * features.shape[1])[:, None] + index.first[:, None].long()
    flat = features.flatten(0, 1)
    largest = torch.stack([index.width, index.height], 1)[:, None] - 1  # (N, 1, 2)
    position = torch.minimum((2 / index.stride[:, None, None] * points - 0.5).clamp(min=0), largest)
    low = position.floor()
    high = torch.minimum(low + 1, largest)
    (right, below), (left, above) = (position - low).unbind(2), (low + 1 - position).unbind(2)
    (x0, y0), (x1, y1) = low.unbind(2), high.unbind(2)
    width = index.width[:, None]
    top, bottom = first + (y0 * width).long(), first + (y1 * width).long()
    x0, x1 = x0.long(), x1.long()
    upper = flat[top + x0] * (left * above)[..., None] + flat[top + x1] * (right * above)[..., None]
    lower = flat[bottom + x0] * (left * below)[..., None] + flat[bottom + x1] * (right * below)[..., None]
    return upper + lower


def landmark_basis(model: HeadModel) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (L, 3), identity (I, L, 3) and expression (51, L, 3) of the sampled landmarks, in meters."""
    parts = []
    for ibug, mediapipe in zip(model.landmark_basis("ibug68"), model.landmark_basis("mediapipe478"), strict=True):
        rows = ibug[..., IBUG68_INDICES, :], mediapipe[..., MEDIAPIPE478_INDICES, :]
        parts.append(torch.cat([torch.from_numpy(part) for part in rows], -2))
    return parts[0], parts[1], parts[2]
