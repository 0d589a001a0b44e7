"""Read FLAME: a head model of shape and expression components and of joints, as a .pkl or an .npz file.

Li et al., "Learning a model of facial shape and expression from 4D scans" (2017). Keys: `v_template` (V, 3), `shapedirs` (V, 3, K)
identity and then expression, `posedirs` (V, 3, 36) correctives of four joints, `weights` (V, 5), `J_regressor` (5, V), `f` (T, 3). Meters.
Joints: root, neck, jaw, left eye, right eye. A linear head model has no joints: turns of jaw and eyes become expression components.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model.readers.foreign import MorphableModel, component_names, head_arguments
from mfn.structures.head_model.readers.plain_pickle import read_plain_npz_member, read_plain_pickle
from retarget.geometry.rotations import Axis, rotation_about
from retarget.io.files import check_file

KEYS = ("v_template", "shapedirs", "posedirs", "weights", "J_regressor", "f")
TURNED_JOINTS = {"jaw": 2, "left_eye": 3, "right_eye": 4}
AXES: tuple[Axis, ...] = ("x", "y", "z")
TURN_RAD = 0.2  # turns are made linear between minus and plus this angle
_JOINTS = 5
_MAX_BYTES = 1 << 31


def read_flame(path: Path, identity_components: int) -> dict[str, Any]:
    """Read a file of FLAME. Returns the arguments of `HeadModel`.

    Args:
        path: The file.
        identity_components: How many of the components of `shapedirs` are identity.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a model, or it holds more than arrays.
        ImportError: SciPy is missing.
    """
    check_file(path, "a file of FLAME, .pkl or .npz", _MAX_BYTES)
    if path.suffix.lower() not in (".pkl", ".npz"):
        raise ValueError(f"{path}: expected a file of FLAME that ends in .pkl or .npz")
    data = _read_npz(path) if path.suffix.lower() == ".npz" else read_plain_pickle(path, path.read_bytes())
    if not isinstance(data, dict) or not all(key in data for key in KEYS):
        missing = [key for key in KEYS if key not in data] if isinstance(data, dict) else KEYS
        raise ValueError(f"{path}: not a FLAME model: expected {', '.join(KEYS)}, but {', '.join(missing)} is missing")
    try:
        arrays = {key: np.asarray(data[key], np.float64) for key in KEYS}
    except (TypeError, ValueError):
        raise ValueError(f"{path}: expected arrays of numbers in {', '.join(KEYS)}") from None
    _check(path, arrays, identity_components)
    shapes = np.moveaxis(arrays["shapedirs"], 2, 0)
    turns = {f"{joint}_{axis}": _turn(arrays, number, axis) for joint, number in TURNED_JOINTS.items() for axis in AXES}
    expression = np.concatenate([np.stack(list(turns.values())), shapes[identity_components:]])
    names = (*turns, *component_names(len(shapes) - identity_components))
    identity, triangles = shapes[:identity_components], arrays["f"].astype(np.int64)
    return head_arguments(MorphableModel(path, arrays["v_template"], identity, expression, names, triangles))


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with ZipFile(path) as file:
            names = {name.removesuffix(".npy") for name in file.namelist()}
            return {key: read_plain_npz_member(path, file.read(f"{key}.npy")) for key in KEYS if key in names}
    except (BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path}: not an .npz file ({error})") from None


def _check(path: Path, arrays: dict[str, NDArray[Any]], identity_components: int) -> None:
    count = len(arrays["v_template"]) if arrays["v_template"].ndim else 0
    shapes = {
        "v_template": (count, 3),
        "posedirs": (count, 3, 9 * (_JOINTS - 1)),
        "weights": (count, _JOINTS),
        "J_regressor": (_JOINTS, count),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{path}: {name}: expected shape {shape}, got {arrays[name].shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{path}: {name}: expected finite numbers, got NaN or infinity")
    directions = arrays["shapedirs"]
    if directions.ndim != 3 or directions.shape[:2] != (count, 3):
        raise ValueError(f"{path}: shapedirs: expected shape ({count}, 3, K), got {directions.shape}")
    if not 0 < identity_components <= directions.shape[2]:
        text = f"expected more than {identity_components} components, got {directions.shape[2]}; say how many are identity"
        raise ValueError(f"{path}: shapedirs: {text}")


def _turn(arrays: dict[str, NDArray[Any]], joint: int, axis: Axis) -> NDArray[np.float64]:
    """Return the offsets (V, 3) of one radian of a joint, made linear about the pose at rest."""
    mean, weight = arrays["v_template"], arrays["weights"][:, [joint]]
    center = arrays["J_regressor"][joint] @ mean
    correctives = arrays["posedirs"][..., 9 * (joint - 1) : 9 * joint]
    moved = []
    for angle in (TURN_RAD, -TURN_RAD):
        turn = rotation_about(axis, angle) - np.eye(3)
        posed = mean + correctives @ turn.ravel()
        moved.append(posed + weight * ((posed - center) @ turn.T))
    return np.asarray((moved[0] - moved[1]) / (2 * TURN_RAD))
