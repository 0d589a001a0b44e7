"""Grum: a furry monster with three eyes, two horns, and a huge mouth full of fangs, of which two stick out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avatars.source.parts import eyes
from avatars.source.parts.fur import Ring, tuft, tufts
from avatars.source.parts.head import Character, build_character, reshaped
from avatars.source.parts.mouth import JAW_SHAPES
from avatars.source.parts.plate import EYE_RADIUS, MIDDLE, Style, shell_depth, shell_move
from avatars.source.parts.primitives import (
    Floats,
    Mesh,
    colour,
    grid,
    merge,
    mirrored,
    moved,
    painted,
    part_of,
    tube,
    turned,
)
from avatars.source.parts.reshape import Reshape
from avatars.source.parts.shell import on_shell, rim
from mfn.structures.head_model import HeadModel

STYLE = Style(
    skin="#b487f0",
    pale="#d8c0ff",
    blush="#e070c8",
    lips="#6a2596",
    brow="#38126b",
    socket="#7d48cf",
    lid="#9560e0",
    lid_edge="#6a34b5",
    lash="#240c48",
    iris="#ffc21f",
    iris_edge="#a85400",
    nose_m=0.006,
    shell_roughness=0.85,
    brow_size=1.25,
    brow_at=(0.029, 0.0495),
    fangs=0.8,
)
BUILD = Reshape(eye_by=(0.0165, -0.002, -0.003), eye_size=0.92, chin=1.22, brow=0.9, mouth=1.5)
_FUR, _HORN, _STRIPE = ("#7434c2", "#5f24a8"), "#ffe9b8", "#e59a35"
_RINGS = (
    Ring(30, 0.0, 0.028, 0.016),
    Ring(22, 0.26, 0.040, 0.023),
    Ring(18, 0.75, 0.046, 0.030),
    Ring(12, 1.9, 0.060, 0.045),
    Ring(9, 2.35, 0.075, 0.055),
)
_THIRD_Y, _THIRD_SIZE = 0.063, 0.74
_THIRD_LIDS = ("eye", "browDown")


def build_monster(model: HeadModel) -> Character:
    """All of it from our head model."""
    horn, tusk = _horn(), _tusk()
    shell = merge([_fur(), horn, mirrored(horn), _body()])
    two_eyed = reshaped(build_character(model, STYLE, shell, stiff=[tusk, mirrored(tusk)]), BUILD)
    return _with_third_eye(two_eyed)


def _with_third_eye(character: Character) -> Character:
    """A ball, lids and a ring on the forehead; they sit on the skin, without a hole in it."""
    surface = BUILD(np.array([[0.0, _THIRD_Y, shell_depth(np.zeros(1), np.full(1, _THIRD_Y))[0]]]))[0]
    place = surface + (0, character.eye[1] - BUILD.eye()[1], -0.010)

    def put(part: Mesh) -> Mesh:
        return moved(moved(part, np.eye(3), -eyes.centre()), _THIRD_SIZE * np.eye(3), place)

    lids = [put(_with(eyes.shared(part), _THIRD_LIDS)) for part in eyes.build_lids(STYLE, tilts=False)]
    ring = put(eyes.build_socket(STYLE, lambda x, y: np.full_like(x, eyes.centre()[2] + 0.013)))
    front = part_of(character.left_eye, character.left_eye.vertices[:, 2] > -0.4 * EYE_RADIUS)
    ball = moved(eyes.shared(front), np.eye(3) * _THIRD_SIZE / BUILD.eye_size, (0, 0, 0))
    return replace(character, trim=merge([character.trim, *lids, ring]), third_eye=(ball, place))


def _with(mesh: Mesh, shapes: tuple[str, ...]) -> Mesh:
    """The mesh with those shapes alone whose names begin so."""
    deltas = {name: delta for name, delta in mesh.deltas.items() if name.startswith(shapes)}
    return Mesh(mesh.vertices, mesh.triangles, mesh.colours, deltas)


def _fur() -> Mesh:
    """The head's back and rings of short tufts."""
    around = np.arange(44) / 44 * 2 * np.pi
    front = rim(around)
    share = np.linspace(0, 1, 12)[:, None]
    net = on_shell(np.tile(around, (12, 1)), front + (np.pi - front) * share)
    back = painted(net.reshape(-1, 3), grid(12, 44, closed=True)[:, ::-1], _FUR[1])
    edge = on_shell(around, front)
    border = tube(edge, edge - MIDDLE, np.full((44, 2), 0.008), 6, _FUR[1], closed=True)
    front_fur = merge([back, border, *tufts(0, _RINGS[0], _FUR)])
    deltas = {name: shell_move(name, front_fur.vertices) for name in JAW_SHAPES}
    front_fur = Mesh(front_fur.vertices, front_fur.triangles, front_fur.colours, deltas)
    return merge([front_fur, *[lock for number, ring in enumerate(_RINGS[1:], 1) for lock in tufts(number, ring, _FUR)]])


def _horn() -> Mesh:
    """The left one, striped, bent out and up."""
    share = np.linspace(0, 1, 15)
    angle = np.deg2rad(-80 + 100 * share)
    path = np.c_[0.092 + 0.075 * np.cos(angle), 0.165 + 0.062 * np.sin(angle), np.full(15, -0.045)]
    thick = np.tile(0.0260 * np.clip(1 - share**1.6, 0.02, 1)[:, None], (1, 2))
    horn = tube(path, np.tile([0.0, 0.0, 1.0], (15, 1)), thick, 12, _HORN)
    stripe = np.repeat(np.arange(15) % 4 == 3, 12)[:, None]
    return Mesh(horn.vertices, horn.triangles, np.where(stripe, colour(_STRIPE), horn.colours))


def _tusk() -> Mesh:
    """The left one, from below the lower lip to above the upper one."""
    share = np.linspace(0, 1, 5)[:, None]
    x, y = 0.030 + 0.003 * share, -0.0885 + 0.033 * share
    path: Floats = np.c_[x, y, shell_depth(x, y) + 0.006 + 0.006 * np.sin(np.pi * (0.15 + 0.6 * share))]
    thick = np.tile(0.0062 * np.sqrt(np.clip(1 - share**2.2, 0.002, 1)), (1, 2))
    return tube(path, np.tile([0.0, 0.0, 1.0], (5, 1)), thick, 7, _HORN)


def _body() -> Mesh:
    """Round furry shoulders without a neck, closed below."""
    profile = [(0.0, -0.262), (0.105, -0.262), (0.124, -0.250), (0.130, -0.230), (0.118, -0.190), (0.095, -0.14)]
    parts = [turned(profile, 28, _FUR[1])]
    for count, height, radius, turned_by in ((16, -0.225, 0.122, 0.0), (12, -0.196, 0.112, 0.5)):
        for k, turn in enumerate((np.arange(count) + turned_by) / count * 2 * np.pi):
            out = np.array([np.sin(turn), 0.0, np.cos(turn)])
            parts.append(tuft(out * radius + (0, height, 0), 0.8 * out - (0, 0.6, 0), 0.036, 0.021, _FUR[k % 2]))
    return moved(merge(parts), np.diag([1.0, 1.0, 0.85]), (0, 0, MIDDLE[2]))
