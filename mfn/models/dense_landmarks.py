"""Dense landmarks from one crop: MobileNetV2 with 520 x 3 outputs (Basak et al., 2023, arXiv 2308.15170)."""

from __future__ import annotations

from torch import Tensor, nn

POINTS = 520


class DensePoints(nn.Module):
    """torchvision's MobileNetV2, its classifier replaced. width: of its channels, 1 as published."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        from torchvision.models import mobilenet_v2

        self.network = mobilenet_v2(width_mult=width, num_classes=POINTS * 3, dropout=0.0)
        nn.init.normal_(self.network.classifier[1].weight, std=0.01)
        nn.init.constant_(self.network.classifier[1].bias, 0.5)  # every point starts in the crop's middle

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, CROP_SIZE, CROP_SIZE) RGB in 0..255 -> (B, 520, 3): x, y, z in crop sides, z around 0.5"""
        return self.network((picture - 114.0) / 64.0).unflatten(1, (POINTS, 3))
