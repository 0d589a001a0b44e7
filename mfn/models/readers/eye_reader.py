"""EyeReader: reads lid, gaze, squint and opening of one eye from a small crop of it.

Each eye is read by itself, from its own pixels, so that a wink stays a wink: in a crop of the whole face the network sees that nearly all
faces are even, and makes a wink two half-shut eyes. Both eyes share all weights. A right eye is mirrored and looks like a left one.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mfn.models.blocks import ConvBNReLU, Residual
from mfn.structures.crop_geometry import EYE_CROP_PX, EYE_SHAPES
from mfn.structures.network_metadata import NetworkKind


class EyeReader(nn.Module):
    """Predict the shapes of the eye in a crop.

    Args:
        widths: Channels at strides 2, 4 and 8.
        hidden: Width of the hidden layer.
    """

    kind: ClassVar[NetworkKind] = "eyes"
    crop_size_px: ClassVar[int] = EYE_CROP_PX

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64), hidden: int = 96) -> None:
        super().__init__()
        c2, c4, c8 = widths
        self.stem = nn.Sequential(ConvBNReLU(3, c2, 3, 2), ConvBNReLU(c2, c4, 3, 2), Residual(c4), ConvBNReLU(c4, c8, 3, 2), Residual(c8))
        self.fc = nn.Linear(c8 * (EYE_CROP_PX // 8) ** 2 + 3, hidden)
        self.out = nn.Linear(hidden, len(EYE_SHAPES))

    def forward(self, picture: Tensor, direction: Tensor) -> Tensor:
        """Predict the shapes of B eyes.

        Args:
            picture: (B, 3, 32, 32) RGB, 0 to 255.
            direction: (B, 3) unit vector in which the face looks, in the frame of the crop: x right, y down, z away.

        Returns:
            (B, 7) raw values. Their sigmoids are the ARKit weights of EYE_SHAPES.
        """
        features = self.stem(picture / 64.0).flatten(1)
        return self.out(F.relu(self.fc(torch.cat([features, direction], 1))))
