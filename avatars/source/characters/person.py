"""Mina: a person with big eyes, a cloud of dark curls, round earrings and a yellow turtleneck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avatars.source.parts.head import Character, build_character, reshape_character
from avatars.source.parts.mouth import JAW_SHAPES
from avatars.source.parts.plate import SHELL_CENTER_M, Style, shell_depth, shell_motion
from avatars.source.parts.primitives import (
    Floats,
    Mesh,
    grid_triangles,
    merge_meshes,
    mirror_mesh,
    parse_color,
    revolve,
    smoothstep,
    transform_mesh,
    tube,
)
from avatars.source.parts.reshape import Reshape
from avatars.source.parts.shell import opening_angles, shell_points
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
    brow_at=(0.018, 0.0455),
    socket_m=0.0035,
    shell_roughness=0.9,
)
BUILD = Reshape(eye_by=(0.001, -0.004, 0.001), eye_size=1.08, chin=0.74, brow=1.02, mouth=0.92)
HAIR, HAIR_DEEP, _GOLD, _WOOL = "#3d2219", "#2a1610", "#f0b429", "#f2b632"
_CURLS = 190
_EAR = (0.138, -0.020, SHELL_CENTER_M[2] + 0.012)


def build_person(model: HeadModel) -> Character:
    """Build the person from our head model."""
    ear = _ear()
    bare = build_character(model, STYLE, merge_meshes([_hair(), ear, mirror_mesh(ear), _bust()]), [_nose()])
    return reshape_character(replace(bare, skin=merge_meshes([bare.skin, _skull()])), BUILD)


def _skull() -> Mesh:
    """Build the head behind the face, as one surface with it."""
    around = np.arange(52) / 52 * 2 * np.pi
    front = opening_angles(around)
    share = np.linspace(0, 1, 12)[:, None]
    net = shell_points(np.tile(around, (12, 1)), front + (np.pi - front) * share, -0.0057).reshape(-1, 3)
    deltas = {name: shell_motion(name, net) for name in JAW_SHAPES}
    triangles = grid_triangles(12, 52, closed=True)[:, ::-1]
    hairy = smoothstep(net[:, 1] - _hairline(net), 0.005, 0.02)[:, None]  # visible between the curls
    return Mesh(net, triangles, parse_color(STYLE.skin) * (1 - hairy) + parse_color(HAIR_DEEP) * hairy, deltas)


def _nose() -> Mesh:
    """Build a soft round nose."""
    ball = _ball(12, 8, "#c48158")
    depth = shell_depth(np.zeros(1), np.full(1, -0.0455))[0]
    return transform_mesh(ball, np.diag([0.0185, 0.0140, 0.0155]), (0.0, -0.0455, depth + 0.0015))


def _hairline(place: Floats) -> Floats:
    """Return the height (V,) above which the head is hairy at places (V, 3): forehead, temples, behind the ears, nape."""
    x, _, z = place.T
    temple, behind = smoothstep(z, 0.02, -0.05), smoothstep(z, -0.055, -0.10)
    return 0.092 - 0.091 * temple - 0.11 * behind - 0.012 * smoothstep(np.abs(x), 0.0, 0.06)


def _ball(sides: int, rows: int, code: str) -> Mesh:
    """Build a sphere with a radius of 1 m."""
    return revolve([(np.sin(a), -np.cos(a)) for a in np.linspace(0, np.pi, rows)], sides, code)


def _hair() -> Mesh:
    """Build curls on all of the head above and behind the hairline, larger towards the top."""
    number = np.arange(_CURLS) + 0.5
    up = 1 - 2 * number / _CURLS
    turn = number * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - up**2)
    along, around = np.arccos(np.clip(flat * np.cos(turn), -1, 1)), np.arctan2(up, flat * np.sin(turn))
    roots = shell_points(around, along)
    y, z = roots[:, 1:].T
    ear = np.hypot(y - _EAR[1], z - _EAR[2]) < 0.036
    curls = []
    for k in np.flatnonzero((y > _hairline(roots)) & ~ear):
        high = float(smoothstep(y[k : k + 1], 0.0, 0.12)[0])
        size = (0.026 + 0.013 * high) * (1 + 0.16 * np.sin(2.4 * k))
        out = (roots[k] - SHELL_CENTER_M) / np.linalg.norm(roots[k] - SHELL_CENTER_M)
        curl = _ball(10, 7, HAIR if k % 3 else HAIR_DEEP)
        curls.append(transform_mesh(curl, np.eye(3) * size, roots[k] + out * (0.002 + 0.020 * high)))
    return merge_meshes(curls)


def _ear() -> Mesh:
    """Build the left ear with its earring."""
    outer = transform_mesh(_ball(14, 8, STYLE.skin), np.diag([0.012, 0.031, 0.019]), (0.0, 0.0, 0.0))
    inner = transform_mesh(_ball(10, 6, STYLE.lid_edge), np.diag([0.006, 0.019, 0.010]), (0.0075, 0.002, 0.004))
    turn = np.arange(24) / 24 * 2 * np.pi
    circle = np.stack([np.zeros(24), 0.019 * np.sin(turn), 0.019 * np.cos(turn)], 1)
    ring = tube(circle, circle, np.full((24, 2), 0.0028), 8, _GOLD, closed=True)
    hang = transform_mesh(ring, np.eye(3), (0.004, -0.045, 0.0))
    return transform_mesh(merge_meshes([outer, inner, hang]), np.eye(3), _EAR)


def _bust() -> Mesh:
    """Build the neck, the turtleneck and the upper part of the shoulders, closed at the lower end."""
    neck = [(0.050, -0.235), (0.050, -0.130)]
    roll = [(0.058 + 0.010 * np.cos(a), -0.196 + 0.019 * np.sin(a)) for a in np.linspace(-np.pi / 2, np.pi * 0.8, 12)]
    shoulders = [(0.0, -0.262), (0.112, -0.262), (0.116, -0.255), (0.113, -0.243), (0.100, -0.230), (0.080, -0.220), (0.060, -0.214)]
    wool = merge_meshes([revolve(roll, 32, _WOOL), revolve(shoulders, 32, _WOOL)])
    wide: Floats = np.diag([1.12, 1.0, 0.85])
    middle = (0, 0, SHELL_CENTER_M[2])
    skin = transform_mesh(revolve(neck, 24, STYLE.lid), np.eye(3), middle)
    return merge_meshes([skin, transform_mesh(wool, wide, middle)])
