"""The losses of pose, identity and expression that the multi-face and the single-face networks share.

P pairs of a predicted and a target face, L landmarks, I identity components.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mfn.structures.camera import project_xy
from mfn.structures.head_model import HeadModel, LandmarkBasis
from mfn.structures.mediapipe_points import OPPOSITE_POINTS
from mfn.training.losses.terms import expression_loss, gap_loss, landmark_loss, rotation_loss

FACE_HEIGHT_M = 0.15  # landmark errors are relative to this; a box would be too small where the edge of the picture cuts it
MEDIAPIPE_POINTS = 478


class FaceLoss(nn.Module):
    """Compute the losses of the MFN paper, L1 on rotation, identity and expression and L2 on landmarks, and two more.

    The landmarks are the 68 and MediaPipe's 478, which are dense on eyelids and lips. `pose_landmarks` projects the
    target shape with the predicted pose, so that the pose is not bent to correct a wrong shape. `gaps` compares eyelids
    and lips only.

    Args:
        model: The head model of the landmarks.
    """

    mean: Tensor
    identity: Tensor
    expression: Tensor
    weight: Tensor
    gaps: Tensor

    def __init__(self, model: HeadModel) -> None:
        super().__init__()
        basis, weight = training_landmarks(model)
        for name, value in (*basis._asdict().items(), ("weight", weight)):
            self.register_buffer(name, torch.from_numpy(value), persistent=False)
        self.register_buffer("gaps", torch.tensor(OPPOSITE_POINTS) + len(self.mean) - MEDIAPIPE_POINTS, persistent=False)

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Return the landmarks (P, L, 3) of heads, in meters, for identities (P, I) and expressions (P, 51)."""
        offset = identity @ self.identity.flatten(1) + expression @ self.expression.flatten(1)
        return self.mean + offset.unflatten(1, (-1, 3))

    def forward(self, pred: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            pred: The result of `mfn.structures.cells.read_parameters` for P faces.
            target: PARAMETER_FIELDS of the same faces, in the same px.

        Returns:
            Name of each loss -> (P,).
        """
        size = (target["scale"] * FACE_HEIGHT_M).clamp(min=1.0)
        target_shape = self.shape(target["identity"], target["expression"])
        shape = self.shape(pred["identity"], pred["expression"])
        points = project_xy(target_shape, target["rotation"], target["scale"], target["center"])
        pose = pred["rotation"], pred["scale"], pred["center"]
        return {
            "rotation": rotation_loss(pred["rows"], target["rotation"]),
            "landmarks": landmark_loss(project_xy(shape, *pose), points, size, self.weight),
            "pose_landmarks": landmark_loss(project_xy(target_shape, *pose), points, size, self.weight),
            "identity": (pred["identity"] - target["identity"]).abs().mean(1),
            "expression": expression_loss(pred["expression"], target["expression"]),
            "gaps": gap_loss(shape, target_shape, self.gaps),
        }


class WeightedLandmarks(NamedTuple):
    """Landmarks with a weight each.

    Attributes:
        basis: The landmarks as a linear model.
        weight: (L,).
    """

    basis: LandmarkBasis
    weight: NDArray[np.float32]


def training_landmarks(model: HeadModel) -> WeightedLandmarks:
    """Return the landmarks of the loss: the 68 and MediaPipe's 478. Each of the two sets has the total weight 1."""
    parts = [model.landmark_basis(name) for name in ("ibug68", "mediapipe478")]
    weight = np.concatenate([np.full(len(part.mean), 1.0 / len(part.mean)) for part in parts]).astype(np.float32)
    mean = np.concatenate([part.mean for part in parts])
    identity, expression = (np.concatenate([part[i] for part in parts], axis=1) for i in (1, 2))
    return WeightedLandmarks(LandmarkBasis(mean, identity, expression), weight)
