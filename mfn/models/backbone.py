"""Backbones: a picture in, feature maps of strides 2, 4, 8, 16 and 32 out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mfn.models.blocks import ConvBNReLU, Fire, Residual


class Backbone(nn.Module):
    """A stack of stages, each halving the map.

    block: "conv" for plain 3 x 3 residual blocks, the fastest dense choice on a CPU; "fire" for the fire + squeeze-excite modules of the
    MFN paper. widths, depths: channels and number of blocks after each halving, strides 2 to 32 (five numbers each).
    """

    def __init__(self, block: str, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        if block not in ("conv", "fire"):
            raise ValueError(f'expected block "conv" or "fire", got {block!r}')
        if len(widths) != 5 or len(depths) != 5:
            raise ValueError(f"expected five widths and five depths (strides 2 to 32), got {widths} and {depths}")
        self.block, self.widths = block, tuple(widths)
        self.stages = nn.ModuleList()
        c_in = 3
        for width, depth in zip(widths, depths, strict=True):
            make = Residual if block == "conv" else lambda c: Fire(c, c)
            self.stages.append(nn.Sequential(ConvBNReLU(c_in, width, 3, 2), *(make(width) for _ in range(depth))))
            c_in = width

    def forward(self, picture: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised -> five maps (B, width, H / s, W / s) for s = 2, 4, 8, 16, 32"""
        maps = []
        x = picture
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
