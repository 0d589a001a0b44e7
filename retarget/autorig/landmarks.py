"""Landmarks that a person picked on a mesh: a JSON file {"noseTip": 123, "chin": [x, y, z], …} to vertices by name.

Numbers are vertices, counted from 0 in the file's order (as Blender shows them; of a glTF file's meshes one after the
other); three numbers are a place on the mesh. Names are those of `retarget.autorig.source_head.LANDMARKS`. What is missing on one side
is mirrored from the other.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.autorig.source_head import LANDMARKS, REQUIRED
from retarget.io.files import read_json_object

Floats = NDArray[np.float64]
_OFF = 0.04  # of the face's size: as far beside the mesh a given place may lie
_MIRRORED_OFF = 0.15


def read_marks(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON as it is, its names checked."""
    marks = read_json_object(path, 'landmarks such as {"noseTip": 123, "chin": [x, y, z]}')
    unknown = [str(name)[:40] for name in marks if name not in LANDMARKS]
    if unknown:
        raise ValueError(f"{path}: unknown landmark {', '.join(unknown[:3])}; there are {', '.join(LANDMARKS)}")
    return marks


def place_marks(marks: dict[str, Any], points: Floats, used: NDArray[np.bool_]) -> dict[str, int]:
    """Vertices by name, missing sides filled in. points: (V, 3). used: (V,) which of them belong to triangles."""
    from scipy.spatial import cKDTree

    numbers = np.flatnonzero(used)
    tree = cKDTree(points[numbers])
    result: dict[str, int] = {}
    spots = {name: _spot(name, value, points) for name, value in marks.items()}
    size = _size(spots)
    for name, spot in spots.items():
        distance, nearest = tree.query(spot)
        if distance > _OFF * size:
            raise ValueError(f"landmark {name} lies {distance:.4g} off the mesh (the face is {size:.4g} large)")
        result[name] = int(numbers[nearest])
    _mirror(result, points, tree, numbers, size)
    missing = [name for name in REQUIRED if name not in result]
    if missing:
        raise ValueError(f"landmarks {', '.join(missing)} are missing (one side is enough if 3 of the middle are given)")
    doubled = [name for name in result if list(result.values()).count(result[name]) > 1]
    if doubled:
        raise ValueError(f"landmarks {' and '.join(doubled[:2])} are the same vertex, {result[doubled[0]]}")
    return {name: result[name] for name in LANDMARKS if name in result}


def _spot(name: str, value: Any, points: Floats) -> Floats:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(points):
            raise ValueError(f"landmark {name}: vertex {value} of {len(points)} (counted from 0)")
        return points[value]
    try:
        spot = np.array(value, np.float64)
    except (TypeError, ValueError):
        spot = np.zeros(0)
    if spot.shape != (3,) or not np.isfinite(spot).all():
        raise ValueError(f"landmark {name}: expected a vertex number or [x, y, z], got {str(value)[:60]}")
    return spot


def _size(spots: dict[str, Floats]) -> float:
    if not spots:
        raise ValueError(f"no landmarks; at least {', '.join(REQUIRED)} are needed")
    stack = np.stack(list(spots.values()))
    return float(np.linalg.norm(stack.max(0) - stack.min(0)))


def _mirror(found: dict[str, int], points: Floats, tree: Any, numbers: NDArray[np.int64], size: float) -> None:
    """Adds to `found` the other side's vertex of each landmark that has one side only."""
    sides = [(name[:-4] + "Left", name[:-4] + "Right") for name in LANDMARKS if name.endswith("Left")]
    single = [(a, b) if a in found else (b, a) for a, b in sides if (a in found) != (b in found)]
    if not single:
        return
    pairs = [(points[found[a]], points[found[b]]) for a, b in sides if a in found and b in found]
    middle = [points[found[name]] for name in found if not name.endswith(("Left", "Right"))]
    middle += [(a + b) / 2 for a, b in pairs]
    if pairs:
        normal = np.sum([(a - b) / np.linalg.norm(a - b).clip(1e-12) for a, b in pairs], axis=0)
    elif len(middle) >= 3:
        normal = np.linalg.svd(np.stack(middle) - np.mean(middle, axis=0))[2][2]
    else:
        raise ValueError(f"landmark {single[0][1]} is missing and cannot be mirrored: give it, or 3 on the middle")
    normal, centre = normal / np.linalg.norm(normal).clip(1e-12), np.mean(middle, axis=0)
    for given, other in single:
        spot = points[found[given]]
        spot = spot - 2 * ((spot - centre) @ normal) * normal
        distance, nearest = tree.query(spot)
        if distance > _MIRRORED_OFF * size:
            raise ValueError(f"landmark {other} is missing, and mirrored it lies {distance:.4g} off the mesh; give it too")
        found[other] = int(numbers[nearest])
