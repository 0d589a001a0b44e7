"""A head mesh without blendshapes to a glTF rig with ARKit's 52: what `retarget rig` does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retarget.accessor import add_sparse_accessor
from retarget.arkit import ARKIT_NAMES
from retarget.build import Node, Part, Shape, build_glb
from retarget.character import load_character
from retarget.glb import Glb, read_glb, write_glb
from retarget.head_file import load_source
from retarget.marks import place_marks, read_marks
from retarget.obj import ObjMesh, read_obj
from retarget.surface import Floats, Ints, need_scipy, point_normals
from retarget.transfer import transfer

_SMALLEST_M = 2e-5


@dataclass(frozen=True)
class Rigged:
    """glb: the rig. moved: how many vertices a shape moves, of vertices. filled: landmarks found by mirroring."""

    glb: Glb
    vertices: int
    moved: int
    filled: tuple[str, ...]


def rig_mesh(mesh: str | os.PathLike[str], landmarks: str | os.PathLike[str], source: str | None = None) -> Rigged:
    """The mesh of an .obj, .glb or .gltf file with 52 morph targets. landmarks: a JSON file, see `retarget.marks`.

    An OBJ comes out upright in metres, its eyes as far from each other as people's are on average, facing +z. A glTF file stays as
    it is; its meshes get targets. tongueOut moves nothing: the source head has no such shape.
    """
    need_scipy()
    head = load_source(source)
    marks = read_marks(landmarks)
    if Path(mesh).suffix.lower() in (".glb", ".gltf"):
        glb = read_glb(mesh)
        character = load_character(glb, None, None)
        if any(surface.deltas.size for surface in character.surfaces):
            raise ValueError(f"{mesh}: it has morph targets already; `retarget inspect` shows which")
        points, triangles = character.rest(), character.triangles
    else:
        obj = read_obj(mesh)
        points, triangles = obj.positions, obj.triangles
    used = np.zeros(len(points), bool)
    used[triangles.ravel()] = True
    try:
        placed = place_marks(marks, points, used)
    except ValueError as error:
        raise ValueError(f"{landmarks}: {error}") from None
    weld = welded(points, triangles)
    first, number = np.unique(weld, return_index=False, return_inverse=True)
    corners = number[triangles]
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    shapes, (scale, rotation, shift) = transfer(head, points[first], corners[whole], {n: int(number[v]) for n, v in placed.items()})
    deltas = np.concatenate([shapes[:, number], np.zeros((1, len(points), 3))])
    if Path(mesh).suffix.lower() in (".glb", ".gltf"):
        _add_targets(glb, deltas, _SMALLEST_M / scale)
    else:
        glb = _obj_rig(obj, deltas @ rotation.T * scale, scale * points @ rotation.T + shift)
    moved = int((np.abs(deltas) * scale > _SMALLEST_M).any((0, 2)).sum())
    return Rigged(glb, len(points), moved, tuple(name for name in placed if name not in marks))


def write_rig(rigged: Rigged, out: str | os.PathLike[str]) -> None:
    """Write the rig, .glb or .gltf."""
    if Path(out).suffix.lower() not in (".glb", ".gltf"):
        raise ValueError(f"{out}: expected a name that ends in .glb or .gltf")
    write_glb(rigged.glb, out)


def welded(points: Floats, triangles: Ints) -> Ints:
    """(V,) the first vertex of the same place whose normal does not look the other way: seams of texture or shading close,
    lips that touch stay two."""
    normals = point_normals(points, triangles)
    size = np.ptp(points, axis=0).max() or 1.0
    grid = np.round((points - points.min(0)) / size * 1e6).astype(np.int64)
    _, place = np.unique(grid, axis=0, return_inverse=True)
    order = np.argsort(place.ravel(), kind="stable")
    result = np.arange(len(points))
    for group in np.split(order, np.flatnonzero(np.diff(place.ravel()[order])) + 1):
        if len(group) > 1:
            same = normals[group] @ normals[group].T > -0.2
            result[group] = group[same.argmax(axis=1)]
    return result


def _obj_rig(obj: ObjMesh, deltas: Floats, points: Floats) -> Glb:
    """Parts by material, vertices split where the texture has seams."""
    normals, parts, materials = point_normals(points, obj.triangles), [], []
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


def _add_targets(glb: Glb, deltas: Floats, smallest: float) -> None:
    """Morph targets (52, V, 3), scene axes, to every mesh of a document, in its own axes."""
    character = load_character(glb, None, None)
    linear = np.zeros((len(character.positions), 3, 3))
    for vertices, matrix in character.groups:
        linear[vertices] += matrix[:, :, :3]
    own = np.einsum("vij,kvj->kvi", np.linalg.pinv(linear), deltas)
    done: set[int] = set()
    for surface in character.surfaces:
        number = glb.document["nodes"][surface.node]["mesh"]
        if number in done:
            raise ValueError(f"{glb.path}: mesh {number} is shown more than once (expected a face that is there once)")
        done.add(number)
        mesh, start = glb.document["meshes"][number], surface.start
        for primitive in mesh["primitives"]:
            if primitive.get("mode", 4) != 4 or "POSITION" not in primitive["attributes"]:
                raise ValueError(f"{glb.path}: mesh {number} has lines or points (expected triangles alone)")
            stop = start + glb.document["accessors"][primitive["attributes"]["POSITION"]]["count"]
            moves = own[:, start:stop].astype(np.float32)
            primitive["targets"] = [{"POSITION": add_sparse_accessor(glb, move, smallest)} for move in moves]
            start = stop
        extras = mesh.get("extras") if isinstance(mesh.get("extras"), dict) else {}
        mesh["extras"] = {**extras, "targetNames": list(ARKIT_NAMES)}
        mesh["weights"] = [0.0] * len(ARKIT_NAMES)
