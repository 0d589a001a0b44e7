"""Plans of training crops: upright crops of single faces, with the errors of a detector in place, size and roll. NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfn.structures.camera import mirror_rotation
from mfn.structures.crop_geometry import CROP_MARGIN
from mfn.structures.flip import hflip_expression
from mfn.training.data.batch import CropTargets
from mfn.training.data.warp import BoxFunction
from mfn.training.device.face_library import FaceLibrary

SHIFT = 0.05  # standard deviation of the crop's place, in sides of the crop
LOG_SIZE = 0.09  # standard deviation of the logarithm of the crop's side
WIDE_ROLL_RAD = 0.8  # largest rotation of the widely rotated crops


class CropPlan(NamedTuple):
    """What B crops show.

    Attributes:
        picture: (B,) long.
        matrix: (B, 2, 3) from px of the crop to px of the picture.
        background: (B,) long, a photo without faces.
        background_matrix: (B, 2, 3) from px of the crop to px of that photo.
        target: The targets, px of the crop.
    """

    picture: Tensor
    matrix: Tensor
    background: Tensor
    background_matrix: Tensor
    target: CropTargets


class CropPlanner:
    """Draw plans of batches.

    Args:
        library: The faces to draw from; those that are drawn have labels.
        background_sizes: (Q, 2) width and height of the photos without faces, px.
        identity_mirror: (I,) sign of each identity component in a mirrored picture.
        box_of: Returns the boxes (N, 4) of faces from pose, identity and expression.
        size: Side of a crop, px.
        roll_rad: Standard deviation of the rotation that is left in an upright crop.
        wide_share: Share of the crops that are rotated by any angle up to WIDE_ROLL_RAD.
    """

    def __init__(
        self,
        library: FaceLibrary,
        background_sizes: NDArray[np.int64],
        identity_mirror: NDArray[np.float32],
        box_of: BoxFunction,
        size: int = 64,
        roll_rad: float = 0.15,
        wide_share: float = 0.15,
    ) -> None:
        self.library, self.background_sizes, self.box_of = library, background_sizes, box_of
        self.identity_mirror, self.size = identity_mirror.astype(np.float32), size
        self.roll_rad, self.wide_share = roll_rad, wide_share

    def plan(self, batch: int, rng: np.random.Generator) -> CropPlan:
        """Draw the plan of a batch."""
        face = self.library.faces[self.library.draw(batch, rng)]
        flip = rng.random(batch) < 0.5
        rotation = np.where(flip[:, None, None], mirror_rotation(face.rotation), face.rotation)
        expression = np.where(flip[:, None], hflip_expression(face.expression), face.expression)
        identity = np.where(flip[:, None], face.identity * self.identity_mirror, face.identity)
        # A dense pass predicts the roll, from the head's y axis in the picture, with an error.
        roll = np.arctan2(rotation[:, 0, 1], -rotation[:, 1, 1])
        wide = rng.random(batch) < self.wide_share
        error = np.where(wide, rng.uniform(-WIDE_ROLL_RAD, WIDE_ROLL_RAD, batch), rng.normal(0, self.roll_rad, batch))
        angle = -roll + error
        c, s = np.cos(angle), np.sin(angle)
        turn = np.zeros((batch, 3, 3))
        turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = c, -s, s, c, 1
        upright = face.replace(
            rotation=(turn @ rotation).astype(np.float32),
            expression=expression.astype(np.float32),
            identity=identity.astype(np.float32),
            center=np.zeros((batch, 2), np.float32),
        )
        box = self.box_of(upright).astype(np.float64)  # about the head's origin, px of the picture
        side = CROP_MARGIN * (box[:, 2:] - box[:, :2]).max(1) * np.exp(LOG_SIZE * rng.normal(0, 1, batch))
        middle = (box[:, :2] + box[:, 2:]) / 2 + SHIFT * side[:, None] * rng.normal(0, 1, (batch, 2))
        gain = self.size / side
        # px of the picture -> mirrored -> turned and scaled about the head's origin -> px of the crop
        a = gain[:, None, None] * turn[:, :2, :2] * np.where(flip, -1.0, 1.0)[:, None, None] ** np.array([1, 0])
        t = self.size / 2 - gain[:, None] * middle - np.einsum("nij,nj->ni", a, face.center)
        inverse = np.linalg.inv(a)
        matrix = np.concatenate([inverse, -np.einsum("nij,nj->ni", inverse, t)[:, :, None]], 2).astype(np.float32)
        target = {
            "rotation": upright.rotation,
            "scale": (face.scale * gain).astype(np.float32),
            "center": (self.size / 2 - gain[:, None] * middle).astype(np.float32),
            "identity": upright.identity,
            "expression": upright.expression,
        }
        background = rng.integers(len(self.background_sizes), size=batch)
        size = self.background_sizes[background]
        cut = size.min(1) * rng.uniform(0.2, 0.8, batch)
        back = np.zeros((batch, 2, 3), np.float32)
        back[:, 0, 0] = back[:, 1, 1] = cut / self.size
        back[:, :, 2] = rng.random((batch, 2)) * (size - cut[:, None])
        return CropPlan(
            torch.from_numpy(face.image.astype(np.int64)),
            torch.from_numpy(matrix),
            torch.from_numpy(background),
            torch.from_numpy(back),
            {name: torch.tensor(value) for name, value in target.items()},
        )
