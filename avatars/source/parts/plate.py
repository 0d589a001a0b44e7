"""The soft face plate: the front of our head model laid over a smooth, wide form, with its 51 shapes.

The warp maps places from head model space to character space. Lips, mouth interior, teeth and tongue keep their relief; the nose becomes a
button; the region around the eyes is left out: sockets, lids and eyes are built anew (`eyes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from avatars.source.parts.lips import raised_corners, resting_expression, round_lips
from avatars.source.parts.primitives import Floats, Mesh, near, parse_color, smoothstep, submesh
from avatars.source.parts.strengths import cheek_bulge, shape_strength
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES

SHELL_HALF_AXES_M = np.array([0.140, 0.146, 0.122])
"""Half axes of the shell. The plate lies a little inside it."""
SHELL_CENTER_M = np.array([0.0, -0.016, -0.064])
OPENING_CENTER_Y_M, OPENING_HALF_AXES_M = -0.022, (0.102, 0.112)
EYE_CENTER_M, EYE_RADIUS_M = np.array([0.0455, 0.004]), 0.0315
_INSET_M = 0.006
_WIDTH_FACTOR = 1.48
_UNROLL, _SIDE_M = 0.9, -0.02
MOUTH_RELIEF = 1.1
MOUTH_COLOR, THROAT_COLOR = "#6d1f25", "#14060a"
_MUZZLE = (0.0, -0.068), (0.052, 0.044)
_HEIGHT_MAP_M = (
    (-0.16, -0.175), (-0.115, -0.135), (-0.07, -0.076), (-0.04, -0.042), (0.0, 0.004), (0.024, 0.049), (0.055, 0.093), (0.1, 0.14),
)  # fmt: skip
_SHELL_DROP_M, _SHELL_SLIDE_M = 0.016, (0.015, 0.0, 0.009)


@dataclass(frozen=True)
class Style:
    """Colors and proportions of a character's face.

    Attributes:
        skin, pale, blush, lips, brow, socket, lid, lid_edge, lash, iris, iris_edge: colors, "#rrggbb"; pale is that of muzzle and chin.
        muzzle_m, nose_m: how far muzzle and nose protrude.
        socket_m: half of the thickness of the ring around an eye.
        brow_size: thickness of the brows, 1 is average.
        brow_at: (x, y) meters of the left brow's inner end.
        fangs: how pointed the teeth are, 0 to 1.
        shell_roughness: 0 polished to 1 matte.
    """

    skin: str
    pale: str
    blush: str
    lips: str
    brow: str
    socket: str
    lid: str
    lid_edge: str
    lash: str
    iris: str
    iris_edge: str
    muzzle_m: float = 0.0
    nose_m: float = 0.013
    socket_m: float = 0.0042
    brow_size: float = 1.0
    brow_at: tuple[float, float] = (0.018, 0.0505)
    fangs: float = 0.0
    shell_roughness: float = 0.25


def shell_depth(x: Floats, y: Floats, inset: float = 0.0) -> Floats:
    """Return the z (meters) of the shell, a rounded box, at (x, y)."""
    a, b, c = SHELL_HALF_AXES_M - inset
    left = 1 - np.abs(x / a) ** 2.6 - np.abs((y - SHELL_CENTER_M[1]) / b) ** 2.4
    return np.asarray(SHELL_CENTER_M[2] + c * np.sign(left) * np.abs(left) ** (1 / 2.2))


def opening_level(x: Floats, y: Floats) -> Floats:
    """Return 0 in the middle of the opening of the shell and 1 on its edge."""
    u, v = np.abs(x / OPENING_HALF_AXES_M[0]), np.abs((y - OPENING_CENTER_Y_M) / OPENING_HALF_AXES_M[1])
    return (u**2.8 + v**2.8) ** (1 / 2.8)


def shell_motion(name: str, place: Floats) -> Floats:
    """Return how far the shell yields (V, 3): its lower part follows the jaw a little."""
    low = smoothstep(place[:, 1], -0.03, -0.15)[:, None]
    way: dict[str, tuple[float, float, float]] = {
        "jawOpen": (0, -_SHELL_DROP_M, -0.002),
        "jawForward": (0, 0, _SHELL_SLIDE_M[2]),
    }
    way |= {"jawLeft": (_SHELL_SLIDE_M[0], 0, 0), "jawRight": (-_SHELL_SLIDE_M[0], 0, 0)}
    return np.asarray(low * np.array(way.get(name, (0.0, 0.0, 0.0))))


@dataclass(frozen=True)
class Warp:
    """Map from head model space to character space.

    Attributes:
        smooth: coefficients of the human face's smooth depth.
        muzzle_m: how far the muzzle protrudes.
    """

    smooth: Floats
    muzzle_m: float

    @classmethod
    def fit(cls, model: HeadModel, muzzle_m: float) -> Warp:
        """Fit the smooth depth to the front of the model, without nose, lips and eyes."""
        x, y, z = model.mean.T.astype(np.float64)
        front = model.region_mask("face", "brows") & (np.abs(x) < 0.06) & (y < 0.05) & (y > -0.108) & (z > -0.03)
        nose = (np.abs(x) < 0.02) & (y > -0.055) & (y < 0.0)
        eye = np.hypot(np.abs(x) - 0.031, y) < 0.022
        keep = front & ~nose & ~eye
        return cls(np.linalg.lstsq(_basis(x[keep], y[keep]), z[keep], rcond=None)[0], muzzle_m)

    def across(self, place: Floats) -> Floats:
        """Return x and y (..., 2) in character space, with the corners of the mouth raised."""
        x, y = place[..., 0], place[..., 1]
        table = np.linspace(-0.16, 0.1, 521)
        height = np.interp(table, *np.array(_HEIGHT_MAP_M).T)
        kernel = np.exp(-0.5 * (np.arange(-40, 41) / 14) ** 2)
        height = np.convolve(np.pad(height - 1.2 * table, 40, mode="edge"), kernel / kernel.sum(), "valid") + 1.2 * table
        wider = _WIDTH_FACTOR * (1 + 0.16 * near(x, y, (0, -0.07), (0.04, 0.03)))
        return np.stack([wider * x, np.interp(y, table, height) + raised_corners(place)], -1)

    def __call__(self, place: Floats, rest: Floats, relief: Floats) -> Floats:
        """Map places (V, 3) to character space.

        Args:
            place: (V, 3) head model space.
            rest: (V, 3) the same vertices at rest.
            relief: (V,) share of the human depth above the smooth form that remains at rest; what a shape adds to it remains whole.
        """
        to = self.across(place) + _unrolled(rest)
        own = rest[:, 2] - _basis(rest[:, 0], rest[:, 1]) @ self.smooth
        added = place[:, 2] - _basis(place[:, 0], place[:, 1]) @ self.smooth - own
        return np.asarray(np.c_[to, self.depth(to[:, 0], to[:, 1]) + relief * own + 1.15 * added])

    def depth(self, x: Floats, y: Floats) -> Floats:
        """Return the z (meters) of the smooth face at (x, y)."""
        return shell_depth(x, y, _INSET_M) + self.muzzle_m * near(x, y, *_MUZZLE)


def _basis(x: Floats, y: Floats) -> Floats:
    x, y = np.clip(x, -0.065, 0.065) / 0.05, np.clip(y, -0.112, 0.06) / 0.05
    return np.stack([np.ones_like(x), x**2, x**4, y, y**2, y**3, x**2 * y, x**2 * y**2], -1)


def _unrolled(rest: Floats) -> Floats:
    """Return offsets (V, 2) that move the sides of the human head and the region under the chin to around the face."""
    x, y, z = rest.T
    to_side = _UNROLL * np.maximum(0, _SIDE_M - z) * smoothstep(np.abs(x), 0.03, 0.05) * np.sign(x)
    below = _UNROLL * np.maximum(0, 0.0 - z) * smoothstep(y, -0.095, -0.12)
    return np.stack([to_side, -below], -1)


def skin_mask(model: HeadModel) -> NDArray[np.bool_]:
    """Return True for the vertices (V,) of the outer surface of the face."""
    return np.isin(
        model.region, [k for k, name in enumerate(model.region_names) if name in ("face", "lips", "brows", "nostrils")]
    )


class Membrane(NamedTuple):
    """A surface pulled tight between fixed vertices: values[rows] = share @ values[around]."""

    rows: NDArray[np.integer[Any]]
    around: NDArray[np.integer[Any]]
    share: Floats


def harmonic_weights(triangles: NDArray[np.integer[Any]], inside: NDArray[np.bool_]) -> Membrane:
    """Solve for a membrane over the vertices `inside` (V,): each is the mean of its neighbors."""
    edges = np.unique(np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    edges = np.concatenate([edges, edges[:, ::-1]])
    edges = edges[inside[edges[:, 0]]]
    rows, around = np.unique(edges[:, 0]), np.setdiff1d(edges[:, 1], np.flatnonzero(inside))
    number = np.full(len(inside), -1)
    number[rows], number[around] = np.arange(len(rows)), np.arange(len(around))
    within = inside[edges[:, 1]]
    pull, hold = np.zeros((len(rows), len(rows))), np.zeros((len(rows), len(around)))
    np.add.at(pull, (number[edges[:, 0]], number[edges[:, 0]]), 1.0)
    np.add.at(pull, (number[edges[within, 0]], number[edges[within, 1]]), -1.0)
    np.add.at(hold, (number[edges[~within, 0]], number[edges[~within, 1]]), 1.0)
    return Membrane(rows, around, np.asarray(np.linalg.solve(pull, hold), np.float64))


@dataclass(frozen=True)
class Face:
    """The head model with the nose flattened.

    Attributes:
        style: colors and proportions.
        model: our head model.
        rest: (V, 3) head model space.
        shapes: (51, V, 3) head model space, as strong as the character's.
        warp: map to character space.
        relief: (V,) see `Warp.__call__`.
    """

    style: Style
    model: HeadModel
    rest: Floats
    shapes: Floats
    warp: Warp
    relief: Floats

    @classmethod
    def from_head_model(cls, model: HeadModel, style: Style) -> Face:
        """Flatten the nose of a head model and strengthen its shapes."""
        rest = model.mean.astype(np.float64) + resting_expression(model)
        strong = np.array([shape_strength(name) for name in EXPRESSION_NAMES])
        shapes = model.expression_basis.astype(np.float64) * strong[:, None, None]
        x, y = rest[:, 0], rest[:, 1]
        # Strengthen the cheeks only: stronger lips would part.
        shapes[EXPRESSION_NAMES.index("cheekPuff")] *= 1 - 0.94 * near(x, y, (0, -0.07), (0.038, 0.026))[:, None]
        skin = skin_mask(model)
        nose = skin & (np.hypot(rest[:, 0] / 0.029, (rest[:, 1] + 0.026) / 0.036) < 1) & (rest[:, 1] > -0.0555)
        rows, around, share = harmonic_weights(model.triangles, nose)
        rest[rows] = share @ rest[around]
        shapes[:, rows] = np.einsum("ij,sjk->sik", share, shapes[:, around])
        x, y = rest[:, 0], rest[:, 1]
        relief = smoothstep(near(x, y, (0, -0.07), (0.045, 0.028)), 0.25, 0.7) * MOUTH_RELIEF
        relief[model.region_mask("mouth_inside")] = MOUTH_RELIEF
        return cls(style, model, rest, shapes, Warp.fit(model, style.muzzle_m), relief)

    def to_character(self, place: Floats) -> Floats:
        """Map all vertices (V, 3) from head model space to character space."""
        return self.warp(place, self.rest, self.relief)

    def neutral(self) -> Floats:
        """Return the vertices (V, 3) at rest in character space, with a button for a nose."""
        place = self.to_character(self.rest)
        hole = EYE_RADIUS_M - 0.001 - np.hypot(np.abs(place[:, 0]) - EYE_CENTER_M[0], place[:, 1] - EYE_CENTER_M[1])
        place[:, 2] -= 2.6 * np.clip(hole, 0, 0.006) * skin_mask(self.model)  # hides the ragged edge behind the ring
        button = near(place[:, 0], place[:, 1], (0, -0.046), (0.0125, 0.0105)) * (self.relief < 0.9 * MOUTH_RELIEF)
        place[:, 2] += self.style.nose_m * button
        return place

    def moves(self, place: Floats) -> dict[str, Floats]:
        """Return the motion of the vertices at `place` (V, 3) for each of the 51 shapes: whole in the middle, fading towards the edge."""
        inside = smoothstep(opening_level(place[:, 0], place[:, 1]), 1.0, 0.55)[:, None]
        jaw = np.maximum(inside, smoothstep(opening_level(place[:, 0], place[:, 1]), 1.05, 0.75)[:, None])
        inside[self.model.region_mask("mouth_inside")] = jaw[self.model.region_mask("mouth_inside")] = 1
        chin = skin_mask(self.model) & ~self.model.region_mask("lips") & (place[:, 1] < -0.055)
        level = opening_level(place[:, 0], place[:, 1])
        rows, around, share = harmonic_weights(self.model.triangles, chin & (level > 0.55) & (level < 1.02))
        eye = np.hypot(np.abs(place[:, 0]) - EYE_CENTER_M[0], place[:, 1] - EYE_CENTER_M[1])[:, None]
        smile = self._resting_smile()
        result = {}
        for name, shape in zip(EXPRESSION_NAMES, self.shapes):
            start = self.rest + (self.shapes[EXPRESSION_NAMES.index("jawOpen")] if name == "mouthClose" else 0)
            move = self.to_character(start + shape) - self.to_character(start)
            move += round_lips(name, place, smile, self.warp.depth)
            if name == "cheekPuff":
                move += cheek_bulge(place)
            move *= 1 - 0.7 * smoothstep(eye, 1.5 * EYE_RADIUS_M, EYE_RADIUS_M)  # the skin is stiffer at the sockets
            whole = jaw if name.startswith("jaw") else inside
            result[name] = whole * move + (1 - whole) * shell_motion(name, place)
            if name.startswith("jaw") or name == "mouthClose":  # long motions: smooth the chin
                result[name][rows] = share @ result[name][around]
        return result


    def _resting_smile(self) -> Floats:
        """Return how far the resting smile moves all vertices (V, 3) in character space."""
        serious = self.rest - resting_expression(self.model)
        smile = self.to_character(self.rest) - self.to_character(serious)
        smile[:, 1] += raised_corners(serious)
        return smile


def build_plate(face: Face, place: Floats, moves: dict[str, Floats]) -> Mesh:
    """Build skin and lips, with holes under the sockets; the ragged outer edge lies under the edge of the shell."""
    model = face.model
    level = opening_level(place[:, 0], place[:, 1])
    socket = np.hypot(np.abs(place[:, 0]) - EYE_CENTER_M[0], place[:, 1] - EYE_CENTER_M[1]) < EYE_RADIUS_M - 0.005
    keep = skin_mask(model) & (level < 1.12) & ~socket
    style = face.style
    code = np.tile(parse_color(style.skin), (len(place), 1))
    muzzle = smoothstep(near(place[:, 0], place[:, 1], (0, -0.078), (0.052, 0.05)), 0.33, 0.43)[:, None]
    code = code * (1 - muzzle) + parse_color(style.pale) * muzzle
    cheek = near(np.abs(place[:, 0]), place[:, 1], (0.074, -0.050), (0.021, 0.017))[:, None]
    code = code * (1 - 0.55 * cheek) + parse_color(style.blush) * 0.55 * cheek
    code[model.region_mask("lips")] = parse_color(style.lips)
    return submesh(Mesh(place, model.triangles.astype(np.int64), code, moves), keep)


def build_mouth(face: Face, place: Floats, moves: dict[str, Floats]) -> Mesh:
    """Build the inside of the mouth, darker towards the throat, joined to the inner edge of the lips."""
    model = face.model
    bag, lips = model.region_mask("mouth_inside"), model.region_mask("lips")
    code = np.tile(parse_color(MOUTH_COLOR), (len(place), 1))
    code[bag] = parse_color(MOUTH_COLOR) * smoothstep(place[bag, 2], -0.01, 0.03)[:, None] + parse_color(THROAT_COLOR)
    triangles = model.triangles[~lips[model.triangles].all(1)]
    return submesh(Mesh(place, triangles.astype(np.int64), code, moves), bag | lips)
