"""Robo: a friendly robot with a soft face plate in a hard shell, with antenna, ear discs and bellows for a neck."""

from __future__ import annotations

import numpy as np

from avatars.source.parts.head import Character, build_character
from avatars.source.parts.mouth import JAW_SHAPES
from avatars.source.parts.plate import SHELL_CENTER_M, SHELL_HALF_AXES_M, Style, shell_motion
from avatars.source.parts.primitives import (
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
    skin="#f6e6d2",
    pale="#f6e6d2",
    blush="#f29a7a",
    lips="#cf7358",
    brow="#1d2a3a",
    socket="#22303f",
    lid="#ecc9a4",
    lid_edge="#c99b73",
    lash="#15202e",
    iris="#25b7d3",
    iris_edge="#0b4a66",
)
SHELL, RIM, ACCENT, DARK, METAL = "#35b3bf", "#e9f3f1", "#ff9a3c", "#22303f", "#8fa3ad"


def build_robot(model: HeadModel) -> Character:
    """Build the robot from our head model."""
    return build_character(model, STYLE, _shell())


def _shell() -> Mesh:
    """Build the helmet with edge, crest and seam, the ears, the antenna and the neck."""
    around = np.arange(72) / 72 * 2 * np.pi
    front = opening_angles(around)
    share = np.linspace(0, 1, 18)[:, None]
    net = shell_points(np.tile(around, (18, 1)), front + (np.pi - front) * share)
    helmet = solid_mesh(net.reshape(-1, 3), grid_triangles(18, 72, closed=True)[:, ::-1], SHELL)
    edge = shell_points(around, front)
    outwards = edge - np.array([0, SHELL_CENTER_M[1], SHELL_CENTER_M[2]])
    border = tube(edge, outwards, np.tile([0.0075, 0.0068], (72, 1)), 10, RIM, closed=True)
    over = np.linspace(front[18] + 0.02, 2.5, 24)
    ridge = shell_points(np.full(24, np.pi / 2), over)
    thick = np.sqrt(np.clip(np.sin(np.linspace(0.05, np.pi - 0.05, 24)), 0, 1))[:, None] * [0.006, 0.017]
    crest = tube(ridge, ridge - SHELL_CENTER_M, thick, 12, ACCENT)
    seam = shell_points(around, np.full(72, 1.75))
    seam_line = tube(seam, seam - SHELL_CENTER_M, np.tile([0.0014, 0.0022], (72, 1)), 4, DARK, closed=True)
    hard = merge_meshes([helmet, border, crest, seam_line])
    deltas = {name: shell_motion(name, hard.vertices) for name in JAW_SHAPES}
    hard = Mesh(hard.vertices, hard.triangles, hard.colors, deltas)
    ear = _ear()
    return merge_meshes([hard, ear, mirror_mesh(ear), _antenna(), _neck()])


def _ear() -> Mesh:
    """Build the left ear: a stepped disc with a bright center."""
    steps = (
        revolve(((0.041, -0.02), (0.041, 0.006), (0.0395, 0.0085), (0.037, 0.0095), (0.0, 0.0095)), 36, DARK),
        revolve(((0.033, 0.0), (0.033, 0.0150), (0.0315, 0.0175), (0.029, 0.0185), (0.0, 0.0185)), 36, RIM),
        revolve(((0.020, 0.0), (0.020, 0.0205), (0.018, 0.0235), (0.012, 0.0255), (0.0, 0.0262)), 32, ACCENT),
    )
    to_side = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])  # y to x, z to y, x to z: a rotation, not a reflection
    place = (SHELL_HALF_AXES_M[0] - 0.006, SHELL_CENTER_M[1] + 0.008, SHELL_CENTER_M[2] - 0.004)
    return transform_mesh(merge_meshes(steps), to_side, place)


def _antenna() -> Mesh:
    """Build the antenna on top of the crest."""
    ball = [(0.0155 * np.sin(a), 0.068 - 0.0155 * np.cos(a)) for a in np.linspace(0.01, np.pi - 0.001, 11)]
    parts = (
        revolve(((0.017, -0.006), (0.0165, 0.006), (0.013, 0.010), (0.006, 0.012), (0.0, 0.012)), 28, DARK),
        revolve(((0.0042, 0.0), (0.0042, 0.060)), 14, METAL),
        revolve(ball, 20, ACCENT),
    )
    place = (0, SHELL_CENTER_M[1] + SHELL_HALF_AXES_M[1] + 0.002, SHELL_CENTER_M[2] + 0.005)
    return transform_mesh(merge_meshes(parts), np.eye(3), place)


def _neck() -> Mesh:
    """Build bellows and a collar, closed at the lower end."""
    height = np.linspace(-0.222, -0.148, 28)
    bellows = [(0.050 + 0.0045 * np.cos((h + 0.222) / 0.0164 * 2 * np.pi), h) for h in height]
    collar = [(0.0, -0.236), (0.060, -0.236), (0.068, -0.234), (0.071, -0.229)]
    collar += [(0.071, -0.224), (0.068, -0.219), (0.060, -0.217), (0.04, -0.217)]
    parts = merge_meshes([revolve(bellows, 30, DARK), revolve(collar, 36, RIM)])
    return transform_mesh(parts, np.eye(3), (0, 0, SHELL_CENTER_M[2] - 0.008))
