"""Dense landmarks of one crop: MobileNetV2 with 520 x 3 outputs (Basak et al., 2023, arXiv 2308.15170)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mfn.structures.network_metadata import NetworkKind

LANDMARKS = 520


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
        nn.init.constant_(self.network.classifier[1].bias, 0.5)  # every landmark starts in the middle of the crop

    def forward(self, picture: Tensor) -> Tensor:
        """Predict landmarks.

        Args:
            picture: (B, 3, CROP_SIZE, CROP_SIZE) RGB, 0 to 255.

        Returns:
            (B, 520, 3): x, y, z in sides of the crop; z is 0.5 at the head's origin.
        """
        landmarks: Tensor = self.network((picture - 114.0) / 64.0)
        return landmarks.unflatten(1, (LANDMARKS, 3))
