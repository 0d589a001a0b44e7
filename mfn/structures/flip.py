"""Mirror pictures, faces and cells left to right.

Conventions live elsewhere: rotation and center in `mfn.structures.camera`, the twenty pairs of ARKit names in `retarget.arkit`, the sign of
identity components in the head model. NumPy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import mirror_center, mirror_rotation
from mfn.structures.cell_layout import CELL_SIZE, SLICES
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES, MIRROR

if TYPE_CHECKING:
    from mfn.inference.image_io import Picture

EXPRESSION_MIRROR = np.array(MIRROR[: len(EXPRESSION_NAMES)])
"""(51,): `expression[:, EXPRESSION_MIRROR]` is that of the mirrored face."""

# MediaPipe's mesh numbers the points of the middle and of the subject's right below 248 and the left twins from there, in the same order.
_MIDDLE = (0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 94, 151, 152, 164, 168, 175, 195, 197, 199, 200)
_FIRST_LEFT = 248
_IRISES = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)


def _mediapipe_mirror() -> NDArray[np.int64]:
    twin = np.arange(478)
    right = np.setdiff1d(np.arange(_FIRST_LEFT), _MIDDLE)
    left = np.arange(_FIRST_LEFT, _FIRST_LEFT + len(right))
    twin[right], twin[left], twin[468:] = left, right, _IRISES
    return twin


MEDIAPIPE_MIRROR = _mediapipe_mirror()
"""(478,): number of each MediaPipe point's twin on the other side."""


def mirror_picture(picture: Picture) -> Picture:
    """(H, W, 3) left to right, a copy in its own memory."""
    return np.ascontiguousarray(picture[:, ::-1])


def mirror_expression(expression: NDArray) -> NDArray:
    """(..., 51) weights of the mirrored face: what was left is right."""
    return np.asarray(expression)[..., EXPRESSION_MIRROR]


def cell_mirror(identity_mirror: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """What mirroring does to raw cells (see `mfn.structures.cell_layout`): order (D,) and sign (D,).

    `cells[..., order] * sign` says of a place in the mirrored picture what `cells` says of its twin. identity_mirror: (I,) +1 or -1
    """
    order, sign = np.arange(CELL_SIZE), np.ones(CELL_SIZE, np.float32)
    sign[SLICES["box"].start] = sign[SLICES["center"].start] = -1  # how far to the right of the cell's centre
    sign[SLICES["rotation"]] = mirror_rotation(np.ones((3, 3)))[:2].ravel()  # the frontal pose, from which they count, is its own mirror
    sign[SLICES["identity"]] = identity_mirror
    order[SLICES["expression"]] = SLICES["expression"].start + EXPRESSION_MIRROR
    return order, sign


def mirror_faces(faces: Faces, width: float, identity_mirror: NDArray) -> Faces:
    """The faces of the mirrored picture of `width` px. identity_mirror: (I,) +1 or -1, the head model's."""
    box = faces.box.copy()
    box[:, [0, 2]] = width - faces.box[:, [2, 0]]
    return faces.replace(
        box=box,
        rotation=mirror_rotation(faces.rotation),
        center=mirror_center(faces.center, width),
        identity=faces.identity * np.asarray(identity_mirror, np.float32),
        expression=mirror_expression(faces.expression),
    )
