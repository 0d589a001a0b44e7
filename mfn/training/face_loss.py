"""What a wrong pose, identity or expression of a face costs: the terms that the multi-face and the single-face networks share.

P pairs of a predicted and a true face, L landmarks, I identity components.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mfn.structures.camera import project_xy
from mfn.structures.head_model import HeadModel
from mfn.structures.mediapipe_points import OPPOSITE_POINTS
from mfn.training.losses import expression_loss, gap_loss, landmark_loss, rotation_loss

FACE_HEIGHT = 0.15  # metres: the size that errors are measured in, also where the picture's edge cuts a face's box


class FaceLoss(nn.Module):
    """The terms of the MFN paper, L1 on rotation, identity and expression and L2 on landmarks, and two of ours.

    Landmarks are the 68 and MediaPipe's 478, whose lids and lips are dense. `pose_landmarks` takes the true shape, so that pose need not
    make up for a wrong shape; `gaps` looks at lids and lips alone.
    """

    def __init__(self, model: HeadModel) -> None:
        super().__init__()
        for name, value in zip(("mean", "identity", "expression", "weight"), training_landmarks(model), strict=True):
            self.register_buffer(name, torch.from_numpy(value), persistent=False)
        self.register_buffer("gaps", torch.tensor(OPPOSITE_POINTS) + len(self.mean) - 478, persistent=False)

    def shape(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Landmarks of heads, metres: (P, I), (P, 51) -> (P, L, 3)"""
        offset = identity @ self.identity.flatten(1) + expression @ self.expression.flatten(1)
        return self.mean + offset.unflatten(1, (-1, 3))

    def forward(self, told: dict[str, Tensor], true: dict[str, Tensor]) -> dict[str, Tensor]:
        """Every term (P,). told: of `mfn.structures.cells.read_parameters`; true: PARAMETER_FIELDS of the same rows."""
        size = (true["scale"] * FACE_HEIGHT).clamp(min=1.0)
        true_shape = self.shape(true["identity"], true["expression"])
        shape = self.shape(told["identity"], told["expression"])
        points = project_xy(true_shape, true["rotation"], true["scale"], true["center"])
        pose = told["rotation"], told["scale"], told["center"]
        return {
            "rotation": rotation_loss(told["rows"], true["rotation"]),
            "landmarks": landmark_loss(project_xy(shape, *pose), points, size, self.weight),
            "pose_landmarks": landmark_loss(project_xy(true_shape, *pose), points, size, self.weight),
            "identity": (told["identity"] - true["identity"]).abs().mean(1),
            "expression": expression_loss(told["expression"], true["expression"]),
            "gaps": gap_loss(shape, true_shape, self.gaps),
        }


def training_landmarks(model: HeadModel) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The landmarks the loss looks at: the 68, and MediaPipe's.

    -> mean (L, 3), identity (I, L, 3), expression (51, L, 3) metres, weight (L,): the 68 and the 478 count alike as groups
    """
    parts = [model.landmark_basis(name) for name in ("ibug68", "mediapipe478")]
    weight = np.concatenate([np.full(part[0].shape[0], 1.0 / part[0].shape[0]) for part in parts]).astype(np.float32)
    mean, identity, expression = (np.concatenate([p[i] for p in parts], axis=min(i, 1)) for i in range(3))
    return mean, identity, expression, weight
