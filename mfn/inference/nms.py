"""Non-maximum suppression of K boxes in NumPy, in a time that follows K alone, whatever the boxes are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou


def keep_best(box: NDArray, score: NDArray, iou: float) -> NDArray[np.bool_]:
    """Greedy suppression: from the best score down, a box goes if it overlaps a kept one by more than `iou`.

    box: (K, 4) x1 y1 x2 y2; score: (K,), any order, of equals the first wins -> mask (K,) of the boxes that stay.
    """
    order = np.argsort(-np.asarray(score), kind="stable")
    hides = box_iou(box[order], box[order]) > iou  # (K, K)
    # A row is one integer of K bits, so "all that box i hides goes" is one operation, and K of them are all there is.
    bits = np.packbits(hides, axis=1, bitorder="little")
    packed, size = bits.tobytes(), bits.shape[1]
    rows = [int.from_bytes(packed[i : i + size], "little") for i in range(0, len(packed), max(size, 1))]
    gone, kept = 0, []
    for i, row in enumerate(rows):
        if not gone >> i & 1:
            kept.append(i)
            gone |= row
    keep = np.zeros(len(order), bool)
    keep[order[kept]] = True
    return keep
