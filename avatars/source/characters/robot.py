"""Robo: a friendly robot with a soft face. Hard shell, antenna, ear discs and bellows for a neck round the face plate."""

from __future__ import annotations

import numpy as np

from avatars.source.parts.head import Character, build_character
from avatars.source.parts.mouth import JAW_SHAPES
from avatars.source.parts.plate import HALF, MIDDLE, Style, shell_move
from avatars.source.parts.primitives import Mesh, grid, merge, mirrored, moved, painted, tube, turned
from avatars.source.parts.shell import on_shell, rim
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
    """All of it from our head model."""
    return build_character(model, STYLE, _shell())


def _shell() -> Mesh:
    """Helmet with rim, crest and seam, ears, antenna, neck."""
    around = np.arange(72) / 72 * 2 * np.pi
    front = rim(around)
    share = np.linspace(0, 1, 18)[:, None]
    net = on_shell(np.tile(around, (18, 1)), front + (np.pi - front) * share)
    helmet = painted(net.reshape(-1, 3), grid(18, 72, closed=True)[:, ::-1], SHELL)
    edge = on_shell(around, front)
    outwards = edge - np.array([0, MIDDLE[1], MIDDLE[2]])
    border = tube(edge, outwards, np.tile([0.0075, 0.0068], (72, 1)), 10, RIM, closed=True)
    over = np.linspace(front[18] + 0.02, 2.5, 24)
    ridge = on_shell(np.full(24, np.pi / 2), over)
    thick = np.sqrt(np.clip(np.sin(np.linspace(0.05, np.pi - 0.05, 24)), 0, 1))[:, None] * [0.006, 0.017]
    crest = tube(ridge, ridge - MIDDLE, thick, 12, ACCENT)
    seam = on_shell(around, np.full(72, 1.75))
    seam_line = tube(seam, seam - MIDDLE, np.tile([0.0014, 0.0022], (72, 1)), 4, DARK, closed=True)
    hard = merge([helmet, border, crest, seam_line])
    deltas = {name: shell_move(name, hard.vertices) for name in JAW_SHAPES}
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
