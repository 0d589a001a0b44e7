"""Read ICT-FaceKit: a folder of .obj files, one for the neutral head, one for each identity and one for each expression.

The folder `FaceXModel` of the published kit holds `generic_neutral_mesh.obj`, `identity000.obj` to `identity099.obj`, an .obj file for each
expression, such as `browDown_L.obj`, and `vertex_indices.json` with the vertices of 68 landmarks. Each identity file is the neutral head
plus one standard deviation, each expression file the neutral head with the full expression. Centimeters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model.readers.foreign import MorphableModel, head_arguments
from retarget.arkit import EXPRESSION_NAMES, canonical_name
from retarget.io.files import check_file, decode_text
from retarget.io.obj import read_obj, read_obj_positions

NEUTRAL = "generic_neutral_mesh.obj"
LANDMARKS = "vertex_indices.json"
REGIONS = {
    "face": 9409, "head_neck": 11248, "mouth_socket": 13294, "eye_sockets": 14062, "gums_tongue": 17039, "teeth": 21451,
    "eyeball_left": 23021, "eyeball_right": 24591, "eye_covers": 25351, "eyelashes": 26719,
}  # fmt: skip
"""Parts of the published mesh, and the vertex after the last one of each."""
_MAX_JSON_BYTES = 1 << 24


def read_ict(folder: Path) -> dict[str, Any]:
    """Read ICT-FaceKit's folder. Returns the arguments of `HeadModel`.

    Shapes that ICT splits into halves, such as browInnerUp, become the sum of their halves. Files of other names are ignored.

    Raises:
        FileNotFoundError: There is no such folder, or it has no neutral head.
        ValueError: A file is damaged, has another number of vertices, or an expression is missing.
        ImportError: SciPy is missing.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected ICT-FaceKit's folder FaceXModel")
    if not (folder / NEUTRAL).is_file():
        raise FileNotFoundError(f"{folder}: expected ICT-FaceKit's folder FaceXModel, which holds {NEUTRAL}")
    mesh = read_obj(folder / NEUTRAL)
    mean = mesh.positions
    identity_files = sorted(path for path in folder.glob("identity*.obj") if path.stem.removeprefix("identity").isdigit())
    if not identity_files:
        raise ValueError(f"{folder}: expected identity000.obj and so on, got none")
    identity = np.stack([_offsets(path, mean) for path in identity_files])
    expression, known = np.zeros((len(EXPRESSION_NAMES), *mean.shape), np.float32), set()
    for path in sorted(folder.glob("*.obj")):
        name = canonical_name(path.stem)
        if name in EXPRESSION_NAMES and path.name != NEUTRAL:
            expression[EXPRESSION_NAMES.index(name)] += _offsets(path, mean)
            known.add(name)
    missing = [name for name in EXPRESSION_NAMES if name not in known]
    if missing:
        raise ValueError(f"{folder}: expected an .obj file for each ARKit expression, but {', '.join(missing)} is missing")
    return head_arguments(
        MorphableModel(
            folder, mean, identity, expression, EXPRESSION_NAMES, mesh.triangles, _landmarks(folder / LANDMARKS), _regions(len(mean))
        )
    )


def _offsets(path: Path, mean: NDArray[np.float64]) -> NDArray[np.float32]:
    positions = read_obj_positions(path)
    if positions.shape != mean.shape:
        raise ValueError(f"{path}: expected {len(mean)} vertices as in {NEUTRAL}, got {len(positions)}")
    return (positions - mean).astype(np.float32)


def _regions(count: int) -> dict[str, int]:
    """Return the parts of the published mesh; a mesh of another size has one part."""
    return REGIONS if count == REGIONS["eyelashes"] else {"head": count}


def _landmarks(path: Path) -> dict[str, NDArray[Any]]:
    """Return the 68 landmarks, or nothing if the file is not there."""
    if not path.is_file():
        return {}
    check_file(path, "ICT-FaceKit's vertex_indices.json", _MAX_JSON_BYTES)
    try:
        index = json.loads(decode_text(path.read_bytes()))["idx_to_landmark_verts"]
    except (ValueError, RecursionError, KeyError, TypeError):
        index = None
    if not isinstance(index, list) or len(index) != 68 or not all(isinstance(i, int) for i in index):
        raise ValueError(f"{path}: idx_to_landmark_verts: expected 68 vertex numbers")
    return {"ibug68": np.array(index, np.int64)}
