"""The output vector of one grid cell: its layout and its meaning.

This is the only place where the order, the sizes and the meaning of the vector are written down. Network heads, losses, decoding and
the ONNX file take their slices from `FIELDS`. The module itself needs NumPy only.

A cell of stride s with center c (px of the network input) predicts these raw values r:

    score       1   probability of a face = sigmoid(r)
    box         4   center = c + s * r[:2], size = 4 s * exp(r[2:])
    rotation    6   first two rows of R, relative to the frontal pose, orthonormalized (Zhou et al., CVPR 2019, eq. 15)
    scale       1   px per meter = 25 s * exp(r)   (a face 4 cells high is about 0.16 m tall)
    center      2   projection of the head's origin = c + s * r
    identity    I   standard deviations
    expression  51  ARKit weights = sigmoid(r)

Letters: B pictures, A cells of a picture, D numbers of a cell, I identity components.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES

Array = Any
"""A NumPy array or a torch tensor: the functions below use only operators that both have."""

Branch = Literal["box", "pose", "identity", "expression"]

STRIDES: tuple[int, ...] = (8, 16, 32, 64)
"""Default strides in px; `NetworkMetadata.strides` has those of a network. Cells are ordered stride by stride, each row-major: (B, A, D)
with A = sum of ceil(H / s) * ceil(W / s)."""
PAD_GRAY = 114
"""Gray level (0 to 255) of the padding around a picture in the network input."""
INPUT_MULTIPLE = 16
"""Both sides of a network input are multiples of this, in px; `NetworkMetadata.input_multiple` may ask for more. At larger strides the
last row and column may reach over the border."""

IDENTITY_SIZE = 64
BOX_CELLS = 4.0  # box size in strides at raw value 0
SCALE_CELLS = 25.0  # px per meter in strides at raw value 0
FRONTAL_6D: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
MAX_LOGIT = 30.0  # beyond it a sigmoid is 0 or 1 in float32, and exp would overflow
_MAX_LOG_SIZE = 6.0  # limit of the exponents of box size and scale


class Field(NamedTuple):
    """One field of a cell: its number of values, and the network branch that predicts it."""

    size: int
    branch: Branch


FIELDS: dict[str, Field] = {
    "score": Field(1, "box"),
    "box": Field(4, "box"),
    "rotation": Field(6, "pose"),
    "scale": Field(1, "pose"),
    "center": Field(2, "pose"),
    "identity": Field(IDENTITY_SIZE, "identity"),
    "expression": Field(len(EXPRESSION_NAMES), "expression"),
}


def _slices() -> dict[str, slice]:
    out, start = {}, 0
    for name, field in FIELDS.items():
        out[name] = slice(start, start + field.size)
        start += field.size
    return out


SLICES: dict[str, slice] = _slices()
CELL_SIZE: int = sum(field.size for field in FIELDS.values())
PARAMETERS = slice(SLICES["rotation"].start, CELL_SIZE)
"""The part of a cell that describes the face and not its place.

A single-face network predicts this part only: one cell for its whole crop."""
PARAMETER_SIZE: int = CELL_SIZE - PARAMETERS.start
PARAMETER_FIELDS: tuple[str, ...] = ("rotation", "scale", "center", "identity", "expression")
"""The fields of `PARAMETERS`, in order."""
BRANCHES: dict[str, int] = {branch: sum(f.size for f in FIELDS.values() if f.branch == branch) for branch in get_args(Branch)}
"""Branch -> number of channels it predicts, in the order in which the branches are concatenated."""


@lru_cache(maxsize=32)  # a third of the decoding time
def grid(height: int, width: int, strides: tuple[int, ...] = STRIDES) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the centers and strides of all cells, in the order of the network output.

    Args:
        height, width: Size of the network input in px, multiples of `INPUT_MULTIPLE`.
        strides: Strides of the network in px.

    Returns:
        Centers (A, 2), x y in px, and strides (A,) in px. The arrays are shared between calls: do not write into them.

    Raises:
        ValueError: If a side is not a multiple of `INPUT_MULTIPLE`.
    """
    if height % INPUT_MULTIPLE or width % INPUT_MULTIPLE:
        raise ValueError(f"expected a height and width divisible by {INPUT_MULTIPLE}, got {height} x {width}")
    centers, stride_of = [], []
    for stride in strides:
        y, x = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)]
        centers.append((np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        stride_of.append(np.full(centers[-1].shape[0], stride))
    return np.concatenate(centers).astype(np.float32), np.concatenate(stride_of).astype(np.float32)


def rotation_from_rows(rows: Array, xp: ModuleType = np) -> Array:
    """Build rotation matrices from their first two rows by Gram-Schmidt.

    Args:
        rows: (..., 6), two rows of any length.
        xp: `numpy` or `torch`, whichever `rows` belongs to.

    Returns:
        (..., 3, 3) rotations.

    Zhou et al., CVPR 2019, eq. 15.
    """
    a, b = rows[..., :3], rows[..., 3:]
    a = a / ((a * a).sum(-1)[..., None] + 1e-12) ** 0.5
    b = b - (a * b).sum(-1)[..., None] * a
    b = b / ((b * b).sum(-1)[..., None] + 1e-12) ** 0.5
    c = xp.stack(
        [
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ],
        -1,
    )
    return xp.stack([a, b, c], -2)


def read_cells(raw: Array, center: Array, stride: Array, xp: ModuleType = np) -> dict[str, Array]:
    """Convert raw cells to predictions in px of the network input.

    Args:
        raw: (..., D) raw cells.
        center: (..., 2) cell centers, x y in px.
        stride: (...) cell strides in px.
        xp: `numpy` or `torch`, whichever the arrays belong to.

    Returns:
        A dict with the entries of `read_boxes` and of `read_parameters`.
    """
    return {**read_boxes(raw, center, stride, xp), **read_parameters(raw[..., PARAMETERS], center, stride, xp)}


def read_boxes(raw: Array, center: Array, stride: Array, xp: ModuleType = np) -> dict[str, Array]:
    """Convert raw cells to `score` (...) in [0, 1] and `box` (..., 4) x1 y1 x2 y2 in px of the network input. See `read_cells`."""
    s = stride[..., None]
    box = raw[..., SLICES["box"]]
    middle = center + s * box[..., :2]
    half = 0.5 * BOX_CELLS * s * xp.exp(box[..., 2:].clip(-_MAX_LOG_SIZE, _MAX_LOG_SIZE))
    return {"score": _sigmoid(raw[..., SLICES["score"].start], xp), "box": xp.concatenate([middle - half, middle + half], -1)}


def read_parameters(raw: Array, center: Array, stride: Array, xp: ModuleType = np) -> dict[str, Array]:
    """Convert the `PARAMETERS` part of raw cells to pose, identity and expression in px of the network input.

    Args:
        raw: (..., PARAMETER_SIZE) raw parameters.
        center: (..., 2) cell centers, x y in px.
        stride: (...) cell strides in px.
        xp: `numpy` or `torch`, whichever the arrays belong to.

    Returns:
        A dict with `rows` (..., 6), the rotation's first two rows before orthonormalization; `rotation` (..., 3, 3) head to camera;
        `scale` (...) in px per meter; `center` (..., 2) in px; `identity` (..., I); `expression` (..., 51) in [0, 1].
    """
    first = PARAMETERS.start
    part = {name: raw[..., where.start - first : where.stop - first] for name, where in SLICES.items() if where.start >= first}
    frontal = np.asarray(FRONTAL_6D, np.float32) if xp is np else xp.tensor(FRONTAL_6D, dtype=raw.dtype, device=raw.device)
    return {
        "rows": part["rotation"] + frontal,
        "rotation": rotation_from_rows(part["rotation"] + frontal, xp),
        "scale": SCALE_CELLS * stride * xp.exp(part["scale"][..., 0].clip(-_MAX_LOG_SIZE, _MAX_LOG_SIZE)),
        "center": center + stride[..., None] * part["center"],
        "identity": part["identity"],
        "expression": _sigmoid(part["expression"], xp),
    }


def _sigmoid(x: Array, xp: ModuleType) -> Array:
    return 1 / (1 + xp.exp(-x.clip(-MAX_LOGIT, MAX_LOGIT)))
