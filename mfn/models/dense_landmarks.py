"""Dense landmarks of one crop: a network with 520 x 3 outputs (Basak et al., 2023, arXiv 2308.15170)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mfn.models.backbone import Backbone
from mfn.models.sfn import BranchFeatures
from mfn.structures.network_metadata import NetworkKind

LANDMARKS = 520
MIDDLE = 0.5  # every landmark starts in the middle of the crop


class DenseLandmarks(nn.Module):
    """Regress 520 landmarks with torchvision's MobileNetV2, whose classifier is replaced.

    Args:
        width: Factor on MobileNetV2's channels; 1 as published.
    """

    kind: ClassVar[NetworkKind] = "dense"

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        self.network = mobilenet_v2(width_mult=width, num_classes=LANDMARKS * 3, dropout=0.0)
        nn.init.normal_(self.network.classifier[1].weight, std=0.01)
        nn.init.constant_(self.network.classifier[1].bias, MIDDLE)

    def forward(self, picture: Tensor) -> Tensor:
        """Predict landmarks.

        Args:
            picture: (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255.

        Returns:
            (B, 520, 3): x, y, z in sides of the crop; z is 0.5 at the head's origin.
        """
        landmarks: Tensor = self.network((picture - 114.0) / 64.0)
        return landmarks.unflatten(1, (LANDMARKS, 3))


class BranchDenseLandmarks(BranchFeatures):
    """Regress 520 landmarks from the features of SFN's three branches. It implements `mfn.models.crop_regressor.CropRegressor`.

    Args:
        backbone: Feature maps of the strides 2 to 32.
        branch: Channels of the last map of each branch.
        hidden: Width of the hidden layer of each branch, and of the one that reads all three.
    """

    kind: ClassVar[NetworkKind] = "dense"

    def __init__(self, backbone: Backbone, branch: int = 96, hidden: int = 256) -> None:
        super().__init__(backbone, branch, hidden)
        last = nn.Linear(hidden, LANDMARKS * 3)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, MIDDLE)
        self.landmarks = nn.Sequential(nn.Linear(self.features_size, hidden), nn.ReLU(), last)

    def predict(self, features: Tensor) -> Tensor:
        """Return the landmarks (B, 520, 3) for features (B, features_size), as `DenseLandmarks` does for crops."""
        landmarks: Tensor = self.landmarks(features)
        return landmarks.unflatten(1, (LANDMARKS, 3))

    def forward(self, picture: Tensor) -> Tensor:
        """Predict landmarks, as `DenseLandmarks` does."""
        return self.predict(self.features(picture))
