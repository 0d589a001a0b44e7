"""Compose the pictures of a plan on the CPU, with OpenCV on bytes.

The same effects as `mfn.training.device.photometric_augment` on floats, which suits a graphics card: on a CPU that costs more than a step
of the network. Here a color jitter is a table of 256 values, and JPEG artifacts come from a real encoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.training.device.crop_plans import CropPlan
from mfn.training.device.picture_bank import LEVEL_BIAS, LEVELS
from mfn.training.device.scene_plans import ScenePlan, TilePlan
from retarget.io.images import Image

LOW_RESOLUTIONS = (0.22, 0.3, 0.4, 0.55, 0.75)  # in sides of the crop
LOW_RESOLUTION_SHARE = 0.08  # of the crops, for each of them
BLACK_BORDER_SHARE = 0.4  # of the crops that reach over the border of their picture
OCCLUDED_TILES, OCCLUDED_CROPS = 0.06, 0.2
NOISE_SIDE_PX = 1024
VALUES = np.arange(256, dtype=np.float32) / 255


class Pyramids:
    """Hold pictures with smaller copies of each, made at first use.

    Args:
        pictures: P pictures (H, W, 3) uint8 RGB.
    """

    def __init__(self, pictures: Sequence[Image]) -> None:
        self.levels: list[list[Image]] = [[picture] for picture in pictures]

    def sample(self, number: int, matrix: NDArray[Any], side: int) -> Image:
        """Resample a window, bilinearly, from the level that is nearest in size. Outside, the border of the picture is repeated.

        Args:
            number: The picture.
            matrix: (2, 3) from px of the window to px of the picture; the left edge of the first column is 0.
            side: Side of the window, px.
        """
        import cv2

        shrink = math.sqrt(max(abs(float(np.linalg.det(matrix[:, :2]))), 1e-6))
        level = min(max(math.floor(math.log2(shrink) + LEVEL_BIAS), 0), LEVELS - 1)
        copies = self.levels[number]
        while len(copies) <= level:
            last = copies[-1]
            size = max(last.shape[1] // 2, 1), max(last.shape[0] // 2, 1)
            copies.append(np.asarray(cv2.resize(last, size, interpolation=cv2.INTER_AREA), np.uint8))
        full, picture = copies[0], copies[level]
        gain = np.array([picture.shape[1] / full.shape[1], picture.shape[0] / full.shape[0]])
        m = matrix.astype(np.float64) * gain[:, None]
        m[:, 2] += 0.5 * m[:, 0] + 0.5 * m[:, 1] - 0.5  # from centers of pixels to centers of pixels
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(picture, m, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)

    def mask(self, number: int, matrix: NDArray[Any], side: int) -> NDArray[np.uint8] | None:
        """Return (side, side), 255 inside the picture, for a window as of `sample`; None if the picture fills the window."""
        import cv2

        height, width = self.levels[number][0].shape[:2]
        window = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float64) @ matrix[:, :2].T + matrix[:, 2]
        if (window >= 0).all() and (window <= (width, height)).all():
            return None
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) - matrix[:, 2]
        corners = (corners @ np.linalg.inv(matrix[:, :2]).T).clip(-30000, 30000)
        mask = np.zeros((side, side), np.uint8)
        cv2.fillConvexPoly(mask, np.rint(corners - 0.5).astype(np.int32), 255)
        return mask


def jitter_colors(picture: Image, rng: np.random.Generator) -> Image:
    """Draw exposure, contrast, gamma, color cast and side light. Some pictures turn gray."""
    import cv2

    if rng.random() < 0.15:
        picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2)
    table = np.maximum(VALUES, 1e-4) ** math.exp(0.25 * rng.standard_normal())
    cast = math.exp(0.15 * rng.standard_normal()) * (1 + 0.05 * rng.standard_normal(3))
    tables = table[:, None] * cast + 0.05 * rng.standard_normal()
    out = np.asarray(cv2.LUT(picture, np.clip(255 * tables + 0.5, 0, 255).astype(np.uint8)[None]), np.uint8)
    return side_light(out, rng) if rng.random() < 0.25 else out


def side_light(picture: Image, rng: np.random.Generator) -> Image:
    """Light a picture from one side, by up to 2.2 times at the border."""
    import cv2

    toward, most = rng.uniform(0, 2 * math.pi), math.log(2.2) * rng.uniform(0.3, 1.0)
    height, width = picture.shape[:2]
    across, down = np.linspace(-1, 1, 16)[None], np.linspace(-1, 1, 16)[:, None]
    light = np.exp(most * np.clip(math.cos(toward) * across + math.sin(toward) * down, -1, 1)).astype(np.float32)
    factor = cv2.resize(light, (width, height))
    return np.asarray(cv2.multiply(picture, cv2.merge([factor] * 3), dtype=cv2.CV_8U), np.uint8)


class Degrader:
    """Add blur, haze, darkness, noise and JPEG artifacts, each to a share of the pictures.

    Args:
        seed: Seed of the noise table.
    """

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.noise = np.clip(rng.standard_normal((NOISE_SIDE_PX, NOISE_SIDE_PX, 3)) * 32, -127, 127).astype(np.int16)

    def __call__(self, picture: Image, rng: np.random.Generator) -> Image:
        """Return the degraded picture."""
        import cv2

        if rng.random() < 0.15:
            picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6)), np.uint8)
        if rng.random() < 0.1:
            haze = rng.uniform(0.3, 0.85)
            picture = np.asarray(cv2.convertScaleAbs(picture, alpha=1 - haze, beta=haze * rng.uniform(150, 240)), np.uint8)
        dark = 1.0
        if rng.random() < 0.1:
            dark = math.exp(-3.0 * rng.random())
            picture = np.asarray(cv2.convertScaleAbs(picture, alpha=dark), np.uint8)
        if rng.random() < 0.25:
            picture = self._add_noise(picture, rng.uniform(2, 12) * math.sqrt(dark), rng)
        if rng.random() < 0.3:
            quality = int(rng.uniform(25, 90))
            coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return picture

    def _add_noise(self, picture: Image, sigma: float, rng: np.random.Generator) -> Image:
        height, width = picture.shape[:2]
        y, x = (int(rng.integers(max(NOISE_SIDE_PX - side, 0) + 1)) for side in (height, width))
        copies = (-(-height // NOISE_SIDE_PX), -(-width // NOISE_SIDE_PX), 1)  # of the table, for pictures larger than it
        noise = self.noise if copies == (1, 1, 1) else np.tile(self.noise, copies)
        part = noise[y : y + height, x : x + width] * np.float32(sigma / 32)
        return np.asarray(np.clip(picture + part, 0, 255), np.uint8)


def cover(picture: Image, other: Image, rng: np.random.Generator) -> Image:
    """Cover up to a third of a picture by an ellipse or a rectangle of another one of the same size."""
    import cv2

    height, width = picture.shape[:2]
    center = rng.random(2) * (width, height)
    radius = (0.06 + 0.22 * rng.random(2)) * (width, height)
    angle = math.degrees(math.pi * rng.random())
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, (center.tolist(), (2 * radius).tolist(), angle), 255, -1)
    else:
        corners = cv2.boxPoints((center.tolist(), (1.8 * radius).tolist(), angle))
        cv2.fillConvexPoly(mask, corners.astype(np.int32), 255)
    out = picture.copy()
    cv2.copyTo(other, mask, out)
    return np.asarray(out, np.uint8)


def lower_resolution(picture: Image, side_px: int, rng: np.random.Generator) -> Image:
    """Shrink a picture and enlarge it again, so that it looks like the crop of a small face."""
    import cv2

    small = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA)
    mode = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(small, picture.shape[1::-1], interpolation=mode), np.uint8)


class CpuComposer:
    """Compose scenes and crops from plans.

    Args:
        pictures: The pictures that the plans speak of.
        backgrounds: The photos without faces.
    """

    def __init__(self, pictures: Sequence[Image], backgrounds: Sequence[Image]) -> None:
        self.pictures, self.backgrounds, self.degrade = Pyramids(pictures), Pyramids(backgrounds), Degrader()

    def scenes(self, plan: ScenePlan, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the scenes (B, size, size, 3) uint8 RGB of a plan."""
        scenes = [scene for tiles in plan.tiles for scene in self._scenes_of(tiles, size, rng)]
        return np.stack([self.degrade(scene, rng) for scene in scenes])

    def _scenes_of(self, tiles: TilePlan, size: int, rng: np.random.Generator) -> list[Image]:
        along = int(tiles.tiles)
        side, count = size // along, len(tiles.picture) // along**2
        parts = np.stack([self._tile(tiles, i, side, OCCLUDED_TILES, 0.0, rng) for i in range(len(tiles.picture))])
        scenes = parts.reshape(count, along, along, side, side, 3).transpose(0, 1, 3, 2, 4, 5).reshape(count, size, size, 3)
        return list(scenes)

    def crops(self, plan: CropPlan, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return the crops (B, size, size, 3) uint8 RGB of a plan."""
        crops = []
        for i in range(len(plan.picture)):
            crop = self._tile(plan, i, size, OCCLUDED_CROPS, BLACK_BORDER_SHARE, rng)
            if rng.random() < LOW_RESOLUTION_SHARE * len(LOW_RESOLUTIONS):
                crop = lower_resolution(crop, int(size * rng.choice(LOW_RESOLUTIONS)), rng)
            crops.append(self.degrade(crop, rng))
        return np.stack(crops)

    def _tile(
        self, plan: TilePlan | CropPlan, i: int, side: int, occluded: float, black: float, rng: np.random.Generator
    ) -> Image:
        """Compose one tile or crop: a part of a picture over a part of a photo without faces.

        Args:
            plan: The plan.
            i: Number of the tile or crop.
            side: Its side, px.
            occluded: Probability that something covers a part of it.
            black: Probability that there is black around the picture, not a photo.
            rng: Random numbers.
        """
        import cv2

        number, matrix = int(plan.picture[i]), plan.matrix[i].numpy()
        mask = self.pictures.mask(number, matrix, side)
        tile = jitter_colors(self.pictures.sample(number, matrix, side), rng)
        covered = rng.random() < occluded
        if mask is None and not covered:
            return tile
        back = self.backgrounds.sample(int(plan.background[i]), plan.background_matrix[i].numpy(), side)
        if mask is not None:
            ground = np.zeros_like(back) if rng.random() < black else jitter_colors(back, rng)
            cv2.copyTo(tile, mask, ground)
            tile = ground
        return cover(tile, back, rng) if covered else tile
