"""Leo: a lion with a mane of soft tufts around the face plate, round ears, a dark nose and a pale muzzle."""

from __future__ import annotations

import numpy as np

from avatars.source.parts.fur import Ring, ring_of_tufts
from avatars.source.parts.head import Character, build_character
from avatars.source.parts.mouth import JAW_SHAPES
from avatars.source.parts.plate import SHELL_CENTER_M, Style, shell_depth, shell_motion
from avatars.source.parts.primitives import (
    Floats,
    Mesh,
    grid_triangles,
    merge_meshes,
    mirror_mesh,
    revolve,
    solid_mesh,
    transform_mesh,
    tube,
)
from avatars.source.parts.shell import opening_angles, shell_points
from mfn.structures.head_model import HeadModel

STYLE = Style(
    skin="#f2b04a",
    pale="#fdeccb",
    blush="#ef8a4e",
    lips="#b8704f",
    brow="#6b2f12",
    socket="#b9702a",
    lid="#dd943a",
    lid_edge="#b9702a",
    lash="#3a1a0e",
    iris="#4fae5f",
    iris_edge="#1d5a36",
    muzzle_m=0.025,
    nose_m=0.004,
    socket_m=0.0034,
    shell_roughness=0.75,
    brow_at=(0.018, 0.0495),
)
MANE, MANE_DEEP, EAR, EAR_INSIDE, _NOSE = "#b5521b", "#93400f", "#e59c39", "#f6c9a0", "#3c1f1a"
_HAIR = (MANE, MANE_DEEP)
_RINGS = (
    Ring(26, 0.0, 0.050, 0.017),
    Ring(24, 0.30, 0.074, 0.022),
    Ring(20, 0.75, 0.080, 0.028),
    Ring(16, 1.9, 0.080, 0.034),
    Ring(8, 2.45, 0.075, 0.036),
)


def build_lion(model: HeadModel) -> Character:
    """Build the lion from our head model."""
    return build_character(model, STYLE, _mane(), _nose())


def _nose() -> list[Mesh]:
    """Build the nose, the line below it and the whisker dots, which follow the face."""
    turn = np.arange(16) / 16 * 2 * np.pi
    rows = np.linspace(0.0005, np.pi, 8)[:, None]
    width = 0.0175 * (1 + 0.28 * np.sin(turn)) * np.abs(np.cos(turn)) ** 0.9 * np.sign(np.cos(turn))
    outline = np.stack([width, 0.0115 * np.sin(turn)], 1)
    ball = np.stack([np.sin(rows) * outline[:, 0], np.sin(rows) * outline[:, 1], 0.009 * np.cos(rows) * np.ones(16)], -1)
    place = np.array([0.0, -0.0455, shell_depth(np.zeros(1), np.full(1, -0.0455))[0] + 0.0150])
    nose = solid_mesh(ball.reshape(-1, 3) + place, grid_triangles(8, 16, closed=True)[:, ::-1], _NOSE)
    down = np.array([_face_point(0.0, y, 0.0022) for y in np.linspace(-0.050, -0.0635, 5)])
    line = tube(down, np.tile([0.0, 0.0, 1.0], (5, 1)), np.tile([0.0016, 0.0013], (5, 1)), 6, _NOSE)
    dots = []
    for x, y in ((0.024, -0.058), (0.034, -0.054), (0.031, -0.064), (0.041, -0.060)):
        dot = revolve([(0.0018 * np.sin(a), -0.0018 * np.cos(a)) for a in np.linspace(0, np.pi, 4)], 6, _NOSE)
        dots.append(transform_mesh(dot, np.eye(3), _face_point(x, y)))
    return [nose, line, *dots, *[mirror_mesh(dot) for dot in dots]]


def _face_point(x: float, y: float, out_m: float = 0.0) -> Floats:
    """Return a place (3,) on the muzzle, or `out_m` before it."""
    out = STYLE.muzzle_m * np.exp(-((x / 0.052) ** 2) - ((y + 0.068) / 0.044) ** 2)
    return np.array([x, y, shell_depth(np.array([x]), np.array([y]))[0] - 0.0052 + out + out_m])


def _mane() -> Mesh:
    """Build the back of the head, rings of tufts, ears and a furry neck."""
    around = np.arange(48) / 48 * 2 * np.pi
    front = opening_angles(around)
    share = np.linspace(0, 1, 14)[:, None]
    net = shell_points(np.tile(around, (14, 1)), front + (np.pi - front) * share)
    parts = [solid_mesh(net.reshape(-1, 3), grid_triangles(14, 48, closed=True)[:, ::-1], MANE_DEEP)]
    edge = shell_points(around, front)
    parts.append(tube(edge, edge - SHELL_CENTER_M, np.tile([0.009, 0.009], (48, 1)), 8, MANE, closed=True))
    front_hair = merge_meshes(parts + ring_of_tufts(0, _RINGS[0], _HAIR))
    deltas = {name: shell_motion(name, front_hair.vertices) for name in JAW_SHAPES}
    front_hair = Mesh(front_hair.vertices, front_hair.triangles, front_hair.colors, deltas)
    hair = [tuft for number, ring in enumerate(_RINGS[1:], 1) for tuft in ring_of_tufts(number, ring, _HAIR)]
    ear = _ear()
    return merge_meshes([front_hair, *hair, ear, mirror_mesh(ear), _neck()])


def _ear() -> Mesh:
    """Build the left ear, a round bowl that opens to the front."""
    bowl = revolve([(0.034 * np.sin(a), -0.015 * np.cos(a)) for a in np.linspace(0.0, 2.0, 10)], 28, EAR)
    inside = revolve([(0.0312, 0.0059), (0.026, 0.0020), (0.016, -0.0005), (0.0, -0.001)], 28, EAR_INSIDE)
    tilt = np.deg2rad(-34)
    forward = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # turns the bowl's opening from +y to +z
    roll = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    return transform_mesh(merge_meshes([bowl, inside]), roll @ forward, (0.093, SHELL_CENTER_M[1] + 0.142, SHELL_CENTER_M[2] + 0.074))


def _neck() -> Mesh:
    """Build the neck, closed at its lower end."""
    profile = [(0.0, -0.232), (0.060, -0.232), (0.068, -0.226), (0.068, -0.215), (0.060, -0.190), (0.055, -0.165), (0.056, -0.140)]
    return transform_mesh(revolve(profile, 32, STYLE.skin), np.eye(3), (0, 0, SHELL_CENTER_M[2] - 0.008))
