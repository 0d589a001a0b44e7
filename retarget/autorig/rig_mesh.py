"""A head mesh without blendshapes to a glTF rig with ARKit's 52: what `retarget rig` does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retarget.arkit import ARKIT_NAMES
from retarget.autorig.deformation_transfer import transfer
from retarget.autorig.landmarks import place_marks, read_marks
from retarget.autorig.source_head import load_source
from retarget.geometry.mesh import Floats, Ints, require_scipy, vertex_normals
from retarget.gltf.accessors import add_sparse_accessor
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import Glb, read_glb, write_glb
from retarget.io.obj import ObjMesh, read_obj
from retarget.rig.skinned_mesh import SkinnedMesh, load_skinned_mesh

_SMALLEST_M = 2e-5
_MOST_VERTICES = 250_000  # 52 shapes of them are 0.3 GB
_SEAM = -0.2  # cosine between the normals of one place's vertices; below it they are of two surfaces that touch


@dataclass(frozen=True)
class Rigged:
    """What was done: the rig's vertices, how many of them some shape moves, and the landmarks that were mirrored."""

    vertices: int
    moved: int
    mirrored: tuple[str, ...]


_Path = str | os.PathLike[str]


def rig_mesh(mesh: _Path, landmarks: _Path, out: _Path, source: _Path | None = None) -> Rigged:
    """Write the mesh of an .obj, .glb or .gltf file with 52 morph targets. landmarks: a JSON file, see `retarget.autorig.landmarks`.

    An OBJ comes out upright in metres, as large as people's heads are, facing +z. A glTF file stays as it is; its meshes
    get targets. tongueOut moves nothing: the source head has no such shape.
    """
    require_scipy()
    _check_out(Path(out))
    head, marks = load_source(source), read_marks(landmarks)
    is_gltf = Path(mesh).suffix.lower() in (".glb", ".gltf")
    if is_gltf:
        glb = read_glb(mesh)
        character = _bare_character(glb)
        points, triangles = character.rest_positions(), character.triangles
    else:
        obj = read_obj(mesh)
        points, triangles = obj.positions, obj.triangles
    if len(points) > _MOST_VERTICES:
        raise ValueError(f"{mesh}: {len(points)} vertices are more than the {_MOST_VERTICES} that can be rigged; make it simpler first")
    weld = welded(points, triangles)
    first, number = np.unique(weld, return_inverse=True)
    corners = number[triangles]
    whole = (corners != corners[:, [1, 2, 0]]).all(1)
    used = np.isin(np.arange(len(points)), triangles[whole])
    try:
        placed = place_marks(marks, points, used)
        vertices = {name: int(number[vertex]) for name, vertex in placed.items()}
        shapes, (scale, rotation, shift) = transfer(head, points[first], corners[whole], vertices)
    except ValueError as error:
        raise ValueError(f"{landmarks}: {error}") from None
    deltas = np.concatenate([shapes[:, number], np.zeros((1, len(points), 3))])
    if is_gltf:
        _add_targets(glb, character, deltas, _SMALLEST_M / scale)
    else:
        glb = _obj_rig(obj, deltas @ rotation.T * scale, scale * points @ rotation.T + shift)
    write_glb(glb, out)
    moved = int((np.abs(deltas) * scale > _SMALLEST_M).any((0, 2)).sum())
    return Rigged(len(points), moved, tuple(name for name in placed if name not in marks))


def _check_out(out: Path) -> None:
    """What would fail at the end fails at once."""
    if out.suffix.lower() not in (".glb", ".gltf"):
        raise ValueError(f"{out}: expected a name that ends in .glb or .gltf")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out}: its folder does not exist")


def _bare_character(glb: Glb) -> SkinnedMesh:
    character = load_skinned_mesh(glb, None, None)
    if any(surface.deltas.size for surface in character.parts):
        raise ValueError(f"{glb.path}: it has morph targets already; `retarget inspect` shows where they go")
    meshes = [glb.document["nodes"][surface.node]["mesh"] for surface in character.parts]
    if len(set(meshes)) < len(meshes):
        raise ValueError(f"{glb.path}: a mesh is shown more than once (expected a face that is there once)")
    kinds = {primitive.get("mode", 4) for number in meshes for primitive in glb.document["meshes"][number]["primitives"]}
    if kinds != {4}:
        raise ValueError(f"{glb.path}: it has lines, points or strips (expected triangles alone)")
    return character


def welded(points: Floats, triangles: Ints) -> Ints:
    """(V,) the first vertex of the same place whose normal does not look the other way: seams of texture or shading close,
    lips that touch stay two."""
    normals = vertex_normals(points, triangles)
    size = np.ptp(points, axis=0).max() or 1.0
    grid = np.round((points - points.min(0)) / size * 1e6).astype(np.int64)
    _, place = np.unique(grid, axis=0, return_inverse=True)
    order = np.argsort(place.ravel(), kind="stable")
    result = np.arange(len(points))
    for group in np.split(order, np.flatnonzero(np.diff(place.ravel()[order])) + 1):
        if len(group) > 1:
            same = normals[group] @ normals[group].T > _SEAM
            in_use = (normals[group] != 0).any(1)  # a vertex of no triangle joins nothing
            same &= in_use & in_use[:, None]
            result[group] = np.where(same.any(axis=1), group[same.argmax(axis=1)], group)
    return result


def _obj_rig(obj: ObjMesh, deltas: Floats, points: Floats) -> Glb:
    """Parts by material, vertices split where the texture has seams."""
    normals, parts, materials = vertex_normals(points, obj.triangles), [], []
    for number, name in enumerate(obj.material_names):
        rows = obj.material == number
        corner = np.stack([obj.triangles[rows].ravel(), obj.uv_triangles[rows].ravel()], axis=1)
        split, index = np.unique(corner, axis=0, return_inverse=True)
        place, flat = split[:, 0], split[:, 1]
        uv = None
        if (flat >= 0).all():
            uv = obj.uv[flat] * [1, -1] + [0, 1]
        triangles = index.reshape(-1, 3)
        parts.append(Part(points[place], triangles, _unit(normals[place]), uv, deltas=deltas[:, place], material=number))
        surface = {"baseColorFactor": [0.72, 0.52, 0.42, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.6}
        materials.append({"name": name, "doubleSided": True, "pbrMetallicRoughness": surface})
    return build_glb([Node("head", children=[1]), Node("face", shape=0)], [Shape("face", parts, ARKIT_NAMES)], materials)


def _unit(normals: Floats) -> Floats:
    """Vertices without area look forward."""
    return np.where(np.abs(normals).sum(axis=1, keepdims=True) > 0, normals, [0.0, 0.0, 1.0])


def _add_targets(glb: Glb, character: SkinnedMesh, deltas: Floats, smallest: float) -> None:
    """Morph targets (52, V, 3), scene axes, to every mesh of a document, in its own axes."""
    linear = np.zeros((len(character.positions), 3, 3))
    for vertices, matrix in character.groups:
        linear[vertices] += matrix[:, :, :3]
    own = np.einsum("vij,kvj->kvi", np.linalg.pinv(linear), deltas).astype(np.float32)
    for surface in character.parts:
        mesh, start = glb.document["meshes"][glb.document["nodes"][surface.node]["mesh"]], surface.start
        for primitive in mesh["primitives"]:
            stop = start + glb.document["accessors"][primitive["attributes"]["POSITION"]]["count"]
            moves = own[:, start:stop]
            primitive["targets"] = [{"POSITION": add_sparse_accessor(glb, move, smallest)} for move in moves]
            start = stop
        extras = mesh.get("extras") if isinstance(mesh.get("extras"), dict) else {}
        mesh["extras"] = {**extras, "targetNames": list(ARKIT_NAMES)}
        mesh["weights"] = [0.0] * len(ARKIT_NAMES)
