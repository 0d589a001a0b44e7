"""Eyes: large balls in round sockets, with shutters as eyelids. All parts are those of the left eye; the right one is mirrored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from avatars.source.parts.plate import EYE_CENTER_M, EYE_RADIUS_M, Style, shell_depth
from avatars.source.parts.primitives import (
    Floats,
    Mesh,
    grid_triangles,
    merge_meshes,
    parse_color,
    solid_mesh,
    tube,
    tube_vertices,
)

EYE_WHITE, PUPIL_COLOR = "#fbfbf7", "#0a0d14"
_LOOK_DEG = {
    "eyeLookUpLeft": (-26, 0),
    "eyeLookDownLeft": (26, 0),
    "eyeLookOutLeft": (0, 30),
    "eyeLookInLeft": (0, -30),
}
_CLOSED_AT = 0.9
"""Weight of eyeBlink at which the edges of the lids meet; their dark lines meet at 0.85, because blinks of real people rarely reach 1.
Above it the upper lid slides on over the lower one."""
_CLOSED_DEG = -20.0
_REST_DEG = (49.0, -54.0)
_LIDS_DEG: dict[str, tuple[float, float, float, float]] = {
    "eyeBlinkLeft": (_CLOSED_DEG - 1 - _REST_DEG[0], _CLOSED_DEG - _REST_DEG[1], 0, 0),
    "eyeWideLeft": (15, -7, 0, 0),
    "eyeSquintLeft": (-5, 25, 0, 0),
    "eyeLookUpLeft": (11, 5, 0, 0),
    "eyeLookDownLeft": (-24, -4, 0, 0),
    "browDownLeft": (-17, 4, 24, 0),
    "browInnerUp": (-1, 0, -13, 0),
    "browOuterUpLeft": (5, 0, 5, 0),
    "cheekSquintLeft": (0, 14, 0, 0),
    "mouthSmileLeft": (0, 3, 0, 0),
    "noseSneerLeft": (-2, 4, 4, 4),
}
"""Shape -> rotation of the upper and of the lower lid (up is positive), and their tilts (the outer end up), degrees."""
_ROWS, _COLUMNS = 6, 19


def eye_center() -> Floats:
    """Return the center (3,) of the left eyeball, which protrudes a little from the plate."""
    return np.array([*EYE_CENTER_M, shell_depth(EYE_CENTER_M[:1], EYE_CENTER_M[1:])[0] - 0.0165])


def build_eyeball(style: Style) -> Mesh:
    """Build the left eyeball about its own center, gaze along +z, with four shapes that rotate it and a blink that moves it back."""
    angles = np.deg2rad([0, 8, 15.5, 16.5, 25, 32.5, 34, 36, 44, 56, 72, 92, 115, 145, 178])
    codes = [PUPIL_COLOR] * 3 + [style.iris] * 3 + [style.iris_edge] * 2 + [EYE_WHITE] * 7
    sides = 28
    turn = np.arange(sides) / sides * 2 * np.pi
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(sides)], 1)
    net = np.concatenate([np.sin(max(a, 1e-3)) * ring + (0, 0, np.cos(a)) for a in angles]) * EYE_RADIUS_M
    paint = np.repeat([parse_color(code) for code in codes], sides, axis=0)
    rows = len(angles)
    ball = Mesh(net, grid_triangles(rows, sides, closed=True)[:, ::-1], paint)
    glint = np.concatenate([_highlight(0.36, (-0.24, 0.26)), _highlight(0.13, (0.24, -0.2))])
    triangles = np.concatenate([_disc(16), _disc(16) + 17])
    eye = merge_meshes([ball, solid_mesh(glint, triangles, "#ffffff")])
    deltas = {name: eye.vertices @ _gaze_rotation(*look).T - eye.vertices for name, look in _LOOK_DEG.items()}
    deltas["eyeBlinkLeft"] = np.tile([0.0, 0.0, -0.0075], (len(eye.vertices), 1))
    return Mesh(eye.vertices, eye.triangles, eye.colors, deltas)


def _highlight(size: float, at: tuple[float, float]) -> Floats:
    """Return a round patch (17, 3) of light just above the ball. size, at: diameter and place, in radii of the ball."""
    turn = np.arange(16) / 16 * 2 * np.pi
    flat = np.concatenate([[at], np.stack([np.cos(turn), np.sin(turn)], 1) * size / 2 + at])
    return np.asarray(np.c_[flat, np.sqrt(1 - (flat**2).sum(1))] * EYE_RADIUS_M * 1.012)


def _disc(sides: int) -> np.ndarray:
    rim = np.arange(sides)
    return np.stack([np.zeros(sides, int), 1 + rim, 1 + (rim + 1) % sides], 1)


def _gaze_rotation(down_deg: float, left_deg: float) -> Floats:
    a, b = np.deg2rad([down_deg, left_deg])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return np.asarray(about_y @ about_x)


def _lid_net(upper: bool, turn_deg: float, tilt_deg: float) -> tuple[Floats, Floats]:
    """Return the vertices of a lid (rows * columns, 3) and of its edge (columns, 3) about the ball's center.

    turn_deg, tilt_deg: rotation and tilt of the edge from rest. An open lid lies further out, so that it clears the ball on its straight
    way to closed.
    """
    across = np.sin(np.linspace(-1.50, 1.50, _COLUMNS))
    rest = _REST_DEG[0] if upper else _REST_DEG[1]
    edge = rest + turn_deg + tilt_deg * across  # degrees up from straight ahead
    edge = np.clip(edge, -66, 66)
    lift = np.clip(np.abs(edge - _CLOSED_DEG) / 50, 0, 1)
    size = EYE_RADIUS_M * ((1.06 if upper else 1.015) + (0.10 if upper else 0.04) * lift)
    back = 105.0 if upper else -105.0
    share = np.linspace(0, 1, _ROWS)[:, None]
    angle = np.deg2rad(edge + (back - edge) * share)
    radius = size + (EYE_RADIUS_M * 1.12 - size) * share
    depth = radius * np.sqrt(1 - across**2)
    net = np.stack([radius * across, depth * np.sin(angle), depth * np.cos(angle)], -1)
    return net.reshape(-1, 3), net[0]


def _lid(style: Style, upper: bool, tilts: bool) -> tuple[Mesh, Mesh]:
    """Build a lid and the dark line on its edge, about the ball's center, with all shapes that move lids."""
    which = 0 if upper else 1
    triangles = grid_triangles(_ROWS, _COLUMNS) if upper else grid_triangles(_ROWS, _COLUMNS)[:, ::-1]
    thick = np.repeat(np.sqrt(np.sin(np.linspace(0.02, np.pi - 0.02, _COLUMNS)))[:, None], 2, 1)
    thick = thick * ([0.0027, 0.0021] if upper else [0.0013, 0.0012])

    def at(turn: float, tilt: float) -> tuple[Floats, Floats]:
        net, edge = _lid_net(upper, turn, tilt)
        return net, tube_vertices(edge, edge, thick, 6, False)

    shutter, bead = at(0, 0)
    moves = {name: at(by[which], tilts * by[2 + which]) for name, by in _LIDS_DEG.items()}
    longer = {"eyeBlinkLeft": 1 / _CLOSED_AT}
    lid = solid_mesh(shutter, triangles, style.lid)
    lash = solid_mesh(bead, grid_triangles(_COLUMNS, 6, closed=True), style.lash if upper else style.lid_edge)
    return (
        Mesh(
            shutter,
            triangles,
            lid.colors,
            {name: longer.get(name, 1.0) * (move[0] - shutter) for name, move in moves.items()},
        ),
        Mesh(
            bead,
            lash.triangles,
            lash.colors,
            {name: longer.get(name, 1.0) * (move[1] - bead) for name, move in moves.items()},
        ),
    )


def build_lids(style: Style, tilts: bool = True) -> tuple[Mesh, Mesh]:
    """Build both lids of the left eye and their dark edges, in place. tilts: whether anger and sorrow tilt them."""
    (upper, upper_edge), (lower, lower_edge) = _lid(style, True, tilts), _lid(style, False, tilts)
    place = eye_center()
    pair = [merge_meshes([upper, lower]), merge_meshes([upper_edge, lower_edge])]
    lids, edges = (Mesh(m.vertices + place, m.triangles, m.colors, m.deltas) for m in pair)
    return lids, edges


def build_socket(style: Style, depth: Callable[[Floats, Floats], Floats]) -> Mesh:
    """Build the ring around the left eye, half sunk into the plate, and a cup that closes the gap to the ball.

    depth: function of x and y (meters) that returns the z of the plate's surface.
    """
    turn = np.arange(36) / 36 * 2 * np.pi
    way = np.stack([np.cos(turn), np.sin(turn)], 1)
    flat = EYE_CENTER_M + way * (EYE_RADIUS_M + 0.0025)
    path = np.c_[flat, depth(flat[:, 0], flat[:, 1]) + 0.0015]
    size = np.tile([style.socket_m, style.socket_m], (36, 1))
    ring = tube(path, np.c_[way, np.zeros(36)], size, 10, style.socket, closed=True)
    behind = np.c_[EYE_CENTER_M + way * EYE_RADIUS_M * 0.9, np.full(36, eye_center()[2] - 0.010)]
    cup = solid_mesh(np.concatenate([path, behind]), grid_triangles(2, 36, closed=True), style.lid_edge)
    return merge_meshes([ring, cup])


def for_middle_eye(part: Mesh) -> Mesh:
    """Make the ball or the (not tilting) lids of an eye in the middle: the shapes of each side have half of their effect."""
    deltas = {}
    for name, delta in part.deltas.items():
        if not name.endswith("Left"):
            deltas[name] = delta
            continue
        twin = {"eyeLookOutLeft": "eyeLookInRight", "eyeLookInLeft": "eyeLookOutRight"}.get(name, name[:-4] + "Right")
        deltas |= {name: delta / 2, twin: delta / 2}
    return Mesh(part.vertices, part.triangles, part.colors, deltas)
