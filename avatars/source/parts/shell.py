"""The round form behind a face plate, in two angles: around (0 at the character's left, counter-clockwise seen from the front) and along
(from the front pole to the back pole).
"""

from __future__ import annotations

import numpy as np

from avatars.source.parts.plate import SHELL_CENTER_M, SHELL_HALF_AXES_M, opening_level
from avatars.source.parts.primitives import Floats


def shell_points(around: Floats, along: Floats, out: float = 0.0) -> Floats:
    """Return places (..., 3) on the shell at the angles `around` and `along` (radians), `out` meters outside it."""
    half = SHELL_HALF_AXES_M + out
    way = np.stack([np.cos(around), np.sin(around)], -1) * half[:2]
    wanted = 1 - np.abs(np.cos(along)) ** 2.2
    low, high = np.zeros_like(wanted), np.full_like(wanted, 2.0)
    for _ in range(40):
        mid = (low + high) / 2
        level = np.abs(mid * way[..., 0] / half[0]) ** 2.6 + np.abs(mid * way[..., 1] / half[1]) ** 2.4
        low, high = np.where(level < wanted, mid, low), np.where(level < wanted, high, mid)
    place = low[..., None] * way + SHELL_CENTER_M[:2]
    return np.concatenate([place, SHELL_CENTER_M[2] + half[2] * np.cos(along)[..., None]], -1)


def opening_angles(around: Floats) -> Floats:
    """Return the angle `along` (n,) at which the opening of the shell ends, for the angles `around` (n,)."""
    low, high = np.full_like(around, 0.2), np.full_like(around, np.pi / 2)
    for _ in range(40):
        mid = (low + high) / 2
        place = shell_points(around, mid)
        inside = opening_level(place[:, 0], place[:, 1]) < 1
        low, high = np.where(inside, mid, low), np.where(inside, high, mid)
    return low
