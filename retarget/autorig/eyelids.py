"""Whether transferred blinks close: the opening between the lids as seen from the front, and how much farther they must go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.autorig.loose_parts import sphere_centre
from retarget.autorig.registration import Target
from retarget.autorig.source_head import SourceHead
from retarget.geometry.mesh import Floats, Ints
from retarget.render.rasterizer import rasterize

_PIXELS = 128
_FACTORS = np.arange(1.0, 1.41, 0.05)
_LEFT_OPEN = 0.03  # of the opening at rest that counts as shut
_FEWEST = 40  # pixels of an opening; a mesh without any keeps its shape
_FRONT = 0.25  # of the eye's radius before its centre; what lies deeper is seen through the opening


def close_lids(source: SourceHead, laid: Floats, target: Target, shapes: Floats) -> Floats:
    """Factors (2,) for eyeBlinkLeft and eyeBlinkRight of a target's shapes (51, V, 3) with which its lids meet, 1 to 1.4.

    laid: (V', 3) the source laid onto the target, whose eyeballs say where to look.
    """
    factors = []
    for side in ("Left", "Right"):
        globe = source.piece == source.piece[np.flatnonzero(source.mask(f"eyeball_{side.lower()}"))[0]]
        centre = sphere_centre(laid[globe])
        radius = float(np.linalg.norm(laid[globe] - centre, axis=1).mean())
        near: NDArray[np.bool_] = np.all(np.abs(target.points - centre) < 3 * radius, axis=1)
        triangles = target.skin_triangles
        triangles = triangles[np.all(near[triangles], axis=1)]
        blink = shapes[EXPRESSION_NAMES.index(f"eyeBlink{side}")]
        rest = _open(target.points, triangles, centre, radius)
        left = np.array([_open(target.points + f * blink, triangles, centre, radius) for f in _FACTORS])
        closing = rest - left.min()
        shut = np.flatnonzero(left <= left.min() + _LEFT_OPEN * closing)
        factors.append(_FACTORS[shut[0]] if closing > _FEWEST else 1.0)
    return np.array(factors)


def _open(points: Floats, triangles: Ints, centre: Floats, radius: float) -> int:
    """How many pixels of a square round the eye, seen from the front, show no skin before the eye's centre."""
    pixel = _PIXELS / (2.4 * radius)
    place = (points - centre) * [pixel, -pixel, -pixel] + [_PIXELS / 2, _PIXELS / 2, 0]
    index, weight = rasterize(place.astype(np.float32), triangles.astype(np.int32), _PIXELS, _PIXELS)
    depth = (place[triangles[np.maximum(index, 0)], 2] * weight).sum(-1)
    return int(((index < 0) | (depth > -_FRONT * radius * pixel)).sum())
