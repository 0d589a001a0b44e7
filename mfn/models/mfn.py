"""MFN: all faces of a picture in one forward pass (after Chaudhuri, Vesdapunt and Wang, CVPR 2019).

A single-stage, anchor-free detector. Each cell of four feature levels (strides 8 to 64) predicts objectness, box, rotation, identity and
expression. As in the paper, each of them reads features of its own kind:

    box, pose    global features: the deepest map, upsampled, beside the map of this stride; the pose is corrected from local features;
    identity     regional features: the map of this stride and the next finer one;
    expression   local features: a bottom-up chain that starts two levels finer, and all deeper maps.

In the paper, pose reads no local features. With global features alone, landmarks were as wrong with the true shape as
with the predicted one (the loss `pose_landmarks`): 2 % of a face is a tenth of a cell, too little to be seen at stride
16.

A refinement head (`mfn.models.refiner`) then samples local features at the landmarks of every candidate and corrects pose, identity and
expression. The single-scale variant of the paper's ablation reads all branches from the global features and has no refinement head.

One backbone with shared weights processes the picture at full, half and quarter size, which costs a third more than
full size alone. A face of any size so meets the same weights at nearly the same size: what is learned from faces of 60
px holds for faces of 240 px. With weights of its own for each stride, every stride had to learn faces on its own, and large
faces, which are few, stayed the worst.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mfn.models.backbone import Backbone
from mfn.models.blocks import ConvBNReLU
from mfn.models.refiner import FeatureLevel, Refiner
from mfn.structures.cells import BRANCHES, PAD_GRAY, STRIDES
from mfn.structures.flip import CellFlip
from mfn.structures.head_model import HeadModel
from mfn.structures.network_metadata import NetworkKind, Size

COARSE_STRIDE = 16  # stride of the head that all sizes of the picture share; a finer head finds the smallest faces at full size
SCALES = tuple(s for s in STRIDES if s >= COARSE_STRIDE)  # stride 16 of the half-size picture is stride 32 of the picture, and so on
OBJECTNESS_BIAS = -4.6  # sigmoid(-4.6) = 0.01: no face anywhere
EXPRESSION_BIAS = -2.4  # sigmoid(-2.4) = 0.08: nearly neutral


class LevelHead(nn.Module):
    """Predict the cells of one stride.

    Args:
        channels: Channels of the maps two levels finer, one level finer, and of this stride.
        context: Channels of the global map.
        hidden: Channels of the branches.
        multi_scale: False if all branches read the global map only.
    """

    def __init__(self, channels: tuple[int, int, int], context: int, hidden: int, multi_scale: bool = True) -> None:
        super().__init__()
        finest, finer, here = channels
        half = hidden // 2
        self.multi_scale = multi_scale
        self.pose = nn.Sequential(ConvBNReLU(context, hidden), ConvBNReLU(hidden, hidden, 1))
        if multi_scale:
            self.regional = ConvBNReLU(finer, half, 3, 2)
            self.local_first = ConvBNReLU(finest, half, 3, 2)
            self.local_second = ConvBNReLU(half + finer, hidden, 3, 2)
        regional, local = (half + here + context, hidden + here + context) if multi_scale else (context, context)
        self.identity = nn.Sequential(ConvBNReLU(regional, hidden, 1), ConvBNReLU(hidden, hidden))
        # A face is up to seven cells tall, so eyelids and lips lie two or more cells from the cell that predicts them.
        self.expression = nn.Sequential(ConvBNReLU(local, hidden, 1), ConvBNReLU(hidden, hidden, dilation=2), ConvBNReLU(hidden, hidden))
        if multi_scale:
            self.place = nn.Sequential(ConvBNReLU(local, hidden, 1), ConvBNReLU(hidden, hidden, dilation=2))
            self.to_pose = nn.Conv2d(hidden, hidden, 1, bias=False)
        self.out_box = nn.Conv2d(hidden, BRANCHES["box"], 1)
        self.out_pose = nn.Conv2d(hidden, BRANCHES["pose"], 1)
        self.out_identity = nn.Conv2d(hidden, BRANCHES["identity"], 1)
        self.out_expression = nn.Conv2d(hidden, BRANCHES["expression"], 1)
        self._initialize()

    def _initialize(self) -> None:
        """Start with no face anywhere, a frontal pose from global features only, the mean identity and a nearly neutral expression."""
        if self.multi_scale:
            nn.init.zeros_(self.to_pose.weight)
        for out, bias in ((self.out_box, 0.0), (self.out_pose, 0.0), (self.out_identity, 0.0), (self.out_expression, EXPRESSION_BIAS)):
            nn.init.normal_(out.weight, std=0.01)
            nn.init.constant_(_bias(out), bias)
        nn.init.constant_(_bias(self.out_box)[:1], OBJECTNESS_BIAS)

    def forward(self, finest: Tensor, finer: Tensor, here: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Predict cells.

        Args:
            finest: (B, C, 4 h, 4 w), the map two levels finer.
            finer: (B, C, 2 h, 2 w), the map one level finer.
            here: (B, C, h, w), the map of this stride.
            context: (B, C, h, w), the global map.

        Returns:
            The cells (B, h, w, D), and the local features (B, C, 2 h, 2 w) that they were predicted from.
        """
        pose = self.pose(context)
        regional, local, fine = context, context, finer
        if self.multi_scale:
            regional = torch.cat([self.regional(finer), here, context], 1)
            fine = torch.cat([self.local_first(finest), finer], 1)
            local = torch.cat([self.local_second(fine), here, context], 1)
            pose = pose + self.to_pose(self.place(local))
        identity, expression = self.identity(regional), self.expression(local)
        return self._predict(pose, identity, expression), fine

    def _predict(self, pose: Tensor, identity: Tensor, expression: Tensor) -> Tensor:
        """Apply the last 1 x 1 convolutions as matrix products, so that the numbers of a cell are adjacent in memory.

        Args:
            pose: (B, hidden, H, W), the features of box and pose.
            identity: (B, hidden, H, W).
            expression: (B, hidden, H, W).

        Returns:
            (B, H, W, D).
        """
        outs = (self.out_box, pose), (self.out_pose, pose), (self.out_identity, identity), (self.out_expression, expression)
        products = [F.linear(features.permute(0, 2, 3, 1), out.weight.flatten(1)) for out, features in outs]
        return torch.cat(products, 3) + torch.cat([_bias(out) for out, _ in outs])


class Features(NamedTuple):
    """What the network computes before the refinement.

    Attributes:
        fine: (B, A, D), the cells of the finest head.
        coarse: (B, A, D), the cells of the other strides.
        levels: The local features from which the coarse cells are refined; empty without a refinement head.
    """

    fine: Tensor
    coarse: Tensor
    levels: list[FeatureLevel]

    @property
    def cells(self) -> Tensor:
        """All cells (B, A, D), those of the finest head first."""
        return torch.cat([self.fine, self.coarse], 1)


class MFN(nn.Module):
    """Predict the raw cells of whole pictures. `mfn.inference.decode` turns them into faces.

    Args:
        backbone: Feature maps of the strides 2 to 32.
        context: Channels of the global map at stride 8 and at stride 16.
        hidden: Channels of the branches at stride 8 and at stride 16.
        multi_scale: False for the single-scale variant.
        refinement_channels: Channels of the local features that the refinement head samples; 0 for no refinement head.
        refinement_steps: Number of refinement steps.

    Raises:
        ValueError: A refinement head for a single-scale network.
    """

    kind: ClassVar[NetworkKind] = "multi_face"
    #: The default size of the input when the network is exported. Any multiple of 16 px works.
    input_size: ClassVar[Size] = Size(864, 496)
    #: Modules that stay in float32 when the network is quantized: their outputs are fractions of a pixel.
    float_modules: ClassVar[tuple[str, ...]] = ("refiner", "down", "down_fine", "detail_context")

    def __init__(
        self,
        backbone: Backbone,
        context: tuple[int, int],
        hidden: tuple[int, int],
        multi_scale: bool = True,
        refinement_channels: int = 0,
        refinement_steps: int = 1,
    ) -> None:
        super().__init__()
        if refinement_channels and not multi_scale:
            raise ValueError(f"refinement_channels: expected 0 for a single-scale network, got {refinement_channels}")
        self.backbone = backbone
        c2, c4, c8, c16, c32 = backbone.widths
        self.lateral_fine = ConvBNReLU(c8, context[0], 1)
        self.lateral = ConvBNReLU(c16, context[1], 1)
        self.down_fine = nn.Conv2d(context[1], context[0], 1, bias=False)
        self.down = nn.Conv2d(c32, context[1], 1, bias=False)
        self.fine = LevelHead((c2, c4, c8), context[0], hidden[0], multi_scale)
        self.coarse = LevelHead((c4, c8, c16), context[1], hidden[1], multi_scale)
        self.mirror: tuple[Tensor, Tensor] | None = None
        self.refiner: Refiner | None = None
        if refinement_channels:
            self.detail = ConvBNReLU(hidden[1] // 2 + c8, refinement_channels)
            self.detail_context = nn.Conv2d(context[1], refinement_channels, 1, bias=False)
            nn.init.zeros_(self.detail_context.weight)
            self.refiner = Refiner(refinement_channels, HeadModel.load(), refinement_steps)

    def average_with_mirror(self, flip: CellFlip) -> None:
        """From now on, also process the mirrored picture for the largest stride, and return the mean of both.

        This is test-time augmentation for a trained network. At quarter size it costs a fifteenth of the whole network.

        Args:
            flip: How the numbers of a cell change in the mirrored picture, from `cell_flip`.
        """
        self.mirror = torch.from_numpy(flip.order), torch.from_numpy(flip.sign)

    def forward(self, picture: Tensor) -> Tensor:
        """Predict cells.

        Args:
            picture: (B, 3, H, W) RGB, 0 to 255; H and W are multiples of 16.

        Returns:
            (B, A, D) raw cells, see `mfn.structures.cells`.
        """
        features = self.forward_features(picture)
        if self.refiner is not None:
            features = features._replace(coarse=self.refiner(features.coarse, features.levels))
        return features.cells

    def forward_features(self, picture: Tensor) -> Features:
        """Compute the cells before the refinement, and the local features for it. The argument is that of `forward`."""
        x = picture / 64.0
        cells, levels = [], []
        for stride in SCALES:
            if stride > COARSE_STRIDE:
                x = _halve(x)
            mirrored = self.mirror is not None and stride == SCALES[-1]
            m2, m4, m8, m16, m32 = self.backbone(_append_mirrored(x) if mirrored else x)
            context = self.lateral(m16) + _upsample(self.down(m32), m16)
            if stride == COARSE_STRIDE:
                fine_context = self.lateral_fine(m8) + _upsample(self.down_fine(context), m8)
                cells.append(self.fine(m2, m4, m8, fine_context)[0])
            here, local = self.coarse(m4, m8, m16, context)
            if self.refiner is not None:
                detail = self.detail(local) + _upsample(self.detail_context(context), local)
                levels.append(FeatureLevel(_without_mirrored(detail) if mirrored else detail, stride))
            cells.append(self._average_mirrored(here) if mirrored else here)
        fine, *coarse = (c.flatten(1, 2) for c in cells)
        return Features(fine, torch.cat(coarse, 1), levels)

    def _average_mirrored(self, cells: Tensor) -> Tensor:
        """Average the cells (2 B, H + 1, W + 1, D) of the pictures of `_append_mirrored` -> (B, H, W, D)."""
        if self.mirror is None:
            raise ValueError("expected a call of `average_with_mirror` before the forward pass")
        order, sign = (part.to(cells.device) for part in self.mirror)
        plain, mirrored = cells.unflatten(0, (2, -1)).unbind(0)
        mirrored = mirrored.flip(2)[..., order] * sign
        # The mirrored cells are shifted by half a cell. The mean of four of them is a prediction at the center of the four.
        mirrored = 0.5 * (mirrored[:, 1:] + mirrored[:, :-1])
        mirrored = 0.5 * (mirrored[:, :, 1:] + mirrored[:, :, :-1])
        return 0.5 * (plain[:, :-1, :-1] + mirrored)


def _bias(conv: nn.Conv2d) -> Tensor:
    """Return the bias of a convolution that was made with one."""
    if conv.bias is None:
        raise ValueError(f"expected a convolution with a bias, got {conv}")
    return conv.bias


def _append_mirrored(picture: Tensor) -> Tensor:
    """Append the mirrored pictures to the batch: (B, 3, h, w) -> (2 B, 3, h', w'), padded to whole cells and one more each way.

    The mirrored pictures are shifted by half a cell. The position of a face in its cell changes the error of its
    landmarks by up to 5 %, so the two views have different errors.
    """
    half, gray = COARSE_STRIDE // 2, PAD_GRAY / 64.0
    right, bottom = -picture.shape[3] % COARSE_STRIDE, -picture.shape[2] % COARSE_STRIDE
    picture = F.pad(picture, (0, right, 0, bottom), value=gray)
    plain, mirrored = F.pad(picture, (0, 2 * half, 0, 2 * half), value=gray), F.pad(picture.flip(3), (half,) * 4, value=gray)
    return torch.cat([plain, mirrored])


def _without_mirrored(detail: Tensor) -> Tensor:
    """Keep the features of the pictures themselves, without the mirrored ones and without the cells that `_append_mirrored` added."""
    return detail[: detail.shape[0] // 2, :, :-2, :-2]


def _halve(picture: Tensor) -> Tensor:
    """Halve a picture by averaging 2 x 2 px.

    A convolution: quantized and with packed columns (`mfn.models.export.pack_columns`) it is nine times faster than
    average pooling of three channels.
    """
    kernel = 0.25 * torch.eye(3, dtype=picture.dtype, device=picture.device)[:, :, None, None].expand(3, 3, 2, 2)
    return F.conv2d(picture, kernel, stride=2)


def _upsample(deep: Tensor, like: Tensor) -> Tensor:
    """Upsample a map by two, by nearest neighbor, to the size of `like`, which may be one less."""
    return F.interpolate(deep, size=like.shape[2:], mode="nearest")
