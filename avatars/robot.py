"""Robo: a friendly robot with a soft face. Hard shell, antenna, ear discs and bellows for a neck round the face plate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatars import eyes, plate
from avatars.forms import Floats, Ints, Mesh, grid, merge, mirrored, moved, painted, smoothstep, tube, tube_net, turned
from avatars.plate import HALF, MIDDLE, Face, opening_level, shell_depth, shell_move
from mfn.head_model import HeadModel
from retarget.arkit import ARKIT_NAMES, EXPRESSION_NAMES

SHELL, RIM, ACCENT, DARK, METAL = "#35b3bf", "#e9f3f1", "#ff9a3c", "#22303f", "#8fa3ad"
BROW, TONGUE, TEETH = "#1d2a3a", "#e8706f", "#fffdf6"
_UNSEEN_M = 0.0005
_TONGUE_OPENS = 0.34
_SHELL_SHAPES = ("jawOpen", "jawLeft", "jawRight", "jawForward")
_TONGUE_REST = ((-0.082, -0.034), (-0.077, -0.022), (-0.075, -0.010), (-0.0755, 0.0), (-0.077, 0.010), (-0.0775, 0.0155), (-0.0775, 0.0185))
_TONGUE_OUT = ((-0.075, -0.026), (-0.068, -0.008), (-0.064, 0.010), (-0.0635, 0.026), (-0.068, 0.040), (-0.079, 0.048), (-0.088, 0.0495))


@dataclass(frozen=True)
class Robot:
    """skin, trim, mouth: the parts of the face, driven by all 52. left_eye, right_eye: balls about their own centres, of
    which left_eye stands at `eye`. shell: all that is hard."""

    skin: Mesh
    trim: Mesh
    mouth: Mesh
    left_eye: Mesh
    right_eye: Mesh
    shell: Mesh
    eye: Floats


def build_robot(model: HeadModel) -> Robot:
    """All parts in metres at the size of the design (about a quarter larger than people)."""
    face = Face.of(model)
    place = face.neutral()
    moves = face.moves(place)
    moves["tongueOut"] = _TONGUE_OPENS * moves["jawOpen"]
    ball, jaw = eyes.build_eye(), _Jaw(face)
    return Robot(
        skin=plate.build_plate(face, place, moves),
        trim=_trim(face, place, moves),
        mouth=merge([plate.build_mouth(face, place, moves), _tongue(jaw), _teeth(jaw, False), _teeth(jaw, True)]),
        left_eye=ball,
        right_eye=mirrored(ball),
        shell=_shell(),
        eye=eyes.centre(),
    )


def _trim(face: Face, place: Floats, moves: dict[str, Floats]) -> Mesh:
    """Lids, lashes, socket rings and brows."""
    skin = face.model.region_mask("face", "brows") & (opening_level(place[:, 0], place[:, 1]) < 1.1)

    def follow(part: Mesh, much: float) -> Mesh:
        gap = np.linalg.norm(part.vertices[:, None, :2] - place[None, skin, :2], axis=2)
        share = 1 / (gap**2 + 0.004**2) ** 2
        share /= share.sum(1, keepdims=True)
        deltas = {name: much * (share @ move[skin]) for name, move in moves.items()}
        seen = {name: delta for name, delta in deltas.items() if np.abs(delta).max() > _UNSEEN_M}
        return Mesh(part.vertices, part.triangles, part.colours, seen)

    left = [*eyes.build_lids(), follow(eyes.build_socket(), 0.6), follow(_brow(), 1.25)]
    return merge(left + [mirrored(part) for part in left])


def _brow() -> Mesh:
    """The left brow, a soft bar before the forehead."""
    share = np.linspace(0, 1, 15)
    x, y = 0.018 + 0.054 * share, 0.055 + 0.0125 * np.sin(np.pi * (0.12 + 0.72 * share))
    path = np.c_[x, y, shell_depth(x, y) + 0.0012]
    thick = np.sqrt(np.sin(np.pi * (0.001 + 0.998 * share))) * (1.1 - 0.35 * share)
    return tube(path, np.tile([0, 0.15, 1.0], (15, 1)), thick[:, None] * [0.0052, 0.0080], 12, BROW)


class _Jaw:
    """Carries things of the head model's space that lie in the mouth into the robot, and along with the lower jaw."""

    def __init__(self, face: Face) -> None:
        drop = face.shapes[EXPRESSION_NAMES.index("jawOpen")][:, 1]
        self.face, self.teeth = face, face.model.region_mask("teeth", "gums") & (drop < -0.004)

    def moves(self, name: str, place: Floats) -> Floats:
        """(V, 3) how the lower teeth's movement carries on to other places (V, 3) of the head model's space."""
        system = np.c_[self.face.rest[self.teeth], np.ones(self.teeth.sum())]
        shape = self.face.shapes[EXPRESSION_NAMES.index(name)][self.teeth]
        return np.c_[place, np.ones(len(place))] @ np.linalg.lstsq(system, shape, rcond=None)[0]

    def mesh(self, rest: Floats, triangles: Ints, code: str, lower: bool, out: Floats | None = None) -> Mesh:
        """rest: (V, 3) in the head model's space, and what tongueOut makes of it; lower: it goes with the jaw."""
        relief = np.full(len(rest), plate.MOUTH_RELIEF)
        start = self.face.warp(rest, rest, relief)
        jaw = {name: self.moves(name, rest) for name in _SHELL_SHAPES} if lower else {}
        places = {name: rest + move for name, move in jaw.items()}
        if lower:
            places["tongueOut"] = (rest if out is None else out) + _TONGUE_OPENS * jaw["jawOpen"]
        deltas = {name: self.face.warp(place, rest, relief) - start for name, place in places.items()}
        return Mesh(start, triangles, painted(start, triangles, code).colours, deltas)


def _tongue(jaw: _Jaw) -> Mesh:
    """Lies behind the lower teeth and goes with the jaw; tongueOut takes it over the lower lip."""
    share = 1 - (1 - np.linspace(0, 1, 15)) ** 1.5
    thick = np.sqrt(np.clip(1 - share**3, 0.0004, 1))[:, None] * [0.0062, 0.0145]

    def net(line: tuple[tuple[float, float], ...], flat: float) -> Floats:
        knots = np.linspace(0, 1, len(line))
        coefficients = np.polynomial.polynomial.polyfit(knots, np.array(line), 5)
        path = np.c_[np.zeros(15), np.polynomial.polynomial.polyval(share, coefficients).T]
        up = np.tile([0.0, 1.0, 0.0], (15, 1)) + (0, 0, 1) * smoothstep(share, 0.55, 0.9)[:, None]
        return tube_net(path, up, thick * [flat, 1], 14, False)

    return jaw.mesh(net(_TONGUE_REST, 1.0), grid(15, 14, closed=True), TONGUE, True, net(_TONGUE_OUT, 0.74))


def _teeth(jaw: _Jaw, lower: bool) -> Mesh:
    """One row of teeth as a smooth band, as animated films have them."""
    turn = np.linspace(-1.25, 1.25, 25)
    height, back = (-0.0780, 0.002) if lower else (-0.0688, 0.0005)
    path = np.c_[0.0265 * np.sin(turn), np.full(25, height), 0.0245 * np.cos(turn) ** 1.2 - back]
    ends = np.sqrt(np.clip(1 - np.abs(turn / 1.27) ** 8, 0.0004, 1))[:, None]
    net = tube_net(path, np.tile([0.0, 1.0, 0.0], (25, 1)), ends * [0.0070 if lower else 0.0085, 0.0021], 10, False)
    return jaw.mesh(net, grid(25, 10, closed=True), TEETH, lower)


def _on_shell(around: Floats, along: Floats, out: float = 0.0) -> Floats:
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


def _rim(around: Floats) -> Floats:
    """(n,) how far along the shell its opening reaches at the angles `around` (n,)."""
    low, high = np.full_like(around, 0.2), np.full_like(around, np.pi / 2)
    for _ in range(40):
        mid = (low + high) / 2
        place = _on_shell(around, mid)
        inside = opening_level(place[:, 0], place[:, 1]) < 1
        low, high = np.where(inside, mid, low), np.where(inside, high, mid)
    return low


def _shell() -> Mesh:
    """Helmet with rim, crest and seam, ears, antenna, neck."""
    around = np.arange(72) / 72 * 2 * np.pi
    rim = _rim(around)
    share = np.linspace(0, 1, 18)[:, None]
    net = _on_shell(np.tile(around, (18, 1)), rim + (np.pi - rim) * share)
    helmet = painted(net.reshape(-1, 3), grid(18, 72, closed=True)[:, ::-1], SHELL)
    edge = _on_shell(around, rim)
    outwards = edge - np.array([0, MIDDLE[1], MIDDLE[2]])
    border = tube(edge, outwards, np.tile([0.0075, 0.0068], (72, 1)), 10, RIM, closed=True)
    over = np.linspace(rim[18] + 0.02, 2.5, 24)
    ridge = _on_shell(np.full(24, np.pi / 2), over)
    thick = np.sqrt(np.clip(np.sin(np.linspace(0.05, np.pi - 0.05, 24)), 0, 1))[:, None] * [0.006, 0.017]
    crest = tube(ridge, ridge - MIDDLE, thick, 12, ACCENT)
    seam = _on_shell(around, np.full(72, 1.75))
    seam_line = tube(seam, seam - MIDDLE, np.tile([0.0014, 0.0022], (72, 1)), 4, DARK, closed=True)
    hard = merge([helmet, border, crest, seam_line])
    deltas = {name: shell_move(name, hard.vertices) for name in _SHELL_SHAPES}
    hard = Mesh(hard.vertices, hard.triangles, hard.colours, deltas)
    ear = _ear()
    return merge([hard, ear, mirrored(ear), _antenna(), _neck()])


def _ear() -> Mesh:
    """The left ear: a stepped disc with a bright middle."""
    steps = (
        turned(((0.041, -0.02), (0.041, 0.006), (0.0395, 0.0085), (0.037, 0.0095), (0.0, 0.0095)), 36, DARK),
        turned(((0.033, 0.0), (0.033, 0.0150), (0.0315, 0.0175), (0.029, 0.0185), (0.0, 0.0185)), 36, RIM),
        turned(((0.020, 0.0), (0.020, 0.0205), (0.018, 0.0235), (0.012, 0.0255), (0.0, 0.0262)), 32, ACCENT),
    )
    to_side = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # y to x, z to y, x to z: turned, not mirrored
    return moved(merge(steps), to_side, (HALF[0] - 0.006, MIDDLE[1] + 0.008, MIDDLE[2] - 0.004))


def _antenna() -> Mesh:
    """On top of the crest."""
    ball = [(0.0155 * np.sin(a), 0.068 - 0.0155 * np.cos(a)) for a in np.linspace(0.01, np.pi - 0.001, 11)]
    parts = (
        turned(((0.017, -0.006), (0.0165, 0.006), (0.013, 0.010), (0.006, 0.012), (0.0, 0.012)), 28, DARK),
        turned(((0.0042, 0.0), (0.0042, 0.060)), 14, METAL),
        turned(ball, 20, ACCENT),
    )
    return moved(merge(parts), np.eye(3), (0, MIDDLE[1] + HALF[1] + 0.002, MIDDLE[2] + 0.005))


def _neck() -> Mesh:
    """Bellows and a collar, closed below."""
    height = np.linspace(-0.222, -0.148, 28)
    bellows = [(0.050 + 0.0045 * np.cos((h + 0.222) / 0.0164 * 2 * np.pi), h) for h in height]
    collar = [(0.0, -0.236), (0.060, -0.236), (0.068, -0.234), (0.071, -0.229)]
    collar += [(0.071, -0.224), (0.068, -0.219), (0.060, -0.217), (0.04, -0.217)]
    parts = merge([turned(bellows, 30, DARK), turned(collar, 36, RIM)])
    return moved(parts, np.eye(3), (0, 0, MIDDLE[2] - 0.008))


def named_deltas(mesh: Mesh, names: tuple[str, ...] = ARKIT_NAMES) -> Floats:
    """(M, V, 3) in the order of `names`; shapes that a part does not know leave it still."""
    return np.stack([mesh.deltas.get(name, np.zeros_like(mesh.vertices)) for name in names])
