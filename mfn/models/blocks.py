"""The convolution blocks that the networks are built from. Feature maps have the shape (B, C, H, W)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

BlockName = Literal["conv", "fire"]


class ConvBNReLU(nn.Sequential):
    """Apply a convolution, batch normalization and ReLU. A CPU runs the three as one dense kernel.

    Args:
        c_in: Number of input channels.
        c_out: Number of output channels.
        kernel: Side of the square kernel, an odd number.
        stride: Stride in both directions.
        dilation: Distance between the kernel's taps.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Apply two 3 x 3 convolutions with a shortcut.

    Source: He et al., CVPR 2016, Fig. 2. The last batch normalization starts at zero, so that the block starts as the identity: this keeps
    early training stable.

    Args:
        channels: Number of input and output channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBNReLU(channels, channels)
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (B, C, H, W) for a map (B, C, H, W)."""
        return torch.relu(x + self.second(self.first(x)))


class Fire(nn.Module):
    """Apply SqueezeNet's fire module with squeeze-and-excitation, the block of the MFN paper.

    Source: Chaudhuri, Vesdapunt and Wang, CVPR 2019, Fig. 1; the gate is from Hu et al., CVPR 2018. A 1 x 1 convolution
    squeezes the map to a quarter of the output channels. One half of the output comes from a 1 x 1 and the other half
    from a 3 x 3 convolution. A gate computed from the mean of the whole map then scales each channel.

    Args:
        c_in: Number of input channels.
        c_out: Number of output channels.
        stride: Stride in both directions.
    """

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        squeezed, gate_hidden = max(c_out // 4, 8), max(c_out // 8, 8)
        self.squeeze = ConvBNReLU(c_in, squeezed, 1, stride)
        self.point = ConvBNReLU(squeezed, c_out // 2, 1)
        self.square = ConvBNReLU(squeezed, c_out - c_out // 2, 3)
        self.gate = nn.Sequential(nn.Linear(c_out, gate_hidden), nn.ReLU(), nn.Linear(gate_hidden, c_out), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Return a map (B, c_out, H / stride, W / stride) for a map (B, c_in, H, W)."""
        x = self.squeeze(x)
        x = torch.cat([self.point(x), self.square(x)], 1)
        gate: Tensor = self.gate(x.mean((2, 3)))
        return x * gate[:, :, None, None]
