"""MFN: every face of a picture in one pass (after Chaudhuri, Vesdapunt and Wang, CVPR 2019).

The paper's disentangling is kept and carried to several strides. At each stride
    box and pose   read global features: the deepest maps, brought up again through a top-down path;
    identity       reads regional features: this stride's map and the one finer;
    expression     reads local features: a bottom-up chain that starts two strides finer, with everything above beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mfn.network.backbone import Backbone
from mfn.network.blocks import ConvBNReLU
from mfn.network.layout import BRANCHES, STRIDES


class LevelHead(nn.Module):
    """The branches of one stride. c: channels of the maps two finer, one finer, and at this stride; context: of the top-down map."""

    def __init__(self, c: tuple[int, int, int], context: int, hidden: int) -> None:
        super().__init__()
        finest, finer, here = c
        half = hidden // 2
        self.pose = nn.Sequential(ConvBNReLU(context, hidden), ConvBNReLU(hidden, hidden, 1))
        self.regional = ConvBNReLU(finer, half, 3, 2)
        self.identity = nn.Sequential(ConvBNReLU(half + here + context, hidden, 1), ConvBNReLU(hidden, hidden))
        self.local_first = ConvBNReLU(finest, half, 3, 2)
        self.local_second = ConvBNReLU(half + finer, hidden, 3, 2)
        self.expression = nn.Sequential(
            ConvBNReLU(hidden + here + context, hidden, 1), ConvBNReLU(hidden, hidden), ConvBNReLU(hidden, hidden, 1)
        )
        self.out_box = nn.Conv2d(hidden, BRANCHES["box"], 1)
        self.out_pose = nn.Conv2d(hidden, BRANCHES["pose"], 1)
        self.out_identity = nn.Conv2d(hidden, BRANCHES["identity"], 1)
        self.out_expression = nn.Conv2d(hidden, BRANCHES["expression"], 1)
        self._start()

    def _start(self) -> None:
        """First outputs: no face anywhere (p = 0.01), frontal, mean identity, nearly neutral (0.08)."""
        for out, weight, bias in (
            (self.out_box, 0.01, 0.0),
            (self.out_pose, 0.01, 0.0),
            (self.out_identity, 0.01, 0.0),
            (self.out_expression, 0.01, -2.4),
        ):
            nn.init.normal_(out.weight, std=weight)
            assert out.bias is not None
            nn.init.constant_(out.bias, bias)
        assert self.out_box.bias is not None
        nn.init.constant_(self.out_box.bias[:1], -4.6)

    def forward(self, finest: Tensor, finer: Tensor, here: Tensor, context: Tensor) -> Tensor:
        """Maps -> cells (B, H / s * W / s, D)"""
        pose = self.pose(context)
        identity = self.identity(torch.cat([self.regional(finer), here, context], 1))
        local = self.local_second(torch.cat([self.local_first(finest), finer], 1))
        expression = self.expression(torch.cat([local, here, context], 1))
        cells = torch.cat(
            [self.out_box(pose), self.out_pose(pose), self.out_identity(identity), self.out_expression(expression)], 1
        )
        return cells.flatten(2).transpose(1, 2)


class MFN(nn.Module):
    """Whole pictures to raw cells; `mfn.decode` gives them their meaning.

    backbone: strides 2 to 64; context: channels of the top-down path at strides 8, 16, 32, 64; hidden: of the branches there.
    """

    def __init__(self, backbone: Backbone, context: Sequence[int], hidden: Sequence[int]) -> None:
        super().__init__()
        self.backbone = backbone
        widths = backbone.widths
        levels = range(len(STRIDES))
        self.lateral = nn.ModuleList(ConvBNReLU(widths[i + 2], context[i], 1) for i in levels)
        self.down = nn.ModuleList(nn.Conv2d(context[i + 1], context[i], 1, bias=False) for i in levels[:-1])
        self.heads = nn.ModuleList(
            LevelHead((widths[i], widths[i + 1], widths[i + 2]), context[i], hidden[i]) for i in levels
        )
        self.register_buffer("mean", torch.tensor([123.7, 116.3, 103.5]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([58.4, 57.1, 57.4]).view(1, 3, 1, 1), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in 0..255, H and W multiples of 64 -> cells (B, A, D), see `mfn.network.layout`"""
        maps = self.backbone((picture - self.mean) / self.std)
        context = [lateral(m) for lateral, m in zip(self.lateral, maps[2:], strict=True)]
        for i in reversed(range(len(context) - 1)):
            above = F.interpolate(self.down[i](context[i + 1]), scale_factor=2.0, mode="nearest")
            context[i] = context[i] + above
        cells = [
            head(maps[i], maps[i + 1], maps[i + 2], context[i]) for i, head in enumerate(self.heads)
        ]
        return torch.cat(cells, 1)


