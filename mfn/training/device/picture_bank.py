"""All training pictures in one array of pixels on the device, and the resampling of many windows in one call."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LEVEL_BIAS = 0.25  # a window that shrinks by 1.7 or more is sampled from the next smaller level
LEVELS = 4  # the picture at full, half, quarter and eighth size


class PictureBank(nn.Module):
    """Hold pictures of any size in one flat array, each with smaller copies of itself (a mip pyramid).

    Letters: P pictures, T windows.

    Args:
        pictures: P pictures (H, W, 3) uint8 RGB.
    """

    pixels: Tensor
    table: Tensor

    def __init__(self, pictures: Sequence[NDArray[np.uint8]]) -> None:
        super().__init__()
        import cv2

        table = np.zeros((len(pictures), LEVELS, 3), np.int64)  # first px, height, width
        size = np.array([picture.shape[:2] for picture in pictures], np.int64).reshape(-1, 2)
        for level in range(LEVELS):
            table[:, level, 1:] = np.maximum(size >> level, 1)
        count = table[:, :, 1] * table[:, :, 2]
        table[:, :, 0] = (np.cumsum(count) - count.ravel()).reshape(count.shape)
        pixels = np.empty(int(count.sum()), np.uint32)

        def write(number: int) -> None:
            picture = pictures[number]
            for start, height, width in table[number].tolist():
                if picture.shape[:2] != (height, width):
                    picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
                pixels[start : start + height * width] = _pack(picture)

        with ThreadPoolExecutor() as pool:
            list(pool.map(write, range(len(pictures))))
        self.register_buffer("pixels", torch.from_numpy(pixels.view(np.int32)), persistent=False)
        self.register_buffer("table", torch.from_numpy(table), persistent=False)

    @torch.no_grad()
    def sample(self, picture: Tensor, matrix: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Resample windows, bilinearly, from the level that is nearest in size.

        Args:
            picture: (T,) long, the picture of each window.
            matrix: (T, 2, 3) from px of the window to px of the picture; the left edge of the first column is 0.
            height: Rows of the windows.
            width: Columns of the windows.

        Returns:
            (T, 3, height, width) float32, 0 to 255, and (T, 1, height, width) bool, True inside the picture. Outside, the
            border of the picture is repeated.
        """
        device = matrix.device
        shrink = torch.linalg.det(matrix[:, :, :2]).abs().sqrt()
        level = torch.log2(shrink.clamp(min=1e-3)).add(LEVEL_BIAS).floor().clamp(0, LEVELS - 1).long()
        first, rows, columns = self.table[picture, level].unbind(1)
        full = self.table[picture, 0]
        y = torch.arange(height, device=device) + 0.5
        x = torch.arange(width, device=device) + 0.5
        a, t = matrix[:, :, :2], matrix[:, :, 2]
        px = a[:, 0, 0, None, None] * x + a[:, 0, 1, None, None] * y[:, None] + t[:, 0, None, None]  # (T, h, w)
        py = a[:, 1, 0, None, None] * x + a[:, 1, 1, None, None] * y[:, None] + t[:, 1, None, None]
        inside = (px >= 0) & (py >= 0) & (px <= full[:, 2, None, None]) & (py <= full[:, 1, None, None])
        px = px * (columns / full[:, 2])[:, None, None] - 0.5
        py = py * (rows / full[:, 1])[:, None, None] - 0.5
        last_x, last_y = (columns - 1)[:, None, None], (rows - 1)[:, None, None]
        x0, y0 = px.floor(), py.floor()
        fx, fy = (px - x0)[:, None], (py - y0)[:, None]
        x0, y0 = x0.long(), y0.long()
        left, right = x0.clamp(min=0).minimum(last_x), (x0 + 1).clamp(min=0).minimum(last_x)
        above = first[:, None, None] + y0.clamp(min=0).minimum(last_y) * columns[:, None, None]
        below = first[:, None, None] + (y0 + 1).clamp(min=0).minimum(last_y) * columns[:, None, None]
        top = torch.lerp(self._colors(above + left), self._colors(above + right), fx)
        bottom = torch.lerp(self._colors(below + left), self._colors(below + right), fx)
        return torch.lerp(top, bottom, fy), inside[:, None]

    def _colors(self, at: Tensor) -> Tensor:
        """Return the colors (T, 3, h, w) float32 of pixels (T, h, w)."""
        packed = self.pixels[at]
        return torch.stack([packed & 255, (packed >> 8) & 255, (packed >> 16) & 255], 1).float()


def _pack(picture: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Pack (H, W, 3) uint8 into (H * W,), one number for each pixel."""
    flat = picture.reshape(-1, 3).astype(np.uint32)
    return np.asarray(flat[:, 0] | flat[:, 1] << 8 | flat[:, 2] << 16, np.uint32)
