"""Drawn pictures without faces: walls, textures, tiles and still lifes, for trainings that have no photos without faces."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from mfn.synthesis.crowd import backdrop
from retarget.io.images import Image

Floats = NDArray[np.floating]

SKIN_HUES = ((235, 200, 176), (204, 153, 117), (168, 117, 87), (122, 82, 59), (92, 61, 46))  # sRGB: hands, wood and sand are not faces


def random_background(height: int, width: int, rng: np.random.Generator) -> Image:
    """Draw a picture without a face.

    Args:
        height, width: Size in px.
        rng: Source of randomness.

    Returns:
        (height, width, 3) uint8 RGB.

    The kinds are a wall, a cloudy texture, stripes or tiles, and a heap of things. Things have all colors, those of skin too, and some are
    round, so that a network does not take every oval of that color for a face.
    """
    kinds: tuple[Callable[[int, int, np.random.Generator], Image], ...] = (backdrop, clouds, tiles, still_life)
    return kinds[int(rng.choice(len(kinds), p=(0.1, 0.25, 0.2, 0.45)))](height, width, rng)


def clouds(height: int, width: int, rng: np.random.Generator) -> Image:
    """Draw a texture of random blots of all sizes, from sky to gravel. Returns (height, width, 3) uint8."""
    roughness = rng.uniform(0.35, 0.85)
    first, second = _color(rng), _color(rng)
    mix = np.zeros((height, width), np.float32)
    side, strength = 2, 1.0
    while side < max(height, width):
        blots = rng.normal(0, strength, (side, side)).astype(np.float32)
        mix += cv2.resize(blots, (width, height), interpolation=cv2.INTER_CUBIC)
        side, strength = side * 2, strength * roughness
    mix = ((mix - mix.min()) / max(float(np.ptp(mix)), 1e-6))[..., None]
    return _to_bytes(first * mix + second * (1 - mix))


def tiles(height: int, width: int, rng: np.random.Generator) -> Image:
    """Draw stripes or tiles of two colors, turned and a little uneven. Returns (height, width, 3) uint8."""
    angle, period = rng.uniform(0, np.pi), max(height, width) / rng.uniform(3, 30)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    along, across = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    pattern = np.sin(along * (2 * math.pi / period))
    if rng.random() < 0.5:
        pattern = pattern * np.sin(across * (2 * math.pi / (period * rng.uniform(0.4, 2.5))))
    mix = (1 / (1 + np.exp(-pattern * rng.uniform(1, 20))))[..., None]
    shade = clouds(height, width, rng).astype(np.float32) - 128
    return _to_bytes(_color(rng) * mix + _color(rng) * (1 - mix) + 0.25 * shade)


def still_life(height: int, width: int, rng: np.random.Generator) -> Image:
    """Draw a heap of shaded balls, boxes, leaves and rods before a texture. Returns (height, width, 3) uint8."""
    canvas = clouds(height, width, rng) if rng.random() < 0.7 else backdrop(height, width, rng)
    for _ in range(int(rng.integers(6, 40))):
        _draw_thing(canvas, rng)
    return canvas


def _draw_thing(canvas: Image, rng: np.random.Generator) -> None:
    """Draw one shaded thing somewhere, in place."""
    height, width = canvas.shape[:2]
    size = min(height, width) * np.exp(rng.uniform(np.log(0.04), np.log(0.45)))
    middle = rng.uniform(0, 1, 2) * (width, height)
    mask = np.zeros((height, width), np.uint8)
    kind = rng.integers(4)
    if kind == 0:
        axes = (int(size / 2) + 1, int(size / 2 * rng.uniform(0.5, 1)) + 1)
        cv2.ellipse(mask, middle.astype(int).tolist(), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    elif kind == 1:
        end = middle + size * rng.normal(0, 1.5, 2)
        thickness = max(int(size * rng.uniform(0.05, 0.3)), 1)
        cv2.line(mask, middle.astype(int).tolist(), end.astype(int).tolist(), 255, thickness, cv2.LINE_AA)
    else:
        corners = int(rng.integers(3, 9))
        turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
        reach = size / 2 * rng.uniform(0.5, 1.1, corners)
        outline = middle + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
        cv2.fillPoly(mask, [outline.astype(np.int32)], 255, cv2.LINE_AA)
    x, y, w, h = cv2.boundingRect(mask)
    if w and h:
        part = canvas[y : y + h, x : x + w]
        opacity = mask[y : y + h, x : x + w, None].astype(np.float32) / 255
        part[:] = (part * (1 - opacity) + _surface(h, w, rng) * opacity).astype(np.uint8)


def _surface(height: int, width: int, rng: np.random.Generator) -> Floats:
    """Color a thing: one color, lit from one side, sometimes with a pattern. Returns (height, width, 3), 0 to 255."""
    color = _color(rng)
    direction = rng.uniform(0, 2 * np.pi)
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in (width, height))
    light = 1 + rng.uniform(0.1, 0.6) * (math.cos(direction) * x[None, :, None] + math.sin(direction) * y[:, None, None])
    surface = color * light
    if rng.random() < 0.3:
        surface = 0.5 * surface + 0.5 * tiles(height, width, rng)
    return np.asarray(np.clip(surface, 0, 255))


def _color(rng: np.random.Generator) -> Floats:
    """Draw a color (3,), 0 to 255; one in four is near one of SKIN_HUES."""
    if rng.random() < 0.25:
        return np.asarray(SKIN_HUES[int(rng.integers(len(SKIN_HUES)))] * rng.uniform(0.7, 1.15, 3), np.float32)
    gray = rng.uniform(15, 240)
    return np.asarray(np.clip(gray + rng.normal(0, 45, 3), 0, 255), np.float32)


def _to_bytes(picture: Floats) -> Image:
    return np.clip(picture, 0, 255).astype(np.uint8)
