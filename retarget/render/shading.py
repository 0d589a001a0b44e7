"""Light and color: sRGB and linear light, a lamp, and layers over a picture.

Frame of normals: x right, y down, z away from the viewer. Letters: H rows, W columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]

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
    rim = 0.4 * np.clip(1 - np.abs(unit[..., 2]), 0, 1) ** 3
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
    covered = layer[..., 3] > 0
    behind = srgb_to_linear(background[covered].astype(np.float32) / 255)
    mixed = layer[covered, :3] + behind * (1 - layer[covered, 3:])
    result[covered] = np.round(linear_to_srgb(mixed) * 255).astype(np.uint8)
    return result
