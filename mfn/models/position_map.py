"""PRNet's idea (Feng et al., ECCV 2018): a crop in, the positions of the head's surface out, as a picture over its uv chart."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mfn.models.backbone import Backbone
from mfn.models.blocks import ConvBNReLU

MAP_SIZE = 128  # cells of the map along a side


class PositionMap(nn.Module):
    """Encoder and decoder without skips: the chart and the picture have nothing in the same place.

    backbone: the encoder; widths: channels of the decoder's maps of sides 8, 16, 32 and 64.
    """

    def __init__(self, backbone: Backbone, widths: tuple[int, int, int, int] = (128, 96, 48, 24)) -> None:
        super().__init__()
        self.backbone = backbone
        sizes = [backbone.widths[-1], *widths]
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBNReLU(c_in, c_out), ConvBNReLU(c_out, c_out))
            for c_in, c_out in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.out = nn.Conv2d(widths[-1], 3 * 4, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, CROP_SIZE, CROP_SIZE) RGB in 0..255 -> (B, 3, MAP_SIZE, MAP_SIZE): x, y, z in crop sides / REACH, z around 0.5"""
        x = self.backbone(picture / 64.0)[-1]
        for stage in self.stages:
            x = stage(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return F.pixel_shuffle(self.out(x), 2).sigmoid()  # four cells of the last map at once: 128 x 128 convolutions are slow
