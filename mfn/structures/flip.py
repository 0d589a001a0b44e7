"""Flip pictures, faces and raw cells horizontally.

The sign of rotations and centers is in `mfn.structures.camera`, the pairs of ARKit names in `retarget.arkit`, the sign of identity
components in the head model. The module itself needs NumPy only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import mirror_center, mirror_rotation
from mfn.structures.cells import CELL_SIZE, SLICES
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES, MIRROR

EXPRESSION_FLIP: NDArray[np.int64] = np.array(MIRROR[: len(EXPRESSION_NAMES)], np.int64)
"""(51,) `expression[:, EXPRESSION_FLIP]` is the expression of the flipped face."""

# In MediaPipe's mesh, points of the middle and of the subject's right side are numbered below 248. Their left twins
# follow in the same order.
_MIDDLE = (0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 94, 151, 152, 164, 168, 175, 195, 197, 199, 200)
_FIRST_LEFT = 248
_IRISES = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)


def _mediapipe_flip() -> NDArray[np.int64]:
    twin = np.arange(478)
    right = np.setdiff1d(np.arange(_FIRST_LEFT), _MIDDLE)
    left = np.arange(_FIRST_LEFT, _FIRST_LEFT + len(right))
    twin[right], twin[left], twin[468:] = left, right, _IRISES
    return twin


MEDIAPIPE_FLIP: NDArray[np.int64] = _mediapipe_flip()
"""(478,) number of each MediaPipe point's twin on the other side of the face."""


class CellFlip(NamedTuple):
    """How a horizontal flip changes raw cells: `cells[..., order] * sign`. Both arrays are (D,)."""

    order: NDArray[np.int64]
    sign: NDArray[np.float32]


def hflip_picture(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Flip a picture (H, W, 3) left to right, into a new contiguous array."""
    return np.ascontiguousarray(picture[:, ::-1])


def hflip_expression(expression: NDArray[Any]) -> NDArray[Any]:
    """Return the weights (..., 51) of the flipped face: left and right change places."""
    return np.asarray(np.asarray(expression)[..., EXPRESSION_FLIP])


def cell_flip(identity_mirror: NDArray[Any]) -> CellFlip:
    """Return the order and sign that turn raw cells into those of the flipped picture.

    Args:
        identity_mirror: (I,) +1 or -1, `HeadModel.identity_mirror`.

    Returns:
        The order and sign. `cells[..., order] * sign` predicts, for a place in the flipped picture, what `cells` predicts for its twin.
    """
    order, sign = np.arange(CELL_SIZE), np.ones(CELL_SIZE, np.float32)
    sign[SLICES["box"].start] = sign[SLICES["center"].start] = -1  # the horizontal offset from the cell's center
    sign[SLICES["rotation"]] = mirror_rotation(np.ones((3, 3)))[:2].ravel()  # relative to the frontal pose, which is its own mirror
    sign[SLICES["identity"]] = identity_mirror
    order[SLICES["expression"]] = SLICES["expression"].start + EXPRESSION_FLIP
    return CellFlip(order, sign)


def hflip_faces(faces: Faces, width: float, identity_mirror: NDArray[Any]) -> Faces:
    """Return the faces of the horizontally flipped picture.

    Args:
        faces: N faces in px of the picture.
        width: Width of the picture in px.
        identity_mirror: (I,) +1 or -1, `HeadModel.identity_mirror`.

    Returns:
        N faces in px of the flipped picture, in the same order.
    """
    box = faces.box.copy()
    box[:, [0, 2]] = width - faces.box[:, [2, 0]]
    return faces.replace(
        box=box,
        rotation=mirror_rotation(faces.rotation),
        center=mirror_center(faces.center, width),
        identity=faces.identity * np.asarray(identity_mirror, np.float32),
        expression=hflip_expression(faces.expression),
    )
