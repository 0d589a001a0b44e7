"""The `.faces.json` format: faces as JSON text, with names that people can read.

    {"picture": "crowd.jpg", "width": 1280, "height": 720,        only if the picture is known
     "format": 1, "identity_size": 64,
     "faces": [{"box": [...], ..., "expression": {"browDownLeft": 0.1, ...}, "pose_deg": {"pitch": 3.1, ...}}, ...]}

`pose_deg` is for readers only: it follows from `rotation`. `retarget.performance.json_reader` reads the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import pitch_yaw_roll_deg
from retarget.arkit import EXPRESSION_NAMES

FORMAT = 1
_POSE = ("pitch", "yaw", "roll")
_POSE_DIGITS = 2


class PictureInfo(NamedTuple):
    """Name and size in px of the picture that faces were found in."""

    picture: str
    width: int
    height: int


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
    head: dict[str, Any] = {} if picture is None else picture._asdict()
    return {**head, "format": FORMAT, "identity_size": arrays["identity"].shape[1], "faces": rows}


def _rounded(value: NDArray[Any] | np.generic) -> Any:
    if np.ndim(value):
        return [_rounded(v) for v in np.asarray(value)]
    if np.asarray(value).dtype == np.bool_:
        return bool(value)
    return int(value) if np.issubdtype(np.asarray(value).dtype, np.integer) else float(f"{float(value):.7g}")
