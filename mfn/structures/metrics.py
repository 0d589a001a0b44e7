"""Compare predicted faces with the true ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel

MIN_IOU = 0.4


class Match(NamedTuple):
    """Rows of the true and of the predicted faces that are the same face: (M,) each, ordered by the true row."""

    target: NDArray[np.int64]
    pred: NDArray[np.int64]


def match_faces(target: Faces, pred: Faces, min_iou: float = MIN_IOU) -> Match:
    """Pair predicted faces with true ones, those of the largest IoU first, each at most once.

    Args:
        target: The true faces of an image.
        pred: The faces predicted in it.
        min_iou: Smallest IoU of the boxes of a pair.
    """
    iou = box_iou(target.box, pred.box)
    pairs: list[tuple[int, int]] = []
    while iou.size and iou.max() >= min_iou:
        row, column = (int(k) for k in np.unravel_index(iou.argmax(), iou.shape))
        pairs.append((row, column))
        iou[row], iou[:, column] = -1, -1
    rows = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return Match(rows[:, 0], rows[:, 1])


def landmark_nme(target: Faces, pred: Faces, head_model: HeadModel) -> NDArray[np.float64]:
    """Compute the normalized mean error of the 68 landmarks.

    Args:
        target: N true faces.
        pred: N predicted faces, in the same order.
        head_model: Defines the landmarks.

    Returns:
        (N,) mean distance of the landmarks in percent of sqrt(width * height) of the true landmarks' bounding box.
    """
    p, q = (np.asarray(head_model.landmarks(faces, "ibug68")[..., :2], np.float64) for faces in (target, pred))
    distance = np.linalg.norm(p - q, axis=2).mean(1)
    return np.asarray(distance / np.sqrt(np.ptp(p, axis=1).prod(1)) * 100)
