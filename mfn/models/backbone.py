"""The backbone: it turns a picture into feature maps of the strides 2, 4, 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from torch import Tensor, nn

from mfn.models.blocks import BlockName, ConvBNReLU, Fire, Residual

STAGES = 5  # each halves the map: strides 2, 4, 8, 16, 32


class Backbone(nn.Module):
    """Compute feature maps of five strides with a stack of stages. Each stage halves the map.

    Args:
        block: "conv" for plain 3 x 3 residual blocks, the fastest dense choice on a CPU; "fire" for the fire modules with
            squeeze-and-excitation of the MFN paper.
        widths: Number of channels of each of the five stages.
        depths: Number of blocks of each stage after the convolution that halves the map.

    Raises:
        ValueError: An unknown block, or not five widths and five depths.
    """

    def __init__(self, block: BlockName, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        if block not in get_args(BlockName):
            raise ValueError(f'block: expected "conv" or "fire", got {block!r}')
        if len(widths) != STAGES or len(depths) != STAGES:
            raise ValueError(f"expected five widths and five depths (strides 2 to 32), got {list(widths)} and {list(depths)}")
        self.block, self.widths = block, tuple(widths)
        self.stages = nn.ModuleList()
        c_in = 3
        for width, depth in zip(widths, depths, strict=True):
            stage: list[nn.Module] = [ConvBNReLU(c_in, width, 3, 2)]
            stage += [Residual(width) if block == "conv" else Fire(width, width) for _ in range(depth)]
            self.stages.append(nn.Sequential(*stage))
            c_in = width

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Compute the five maps of a picture.

        Args:
            picture: (B, 3, H, W), divided by 64.

        Returns:
            Five maps (B, width, H / s, W / s) for s = 2, 4, 8, 16, 32.
        """
        maps = []
        x = picture
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
