"""EyeReader: reads lid, gaze, squint and opening of the two eyes of a face, from a small crop of each.

Each eye is first read by itself, from its own pixels, so that a wink stays a wink: in a crop of the whole face a network sees that nearly
all faces are even, and makes a wink two half-shut eyes. Then each reading is corrected in sight of the other eye's features. Light from one
side, glasses and eyes that are narrow in the sun are hard to tell from a shut lid in one crop; two crops tell whether the eyes differ.
Both eyes share all weights. A right eye is mirrored and looks like a left one.
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
    """Predict the shapes of the eyes in crops.

    Args:
        widths: Channels at strides 2, 4 and 8.
        hidden: Width of the hidden layer of one eye.
        pair_hidden: Width of the hidden layer that sees both eyes.
    """

    kind: ClassVar[NetworkKind] = "eyes"
    crop_size_px: ClassVar[int] = EYE_CROP_PX

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64), hidden: int = 96, pair_hidden: int = 96) -> None:
        super().__init__()
        c2, c4, c8 = widths
        self.stem = nn.Sequential(ConvBNReLU(3, c2, 3, 2), ConvBNReLU(c2, c4, 3, 2), Residual(c4), ConvBNReLU(c4, c8, 3, 2), Residual(c8))
        self.fc = nn.Linear(c8 * (EYE_CROP_PX // 8) ** 2 + 3, hidden)
        self.out = nn.Linear(hidden, len(EYE_SHAPES))
        self.pair = nn.Linear(2 * hidden, pair_hidden)
        self.correction = nn.Linear(pair_hidden, len(EYE_SHAPES))
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, picture: Tensor, direction: Tensor) -> Tensor:
        """Predict the shapes of B eyes.

        Args:
            picture: (B, 3, 32, 32) RGB, 0 to 255: the left and the right eye of each face, one after the other.
            direction: (B, 3) unit vector in which the face looks, in the frame of the crop: x right, y down, z away.

        Returns:
            (B, 7) raw values. Their sigmoids are the ARKit weights of EYE_SHAPES.
        """
        return self.both(picture, direction)[1]

    def both(self, picture: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the raw values (B, 7) of each eye by itself, and those corrected in sight of the other eye."""
        features = self.stem(picture / 64.0).flatten(1)
        own = F.relu(self.fc(torch.cat([features, direction], 1)))
        other = own.reshape(-1, 2, own.shape[1]).flip(1).reshape(-1, own.shape[1])
        alone = self.out(own)
        return alone, alone + self.correction(F.relu(self.pair(torch.cat([own, other], 1))))
