"""The output vector of one cell of the network: the only place where its order, sizes and meaning are written down.

Head branches, loss weights, decoding and the ONNX file all take their slices from `FIELDS`. No torch here.

A cell of stride s whose centre is c (px of the network's input) says, with raw values r:
    score       1   probability that a face is here = sigmoid(r)
    box         4   centre = c + s * r[:2], size = 4 s * exp(r[2:])
    rotation    6   first two rows of R, orthonormalised, around the frontal pose (Zhou et al., CVPR 2019, eq. 15)
    scale       1   px per metre = 25 s * exp(r)   (a face of 4 cells' height is about 0.16 m tall)
    center      2   where the head's origin projects = c + s * r
    identity    I   standard deviations
    expression  51  ARKit weights = sigmoid(r)
"""

from __future__ import annotations

from typing import NamedTuple

from retarget.arkit import EXPRESSION_NAMES

STRIDES: tuple[int, ...] = (8, 16, 32, 64)
"""Cells come stride by stride, each row-major: (B, A, D) with A = sum of ceil(H / s) * ceil(W / s)."""
PAD_GRAY = 114  # of 255, what is round a picture in the network's input
INPUT_MULTIPLE = 16
"""The sides of a network's input are multiples of this. Of larger strides the last row and column may reach over the border."""

IDENTITY_SIZE = 64
BOX_CELLS = 4.0
SCALE_CELLS = 25.0
FRONTAL_6D: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


class Field(NamedTuple):
    """One field of a cell: `branch` names the head that predicts it (global, regional or local features)."""

    size: int
    branch: str


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
"""What a cell says of a face besides where it is. A network of one face says only this, of a single cell that covers its whole crop."""
PARAMETER_SIZE: int = CELL_SIZE - PARAMETERS.start
BRANCHES: dict[str, int] = {
    branch: sum(f.size for f in FIELDS.values() if f.branch == branch)
    for branch in dict.fromkeys(f.branch for f in FIELDS.values())
}
"""Branch -> how many channels it predicts, in the order in which the branches are concatenated."""
