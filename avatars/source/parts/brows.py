"""Brows: soft bars before the forehead. The three brow shapes move the ends of a bar explicitly; the other shapes move it with the skin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avatars.source.parts.plate import Face, Style, shell_depth
from avatars.source.parts.primitives import Floats, Mesh, tube

SIDES = 12
"""Vertices of one cross-section of a bar."""
_SECTIONS = 15
_MOTIONS_M = {
    "browDownLeft": ((-0.0085, -0.0260, 0.003), (-0.0060, -0.0145, 0.003), (-0.0040, -0.0010, 0.001)),
    "browInnerUp": ((0.0015, 0.0220, 0.0), (0.0010, 0.0090, 0.0), (0.0, -0.0010, 0.0)),
    "browOuterUpLeft": ((0.0, 0.0035, 0.0), (0.0005, 0.0095, 0.0), (0.0010, 0.0145, 0.0)),
}
"""Shape -> motion of the left bar's inner end, middle and outer end: outward, up, forward. Anger knits: the inner ends meet and sink."""


def build_brow(style: Style) -> Mesh:
    """Build the left brow."""
    share = np.linspace(0, 1, _SECTIONS)
    x, y = style.brow_at[0] + 0.054 * share, style.brow_at[1] + 0.0125 * np.sin(np.pi * (0.12 + 0.72 * share))
    path = np.c_[x, y, shell_depth(x, y) + 0.0012]
    thick = np.sqrt(np.sin(np.pi * (0.001 + 0.998 * share))) * (1.1 - 0.35 * share)
    size = style.brow_size * thick[:, None] * [0.0052, 0.0080]
    return tube(path, np.tile([0, 0.15, 1.0], (_SECTIONS, 1)), size, SIDES, style.brow)


def move_brow(brow: Mesh, face: Face) -> Mesh:
    """Give the left brow the motions of its own shapes, and keep it in all shapes as far before the smooth face as at rest."""
    moved = replace(brow, deltas=brow.deltas | {name: _along(np.array(ends)) for name, ends in _MOTIONS_M.items()})
    return _keep_in_front(moved, face)


def _along(ends: Floats) -> Floats:
    """Spread the motions (3, 3) of the inner end, the middle and the outer end smoothly over all vertices."""
    share = np.linspace(0, 1, _SECTIONS)
    parabola = np.stack([(1 - share) * (1 - 2 * share), 4 * share * (1 - share), share * (2 * share - 1)], 1)
    return np.asarray((parabola @ ends).repeat(SIDES, axis=0))


def _keep_in_front(part: Mesh, face: Face) -> Mesh:
    """Correct the shapes of a part so that it stays at least as far before the smooth face as it is at rest."""
    x, y, _ = part.vertices.T
    deltas = {}
    for name, delta in part.deltas.items():
        level = face.warp.depth(x + delta[:, 0], y + delta[:, 1]) - face.warp.depth(x, y)
        deltas[name] = np.c_[delta[:, :2], np.maximum(delta[:, 2], level + (delta[:, 2] if name in _MOTIONS_M else 0))]
    return replace(part, deltas=deltas)
