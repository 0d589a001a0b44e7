"""The convolution blocks that the networks are built from. Maps are (B, C, H, W)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvBNReLU(nn.Sequential):
    """k x k convolution, batch normalisation, ReLU: one fused dense kernel on a CPU."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, stride, dilation * (kernel // 2), dilation, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3 x 3 convolutions with a shortcut (He et al., CVPR 2016, Fig. 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBNReLU(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]  # starts as the identity: early training is stable

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)"""
        return torch.relu(x + self.second(self.first(x)))


class Fire(nn.Module):
    """SqueezeNet's fire module with squeeze-and-excitation, the block of the MFN paper (CVPR 2019, Fig. 1).

    A 1 x 1 squeeze to a quarter of the outgoing channels, expanded half by 1 x 1 and half by 3 x 3; channels are then weighted by what
    the whole map says (Hu et al., CVPR 2018).
    """

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        middle = max(c_out // 4, 8)
        self.squeeze = ConvBNReLU(c_in, middle, 1, stride)
        self.point = ConvBNReLU(middle, c_out // 2, 1)
        self.square = ConvBNReLU(middle, c_out - c_out // 2, 3)
        self.gate = nn.Sequential(
            nn.Linear(c_out, max(c_out // 8, 8)), nn.ReLU(), nn.Linear(max(c_out // 8, 8), c_out), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H / stride, W / stride)"""
        x = self.squeeze(x)
        x = torch.cat([self.point(x), self.square(x)], 1)
        return x * self.gate(x.mean((2, 3)))[:, :, None, None]
