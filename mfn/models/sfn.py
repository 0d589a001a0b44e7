"""Networks that read the face of one crop: SFN, its single-scale variant, and a plain regressor.

SFN follows Chaudhuri, Vesdapunt and Wang, CVPR 2019, Fig. 1. All networks here return the parameters of one face, (B,
PARAMETER_SIZE). `read_parameters` decodes them as those of a cell that covers the crop: its center is the middle of the
crop, its stride a quarter of the side.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mfn.models.backbone import Backbone
from mfn.models.blocks import BlockName, ConvBNReLU, Fire
from mfn.structures.cells import BRANCHES, PARAMETER_SIZE
from mfn.structures.crop_geometry import CROP_SIZE
from mfn.structures.network_metadata import NetworkKind

DEEPEST_SIDE = CROP_SIZE // 32  # cells along a side of the deepest map
EXPRESSION_BIAS = -2.4  # sigmoid(-2.4) = 0.08: a face starts nearly neutral
COMPACT_IDENTITY, COMPACT_EXPRESSION = 40, 10  # numbers that 3DDFA_V2 predicts


class Down(nn.Sequential):
    """Halve a map, so that it can be concatenated with the next deeper one ("FMs2" in the paper's figure).

    Args:
        block: "fire" for a fire module, "conv" for a plain convolution.
        c_in: Number of input channels.
        c_out: Number of output channels.
    """

    def __init__(self, block: BlockName, c_in: int, c_out: int) -> None:
        super().__init__(Fire(c_in, c_out, 2) if block == "fire" else ConvBNReLU(c_in, c_out, 3, 2))


class Branch(nn.Sequential):
    """Predict a part of the parameters with two fully connected layers on all cells of a deepest map.

    Args:
        channels: Channels of the map.
        hidden: Width of the hidden layer.
        size: Number of outputs.
        bias: First value of every output.
    """

    def __init__(self, channels: int, hidden: int, size: int, bias: float = 0.0) -> None:
        first, out = nn.Linear(channels * DEEPEST_SIDE**2, hidden), nn.Linear(hidden, size)
        nn.init.normal_(out.weight, std=0.01)
        nn.init.constant_(out.bias, bias)
        super().__init__(nn.Flatten(), first, nn.ReLU(), out)


class Maps(NamedTuple):
    """The last map of each branch, each (B, branch, DEEPEST_SIDE, DEEPEST_SIDE)."""

    pose: Tensor
    identity: Tensor
    expression: Tensor


class BranchMaps(nn.Module):
    """Compute the feature maps of SFN: global ones for the pose, regional ones for identity, local ones for the expression.

    The systems that SFN is compared with can read the same maps and start from SFN's weights, whose names are the same. What is
    compared then is what a network predicts, and by which loss it learns.

    Args:
        backbone: Feature maps of the strides 2 to 32.
        branch: Channels of the last map of each branch.
        multi_scale: False for the ablation's single-scale variant: every branch reads the deepest map only. It has as many weights.
    """

    def __init__(self, backbone: Backbone, branch: int = 96, multi_scale: bool = True) -> None:
        super().__init__()
        self.backbone, self.branch, self.multi_scale = backbone, branch, multi_scale
        _, c4, c8, c16, c32 = backbone.widths
        block, half = backbone.block, branch // 2
        self.global_map = ConvBNReLU(c32, branch, 1)
        if multi_scale:
            self.regional = nn.ModuleList([Down(block, c8, half), Down(block, half + c16, branch)])
            self.local = nn.ModuleList([Down(block, c4, half), Down(block, half + c8, half), Down(block, half + c16, branch)])
        else:
            self.regional = nn.ModuleList([ConvBNReLU(c32, branch), ConvBNReLU(branch, branch)])
            self.local = nn.ModuleList([ConvBNReLU(c32, branch), ConvBNReLU(branch, branch)])

    def maps(self, picture: Tensor) -> Maps:
        """Return the maps of crops (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255."""
        _, m4, m8, m16, m32 = self.backbone(picture / 64.0)
        if self.multi_scale:
            regional = self.regional[1](torch.cat([self.regional[0](m8), m16], 1))
            local = self.local[1](torch.cat([self.local[0](m4), m8], 1))
            local = self.local[2](torch.cat([local, m16], 1))
        else:
            regional = self.regional[1](self.regional[0](m32))
            local = self.local[1](self.local[0](m32))
        return Maps(self.global_map(m32), regional, local)


class SFN(BranchMaps):
    """Predict pose from global, identity from regional and expression from local features.

    Args:
        backbone: Feature maps of the strides 2 to 32.
        branch: Channels of the last map of each branch.
        hidden: Width of the hidden layer of each branch.
        multi_scale: As of `BranchMaps`.
    """

    kind: ClassVar[NetworkKind] = "parameters"

    def __init__(self, backbone: Backbone, branch: int = 96, hidden: int = 192, multi_scale: bool = True) -> None:
        super().__init__(backbone, branch, multi_scale)
        self.pose = Branch(branch, hidden, BRANCHES["pose"])
        self.identity = Branch(branch, hidden, BRANCHES["identity"])
        self.expression = Branch(branch, hidden, BRANCHES["expression"], bias=EXPRESSION_BIAS)

    def forward(self, picture: Tensor) -> Tensor:
        """Predict the parameters of one face for each crop.

        Args:
            picture: (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255.

        Returns:
            (B, PARAMETER_SIZE) raw parameters.
        """
        maps = self.maps(picture)
        return torch.cat([self.pose(maps.pose), self.identity(maps.identity), self.expression(maps.expression)], 1)


class BranchFeatures(BranchMaps):
    """Compute the hidden layer of SFN's three branches.

    Args:
        backbone: Feature maps of the strides 2 to 32.
        branch: Channels of the last map of each branch.
        hidden: Width of the hidden layer of each branch.
    """

    def __init__(self, backbone: Backbone, branch: int = 96, hidden: int = 256) -> None:
        super().__init__(backbone, branch)
        self.features_size = 3 * hidden
        self.pose, self.identity, self.expression = (
            nn.Sequential(nn.Flatten(), nn.Linear(branch * DEEPEST_SIDE**2, hidden), nn.ReLU()) for _ in range(3)
        )

    def features(self, picture: Tensor) -> Tensor:
        """Return the features (B, features_size) of crops (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255."""
        maps = self.maps(picture)
        return torch.cat([self.pose(maps.pose), self.identity(maps.identity), self.expression(maps.expression)], 1)


class BranchRegressor(BranchFeatures):
    """Predict all parameters with one linear layer on the features of SFN's three branches.

    It implements `mfn.models.crop_regressor.CropRegressor`.

    Args:
        backbone: Feature maps of the strides 2 to 32.
        branch: Channels of the last map of each branch.
        hidden: Width of the hidden layer of each branch.
        compact: Whether it predicts as few numbers as 3DDFA_V2 (`CompactLayer`).
    """

    kind: ClassVar[NetworkKind] = "parameters"

    def __init__(self, backbone: Backbone, branch: int = 96, hidden: int = 256, compact: bool = False) -> None:
        super().__init__(backbone, branch, hidden)
        self.out = CompactLayer(self.features_size) if compact else parameter_layer(self.features_size)

    def predict(self, features: Tensor) -> Tensor:
        """Return the raw parameters (B, PARAMETER_SIZE) for features (B, features_size)."""
        raw: Tensor = self.out(features)
        return raw

    def forward(self, picture: Tensor) -> Tensor:
        """Return the raw parameters (B, PARAMETER_SIZE) of crops (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255."""
        return self.predict(self.features(picture))


class CompactLayer(nn.Module):
    """Predict the parameters from 59 numbers: 9 of the pose, 40 of the identity and 10 of the expression.

    The published 3DDFA_V2 (Guo et al., ECCV 2020) predicts 62: its pose is a matrix of 3 x 4. Two rows of a rotation, a scale and a
    place in the picture say the same but for the distance, which a crop does not show. The 40 are the first components of our identity
    basis; the others stay zero. The 10 are mixed to the 51 shapes by a matrix that is learned and is the same for all faces.

    Args:
        features: Number of features.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.numbers = nn.Linear(features, BRANCHES["pose"] + COMPACT_IDENTITY + COMPACT_EXPRESSION)
        self.basis = nn.Linear(COMPACT_EXPRESSION, BRANCHES["expression"])
        nn.init.normal_(self.numbers.weight, std=0.01)
        nn.init.zeros_(self.numbers.bias)
        nn.init.constant_(self.basis.bias, EXPRESSION_BIAS)

    def forward(self, features: Tensor) -> Tensor:
        """Return the raw parameters (B, PARAMETER_SIZE) for features (B, features)."""
        pose, identity, expression = self.numbers(features).split([BRANCHES["pose"], COMPACT_IDENTITY, COMPACT_EXPRESSION], 1)
        identity = F.pad(identity, (0, BRANCHES["identity"] - COMPACT_IDENTITY))
        return torch.cat([pose, identity, self.basis(expression)], 1)


def parameter_layer(features: int) -> nn.Linear:
    """Make a linear layer that predicts the parameters; it starts with a frontal, nearly neutral face."""
    layer = nn.Linear(features, PARAMETER_SIZE)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
    nn.init.constant_(layer.bias[-BRANCHES["expression"] :], EXPRESSION_BIAS)
    return layer


class Regressor(nn.Module):
    """Predict the parameters with one linear layer on the deepest map: the architecture of 3DDFA_V2 and MobileFace.

    It predicts 124 numbers: 9 of the pose, 64 of the identity and 51 of the expression; if `compact`, 59.

    It implements `mfn.models.crop_regressor.CropRegressor`.

    Args:
        backbone: Feature maps of the strides 2 to 32.
        compact: Whether it predicts as few numbers as 3DDFA_V2 (`CompactLayer`).
    """

    kind: ClassVar[NetworkKind] = "parameters"

    def __init__(self, backbone: Backbone, compact: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.features_size = backbone.widths[-1] * DEEPEST_SIDE**2
        self.out = CompactLayer(self.features_size) if compact else parameter_layer(self.features_size)

    def features(self, picture: Tensor) -> Tensor:
        """Return the features (B, features_size) of crops (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255."""
        deepest: Tensor = self.backbone(picture / 64.0)[-1]
        return deepest.flatten(1)

    def predict(self, features: Tensor) -> Tensor:
        """Return the raw parameters (B, PARAMETER_SIZE) for features (B, features_size)."""
        raw: Tensor = self.out(features)
        return raw

    def forward(self, picture: Tensor) -> Tensor:
        """Return the raw parameters (B, PARAMETER_SIZE) of crops (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255."""
        return self.predict(self.features(picture))
