"""Non-maximum suppression (NMS) of boxes. Only boxes that lie near each other are compared."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SAME_FACE_IOU = 0.45
PART_SIZE, PART_INSIDE = 0.8, 0.7  # a part of a face: this much smaller, with this share of its box within the face's
PART_DOUBT = 0.8  # times the score of the part: a face has to be at least as sure
# All three were chosen by the average precision of `Predictor` on held-out photos of crowds, also shrunk and squeezed.


class Overlaps(NamedTuple):
    """Pairs of overlapping boxes. Each pair is listed twice, as (i, j) and as (j, i), ordered by the first.

    Attributes:
        first, second: (P,) row numbers of the boxes.
        iou: (P,) their intersection over union.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    iou: NDArray[np.float32]


def find_overlaps(box: NDArray[Any], iou: float) -> Overlaps:
    """Find the pairs of boxes whose IoU is above a threshold.

    Args:
        box: (K, 4) x1 y1 x2 y2 in px.
        iou: Threshold, 0 or more.

    Boxes are sorted by their left side. A box is compared only with those that begin in the part of it that leaves enough in common.
    """
    order = np.argsort(box[:, 0], kind="stable")
    x1, y1, x2, y2 = np.ascontiguousarray(box[order].T)
    width, here = np.maximum(x2 - x1, 0), np.arange(len(box))
    following = np.maximum(np.searchsorted(x1, x1 + (1 - iou) * width, side="right") - here - 1, 0)
    i = np.repeat(here, following)
    j = np.arange(len(i)) - np.repeat(np.cumsum(following) - following - here - 1, following)
    shared = np.minimum(y2[i], y2[j]) - np.maximum(y1[i], y1[j])
    near = np.flatnonzero(shared > 0)  # most pairs lie above one another
    i, j, shared = i[near], j[near], shared[near]
    shared *= np.maximum(np.minimum(x2[i], x2[j]) - np.maximum(x1[i], x1[j]), 0)
    area = width * np.maximum(y2 - y1, 0)
    shared /= np.maximum(area[i] + area[j] - shared, np.float32(1e-12))
    close = np.flatnonzero(shared > iou)
    i, j, shared = order[i[close]], order[j[close]], shared[close]
    first, second = np.concatenate([i, j]), np.concatenate([j, i])
    by_first = np.argsort(first, kind="stable")
    return Overlaps(first[by_first], second[by_first], np.tile(shared, 2)[by_first])


def suppress(score: NDArray[Any], overlaps: Overlaps) -> NDArray[np.bool_]:
    """Suppress overlapping boxes greedily, from the best score down.

    Args:
        score: (K,) in any order. Of equal scores the first wins.
        overlaps: The pairs of which only one may be kept.

    Returns:
        (K,) mask of the boxes that are kept.
    """
    keep = np.ones(len(score), bool)
    start = np.searchsorted(overlaps.first, np.arange(len(score) + 1)).tolist()
    crowded = np.flatnonzero(np.bincount(overlaps.first, minlength=len(score)))  # the others are kept
    for i in crowded[np.argsort(-np.asarray(score)[crowded], kind="stable")].tolist():
        if keep[i]:
            keep[overlaps.second[start[i] : start[i + 1]]] = False
    return keep


def nms(box: NDArray[Any], score: NDArray[Any], iou: float) -> NDArray[np.bool_]:
    """Suppress overlapping boxes greedily, from the best score down.

    Args:
        box: (K, 4) x1 y1 x2 y2 in px.
        score: (K,) in any order. Of equal scores the first wins.
        iou: A box is suppressed if its IoU with a kept box is above this.

    Returns:
        (K,) mask of the boxes that are kept.
    """
    return suppress(score, find_overlaps(np.asarray(box, np.float32), iou))


def merge(
    box: NDArray[Any], score: NDArray[Any], fit: NDArray[Any], whole: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Choose the detections to keep: each face once, and no part of a face as a face of its own.

    Args:
        box: (N, 4) x1 y1 x2 y2 in px.
        score: (N,) probabilities.
        fit: (N,) up to 1: how far the place of each detection can be relied on.
        whole: (N,) up to 1: how far each detection can be relied on where smaller ones lie in it, as if they were parts. None: 1.

    Returns:
        The kept rows, best score first. Of the detections of one face, the one with the best score x fit is kept.
    """
    box = np.asarray(box, np.float32)
    rows = np.flatnonzero(nms(box, score * fit, SAME_FACE_IOU))
    rows = rows[~is_part(box[rows], score[rows], score[rows] if whole is None else (score * whole)[rows])]
    return rows[np.argsort(-score[rows], kind="stable")]


def is_part(box: NDArray[Any], score: NDArray[Any], whole_score: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which boxes (N,) lie in a larger box that is about as sure: an eye, a mouth or half a face that was taken for a face.

    Args:
        box: (N, 4) x1 y1 x2 y2 in px.
        score: (N,) probabilities, which count where a box is the part.
        whole_score: (N,) probabilities, which count where it is the face.
    """
    pairs = find_overlaps(box, 0.0)
    face, part = pairs.first, pairs.second
    size = (box[:, 2:] - box[:, :2]).max(1)
    smaller = (size[part] < PART_SIZE * size[face]) & (PART_DOUBT * score[part] <= whole_score[face])
    face, part = face[smaller], part[smaller]
    both = np.maximum(np.minimum(box[face, 2:], box[part, 2:]) - np.maximum(box[face, :2], box[part, :2]), 0).prod(1)
    area = np.maximum(box[part, 2:] - box[part, :2], 0).prod(1)
    result = np.zeros(len(box), bool)
    result[part[both > PART_INSIDE * area]] = True
    return result
