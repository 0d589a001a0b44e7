"""A position map of one crop, after PRNet (Feng et al., ECCV 2018): the positions of the face's surface as a picture over its UV chart."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mfn.models.backbone import Backbone
from mfn.models.blocks import ConvBNReLU
from mfn.models.sfn import DEEPEST_SIDE, BranchMaps
from mfn.structures.network_metadata import NetworkKind

MAP_SIZE = 128  # cells along a side of the map


class PositionMap(BranchMaps):
    """Predict a position map with an encoder and a decoder. The encoder computes the maps of SFN's three branches.

    There are no skip connections, because a place in the UV chart and the same place in the picture show different things. Each stage of
    the decoder narrows the map before it is enlarged: this takes half the work of the other order. It implements
    `mfn.models.crop_regressor.CropRegressor`.

    Args:
        backbone: Feature maps of the strides 2 to 32.
        widths: Channels of the decoder's maps of the sides 8, 16, 32 and 64. Multiples of 16 are the fastest on a CPU.
        branch: Channels of the last map of each branch.
    """

    kind: ClassVar[NetworkKind] = "position_map"

    def __init__(self, backbone: Backbone, widths: tuple[int, int, int, int] = (128, 96, 32, 16), branch: int = 96) -> None:
        super().__init__(backbone, branch)
        self.features_size = 3 * branch * DEEPEST_SIDE**2
        sizes = [3 * branch, *widths]
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBNReLU(c_in, c_out), nn.Upsample(scale_factor=2.0), ConvBNReLU(c_out, c_out))
            for c_in, c_out in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.out = nn.Conv2d(widths[-1], 3 * 4, 3, padding=1)

    def features(self, picture: Tensor) -> Tensor:
        """Return the maps of the encoder as features (B, features_size) of crops (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255."""
        return torch.cat(self.maps(picture), 1).flatten(1)

    def predict(self, features: Tensor) -> Tensor:
        """Return the position maps (B, 3, MAP_SIZE, MAP_SIZE) for features (B, features_size)."""
        x = features.unflatten(1, (-1, DEEPEST_SIDE, DEEPEST_SIDE)).contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x)
        # The last convolution predicts four cells at once: a convolution on the full 128 x 128 map would be slow.
        return F.pixel_shuffle(self.out(x), 2).sigmoid()

    def forward(self, picture: Tensor) -> Tensor:
        """Predict a position map.

        Args:
            picture: (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255.

        Returns:
            (B, 3, MAP_SIZE, MAP_SIZE): x, y, z in units of `REACH` sides of the crop (`mfn.structures.crop_geometry`);
            z is 0.5 at the head's origin.
        """
        return self.predict(self.features(picture))
