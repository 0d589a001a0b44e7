"""Tongue and teeth, the parts inside the mouth."""

from __future__ import annotations

import numpy as np

from avatars.source.parts.plate import MOUTH_RELIEF, Face
from avatars.source.parts.primitives import (
    Floats,
    Ints,
    Mesh,
    grid_triangles,
    merge_meshes,
    smoothstep,
    solid_mesh,
    tube_vertices,
)
from retarget.arkit import EXPRESSION_NAMES

TONGUE_COLOR, TEETH_COLOR = "#e8706f", "#fffdf6"
TONGUE_JAW_SHARE = 0.34
"""Share of jawOpen that is part of tongueOut, so that there is room between the lips."""
JAW_SHAPES = ("jawOpen", "jawLeft", "jawRight", "jawForward")
_TONGUE_REST = ((-0.082, -0.034), (-0.077, -0.022), (-0.075, -0.010), (-0.0755, 0.0), (-0.077, 0.010), (-0.0775, 0.0155), (-0.0775, 0.0185))
_TONGUE_OUT = ((-0.075, -0.026), (-0.068, -0.008), (-0.064, 0.010), (-0.0635, 0.026), (-0.068, 0.040), (-0.079, 0.048), (-0.088, 0.0495))


class Jaw:
    """Carries parts inside the mouth from head model space to the character, and moves them with the lower jaw."""

    def __init__(self, face: Face) -> None:
        drop = face.shapes[EXPRESSION_NAMES.index("jawOpen")][:, 1]
        self.face, self.teeth = face, face.model.region_mask("teeth", "gums") & (drop < -0.004)

    def moves(self, name: str, place: Floats) -> Floats:
        """Return the motion (V, 3) of places (V, 3) in head model space: that of the lower teeth, continued."""
        system = np.c_[self.face.rest[self.teeth], np.ones(self.teeth.sum())]
        shape = self.face.shapes[EXPRESSION_NAMES.index(name)][self.teeth]
        return np.asarray(np.c_[place, np.ones(len(place))] @ np.linalg.lstsq(system, shape, rcond=None)[0])

    def mesh(self, rest: Floats, triangles: Ints, code: str, lower: bool, out: Floats | None = None) -> Mesh:
        """Build a mesh with the jaw's shapes.

        Args:
            rest: (V, 3) head model space.
            triangles: (T, 3).
            code: color, "#rrggbb".
            lower: it moves with the jaw.
            out: (V, 3) its place when the tongue is out.
        """
        relief = np.full(len(rest), MOUTH_RELIEF)
        start = self.face.warp(rest, rest, relief)
        jaw = {name: self.moves(name, rest) for name in JAW_SHAPES} if lower else {}
        places = {name: rest + move for name, move in jaw.items()}
        if lower:
            places["tongueOut"] = (rest if out is None else out) + TONGUE_JAW_SHARE * jaw["jawOpen"]
        deltas = {name: self.face.warp(place, rest, relief) - start for name, place in places.items()}
        return Mesh(start, triangles, solid_mesh(start, triangles, code).colors, deltas)


def _tongue(jaw: Jaw) -> Mesh:
    """Build the tongue. It lies behind the lower teeth and moves with the jaw; tongueOut moves it over the lower lip."""
    share = 1 - (1 - np.linspace(0, 1, 15)) ** 1.5
    thick = np.sqrt(np.clip(1 - share**3, 0.0004, 1))[:, None] * [0.0062, 0.0145]

    def net(line: tuple[tuple[float, float], ...], flat: float) -> Floats:
        knots = np.linspace(0, 1, len(line))
        coefficients = np.polynomial.polynomial.polyfit(knots, np.array(line), 5)
        path = np.c_[np.zeros(15), np.polynomial.polynomial.polyval(share, coefficients).T]
        up = np.tile([0.0, 1.0, 0.0], (15, 1)) + (0, 0, 1) * smoothstep(share, 0.55, 0.9)[:, None]
        return tube_vertices(path, up, thick * [flat, 1], 14, False)

    return jaw.mesh(net(_TONGUE_REST, 1.0), grid_triangles(15, 14, closed=True), TONGUE_COLOR, True, net(_TONGUE_OUT, 0.74))


def _teeth(jaw: Jaw, lower: bool) -> Mesh:
    """Build one row of teeth as a smooth band, as in animated films, or as fangs."""
    count = 37 if jaw.face.style.fangs else 25
    turn = np.linspace(-1.25, 1.25, count)
    height, back = (-0.0780, 0.002) if lower else (-0.0688, 0.0005)
    path = np.c_[0.0265 * np.sin(turn), np.full(count, height), 0.0245 * np.cos(turn) ** 1.2 - back]
    ends = np.sqrt(np.clip(1 - np.abs(turn / 1.27) ** 8, 0.0004, 1))[:, None]
    tall = np.full(count, 0.0070 if lower else 0.0085)
    tall *= 1 - jaw.face.style.fangs * np.abs(np.arange(count) % 4 - 2) / 2
    net = tube_vertices(path, np.tile([0.0, 1.0, 0.0], (count, 1)), ends * np.c_[tall, np.full(count, 0.0021)], 10, False)
    return jaw.mesh(net, grid_triangles(count, 10, closed=True), TEETH_COLOR, lower)


def build_mouth_interior(jaw: Jaw) -> Mesh:
    """Build the tongue and both rows of teeth."""
    return merge_meshes([_tongue(jaw), _teeth(jaw, False), _teeth(jaw, True)])
