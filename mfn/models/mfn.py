"""MFN: every face of a picture in one pass (after Chaudhuri, Vesdapunt and Wang, CVPR 2019).

The paper's disentangling is kept but for one thing. At each stride
    box and pose   read global features: the deepest map, brought up again, beside this stride's own; and, to put them right, local ones;
    identity       reads regional features: this stride's map and the one finer;
    expression     reads local features: a bottom-up chain that starts two strides finer, with everything above beside it.
A second look (`mfn.models.refiner`) then reads local features at the points of every face that the first has found, and puts all three
right. The single-scale twin of the paper's ablation reads everything from the global features, once.
The paper's pose reads no local features. Ours did not either, and then its points erred as much with the true shape put in
(`pose_landmarks` of `mfn.training.face_loss`) as with its own: a fiftieth of a face is a tenth of a cell, and not to be told from stride 16 alone.

One trunk reads the picture at full, half and quarter size, in one graph and for a third more work than full size alone. So a face of any
size meets the same weights at nearly the same size: what is learned of faces of 60 px is known of faces of 240 px. (Before, every stride
had layers of its own, each of which had to learn faces anew: large faces, which are few, stayed the worst.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mfn.models.backbone import Backbone
from mfn.models.blocks import ConvBNReLU
from mfn.models.refiner import Level, Refiner
from mfn.structures.cells import BRANCHES, PAD_GRAY, STRIDES

COARSE_STRIDE = 16  # of the head that every size of the picture shares; a finer one reads the smallest faces at full size
SCALES = tuple(s for s in STRIDES if s >= COARSE_STRIDE)  # at half size stride 16 is stride 32 of the picture, and so on


class LevelHead(nn.Module):
    """The branches of one stride. c: channels of the maps two finer, one finer, and at this stride; context: of the global map."""

    def __init__(self, c: tuple[int, int, int], context: int, hidden: int, multi_scale: bool = True) -> None:
        super().__init__()
        finest, finer, here = c
        half = hidden // 2
        self.multi_scale = multi_scale
        self.pose = nn.Sequential(ConvBNReLU(context, hidden), ConvBNReLU(hidden, hidden, 1))
        if multi_scale:
            self.regional = ConvBNReLU(finer, half, 3, 2)
            self.local_first = ConvBNReLU(finest, half, 3, 2)
            self.local_second = ConvBNReLU(half + finer, hidden, 3, 2)
        regional, local = (half + here + context, hidden + here + context) if multi_scale else (context, context)
        self.identity = nn.Sequential(ConvBNReLU(regional, hidden, 1), ConvBNReLU(hidden, hidden))
        # a face is up to seven cells tall: lids and lips lie two and more cells from the cell that speaks of them
        self.expression = nn.Sequential(
            ConvBNReLU(local, hidden, 1), ConvBNReLU(hidden, hidden, dilation=2), ConvBNReLU(hidden, hidden)
        )
        if multi_scale:
            self.place = nn.Sequential(ConvBNReLU(local, hidden, 1), ConvBNReLU(hidden, hidden, dilation=2))
            self.to_pose = nn.Conv2d(hidden, hidden, 1, bias=False)
        self.out_box = nn.Conv2d(hidden, BRANCHES["box"], 1)
        self.out_pose = nn.Conv2d(hidden, BRANCHES["pose"], 1)
        self.out_identity = nn.Conv2d(hidden, BRANCHES["identity"], 1)
        self.out_expression = nn.Conv2d(hidden, BRANCHES["expression"], 1)
        self._start()

    def _start(self) -> None:
        """First outputs: no face anywhere (p = 0.01), frontal, mean identity, nearly neutral (0.08); pose of global features alone."""
        if self.multi_scale:
            nn.init.zeros_(self.to_pose.weight)
        for out, weight, bias in (
            (self.out_box, 0.01, 0.0),
            (self.out_pose, 0.01, 0.0),
            (self.out_identity, 0.01, 0.0),
            (self.out_expression, 0.01, -2.4),
        ):
            nn.init.normal_(out.weight, std=weight)
            assert out.bias is not None
            nn.init.constant_(out.bias, bias)
        assert self.out_box.bias is not None
        nn.init.constant_(self.out_box.bias[:1], -4.6)

    def forward(self, finest: Tensor, finer: Tensor, here: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Maps -> cells (B, H / s, W / s, D), and the local features that they were read from, at half the stride"""
        pose = self.pose(context)
        regional, local, fine = context, context, finer
        if self.multi_scale:
            regional = torch.cat([self.regional(finer), here, context], 1)
            fine = torch.cat([self.local_first(finest), finer], 1)
            local = torch.cat([self.local_second(fine), here, context], 1)
            pose = pose + self.to_pose(self.place(local))
        identity, expression = self.identity(regional), self.expression(local)
        return self._out(pose, identity, expression), fine

    def _out(self, pose: Tensor, identity: Tensor, expression: Tensor) -> Tensor:
        """The branches' last convolutions, 1 x 1, as products: the numbers of a cell come to lie side by side, as they are given.

        features (B, hidden, H, W) -> (B, H, W, D)
        """
        outs = (self.out_box, pose), (self.out_pose, pose), (self.out_identity, identity), (self.out_expression, expression)
        products = [F.linear(features.permute(0, 2, 3, 1), out.weight.flatten(1)) for out, features in outs]
        return torch.cat(products, 3) + torch.cat([out.bias for out, _ in outs])  # type: ignore[misc]


class Look(NamedTuple):
    """Cells (B, A, D): fine, of the finest head, and coarse, of the others; levels: what a second look at the coarse ones reads."""

    fine: Tensor
    coarse: Tensor
    levels: list[Level]

    @property
    def cells(self) -> Tensor:
        """All (B, A, D), those of the finest head first."""
        return torch.cat([self.fine, self.coarse], 1)


class MFN(nn.Module):
    """Whole pictures to raw cells; `mfn.inference.decode` gives them their meaning.

    backbone: strides 2 to 32; context, hidden: channels of the global map and of the branches, (at stride 8, at stride 16);
    multi_scale: False for the single-scale twin; refine: channels of the features of the second look (`mfn.models.refiner`), 0 for none;
    looks: how often it is taken.
    """

    def __init__(
        self,
        backbone: Backbone,
        context: tuple[int, int],
        hidden: tuple[int, int],
        multi_scale: bool = True,
        refine: int = 0,
        looks: int = 1,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        c2, c4, c8, c16, c32 = backbone.widths
        self.lateral_fine = ConvBNReLU(c8, context[0], 1)
        self.lateral = ConvBNReLU(c16, context[1], 1)
        self.down_fine = nn.Conv2d(context[1], context[0], 1, bias=False)
        self.down = nn.Conv2d(c32, context[1], 1, bias=False)
        self.fine = LevelHead((c2, c4, c8), context[0], hidden[0], multi_scale)
        self.coarse = LevelHead((c4, c8, c16), context[1], hidden[1], multi_scale)
        self.mirror: tuple[Tensor, Tensor] | None = None
        if refine and not multi_scale:
            raise ValueError(f"refine: expected 0 for a single-scale network, which has no local features, got {refine}")
        self.refiner: Refiner | None = None
        if refine:
            self.detail = ConvBNReLU(hidden[1] // 2 + c8, refine)
            self.detail_context = nn.Conv2d(context[1], refine, 1, bias=False)
            nn.init.zeros_(self.detail_context.weight)
            self.refiner = Refiner(refine, looks)

    def read_twice(self, mirror: tuple[NDArray, NDArray]) -> None:
        """From now on the largest faces are read in the mirrored picture, half a cell further, too, and the mean is given.

        That is for a trained network: at quarter size it costs a fifteenth of the whole.
        mirror: `mfn.structures.flip.cell_flip`'s order (D,) and sign (D,)
        """
        order, sign = mirror
        self.mirror = torch.from_numpy(order), torch.from_numpy(sign)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in 0..255, H and W multiples of 16 -> cells (B, A, D), see `mfn.structures.cells`"""
        look = self.look(picture)
        if self.refiner is not None:
            look = look._replace(coarse=self.refiner(look.coarse, look.levels))
        return look.cells

    def look(self, picture: Tensor) -> Look:
        """The first look, for training, which knows which cells to look at again. picture as in `forward`."""
        x = picture / 64.0  # no mean taken off: batch normalisation does it, and a border of zeros stays black
        cells, levels = [], []
        for stride in SCALES:
            if stride > COARSE_STRIDE:
                x = _halve(x)
            twice = self.mirror is not None and stride == SCALES[-1]
            m2, m4, m8, m16, m32 = self.backbone(_with_mirror(x) if twice else x)
            context = self.lateral(m16) + _enlarge(self.down(m32), m16)
            if stride == COARSE_STRIDE:
                fine = self.lateral_fine(m8) + _enlarge(self.down_fine(context), m8)
                cells.append(self.fine(m2, m4, m8, fine)[0])
            here, local = self.coarse(m4, m8, m16, context)
            if self.refiner is not None:
                detail = self.detail(local) + _enlarge(self.detail_context(context), local)
                levels.append(Level(_of_first(detail) if twice else detail, stride))
            cells.append(self._mean_of_both(here) if twice else here)
        fine, *coarse = (c.flatten(1, 2) for c in cells)
        return Look(fine, torch.cat(coarse, 1), levels)

    def _mean_of_both(self, cells: Tensor) -> Tensor:
        """Cells (2 B, H + 1, W + 1, D) of what `_with_mirror` gives -> (B, H, W, D)"""
        assert self.mirror is not None
        order, sign = (part.to(cells.device) for part in self.mirror)
        seen, mirrored = cells.unflatten(0, (2, -1)).unbind(0)
        between = mirrored.flip(2)[..., order] * sign
        # what four cells say of places that they count from their own centres is, in the mean, said from the middle of the four
        between = 0.5 * (between[:, 1:] + between[:, :-1])
        between = 0.5 * (between[:, :, 1:] + between[:, :, :-1])
        return 0.5 * (seen[:, :-1, :-1] + between)


def _with_mirror(picture: Tensor) -> Tensor:
    """(B, 3, h, w) -> (2 B, 3, h', w'), the mirrored ones behind, with whole cells and one more each way.

    The mirrored ones lie half a cell further: where in its cell a face falls is worth 5 % of its points' error, so both see it differently.
    """
    half, gray = COARSE_STRIDE // 2, PAD_GRAY / 64.0
    right, below = -picture.shape[3] % COARSE_STRIDE, -picture.shape[2] % COARSE_STRIDE
    picture = F.pad(picture, (0, right, 0, below), value=gray)
    seen, mirrored = F.pad(picture, (0, 2 * half, 0, 2 * half), value=gray), F.pad(picture.flip(3), (half,) * 4, value=gray)
    return torch.cat([seen, mirrored])


def _of_first(detail: Tensor) -> Tensor:
    """The features, at half a cell's stride, of the pictures themselves, without the cells that `_with_mirror` has added."""
    return detail[: detail.shape[0] // 2, :, :-2, :-2]


def _halve(picture: Tensor) -> Tensor:
    """Means of two by two px. A convolution: in 8 bits `mfn.models.export.pack_columns` makes it nine times as fast as pooling three channels."""
    kernel = 0.25 * torch.eye(3, dtype=picture.dtype, device=picture.device)[:, :, None, None].expand(3, 3, 2, 2)
    return F.conv2d(picture, kernel, stride=2)


def _enlarge(deep: Tensor, like: Tensor) -> Tensor:
    """A map at twice its size, or one less where that of `like` is odd."""
    return F.interpolate(deep, size=like.shape[2:], mode="nearest")
