"""The files of faces: `.npz`, which holds the arrays of `Faces`, and `.faces.json`, with names that people can read.

    {"picture": "crowd.jpg", "width": 1280, "height": 720,        only if the picture is known
     "bytes": 204800,                                             only if the size of its file is known
     "format": 1, "identity_size": 64,
     "faces": [{"box": [...], ..., "expression": {"browDownLeft": 0.1, ...}, "pose_deg": {"pitch": 3.1, ...}}, ...]}

`pose_deg` is for readers only: it follows from `rotation`. `retarget.performance.json_reader` reads the format.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import pitch_yaw_roll_deg
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write
from retarget.performance.json_reader import FACES_FORMAT

FORMAT = FACES_FORMAT
"""Number of the format of both files."""
_POSE = ("pitch", "yaw", "roll")
_POSE_DIGITS = 2


class PictureInfo(NamedTuple):
    """Name and size in px of the picture that faces were found in, and size of its file, if known."""

    picture: str
    width: int
    height: int
    bytes: int | None = None


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays of `Faces` as an .npz file, whole or not at all."""
    memory = io.BytesIO()
    np.savez_compressed(memory, allow_pickle=False, **{"format": np.array(FORMAT, np.int32), **arrays})
    atomic_write(path, memory.getvalue())


def read_npz(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read what `write_npz` wrote.

    Args:
        path: The file.
        names: The arrays to read.

    Returns:
        Name -> array. `refined` may be missing: older files lack it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a file of faces, or one of another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in names if name in data}
            form = int(data["format"]) if "format" in data else FORMAT
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, TypeError, ValueError, AttributeError, RuntimeError):
        raise ValueError(f"{path}: not a readable .npz file of faces") from None
    if form != FORMAT:
        raise ValueError(f"{path}: format {form}, this version reads {FORMAT}")
    missing = [name for name in names if name not in arrays and name != "refined"]
    if missing:
        raise ValueError(f"{path}: not a file of faces: {', '.join(missing)} missing")
    return arrays


def faces_to_dict(arrays: Mapping[str, NDArray[Any]], picture: PictureInfo | None = None) -> dict[str, Any]:
    """Convert the arrays of `Faces` to the content of a `.faces.json` file: dicts, lists and Python numbers.

    Args:
        arrays: Name -> array, N rows each.
        picture: Name and size of the picture, or None.

    Returns:
        The content. Numbers have 7 significant digits, which is what a float32 holds.
    """
    pose = pitch_yaw_roll_deg(arrays["rotation"])
    rows = []
    for i in range(len(arrays["box"])):
        row = {name: _rounded(array[i]) for name, array in arrays.items() if name != "expression"}
        row["expression"] = dict(zip(EXPRESSION_NAMES, _rounded(arrays["expression"][i]), strict=True))
        row["pose_deg"] = {name: round(float(angle), _POSE_DIGITS) for name, angle in zip(_POSE, pose[i])}
        rows.append(row)
    head = {} if picture is None else {name: value for name, value in picture._asdict().items() if value is not None}
    return {**head, "format": FORMAT, "identity_size": arrays["identity"].shape[1], "faces": rows}


def _rounded(value: NDArray[Any] | np.generic) -> Any:
    if np.ndim(value):
        return [_rounded(v) for v in np.asarray(value)]
    if np.asarray(value).dtype == np.bool_:
        return bool(value)
    return int(value) if np.issubdtype(np.asarray(value).dtype, np.integer) else float(f"{float(value):.7g}")
