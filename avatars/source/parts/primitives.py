"""Plain solid forms as meshes: tubes, solids of revolution, grids. Meters; x to the character's left, y up, z out of the face."""

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
    """A colored mesh with shapes.

    Attributes:
        vertices: (V, 3) meters.
        triangles: (T, 3), counter-clockwise from outside.
        colors: (V, 3) linear light.
        deltas: ARKit name -> (V, 3) meters at weight 1.
    """

    vertices: Floats
    triangles: Ints
    colors: Floats
    deltas: dict[str, Floats] = field(default_factory=dict)


def parse_color(code: str) -> Floats:
    """Convert "#rrggbb" to linear light (3,)."""
    return srgb_to_linear(np.array([int(code[k : k + 2], 16) for k in (1, 3, 5)]) / 255).astype(np.float64)


def solid_mesh(vertices: Floats, triangles: Ints, code: str) -> Mesh:
    """Make a mesh of one color "#rrggbb"."""
    return Mesh(vertices, triangles, np.tile(parse_color(code), (len(vertices), 1)))


def merge_meshes(meshes: Sequence[Mesh]) -> Mesh:
    """Join meshes; shapes with the same name become one."""
    start = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    names = list(dict.fromkeys(name for mesh in meshes for name in mesh.deltas))
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + first for mesh, first in zip(meshes, start)]),
        np.concatenate([mesh.colors for mesh in meshes]),
        {n: np.concatenate([mesh.deltas.get(n, np.zeros_like(mesh.vertices)) for mesh in meshes]) for n in names},
    )


def mesh_normals(mesh: Mesh) -> NDArray[np.float32]:
    """Return unit normals (V, 3), outward, smooth across shared vertices."""
    return vertex_normals(mesh.vertices, mesh.triangles).astype(np.float32)


def mirror_mesh(mesh: Mesh) -> Mesh:
    """Mirror a mesh to the other side of the character; its shapes change sides too."""
    flip = np.array([-1.0, 1, 1])
    deltas = {_other_side(name): delta * flip for name, delta in mesh.deltas.items()}
    return Mesh(mesh.vertices * flip, mesh.triangles[:, ::-1], mesh.colors, deltas)


def _other_side(name: str) -> str:
    from retarget.arkit import ARKIT_NAMES, MIRROR

    return ARKIT_NAMES[MIRROR[ARKIT_NAMES.index(name)]]


def submesh(mesh: Mesh, keep: NDArray[np.bool_]) -> Mesh:
    """Keep the triangles all of whose corners are kept. keep: (V,)."""
    triangles = mesh.triangles[keep[mesh.triangles].all(1)]
    used, renumbered = np.unique(triangles, return_inverse=True)
    deltas = {name: delta[used] for name, delta in mesh.deltas.items()}
    return Mesh(mesh.vertices[used], renumbered.reshape(-1, 3), mesh.colors[used], deltas)


def grid_triangles(rows: int, columns: int, closed: bool = False) -> Ints:
    """Make the triangles (T, 3) of a grid of rows x columns vertices, row by row.

    closed: the last column joins the first. The outside is the side from which columns run to the right and rows up.
    """
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns - (not closed)), indexing="ij")
    right = (column + 1) % columns
    a, b, c, d = (r * columns + k for r, k in ((row, column), (row, right), (row + 1, right), (row + 1, column)))
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def path_frames(path: Floats, closed: bool, out: Floats) -> tuple[Floats, Floats]:
    """Return two unit directions (n, 3) across a path (n, 3): the part of `out` (n, 3) across it, and the third direction."""
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead = ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
    first = out - (out * ahead).sum(1, keepdims=True) * ahead
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    return first, np.cross(ahead, first)


def tube_vertices(path: Floats, out: Floats, size: Floats, sides: int, closed: bool) -> Floats:
    """Return the vertices (n * sides, 3) of a tube. size: (n, 2) half of its thickness towards `out` and across."""
    first, second = path_frames(path, closed, out)
    turn = np.arange(sides) / sides * 2 * np.pi
    net = path[:, None] + np.cos(turn)[:, None] * (first * size[:, :1])[:, None]
    return (net + np.sin(turn)[:, None] * (second * size[:, 1:])[:, None]).reshape(-1, 3)


def tube(path: Floats, out: Floats, size: Floats, sides: int, code: str, closed: bool = False) -> Mesh:
    """Build a tube along a path (n, 3). Open tubes should end with a size near zero."""
    net = tube_vertices(path, out, size, sides, closed)
    rows = len(path)
    triangles = grid_triangles(rows, sides, closed=True)
    if closed:
        last = np.concatenate([np.arange(sides) + (rows - 1) * sides, np.arange(sides)])
        triangles = np.concatenate([triangles, last[grid_triangles(2, sides, closed=True)]])
    return solid_mesh(net, triangles, code)


def revolve(profile: Sequence[tuple[float, float]], sides: int, code: str) -> Mesh:
    """Build a solid of revolution about y. profile: (radius, height), from the lower end up."""
    turn = np.arange(sides) / sides * 2 * np.pi
    ring = np.stack([np.sin(turn), np.zeros(sides), np.cos(turn)], 1)
    net = np.concatenate([ring * max(radius, 1e-5) + (0, height, 0) for radius, height in profile])
    return solid_mesh(net, grid_triangles(len(profile), sides, closed=True), code)


def transform_mesh(mesh: Mesh, matrix: Floats, offset: Sequence[float] | Floats) -> Mesh:
    """Apply vertices @ matrix.T + offset; the matrix applies to the shapes too."""
    turned_deltas = {name: delta @ matrix.T for name, delta in mesh.deltas.items()}
    return Mesh(mesh.vertices @ matrix.T + np.asarray(offset), mesh.triangles, mesh.colors, turned_deltas)


def smoothstep(value: Floats, start: float, stop: float) -> Floats:
    """Return 0 up to `start`, 1 from `stop` on (`start` may be the larger), and a smooth transition between."""
    t = np.clip((value - start) / (stop - start), 0, 1)
    return t * t * (3 - 2 * t)


def near(x: Floats, y: Floats, at: tuple[float, float], size: tuple[float, float]) -> Floats:
    """Return 1 at a place, falling like a bell with half axes `size`."""
    return np.asarray(np.exp(-(((x - at[0]) / size[0]) ** 2) - ((y - at[1]) / size[1]) ** 2))
