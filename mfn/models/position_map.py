"""A position map of one crop, after PRNet (Feng et al., ECCV 2018): the positions of the face's surface as a picture over its UV chart."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from mfn.models.backbone import Backbone
from mfn.models.blocks import ConvBNReLU
from mfn.structures.network_metadata import NetworkKind

MAP_SIZE = 128  # cells along a side of the map


class PositionMap(nn.Module):
    """Predict a position map with an encoder and a decoder.

    There are no skip connections, because a place in the UV chart and the same place in the picture show different things.

    Args:
        backbone: The encoder.
        widths: Channels of the decoder's maps of the sides 8, 16, 32 and 64.
    """

    kind: ClassVar[NetworkKind] = "position_map"

    def __init__(self, backbone: Backbone, widths: tuple[int, int, int, int] = (128, 96, 48, 24)) -> None:
        super().__init__()
        self.backbone = backbone
        sizes = [backbone.widths[-1], *widths]
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBNReLU(c_in, c_out), ConvBNReLU(c_out, c_out)) for c_in, c_out in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.out = nn.Conv2d(widths[-1], 3 * 4, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """Predict a position map.

        Args:
            picture: (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255.

        Returns:
            (B, 3, MAP_SIZE, MAP_SIZE): x, y, z in units of `REACH` sides of the crop (`mfn.structures.crop_geometry`);
            z is 0.5 at the head's origin.
        """
        x: Tensor = self.backbone(picture / 64.0)[-1]
        for stage in self.stages:
            x = stage(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        # The last convolution predicts four cells at once: a convolution on the full 128 x 128 map would be slow.
        return F.pixel_shuffle(self.out(x), 2).sigmoid()
