"""Eyes: big balls in round sockets with shutters for lids. Left side; the right one is its mirror image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from avatars.source.parts.plate import EYE, EYE_RADIUS, Style, shell_depth
from avatars.source.parts.primitives import Floats, Mesh, colour, grid, merge, painted, tube, tube_net

WHITE, PUPIL = "#fbfbf7", "#0a0d14"
_LOOK_DEG = {"eyeLookUpLeft": (-26, 0), "eyeLookDownLeft": (26, 0), "eyeLookOutLeft": (0, 30), "eyeLookInLeft": (0, -30)}
_CLOSED_DEG = -26.0
_REST_DEG = (49.0, -54.0)
_LIDS_DEG: dict[str, tuple[float, float, float, float]] = {
    "eyeBlinkLeft": (_CLOSED_DEG - 1 - _REST_DEG[0], _CLOSED_DEG - _REST_DEG[1], 0, 0),
    "eyeWideLeft": (15, -7, 0, 0),
    "eyeSquintLeft": (-16, 19, 0, 0),
    "eyeLookUpLeft": (11, 5, 0, 0),
    "eyeLookDownLeft": (-24, -4, 0, 0),
    "browDownLeft": (-16, 0, 17, 0),
    "browInnerUp": (-1, 0, -13, 0),
    "browOuterUpLeft": (5, 0, 5, 0),
    "cheekSquintLeft": (0, 14, 0, 0),
    "mouthSmileLeft": (0, 3, 0, 0),
    "noseSneerLeft": (-2, 4, 4, 4),
}
"""How far each shape turns the upper and the lower lid (up is positive), and how far it tilts them (the outer end up)."""
_ROWS, _COLUMNS = 6, 19


def centre() -> Floats:
    """(3,) of the left eye ball: it stands a little out of the plate."""
    return np.array([*EYE, shell_depth(EYE[:1], EYE[1:])[0] - 0.0165])


def build_eye(style: Style) -> Mesh:
    """The left ball about its own centre, gaze to +z, with the four shapes that turn it and a blink that draws it back."""
    angles = np.deg2rad([0, 8, 15.5, 16.5, 25, 32.5, 34, 36, 44, 56, 72, 92, 115, 145, 178])
    codes = [PUPIL] * 3 + [style.iris] * 3 + [style.iris_edge] * 2 + [WHITE] * 7
    sides = 28
    turn = np.arange(sides) / sides * 2 * np.pi
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(sides)], 1)
    net = np.concatenate([np.sin(max(a, 1e-3)) * ring + (0, 0, np.cos(a)) for a in angles]) * EYE_RADIUS
    paint = np.repeat([colour(code) for code in codes], sides, axis=0)
    rows = len(angles)
    ball = Mesh(net, grid(rows, sides, closed=True)[:, ::-1], paint)
    glint = np.concatenate([_glint(0.36, (-0.24, 0.26)), _glint(0.13, (0.24, -0.2))])
    triangles = np.concatenate([_disc(16), _disc(16) + 17])
    eye = merge([ball, painted(glint, triangles, "#ffffff")])
    deltas = {name: eye.vertices @ _turn(*look).T - eye.vertices for name, look in _LOOK_DEG.items()}
    deltas["eyeBlinkLeft"] = np.tile([0.0, 0.0, -0.0075], (len(eye.vertices), 1))
    return Mesh(eye.vertices, eye.triangles, eye.colours, deltas)


def _glint(size: float, at: tuple[float, float]) -> Floats:
    """(17, 3) a small round patch of light on the ball, just above its surface; `at` and `size` are shares of the radius."""
    turn = np.arange(16) / 16 * 2 * np.pi
    flat = np.concatenate([[at], np.stack([np.cos(turn), np.sin(turn)], 1) * size / 2 + at])
    return np.c_[flat, np.sqrt(1 - (flat**2).sum(1))] * EYE_RADIUS * 1.012


def _disc(sides: int) -> np.ndarray:
    rim = np.arange(sides)
    return np.stack([np.zeros(sides, int), 1 + rim, 1 + (rim + 1) % sides], 1)


def _turn(down_deg: float, left_deg: float) -> Floats:
    a, b = np.deg2rad([down_deg, left_deg])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return about_y @ about_x


def _lid_net(upper: bool, turn_deg: float, tilt_deg: float) -> tuple[Floats, Floats]:
    """A lid's shutter (rows * columns, 3) and the line of its edge (columns, 3), about the ball's centre, when the edge is
    turned and tilted away from rest. An open lid stands farther out: on its straight way to closed it clears the ball."""
    across = np.sin(np.linspace(-1.50, 1.50, _COLUMNS))
    rest = _REST_DEG[0] if upper else _REST_DEG[1]
    edge = rest + turn_deg + tilt_deg * across  # degrees up from straight ahead
    edge = np.clip(edge, -66, 66)
    lift = np.clip(np.abs(edge - _CLOSED_DEG) / 50, 0, 1)
    size = EYE_RADIUS * ((1.085 if upper else 1.035) + (0.10 if upper else 0.04) * lift)
    back = 105.0 if upper else -105.0
    share = np.linspace(0, 1, _ROWS)[:, None]
    angle = np.deg2rad(edge + (back - edge) * share)
    radius = size + (EYE_RADIUS * 1.12 - size) * share
    depth = radius * np.sqrt(1 - across**2)
    net = np.stack([radius * across, depth * np.sin(angle), depth * np.cos(angle)], -1)
    return net.reshape(-1, 3), net[0]


def _lid(style: Style, upper: bool, tilts: bool) -> tuple[Mesh, Mesh]:
    """Shutter and the dark bead on its edge, about the ball's centre, with all shapes that move lids."""
    which = 0 if upper else 1
    triangles = grid(_ROWS, _COLUMNS) if upper else grid(_ROWS, _COLUMNS)[:, ::-1]
    thick = np.repeat(np.sqrt(np.sin(np.linspace(0.02, np.pi - 0.02, _COLUMNS)))[:, None], 2, 1)
    thick = thick * ([0.0027, 0.0021] if upper else [0.0013, 0.0012])

    def at(turn: float, tilt: float) -> tuple[Floats, Floats]:
        net, edge = _lid_net(upper, turn, tilt)
        return net, tube_net(edge, edge, thick, 6, False)

    shutter, bead = at(0, 0)
    moves = {name: at(by[which], tilts * by[2 + which]) for name, by in _LIDS_DEG.items()}
    lid = painted(shutter, triangles, style.lid)
    lash = painted(bead, grid(_COLUMNS, 6, closed=True), style.lash if upper else style.lid_edge)
    return (
        Mesh(shutter, triangles, lid.colours, {name: move[0] - shutter for name, move in moves.items()}),
        Mesh(bead, lash.triangles, lash.colours, {name: move[1] - bead for name, move in moves.items()}),
    )


def build_lids(style: Style, tilts: bool = True) -> tuple[Mesh, Mesh]:
    """Both lids of the left eye, and their dark edges, in their place. tilts: anger and sorrow tilt them."""
    (upper, upper_edge), (lower, lower_edge) = _lid(style, True, tilts), _lid(style, False, tilts)
    place = centre()
    pair = [merge([upper, lower]), merge([upper_edge, lower_edge])]
    lids, edges = (Mesh(m.vertices + place, m.triangles, m.colours, m.deltas) for m in pair)
    return lids, edges


def build_socket(style: Style, depth: Callable[[Floats, Floats], Floats]) -> Mesh:
    """The ring round the left eye, half sunk into the plate, of which depth(x, y) is the surface, and a cup that closes the
    gap between ring and ball."""
    turn = np.arange(36) / 36 * 2 * np.pi
    way = np.stack([np.cos(turn), np.sin(turn)], 1)
    flat = EYE + way * (EYE_RADIUS + 0.0025)
    path = np.c_[flat, depth(flat[:, 0], flat[:, 1]) + 0.0015]
    size = np.tile([style.socket_m, style.socket_m], (36, 1))
    ring = tube(path, np.c_[way, np.zeros(36)], size, 10, style.socket, closed=True)
    behind = np.c_[EYE + way * EYE_RADIUS * 0.9, np.full(36, centre()[2] - 0.010)]
    cup = painted(np.concatenate([path, behind]), grid(2, 36, closed=True), style.lid_edge)
    return merge([ring, cup])


def shared(part: Mesh) -> Mesh:
    """A left eye's ball or (not tilting) lids for an eye in the middle: the shapes of either side have half of the effect."""
    deltas = {}
    for name, delta in part.deltas.items():
        if not name.endswith("Left"):
            deltas[name] = delta
            continue
        twin = {"eyeLookOutLeft": "eyeLookInRight", "eyeLookInLeft": "eyeLookOutRight"}.get(name, name[:-4] + "Right")
        deltas |= {name: delta / 2, twin: delta / 2}
    return Mesh(part.vertices, part.triangles, part.colours, deltas)
