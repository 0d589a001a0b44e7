"""Make a glTF rig with ARKit's 52 shapes (tongueOut is empty) from a head mesh that has none: what `retarget rig` does.

Letters: V vertices of the mesh, T triangles.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retarget.arkit import ARKIT_NAMES
from retarget.autorig.deformation_transfer import TRANSFER_STEPS, transfer_shapes
from retarget.autorig.landmarks import locate_landmarks, read_landmarks
from retarget.autorig.obj_materials import Materials, read_materials
from retarget.autorig.source_head import load_source_head
from retarget.geometry.mesh import Floats, Ints, require_scipy, vertex_normals
from retarget.gltf.accessors import add_sparse_accessor
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import Glb, read_glb, write_glb
from retarget.gltf.mesh_reader import TRIANGLE_MODES
from retarget.gltf.reading.damage import damage_as_value_error
from retarget.io.obj import ObjMesh, read_obj
from retarget.rig.skinned_mesh import SkinnedMesh, load_skinned_mesh

_MIN_MOVEMENT_M = 2e-5  # smaller movements are not stored
_SMALLEST = float(np.finfo(np.float32).tiny)  # of numbers that are not zero
_MAX_VERTICES = 250_000  # their 52 shapes take 0.3 GB
_MIN_SEAM_COSINE = -0.2  # of the normals of two vertices at one place; below it they belong to two surfaces that touch

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class RigResult:
    """What `rig_mesh` did.

    Attributes:
        vertices: Number of vertices.
        moved: How many of them some shape moves.
        mirrored: The landmarks that were mirrored from the other side.
        remarks: Colors and textures that could not be taken over.
    """

    vertices: int
    moved: int
    mirrored: tuple[str, ...]
    remarks: tuple[str, ...] = ()


class _Input(NamedTuple):
    """The mesh of a file. glb and skinned: of a glTF file; obj and materials: of an OBJ file; points: (V, 3); triangles: (T, 3)."""

    points: Floats
    triangles: Ints
    glb: Glb | None = None
    skinned: SkinnedMesh | None = None
    obj: ObjMesh | None = None
    materials: Materials = Materials([], [], ())


def rig_mesh(
    mesh: StrPath,
    landmarks: StrPath,
    out: StrPath,
    source: StrPath | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RigResult:
    """Write a mesh with 52 morph targets.

    Args:
        mesh: The .obj, .glb or .gltf file of a neutral head.
        landmarks: The .json file of its landmarks (see `retarget.autorig.landmarks`).
        out: The .glb or .gltf file to write.
        source: The head model whose shapes are transferred. None: ours.
        on_progress: Called with the number of finished steps and of all steps.

    Returns:
        What was done.

    Raises:
        FileNotFoundError: A file or the output's folder does not exist.
        ValueError: A file is damaged, the mesh has too many vertices or already has morph targets, or the landmarks
            are no face. The message is one line.
        ImportError: SciPy is not installed.

    The mesh of an OBJ file is turned upright, scaled to the size of a human head in meters, and faces +z. The colors and textures of
    its .mtl file are taken over. A glTF file stays as it is and its meshes get targets. tongueOut moves nothing, because the source
    head has no such shape.
    """
    require_scipy()
    _check_out(Path(out))
    head, given = load_source_head(source), read_landmarks(landmarks)
    read = _read_mesh(mesh)
    points, triangles = read.points, read.triangles
    if len(points) > _MAX_VERTICES:
        raise ValueError(f"{mesh}: {len(points)} vertices are more than the limit of {_MAX_VERTICES}; reduce the mesh first")
    first, number = np.unique(weld_vertices(points, triangles), return_inverse=True)
    corners = number[triangles]
    is_whole = (corners != corners[:, [1, 2, 0]]).all(1)
    is_used = np.isin(np.arange(len(points)), triangles[is_whole])
    try:
        located = locate_landmarks(given, points, is_used)
        vertices = {name: int(number[vertex]) for name, vertex in located.items()}
        result = transfer_shapes(head, points[first], corners[is_whole], vertices, _counter(on_progress))
    except ValueError as error:
        raise ValueError(f"{landmarks}: {error}") from None
    scale, rotation, shift = result.to_source
    deltas = np.concatenate([result.shapes[:, number], np.zeros((1, len(points), 3))])
    if read.glb is not None and read.skinned is not None:
        glb = read.glb
        _add_targets(glb, read.skinned, deltas, float(_MIN_MOVEMENT_M / scale))
    elif read.obj is not None:
        glb = _build_obj_rig(read.obj, read.materials, deltas @ rotation.T * scale, scale * points @ rotation.T + shift)
    write_glb(glb, out)
    moved = int((np.abs(deltas) * scale > _MIN_MOVEMENT_M).any((0, 2)).sum())
    return RigResult(len(points), moved, tuple(name for name in located if name not in given), read.materials.remarks)


def _counter(on_progress: Callable[[int, int], None] | None) -> Callable[[], None]:
    """A function that counts steps and reports them."""
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, TRANSFER_STEPS)

    return step


def _check_out(out: Path) -> None:
    """Raise what writing would raise at the end, before the long work begins."""
    if out.suffix.lower() not in (".glb", ".gltf"):
        raise ValueError(f"{out}: expected a name that ends in .glb or .gltf")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out}: its folder does not exist")


def _read_mesh(path: StrPath) -> _Input:
    if Path(path).suffix.lower() not in (".glb", ".gltf"):
        obj = read_obj(path)
        return _Input(obj.positions, obj.triangles, obj=obj, materials=read_materials(path, obj))
    glb = read_glb(path)
    with damage_as_value_error(path):
        skinned = load_skinned_mesh(glb, None, None)
    if any(part.deltas.size for part in skinned.parts):
        raise ValueError(f"{glb.path}: it has morph targets already; `retarget inspect` lists them")
    meshes = [glb.document["nodes"][part.node]["mesh"] for part in skinned.parts]
    if len(set(meshes)) < len(meshes):
        raise ValueError(f"{glb.path}: a mesh is used by several nodes (expected each mesh once)")
    modes = {primitive.get("mode", 4) for number in meshes for primitive in glb.document["meshes"][number]["primitives"]}
    if not modes <= set(TRIANGLE_MODES):
        raise ValueError(f"{glb.path}: it has lines or points (expected triangles only)")
    return _Input(skinned.rest_positions(), skinned.triangles, glb=glb, skinned=skinned)


def weld_vertices(points: Floats, triangles: Ints) -> Ints:
    """Find the vertices that are one point of the surface.

    Args:
        points: (V, 3).
        triangles: (T, 3).

    Returns:
        (V,) for each vertex the first one at the same place whose normal is not opposite. So seams of texture or
        shading are closed, and lips that touch stay two surfaces.
    """
    normals = vertex_normals(points, triangles)
    size = np.ptp(points, axis=0).max() or 1.0
    grid = np.round((points - points.min(0)) / size * 1e6).astype(np.int64)
    _, place = np.unique(grid, axis=0, return_inverse=True)
    order = np.argsort(place.ravel(), kind="stable")
    result = np.arange(len(points))
    for group in np.split(order, np.flatnonzero(np.diff(place.ravel()[order])) + 1):
        if len(group) > 1:
            is_same = normals[group] @ normals[group].T > _MIN_SEAM_COSINE
            is_used = (normals[group] != 0).any(1)  # a vertex of no triangle is not welded
            is_same &= is_used & is_used[:, None]
            result[group] = np.where(is_same.any(axis=1), group[is_same.argmax(axis=1)], group)
    return result


def _build_obj_rig(obj: ObjMesh, materials: Materials, deltas: Floats, points: Floats) -> Glb:
    """A rig with one part for each material. Vertices are split where the texture has seams."""
    normals = vertex_normals(points, obj.triangles)
    parts: list[Part] = []
    for number in range(len(obj.material_names)):
        rows = obj.material == number
        corner = np.stack([obj.triangles[rows].ravel(), obj.uv_triangles[rows].ravel()], axis=1)
        split, index = np.unique(corner, axis=0, return_inverse=True)
        vertex, uv_vertex = split[:, 0], split[:, 1]
        uv = None
        if (uv_vertex >= 0).all():
            uv = obj.uv[uv_vertex] * [1, -1] + [0, 1]
        triangles = index.reshape(-1, 3)
        unit = _nonzero_normals(normals[vertex])
        parts.append(Part(points[vertex], triangles, unit, uv, deltas=deltas[:, vertex], material=number))
    nodes = [Node("head", children=[1]), Node("face", shape=0)]
    return build_glb(nodes, [Shape("face", parts, ARKIT_NAMES)], materials.documents, materials.images)


def _nonzero_normals(normals: Floats) -> Floats:
    """Normals (V, 3) with +z where there is none: glTF requires unit vectors."""
    return np.where(np.abs(normals).sum(axis=1, keepdims=True) > 0, normals, [0.0, 0.0, 1.0])


def _add_targets(glb: Glb, mesh: SkinnedMesh, deltas: Floats, min_movement: float) -> None:
    """Add morph targets (52, V, 3), given in scene axes, to every mesh of a document, in its own axes.

    min_movement is in the unit of the scene: smaller movements are stored as zero.
    """
    linear = np.zeros((len(mesh.positions), 3, 3))
    for group in mesh.groups:
        linear[group.vertices] += group.matrices[:, :, :3]
    own = np.einsum("vij,kvj->kvi", np.linalg.pinv(linear), deltas).astype(np.float32)
    own[(np.abs(deltas) < min_movement).all(axis=2)] = 0
    for part in mesh.parts:
        gltf_mesh, start = glb.document["meshes"][glb.document["nodes"][part.node]["mesh"]], part.start
        for primitive in gltf_mesh["primitives"]:
            stop = start + glb.document["accessors"][primitive["attributes"]["POSITION"]]["count"]
            targets = [add_sparse_accessor(glb, delta, _SMALLEST) for delta in own[:, start:stop]]
            primitive["targets"] = [{"POSITION": accessor} for accessor in targets]
            start = stop
        extras = gltf_mesh.get("extras") if isinstance(gltf_mesh.get("extras"), dict) else {}
        gltf_mesh["extras"] = {**extras, "targetNames": list(ARKIT_NAMES)}
        gltf_mesh["weights"] = [0.0] * len(ARKIT_NAMES)
