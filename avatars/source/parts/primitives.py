"""Plain solid forms as meshes: tubes, turned profiles, spheres, grids. Metres; x to the character's left, y up, z out of the face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.mesh import vertex_normals
from retarget.render.shading import srgb_to_linear

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Mesh:
    """vertices: (V, 3) metres. triangles: (T, 3), counter-clockwise from outside. colours: (V, 3) linear light.
    deltas: ARKit name -> (V, 3) metres at weight 1."""

    vertices: Floats
    triangles: Ints
    colours: Floats
    deltas: dict[str, Floats] = field(default_factory=dict)


def colour(code: str) -> Floats:
    """(3,) linear light of "#rrggbb"."""
    return srgb_to_linear(np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)]) / 255).astype(np.float64)


def painted(vertices: Floats, triangles: Ints, code: str) -> Mesh:
    """A mesh of one colour "#rrggbb"."""
    return Mesh(vertices, triangles, np.tile(colour(code), (len(vertices), 1)))


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several; shapes of the same name move together."""
    start = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    names = list(dict.fromkeys(name for mesh in meshes for name in mesh.deltas))
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + first for mesh, first in zip(meshes, start)]),
        np.concatenate([mesh.colours for mesh in meshes]),
        {n: np.concatenate([mesh.deltas.get(n, np.zeros_like(mesh.vertices)) for mesh in meshes]) for n in names},
    )


def normals(mesh: Mesh) -> NDArray[np.float32]:
    """(V, 3) unit, out of the surface; vertices at one place of one surface are smooth only where they are one vertex."""
    return vertex_normals(mesh.vertices, mesh.triangles).astype(np.float32)


def mirrored(mesh: Mesh) -> Mesh:
    """The mesh on the character's other side; its shapes change sides too."""
    flip = np.array([-1.0, 1, 1])
    deltas = {_other_side(name): delta * flip for name, delta in mesh.deltas.items()}
    return Mesh(mesh.vertices * flip, mesh.triangles[:, ::-1], mesh.colours, deltas)


def _other_side(name: str) -> str:
    from retarget.arkit import ARKIT_NAMES, MIRROR

    return ARKIT_NAMES[MIRROR[ARKIT_NAMES.index(name)]]


def part_of(mesh: Mesh, keep: NDArray[np.bool_]) -> Mesh:
    """The triangles of which all corners are kept, keep: (V,)."""
    triangles = mesh.triangles[keep[mesh.triangles].all(1)]
    used, renumbered = np.unique(triangles, return_inverse=True)
    deltas = {name: delta[used] for name, delta in mesh.deltas.items()}
    return Mesh(mesh.vertices[used], renumbered.reshape(-1, 3), mesh.colours[used], deltas)


def grid(rows: int, columns: int, closed: bool = False) -> Ints:
    """Triangles of a net of rows x columns vertices, row by row; closed: the last column joins the first. The outside is
    where columns run to the right while rows run up."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns - (not closed)), indexing="ij")
    right = (column + 1) % columns
    a, b, c, d = (r * columns + k for r, k in ((row, column), (row, right), (row + 1, right), (row + 1, column)))
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def frame_along(path: Floats, closed: bool, out: Floats) -> tuple[Floats, Floats]:
    """Two unit directions (n, 3) across a path (n, 3): the part of `out` (n, 3) across it, and the third."""
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    first = out - (out * ahead).sum(1, keepdims=True) * ahead
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(ahead, first)


def tube_net(path: Floats, out: Floats, size: Floats, sides: int, closed: bool) -> Floats:
    """(n * sides, 3) vertices of a tube: size (n, 2) half thickness towards `out` and across."""
    first, second = frame_along(path, closed, out)
    turn = np.arange(sides) / sides * 2 * np.pi
    net = path[:, None] + np.cos(turn)[:, None] * (first * size[:, :1])[:, None]
    return (net + np.sin(turn)[:, None] * (second * size[:, 1:])[:, None]).reshape(-1, 3)


def tube(path: Floats, out: Floats, size: Floats, sides: int, code: str, closed: bool = False) -> Mesh:
    """A tube along a path (n, 3); open ones should end with a size near zero."""
    net = tube_net(path, out, size, sides, closed)
    rows = len(path)
    triangles = grid(rows, sides, closed=True)
    if closed:
        last = np.concatenate([np.arange(sides) + (rows - 1) * sides, np.arange(sides)])
        triangles = np.concatenate([triangles, last[grid(2, sides, closed=True)]])
    return painted(net, triangles, code)


def turned(profile: Sequence[tuple[float, float]], sides: int, code: str) -> Mesh:
    """A solid of revolution about y: profile (radius, height) from the bottom up."""
    turn = np.arange(sides) / sides * 2 * np.pi
    ring = np.stack([np.sin(turn), np.zeros(sides), np.cos(turn)], 1)
    net = np.concatenate([ring * max(radius, 1e-5) + (0, height, 0) for radius, height in profile])
    return painted(net, grid(len(profile), sides, closed=True), code)


def moved(mesh: Mesh, matrix: Floats, offset: Sequence[float] | Floats) -> Mesh:
    """vertices @ matrix.T + offset; shapes turn along."""
    turned_deltas = {name: delta @ matrix.T for name, delta in mesh.deltas.items()}
    return Mesh(mesh.vertices @ matrix.T + np.asarray(offset), mesh.triangles, mesh.colours, turned_deltas)


def smoothstep(value: Floats, start: float, stop: float) -> Floats:
    """0 up to `start`, 1 from `stop` on (start may be the larger), smooth between."""
    t = np.clip((value - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)
