"""Mina: a person with big eyes, a cloud of dark curls, round earrings and a yellow roll-neck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avatars.source.parts.head import Character, build_character, reshaped
from avatars.source.parts.mouth import JAW_SHAPES
from avatars.source.parts.plate import MIDDLE, Style, shell_depth, shell_move
from avatars.source.parts.primitives import Floats, Mesh, colour, grid, merge, mirrored, moved, smoothstep, tube, turned
from avatars.source.parts.reshape import Reshape
from avatars.source.parts.shell import on_shell, rim
from mfn.structures.head_model import HeadModel

STYLE = Style(
    skin="#c98a5e",
    pale="#c98a5e",
    blush="#c9604a",
    lips="#a6443c",
    brow="#24130d",
    socket="#b97b51",
    lid="#b5764c",
    lid_edge="#8a5236",
    lash="#140b08",
    iris="#8f5520",
    iris_edge="#3a1d0a",
    nose_m=0.008,
    socket_m=0.0035,
    shell_roughness=0.9,
)
BUILD = Reshape(eye_by=(0.001, -0.004, 0.001), eye_size=1.08, chin=0.74, brow=1.02, mouth=0.92)
_HAIR, _HAIR_DEEP, _GOLD, _WOOL = "#3d2219", "#2a1610", "#f0b429", "#f2b632"
_CURLS = 190
_EAR = (0.138, -0.020, MIDDLE[2] + 0.012)


def build_person(model: HeadModel) -> Character:
    """All of it from our head model."""
    ear = _ear()
    bare = build_character(model, STYLE, merge([_hair(), ear, mirrored(ear), _bust()]), [_nose()])
    return reshaped(replace(bare, skin=merge([bare.skin, _skull()])), BUILD)


def _skull() -> Mesh:
    """The head behind the face, of one surface with it."""
    around = np.arange(52) / 52 * 2 * np.pi
    front = rim(around)
    share = np.linspace(0, 1, 12)[:, None]
    net = on_shell(np.tile(around, (12, 1)), front + (np.pi - front) * share, -0.0057).reshape(-1, 3)
    deltas = {name: shell_move(name, net) for name in JAW_SHAPES}
    triangles = grid(12, 52, closed=True)[:, ::-1]
    hairy = smoothstep(net[:, 1] - _hairline(net), 0.005, 0.02)[:, None]  # what is seen between the curls
    return Mesh(net, triangles, colour(STYLE.skin) * (1 - hairy) + colour(_HAIR_DEEP) * hairy, deltas)


def _nose() -> Mesh:
    """A soft round one."""
    ball = _ball(12, 8, "#c48158")
    depth = shell_depth(np.zeros(1), np.full(1, -0.0455))[0]
    return moved(ball, np.diag([0.0185, 0.0140, 0.0155]), (0.0, -0.0455, depth + 0.0015))


def _hairline(place: Floats) -> Floats:
    """(V,) the height above which the head at places (V, 3) is hairy: forehead, temples, behind the ears, nape."""
    x, _, z = place.T
    temple, behind = smoothstep(z, 0.02, -0.05), smoothstep(z, -0.055, -0.10)
    return 0.092 - 0.091 * temple - 0.11 * behind - 0.012 * smoothstep(np.abs(x), 0.0, 0.06)


def _ball(sides: int, rows: int, code: str) -> Mesh:
    """Of radius 1 m."""
    return turned([(np.sin(a), -np.cos(a)) for a in np.linspace(0, np.pi, rows)], sides, code)


def _hair() -> Mesh:
    """Curls on all of the head that is above and behind the hairline, larger towards the top."""
    number = np.arange(_CURLS) + 0.5
    up = 1 - 2 * number / _CURLS
    turn = number * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - up**2)
    along, around = np.arccos(np.clip(flat * np.cos(turn), -1, 1)), np.arctan2(up, flat * np.sin(turn))
    roots = on_shell(around, along)
    y, z = roots[:, 1:].T
    ear = np.hypot(y - _EAR[1], z - _EAR[2]) < 0.036
    curls = []
    for k in np.flatnonzero((y > _hairline(roots)) & ~ear):
        high = float(smoothstep(y[k : k + 1], 0.0, 0.12)[0])
        size = (0.026 + 0.013 * high) * (1 + 0.16 * np.sin(2.4 * k))
        out = (roots[k] - MIDDLE) / np.linalg.norm(roots[k] - MIDDLE)
        curl = _ball(10, 7, _HAIR if k % 3 else _HAIR_DEEP)
        curls.append(moved(curl, np.eye(3) * size, roots[k] + out * (0.002 + 0.020 * high)))
    return merge(curls)


def _ear() -> Mesh:
    """The left ear with its ring."""
    outer = moved(_ball(14, 8, STYLE.skin), np.diag([0.012, 0.031, 0.019]), (0.0, 0.0, 0.0))
    inner = moved(_ball(10, 6, STYLE.lid_edge), np.diag([0.006, 0.019, 0.010]), (0.0075, 0.002, 0.004))
    turn = np.arange(24) / 24 * 2 * np.pi
    circle = np.stack([np.zeros(24), 0.019 * np.sin(turn), 0.019 * np.cos(turn)], 1)
    ring = tube(circle, circle, np.full((24, 2), 0.0028), 8, _GOLD, closed=True)
    hang = moved(ring, np.eye(3), (0.004, -0.045, 0.0))
    return moved(merge([outer, inner, hang]), np.eye(3), _EAR)


def _bust() -> Mesh:
    """Neck, roll-neck and the top of the shoulders, closed below."""
    neck = [(0.050, -0.235), (0.050, -0.130)]
    roll = [(0.058 + 0.010 * np.cos(a), -0.196 + 0.019 * np.sin(a)) for a in np.linspace(-np.pi / 2, np.pi * 0.8, 12)]
    shoulders = [(0.0, -0.262), (0.112, -0.262), (0.116, -0.255), (0.113, -0.243), (0.100, -0.230), (0.080, -0.220), (0.060, -0.214)]
    wool = merge([turned(roll, 32, _WOOL), turned(shoulders, 32, _WOOL)])
    wide: Floats = np.diag([1.12, 1.0, 0.85])
    return merge([moved(turned(neck, 24, STYLE.lid), np.eye(3), (0, 0, MIDDLE[2])), moved(wool, wide, (0, 0, MIDDLE[2]))])
