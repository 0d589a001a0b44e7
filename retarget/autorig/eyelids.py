"""Make transferred blinks close the eyes: measure the opening between the eyelids from the front, and how much is missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.autorig.disconnected_parts import sphere_center
from retarget.autorig.registration import Target
from retarget.autorig.source_head import SourceHead
from retarget.geometry.mesh import Floats, Ints
from retarget.render.rasterizer import rasterize

_SIDE_PX = 128
_SIDE_RADII = 2.4  # side of the square around an eye, in radii of the eyeball
_GAINS = np.arange(1.0, 1.41, 0.05)
_CLOSED = 0.03  # part of the opening at rest that may remain
_MIN_OPENING_PX = 40  # a mesh without an opening keeps its shape
_FRONT_RADII = 0.25  # skin deeper than this before the eyeball's center is seen through the opening


def blink_gains(source: SourceHead, registered: Floats, target: Target, shapes: Floats) -> Floats:
    """Find the factors with which blinks close the eyes.

    Args:
        source: The source head.
        registered: (V, 3) its vertices on the target; its eyeballs define where the eyes are.
        target: The mesh that gets shapes.
        shapes: (51, V_t, 3) its shapes.

    Returns:
        (2,) factors from 1 to 1.4 for eyeBlinkLeft and eyeBlinkRight.
    """
    gains = []
    for side in ("Left", "Right"):
        eyeball = source.piece == source.piece[np.flatnonzero(source.mask(f"eyeball_{side.lower()}"))[0]]
        center = sphere_center(registered[eyeball])
        radius = float(np.linalg.norm(registered[eyeball] - center, axis=1).mean())
        is_near: NDArray[np.bool_] = np.all(np.abs(target.points - center) < 3 * radius, axis=1)
        triangles = target.skin_triangles
        triangles = triangles[np.all(is_near[triangles], axis=1)]
        blink = shapes[EXPRESSION_NAMES.index(f"eyeBlink{side}")]
        at_rest = _opening_px(target.points, triangles, center, radius)
        openings = np.array([_opening_px(target.points + gain * blink, triangles, center, radius) for gain in _GAINS])
        closing = at_rest - openings.min()
        is_closed = np.flatnonzero(openings <= openings.min() + _CLOSED * closing)
        gains.append(_GAINS[is_closed[0]] if closing > _MIN_OPENING_PX else 1.0)
    return np.array(gains)


def _opening_px(points: Floats, triangles: Ints, center: Floats, radius: float) -> int:
    """How many pixels of a square around the eye, seen from the front, show no skin before the eyeball's center."""
    scale = _SIDE_PX / (_SIDE_RADII * radius)  # px per meter
    pixels = (points - center) * [scale, -scale, -scale] + [_SIDE_PX / 2, _SIDE_PX / 2, 0]
    index, weight = rasterize(pixels.astype(np.float32), triangles.astype(np.int32), _SIDE_PX, _SIDE_PX)
    depth = (pixels[triangles[np.maximum(index, 0)], 2] * weight).sum(-1)
    return int(((index < 0) | (depth > -_FRONT_RADII * radius * scale)).sum())
