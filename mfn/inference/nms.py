"""Non-maximum suppression (NMS). Its time depends on the number of boxes only, not on how they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou


def nms(box: NDArray[Any], score: NDArray[Any], iou: float) -> NDArray[np.bool_]:
    """Suppress overlapping boxes greedily, from the best score down.

    Args:
        box: (K, 4) x1 y1 x2 y2 in px.
        score: (K,) in any order. Of equal scores the first wins.
        iou: A box is suppressed if its IoU with a kept box is above this.

    Returns:
        (K,) mask of the boxes that are kept.
    """
    order = np.argsort(-np.asarray(score), kind="stable")
    suppresses = box_iou(box[order], box[order]) > iou  # (K, K)
    # Each row becomes one integer of K bits, so that "suppress all that box i suppresses" is one operation.
    bits = np.packbits(suppresses, axis=1, bitorder="little")
    packed, size = bits.tobytes(), bits.shape[1]
    rows = [int.from_bytes(packed[i : i + size], "little") for i in range(0, len(packed), max(size, 1))]
    suppressed, kept = 0, []
    for i, row in enumerate(rows):
        if not suppressed >> i & 1:
            kept.append(i)
            suppressed |= row
    keep = np.zeros(len(order), bool)
    keep[order[kept]] = True
    return keep
