"""Landmarks that a person picked on a mesh: from a JSON file to vertices.

    {"noseTip": 123, "chin": [x, y, z], ...}

A number is a vertex, counted from 0 in the file's order (as Blender shows it; the meshes of a glTF file are counted one
after the other). Three numbers are a place on the mesh. The names are those of `source_head.LANDMARKS`. A landmark that
is missing on one side is mirrored from the other side.

Letters: V vertices.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.autorig.source_head import LANDMARKS, REQUIRED
from retarget.io.files import read_json_object
from retarget.io.suggest import did_you_mean

Floats = NDArray[np.float64]

_MAX_OFFSET = 0.04  # of the face's size: the distance from a given place to the mesh
_MAX_MIRRORED_OFFSET = 0.15  # the same for mirrored positions: few faces are symmetric
_MIN_MIDDLE_LANDMARKS = 3  # they span the plane of symmetry


def read_landmarks(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a landmark file and check its names.

    Returns:
        Values of the file by name, not checked.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON object, or a name is unknown.
    """
    landmarks = read_json_object(path, 'landmarks such as {"noseTip": 123, "chin": [x, y, z]}')
    unknown = [str(name)[:40] for name in landmarks if name not in LANDMARKS]
    if unknown:
        hint = did_you_mean(unknown[0], LANDMARKS)
        raise ValueError(f"{path}: unknown landmark {', '.join(unknown[:3])}; there are {', '.join(LANDMARKS)}{hint}")
    return landmarks


class _Mesh(NamedTuple):
    """points: (V, 3). tree: search tree of the vertices in use. vertices: their numbers. face_size: of the landmarks."""

    points: Floats
    tree: Any
    vertices: NDArray[np.int64]
    face_size: float


def locate_landmarks(landmarks: dict[str, Any], points: Floats, is_used: NDArray[np.bool_]) -> dict[str, int]:
    """Find the vertices of landmarks, and mirror those that are missing on one side.

    Args:
        landmarks: Name -> vertex number or [x, y, z].
        points: (V, 3) the mesh's vertices.
        is_used: (V,) whether a vertex belongs to a triangle.

    Returns:
        Name -> vertex, in the order of LANDMARKS.

    Raises:
        ValueError: A landmark has another form or lies off the mesh, two are the same vertex, or a required one is
            missing and cannot be mirrored.
    """
    from scipy.spatial import cKDTree

    places = {name: _place(name, value, points) for name, value in landmarks.items()}
    vertices = np.flatnonzero(is_used)
    mesh = _Mesh(points, cKDTree(points[vertices]), vertices, _face_size(places))
    found: dict[str, int] = {}
    for name, place in places.items():
        distance, nearest = mesh.tree.query(place)
        if distance > _MAX_OFFSET * mesh.face_size:
            raise ValueError(
                f"landmark {name} lies {distance:.4g} off the mesh (the landmarks span {mesh.face_size:.4g}); "
                "is it a place of this mesh, in its units?"
            )
        found[name] = int(vertices[nearest])
    found |= _mirrored(found, mesh)
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        raise ValueError(
            f"landmarks {', '.join(missing)} are missing (one side is enough if 3 landmarks of the middle are given)"
        )
    doubled = [name for name in found if list(found.values()).count(found[name]) > 1]
    if doubled:
        raise ValueError(f"landmarks {' and '.join(doubled[:2])} are the same vertex, {found[doubled[0]]}")
    return {name: found[name] for name in LANDMARKS if name in found}


def _place(name: str, value: Any, points: Floats) -> Floats:
    """(3,) the place of a landmark."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(points):
            raise ValueError(f"landmark {name}: vertex {value} of {len(points)} (counted from 0)")
        vertex: Floats = points[value]
        return vertex
    try:
        place = np.array(value, np.float64)
    except (TypeError, ValueError):
        place = np.zeros(0)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise ValueError(f"landmark {name}: expected a vertex number or [x, y, z], got {str(value)[:60]}")
    return place


def _face_size(places: dict[str, Floats]) -> float:
    """Diagonal of the box around all landmarks."""
    if not places:
        raise ValueError(f"no landmarks; at least {', '.join(REQUIRED)} are needed")
    stack = np.stack(list(places.values()))
    return float(np.linalg.norm(stack.max(0) - stack.min(0)))


def _mirrored(found: dict[str, int], mesh: _Mesh) -> dict[str, int]:
    """The missing sides of landmarks of which one side is given.

    The plane of symmetry is perpendicular to the given pairs. Without any pair it is fitted to the middle landmarks.
    """
    points = mesh.points
    sides = [(name[:-4] + "Left", name[:-4] + "Right") for name in LANDMARKS if name.endswith("Left")]
    single = [(a, b) if a in found else (b, a) for a, b in sides if (a in found) != (b in found)]
    if not single:
        return {}
    pairs = [(points[found[a]], points[found[b]]) for a, b in sides if a in found and b in found]
    middle = [points[found[name]] for name in found if not name.endswith(("Left", "Right"))]
    middle += [(a + b) / 2 for a, b in pairs]
    if pairs:
        normal = np.sum([(a - b) / np.linalg.norm(a - b).clip(1e-12) for a, b in pairs], axis=0)
    elif len(middle) >= _MIN_MIDDLE_LANDMARKS:
        normal = np.linalg.svd(np.stack(middle) - np.mean(middle, axis=0))[2][2]
    else:
        raise ValueError(f"landmark {single[0][1]} is missing and cannot be mirrored: give it, or 3 on the middle")
    normal, center = normal / np.linalg.norm(normal).clip(1e-12), np.mean(middle, axis=0)
    result = {}
    for given, other in single:
        place = points[found[given]]
        place = place - 2 * ((place - center) @ normal) * normal
        distance, nearest = mesh.tree.query(place)
        if distance > _MAX_MIRRORED_OFFSET * mesh.face_size:
            raise ValueError(
                f"landmark {other} is missing, and mirrored from {given} it lies {distance:.4g} off the mesh; give it too"
            )
        result[other] = int(mesh.vertices[nearest])
    return result
