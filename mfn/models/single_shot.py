"""SingleShot: a dense pass over the whole picture that reads every pixel once.

Each cell of four strides (8 to 64) predicts objectness, box, pose, identity and expression, as `mfn.models.mfn` does. That network runs its
backbone on the picture at full, half and quarter size; this one computes a feature pyramid from a stem of stride 4, which costs about half
the multiplications per pixel. It is meant to find and place faces; `mfn.models.readers.face_reader` then reads the expression from crops.

Status: an experiment. After 128,000 scenes it still finds fewer faces than MFN, so no shipped file holds it.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mfn.models.blocks import ConvBNReLU, Residual
from mfn.models.mfn import EXPRESSION_BIAS, OBJECTNESS_BIAS, Features
from mfn.structures.cells import BRANCHES
from mfn.structures.network_metadata import NetworkKind, Size

STEM_COLUMNS = 4  # px of a row that the stem reads as channels of one: space-to-depth
STEM_ROWS = 4


class Stem(nn.Module):
    """Convolve blocks of 4 x 4 pixels: space-to-depth along the rows, then a convolution of stride 4.

    Args:
        width: Output channels.

    Four RGB pixels of a row are viewed as one pixel of 12 channels, which is a reshape without a copy for a picture (H, W, 3). Kernels in
    8 bits need many input channels to be fast, and a picture has three.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3 * STEM_COLUMNS, width, (STEM_ROWS, 3), (STEM_ROWS, 1), (0, 1), bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, picture: Tensor) -> Tensor:
        """Return (B, width, H / 4, W / 4) for pictures (B, 3, H, W) RGB, 0 to 255."""
        packed = picture.unflatten(3, (-1, STEM_COLUMNS)).permute(0, 4, 1, 2, 3).flatten(1, 2)
        return self.packed(packed)

    def packed(self, packed: Tensor) -> Tensor:
        """Return (B, width, H / 4, W / 4) for packed pictures (B, 12, H, W / 4), channel = 3 * column + color, 0 to 255."""
        features: Tensor = torch.relu(self.norm(self.conv(packed / 64.0)))
        return features


class DenseHead(nn.Module):
    """Predict the cells of one stride: box and pose from global, identity from regional, expression from local features.

    Args:
        finer: Channels of the map that is one stride finer.
        width: Channels of this stride's map and of the global map.
        hidden: Channels of the identity and expression branches.
    """

    def __init__(self, finer: int, width: int, hidden: int) -> None:
        super().__init__()
        self.place = ConvBNReLU(width, width)
        self.regional = nn.Sequential(ConvBNReLU(2 * width, hidden, 1), ConvBNReLU(hidden, hidden))
        self.local_down = ConvBNReLU(finer, hidden, 3, 2)
        self.local = nn.Sequential(ConvBNReLU(hidden + 2 * width, hidden, 1), ConvBNReLU(hidden, hidden))
        self.out_box = nn.Conv2d(width, BRANCHES["box"], 1)
        self.out_pose = nn.Conv2d(width, BRANCHES["pose"], 1)
        self.out_identity = nn.Conv2d(hidden, BRANCHES["identity"], 1)
        self.out_expression = nn.Conv2d(hidden, BRANCHES["expression"], 1)
        for out, bias in ((self.out_box, 0.0), (self.out_pose, 0.0), (self.out_identity, 0.0), (self.out_expression, EXPRESSION_BIAS)):
            nn.init.normal_(out.weight, std=0.01)
            nn.init.constant_(out.bias, bias)
        nn.init.constant_(self.out_box.bias[:1], OBJECTNESS_BIAS)

    def forward(self, finer: Tensor, here: Tensor, context: Tensor) -> Tensor:
        """Return cells (B, H / s, W / s, D) for the map one stride finer, the map of this stride and the global map of this stride."""
        place = self.place(context)
        identity = self.regional(torch.cat([here, context], 1))
        expression = self.local(torch.cat([self.local_down(finer), here, context], 1))
        pairs = (self.out_box, place), (self.out_pose, place), (self.out_identity, identity), (self.out_expression, expression)
        products = [F.linear(x.permute(0, 2, 3, 1), out.weight.flatten(1)) for out, x in pairs]
        return torch.cat(products, 3) + torch.cat([out.bias for out, _ in pairs])


class SingleShot(nn.Module):
    """Predict cells from a feature pyramid, with one head for stride 8 and one, shared, for strides 16 to 64.

    Args:
        widths: Channels at strides 4, 8, 16, 32 and 64.
        depths: Residual blocks at the same strides.
        width: Channels of the pyramid's maps.
        hidden: Channels of the identity and expression branches, at stride 8 and at the others.
    """

    kind: ClassVar[NetworkKind] = "multi_face"
    input_size: ClassVar[Size] = Size(1024, 576)
    float_modules: ClassVar[tuple[str, ...]] = ()
    refiner: None = None

    def __init__(
        self,
        widths: tuple[int, int, int, int, int] = (48, 64, 96, 128, 128),
        depths: tuple[int, int, int, int, int] = (0, 1, 2, 2, 1),
        width: int = 64,
        hidden: tuple[int, int] = (32, 64),
    ) -> None:
        super().__init__()
        self.stem = Stem(widths[0])
        self.first = nn.Sequential(*(Residual(widths[0]) for _ in range(depths[0])))
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBNReLU(a, b, 3, 2), *(Residual(b) for _ in range(depth)))
            for a, b, depth in zip(widths[:-1], widths[1:], depths[1:], strict=True)
        )
        self.lateral = nn.ModuleList(ConvBNReLU(w, width, 1) for w in widths[1:])
        self.smooth = nn.ModuleList(ConvBNReLU(width, width) for _ in widths[1:])
        self.fine = DenseHead(widths[0], width, hidden[0])
        self.coarse = DenseHead(width, width, hidden[1])

    def forward(self, picture: Tensor) -> Tensor:
        """Return cells (B, A, D) for pictures (B, 3, H, W) RGB, 0 to 255, whose sides are multiples of 16 (`mfn.structures.cells`)."""
        return self.forward_features(picture).cells

    def forward_features(self, picture: Tensor) -> Features:
        """Return the cells of stride 8 and of the other strides, for pictures as of `forward`. There is no refinement head."""
        x = self.stem(picture)
        maps = [self.first(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        own = [lateral(m) for lateral, m in zip(self.lateral, maps[1:], strict=True)]
        context: list[Tensor] = []
        for here, smooth in zip(reversed(own), reversed(self.smooth), strict=True):
            above = F.interpolate(context[-1], size=here.shape[2:], mode="nearest") if context else 0
            context.append(smooth(here + above))
        context.reverse()
        fine = self.fine(maps[0], own[0], context[0]).flatten(1, 2)
        coarse = [self.coarse(own[i - 1], own[i], context[i]).flatten(1, 2) for i in range(1, len(own))]
        return Features(fine, torch.cat(coarse, 1), [])
