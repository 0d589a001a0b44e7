"""Place heads in a scene whose pictures gave a weak-perspective pose: pixels per meter, a center and a rotation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retarget.geometry.rotations import OPENCV_TO_GLTF, rotation_between

FOCAL_PER_SIDE = 1.2
"""Assumed focal length, in units of the longer side of the picture: a field of view of 45 degrees, as phones have."""

_MIN_SCALE = 1e-6


def default_focal_px(width: float, height: float) -> float:
    """Return the focal length (px) that is assumed for a picture of unknown camera."""
    return FOCAL_PER_SIDE * max(width, height)


class PlacedHeads(NamedTuple):
    """Heads in the axes of glTF: x right, y up; the camera is at the origin and looks along -z.

    Attributes:
        rotation: (..., 3, 3) from head axes to scene axes.
        translation: (..., 3) meters.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


def place_heads(rotation: ArrayLike, scale: ArrayLike, center: ArrayLike, size: ArrayLike, focal_px: float) -> PlacedHeads:
    """Place heads before a pinhole camera, where they appear as in the picture.

    Args:
        rotation: (..., 3, 3) from head axes to a camera with x right, y down, z away.
        scale: (...) px per meter.
        center: (..., 2) where the head's origin appears, px.
        size: (2,) width and height of the picture, px. The optical axis meets its middle.
        focal_px: Focal length of the camera, px. The depth of a head is `focal_px / scale`.

    A weak-perspective rotation is relative to the ray from the camera to the head. In the scene it is relative to the
    axis of the camera. So each rotation is multiplied by the smallest rotation from the axis to the ray.
    """
    px_per_m = np.maximum(np.asarray(scale, np.float64), _MIN_SCALE)[..., None]
    offset_px = np.asarray(center, np.float64) - np.asarray(size, np.float64) / 2
    position = np.concatenate([offset_px, np.full_like(offset_px[..., :1], focal_px)], -1) / px_per_m
    ray = position / np.linalg.norm(position, axis=-1, keepdims=True)
    turned = rotation_between(np.array([0.0, 0.0, 1.0]), ray) @ np.asarray(rotation, np.float64)
    return PlacedHeads(OPENCV_TO_GLTF @ turned, position * np.diagonal(OPENCV_TO_GLTF))
