"""Non-maximum suppression of K boxes in NumPy, in a time that follows K alone: not how many faces there are, nor how they overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def overlaps(a: NDArray, b: NDArray) -> NDArray[np.float32]:
    """Intersection over union of every pair: a (K, 4), b (M, 4) x1 y1 x2 y2 in one frame -> (K, M) in [0, 1]; 0 for empty boxes."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(1)
    union = area_a[:, None] + area_b[None] - shared
    return shared / np.maximum(union, 1e-12)


def keep_best(box: NDArray, score: NDArray, iou: float) -> NDArray[np.bool_]:
    """Greedy suppression: from the best score down, a box goes if it overlaps a kept one by more than `iou`.

    box: (K, 4) x1 y1 x2 y2; score: (K,), any order, of equals the first wins -> mask (K,) of the boxes that stay.
    """
    order = np.argsort(-np.asarray(score), kind="stable")
    hides = overlaps(box[order], box[order]) > iou  # (K, K)
    # A row is one integer of K bits, so "everything that box i hides goes" is one operation and K of them are all there is.
    rows = [int.from_bytes(row.tobytes(), "little") for row in np.packbits(hides, axis=1, bitorder="little")]
    gone, keep = 0, np.zeros(len(order), bool)
    for i, row in enumerate(rows):
        if not gone >> i & 1:
            keep[order[i]] = True
            gone |= row
    return keep
