"""FaceReader: reads one face from a small, upright crop of the picture's own pixels: whether it is a face, and all that a cell says of it.

The branches are disentangled as in SFN: pose from global, identity from regional, expression from local features. A crop of 64 x 64 px
holds nearly all that a face shows. A batch of 64 such crops costs about as much as the dense pass over the picture, so that the time
stays the same for any number of faces. A branch of its own tells faces from what the multi-face network took for one, and places the box:
the second stage of a two-stage detector.

Sources: Chaudhuri, Vesdapunt and Wang, CVPR 2019, for the branches; Ren et al., Faster R-CNN, NeurIPS 2015, for the second stage.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from mfn.models.blocks import ConvBNReLU, Residual
from mfn.models.mfn import EXPRESSION_BIAS
from mfn.structures.cells import BRANCHES
from mfn.structures.network_metadata import NetworkKind


class ReaderBranch(nn.Sequential):
    """Two fully connected layers on a map of 4 x 4 cells.

    Args:
        channels: Channels of the map.
        hidden: Width of the hidden layer.
        size: Number of outputs.
        start: Bias of the outputs before training.
    """

    def __init__(self, channels: int, hidden: int, size: int, start: float = 0.0) -> None:
        super().__init__(nn.Flatten(), nn.Linear(channels * 16, hidden), nn.ReLU(), nn.Linear(hidden, size))
        nn.init.normal_(self[3].weight, std=0.01)
        nn.init.constant_(self[3].bias, start)


class FaceReader(nn.Module):
    """Predict the cell of the face in a crop: one cell that covers the crop (`mfn.structures.cells`).

    Args:
        widths: Channels at strides 2, 4, 8 and 16.
        depths: Residual blocks at the same strides.
        branch: Channels of the last map of each branch.
        hidden: Width of the hidden layer of each branch.
    """

    kind: ClassVar[NetworkKind] = "cell"
    crop_size_px: ClassVar[int] = 64

    def __init__(
        self,
        widths: tuple[int, int, int, int] = (32, 48, 96, 160),
        depths: tuple[int, int, int, int] = (0, 1, 1, 1),
        branch: int = 64,
        hidden: int = 192,
    ) -> None:
        super().__init__()
        c2, c4, c8, c16 = widths
        half = branch // 2
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBNReLU(a, b, 3, 2), *(Residual(b) for _ in range(depth)))
            for a, b, depth in zip((3, c2, c4, c8), widths, depths, strict=True)
        )
        self.global_map = ConvBNReLU(c16, branch, 1)
        self.regional = nn.ModuleList([ConvBNReLU(c4, half, 3, 2), ConvBNReLU(half + c8, branch, 3, 2)])
        self.local = nn.ModuleList([ConvBNReLU(c2, half, 3, 2), ConvBNReLU(half + c4, half, 3, 2), ConvBNReLU(half + c8, branch, 3, 2)])
        self.detection = nn.ModuleList(
            [ConvBNReLU(c4, half, 3, 2), ConvBNReLU(half + c8, branch, 3, 2), ConvBNReLU(c16, branch, 1)]
        )
        self.box = ReaderBranch(2 * branch, hidden // 2, BRANCHES["box"])
        self.pose = ReaderBranch(branch, hidden, BRANCHES["pose"])
        self.identity = ReaderBranch(2 * branch, hidden, BRANCHES["identity"])
        self.expression = ReaderBranch(2 * branch, hidden, BRANCHES["expression"], start=EXPRESSION_BIAS)

    def forward(self, picture: Tensor) -> Tensor:
        """Return raw cells (B, CELL_SIZE) for crops (B, 3, 64, 64) RGB, 0 to 255."""
        m2 = self.stages[0](picture / 64.0)
        m4 = self.stages[1](m2)
        m8 = self.stages[2](m4)
        m16 = self.stages[3](m8)
        whole = self.global_map(m16)
        regional = self.regional[1](torch.cat([self.regional[0](m4), m8], 1))
        local = self.local[1](torch.cat([self.local[0](m2), m4], 1))
        local = self.local[2](torch.cat([local, m8], 1))
        place = self.detection[1](torch.cat([self.detection[0](m4), m8], 1))
        box = self.box(torch.cat([place, self.detection[2](m16)], 1))
        identity = self.identity(torch.cat([regional, whole], 1))
        return torch.cat([box, self.pose(whole), identity, self.expression(torch.cat([local, whole], 1))], 1)
