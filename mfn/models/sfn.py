"""SFN: one face of a crop (after Chaudhuri, Vesdapunt and Wang, CVPR 2019, Fig. 1), its single-scale twin, and the plain regressor.

All give the parameters of one face, (B, PARAMETER_SIZE) as `mfn.structures.cells.read_parameters` reads them of a cell that covers the crop:
`center` half the crop's side, `stride` a quarter of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mfn.models.backbone import Backbone
from mfn.models.blocks import ConvBNReLU, Fire
from mfn.structures.cells import BRANCHES, PARAMETER_SIZE
from mfn.structures.crop_geometry import CROP_SIZE

DEEPEST = CROP_SIZE // 32  # the deepest map's side


class Down(nn.Sequential):
    """The "FMs2" of the paper's figure: halves a map so that it can lie beside the next one. A fire module, or a plain convolution."""

    def __init__(self, block: str, c_in: int, c_out: int) -> None:
        super().__init__(Fire(c_in, c_out, 2) if block == "fire" else ConvBNReLU(c_in, c_out, 3, 2))


class Branch(nn.Sequential):
    """Two fully connected layers on the deepest map's 4 x 4 cells."""

    def __init__(self, channels: int, hidden: int, size: int, start: float = 0.0) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(channels * DEEPEST**2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, size),
        )
        nn.init.normal_(self[3].weight, std=0.01)  # type: ignore[arg-type]  # starts frontal, mean, nearly neutral
        nn.init.constant_(self[3].bias, start)  # type: ignore[arg-type]


class SFN(nn.Module):
    """Pose from global, identity from regional, expression from local features; or, as the ablation, all from the deepest map.

    backbone: strides 2 to 32; branch: channels of each branch's last map; hidden: width of its fully connected layer;
    multi_scale: False for the single-scale twin, whose branches read the deepest map alone.
    """

    def __init__(self, backbone: Backbone, branch: int = 96, hidden: int = 192, multi_scale: bool = True) -> None:
        super().__init__()
        self.backbone, self.multi_scale = backbone, multi_scale
        _, c4, c8, c16, c32 = backbone.widths
        block, half = backbone.block, branch // 2
        self.global_map = ConvBNReLU(c32, branch, 1)
        self.pose = Branch(branch, hidden, BRANCHES["pose"])
        self.identity = Branch(branch, hidden, BRANCHES["identity"])
        self.expression = Branch(branch, hidden, BRANCHES["expression"], start=-2.4)
        if multi_scale:
            self.regional = nn.ModuleList([Down(block, c8, half), Down(block, half + c16, branch)])
            self.local = nn.ModuleList([Down(block, c4, half), Down(block, half + c8, half), Down(block, half + c16, branch)])
        else:  # as many numbers to learn as the twin's chains have
            self.regional = nn.ModuleList([ConvBNReLU(c32, branch), ConvBNReLU(branch, branch)])
            self.local = nn.ModuleList([ConvBNReLU(c32, branch), ConvBNReLU(branch, branch)])

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, CROP_SIZE, CROP_SIZE) RGB in 0..255 -> (B, PARAMETER_SIZE)"""
        _, m4, m8, m16, m32 = self.backbone(picture / 64.0)
        if self.multi_scale:
            regional = self.regional[1](torch.cat([self.regional[0](m8), m16], 1))
            local = self.local[1](torch.cat([self.local[0](m4), m8], 1))
            local = self.local[2](torch.cat([local, m16], 1))
        else:
            regional = self.regional[1](self.regional[0](m32))
            local = self.local[1](self.local[0](m32))
        return torch.cat([self.pose(self.global_map(m32)), self.identity(regional), self.expression(local)], 1)


class Regressor(nn.Module):
    """A backbone and one layer on its deepest map: what 3DDFA_V2 and MobileFace are, apart from how they are trained."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.features_size = backbone.widths[-1] * DEEPEST**2
        self.out = nn.Linear(self.features_size, PARAMETER_SIZE)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)
        nn.init.constant_(self.out.bias[-BRANCHES["expression"] :], -2.4)

    def features(self, picture: Tensor) -> Tensor:
        """(B, 3, CROP_SIZE, CROP_SIZE) RGB in 0..255 -> (B, features_size)"""
        return self.backbone(picture / 64.0)[-1].flatten(1)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, CROP_SIZE, CROP_SIZE) RGB in 0..255 -> (B, PARAMETER_SIZE)"""
        return self.out(self.features(picture))
