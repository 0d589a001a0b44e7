"""Grum: a furry monster with three eyes, two horns, and a huge mouth full of fangs, two of which stick out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from avatars.source.parts import eyes
from avatars.source.parts.fur import Ring, make_tuft, ring_of_tufts
from avatars.source.parts.head import Character, build_character, reshape_character
from avatars.source.parts.mouth import JAW_SHAPES
from avatars.source.parts.plate import EYE_RADIUS_M, SHELL_CENTER_M, Style, shell_depth, shell_motion
from avatars.source.parts.primitives import (
    Floats,
    Mesh,
    grid_triangles,
    merge_meshes,
    mirror_mesh,
    parse_color,
    revolve,
    solid_mesh,
    submesh,
    transform_mesh,
    tube,
)
from avatars.source.parts.reshape import Reshape
from avatars.source.parts.shell import opening_angles, shell_points
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
FUR, _HORN, _STRIPE = ("#7434c2", "#5f24a8"), "#ffe9b8", "#e59a35"
_RINGS = (
    Ring(30, 0.0, 0.028, 0.016),
    Ring(22, 0.26, 0.040, 0.023),
    Ring(18, 0.75, 0.046, 0.030),
    Ring(12, 1.9, 0.060, 0.045),
    Ring(9, 2.35, 0.075, 0.055),
)
_THIRD_Y, THIRD_SIZE = 0.063, 0.74
_THIRD_LIDS = ("eye", "browDown")


def build_monster(model: HeadModel) -> Character:
    """Build the monster from our head model."""
    horn, tusk = _horn(), _tusk()
    shell = merge_meshes([_fur(), horn, mirror_mesh(horn), _body()])
    two_eyed = reshape_character(build_character(model, STYLE, shell, stiff=[tusk, mirror_mesh(tusk)]), BUILD)
    return _with_third_eye(two_eyed)


def _with_third_eye(character: Character) -> Character:
    """Add a ball, lids and a ring on the forehead. They lie on the skin, which has no hole there."""
    surface = BUILD(np.array([[0.0, _THIRD_Y, shell_depth(np.zeros(1), np.full(1, _THIRD_Y))[0]]]))[0]
    place = surface + (0, character.eye[1] - BUILD.eye()[1], -0.010)

    def put(part: Mesh) -> Mesh:
        return transform_mesh(transform_mesh(part, np.eye(3), -eyes.eye_center()), THIRD_SIZE * np.eye(3), place)

    lids = [put(_keep_shapes(eyes.for_middle_eye(part), _THIRD_LIDS)) for part in eyes.build_lids(STYLE, tilts=False)]
    ring = put(eyes.build_socket(STYLE, lambda x, y: np.full_like(x, eyes.eye_center()[2] + 0.013)))
    front = submesh(character.left_eye, character.left_eye.vertices[:, 2] > -0.4 * EYE_RADIUS_M)
    ball = transform_mesh(eyes.for_middle_eye(front), np.eye(3) * THIRD_SIZE / BUILD.eye_size, (0, 0, 0))
    return replace(character, trim=merge_meshes([character.trim, *lids, ring]), third_eye=(ball, place))


def _keep_shapes(mesh: Mesh, shapes: tuple[str, ...]) -> Mesh:
    """Keep only the shapes whose names begin with one of `shapes`."""
    deltas = {name: delta for name, delta in mesh.deltas.items() if name.startswith(shapes)}
    return Mesh(mesh.vertices, mesh.triangles, mesh.colors, deltas)


def _fur() -> Mesh:
    """Build the back of the head and rings of short tufts."""
    around = np.arange(44) / 44 * 2 * np.pi
    front = opening_angles(around)
    share = np.linspace(0, 1, 12)[:, None]
    net = shell_points(np.tile(around, (12, 1)), front + (np.pi - front) * share)
    back = solid_mesh(net.reshape(-1, 3), grid_triangles(12, 44, closed=True)[:, ::-1], FUR[1])
    edge = shell_points(around, front)
    border = tube(edge, edge - SHELL_CENTER_M, np.full((44, 2), 0.008), 6, FUR[1], closed=True)
    front_fur = merge_meshes([back, border, *ring_of_tufts(0, _RINGS[0], FUR)])
    deltas = {name: shell_motion(name, front_fur.vertices) for name in JAW_SHAPES}
    front_fur = Mesh(front_fur.vertices, front_fur.triangles, front_fur.colors, deltas)
    return merge_meshes([front_fur, *[lock for number, ring in enumerate(_RINGS[1:], 1) for lock in ring_of_tufts(number, ring, FUR)]])


def _horn() -> Mesh:
    """Build the left horn, striped, bent outward and up."""
    share = np.linspace(0, 1, 15)
    angle = np.deg2rad(-80 + 100 * share)
    path = np.c_[0.092 + 0.075 * np.cos(angle), 0.165 + 0.062 * np.sin(angle), np.full(15, -0.045)]
    thick = np.tile(0.0260 * np.clip(1 - share**1.6, 0.02, 1)[:, None], (1, 2))
    horn = tube(path, np.tile([0.0, 0.0, 1.0], (15, 1)), thick, 12, _HORN)
    stripe = np.repeat(np.arange(15) % 4 == 3, 12)[:, None]
    return Mesh(horn.vertices, horn.triangles, np.where(stripe, parse_color(_STRIPE), horn.colors))


def _tusk() -> Mesh:
    """Build the left tusk, from below the lower lip to above the upper one."""
    share = np.linspace(0, 1, 5)[:, None]
    x, y = 0.030 + 0.003 * share, -0.0885 + 0.033 * share
    path: Floats = np.c_[x, y, shell_depth(x, y) + 0.006 + 0.006 * np.sin(np.pi * (0.15 + 0.6 * share))]
    thick = np.tile(0.0062 * np.sqrt(np.clip(1 - share**2.2, 0.002, 1)), (1, 2))
    return tube(path, np.tile([0.0, 0.0, 1.0], (5, 1)), thick, 7, _HORN)


def _body() -> Mesh:
    """Build round furry shoulders without a neck, closed at their lower end."""
    profile = [(0.0, -0.262), (0.105, -0.262), (0.124, -0.250), (0.130, -0.230), (0.118, -0.190), (0.095, -0.14)]
    parts = [revolve(profile, 28, FUR[1])]
    for count, height, radius, turned_by in ((16, -0.225, 0.122, 0.0), (12, -0.196, 0.112, 0.5)):
        for k, turn in enumerate((np.arange(count) + turned_by) / count * 2 * np.pi):
            out = np.array([np.sin(turn), 0.0, np.cos(turn)])
            parts.append(make_tuft(out * radius + (0, height, 0), 0.8 * out - (0, 0.6, 0), 0.036, 0.021, FUR[k % 2]))
    return transform_mesh(merge_meshes(parts), np.diag([1.0, 1.0, 0.85]), (0, 0, SHELL_CENTER_M[2]))
