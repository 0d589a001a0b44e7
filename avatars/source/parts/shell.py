"""The round form behind a face plate, as a net of angles: around (0 at the character's left, counter-clockwise from the front) and
along (from the front pole to the back pole)."""

from __future__ import annotations

import numpy as np

from avatars.source.parts.plate import HALF, MIDDLE, opening_level
from avatars.source.parts.primitives import Floats


def on_shell(around: Floats, along: Floats, out: float = 0.0) -> Floats:
    """(…, 3) places on the shell: around (radians, 0 at the character's left, counter-clockwise from the front), along
    (radians from the front pole to the back pole), `out` metres outside of it."""
    half = HALF + out
    way = np.stack([np.cos(around), np.sin(around)], -1) * half[:2]
    wanted = 1 - np.abs(np.cos(along)) ** 2.2
    low, high = np.zeros_like(wanted), np.full_like(wanted, 2.0)
    for _ in range(40):
        mid = (low + high) / 2
        level = np.abs(mid * way[..., 0] / half[0]) ** 2.6 + np.abs(mid * way[..., 1] / half[1]) ** 2.4
        low, high = np.where(level < wanted, mid, low), np.where(level < wanted, high, mid)
    place = low[..., None] * way + MIDDLE[:2]
    return np.concatenate([place, MIDDLE[2] + half[2] * np.cos(along)[..., None]], -1)


def rim(around: Floats) -> Floats:
    """(n,) how far along the shell its opening reaches at the angles `around` (n,)."""
    low, high = np.full_like(around, 0.2), np.full_like(around, np.pi / 2)
    for _ in range(40):
        mid = (low + high) / 2
        place = on_shell(around, mid)
        inside = opening_level(place[:, 0], place[:, 1]) < 1
        low, high = np.where(inside, mid, low), np.where(inside, high, mid)
    return low
