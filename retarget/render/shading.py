"""Light and color: sRGB and linear light, a lamp, and layers over a picture.

Frame of normals: x right, y down, z away from the viewer. Letters: H rows, W columns.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]

_STEPS = 1 << 14  # of the square root of linear light; 1/64 of a step of sRGB

LIGHT_DIRECTION = (-0.35, -0.55, -0.75)
"""Direction towards the lamp: to the upper left, in front of the picture."""


def shade(
    color: Floats,
    normal: Floats,
    light: tuple[float, float, float] = LIGHT_DIRECTION,
    ambient: float = 0.35,
) -> NDArray[np.float32]:
    """Light colors with a distant lamp, soft light from above and a slight rim light.

    Args:
        color: (..., 3) linear light.
        normal: (..., 3) unit; towards the viewer is -z.
        light: Direction towards the lamp.
        ambient: Share of the soft light from above, 0 to 1.

    Returns:
        (..., 3) linear light.

    The lamp also reaches a little beyond 90 degrees, so that the shadow side of a face keeps its shape.
    """
    to_lamp = np.asarray(light, np.float32) / np.float32(np.linalg.norm(light))
    unit = np.asarray(normal, np.float32)
    lambert = np.clip((unit @ to_lamp + 0.2) / 1.2, 0, 1)
    sky = ambient * (0.8 - 0.2 * unit[..., 1])
    edge = np.clip(1 - np.abs(unit[..., 2]), 0, 1)
    rim = 0.4 * edge * edge * edge  # `** 3` is ten times slower
    linear = np.asarray(color, np.float32)
    lit = linear * (sky + (1 - ambient) * 1.15 * lambert)[..., None] + (linear + 0.05) * rim[..., None]
    return np.asarray(lit, np.float32)


def srgb_to_linear(color: ArrayLike) -> NDArray[np.float32]:
    """Convert sRGB in [0, 1], of any shape, to linear light."""
    value = np.asarray(color, np.float32)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(light: ArrayLike) -> NDArray[np.float32]:
    """Convert linear light, of any shape, to sRGB, clipped to [0, 1]."""
    value = np.clip(np.asarray(light, np.float32), 0, 1)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055).astype(np.float32)


def downsample(layer: Floats, samples: int) -> NDArray[np.float32]:
    """Average blocks of samples x samples: (H samples, W samples, C) to (H, W, C). For linear light, not for sRGB."""
    height, width, channels = layer.shape
    blocks = layer.reshape(height // samples, samples, width // samples, samples, channels)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def compose(layer: Floats, background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a layer over a picture.

    Args:
        layer: (H, W, 4) linear light times coverage, and coverage.
        background: (H, W, 3) uint8 RGB.

    Returns:
        (H, W, 3) uint8 RGB, mixed in linear light. Pixels without coverage keep their exact values.
    """
    result: NDArray[np.uint8] = background.copy()
    covered = np.nonzero(layer[..., 3] > 0)
    light = layer[covered]
    partly = np.flatnonzero(light[:, 3] < 1)
    behind = _linear_of_bytes()[background[covered[0][partly], covered[1][partly]]]
    light[partly, :3] += behind * (1 - light[partly, 3:])
    result[covered] = _bytes_of_linear()[(np.sqrt(light[:, :3].clip(0, 1)) * _STEPS + 0.5).astype(np.intp)]
    return result


@lru_cache(maxsize=1)
def _linear_of_bytes() -> NDArray[np.float32]:
    """Return the linear light (256,) of each sRGB value."""
    return srgb_to_linear(np.arange(256, dtype=np.float32) / 255)


@lru_cache(maxsize=1)
def _bytes_of_linear() -> NDArray[np.uint8]:
    """Return the sRGB values of linear light, by its square root in steps. Roots, because sRGB changes fast where it is dark."""
    light = (np.arange(_STEPS + 1) / _STEPS) ** 2
    return np.round(linear_to_srgb(light) * 255).astype(np.uint8)
