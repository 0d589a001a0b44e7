"""Decode the raw cells of the network to `Faces`.

`mfn.structures.cells` defines what the numbers of a cell mean. `decode` reads the best cells only: as many as may belong to faces, however
many faces there are.

Letters: B pictures, A cells of a picture, D numbers of a cell, K candidates, N faces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.inference.nms import Overlaps, find_overlaps, suppress
from mfn.structures.cells import (
    CELL_SIZE,
    FIELDS,
    IDENTITY_SIZE,
    MAX_LOGIT,
    PARAMETERS,
    SLICES,
    STRIDES,
    grid,
    read_boxes,
    read_parameters,
    rotation_from_rows,
)
from mfn.structures.faces import Faces

SCORE = 0.55
"""Default probability from which a face is reported (chosen by experiments/accuracy/false_faces.py)."""
NMS_IOU = 0.45
DUPLICATE_IOU = 0.6  # cells with boxes this close predict the same face
MIN_RELATIVE_SCORE = 0.5  # of the kept cell's score: weaker duplicates are not averaged
MIN_PEAK_LOGIT = -3.0  # probability 0.05: local maxima below it get no priority among the candidates
MIN_CANDIDATES = 256  # cells that are read in every picture
MAX_DUPLICATES = 512  # cells of a picture that are read without being local maxima


def decode(
    cells: NDArray[np.float32],
    height: int,
    width: int,
    score: float = SCORE,
    min_candidates: int = MIN_CANDIDATES,
    iou: float = NMS_IOU,
    strides: tuple[int, ...] = STRIDES,
) -> Faces:
    """Decode a batch of network outputs.

    Args:
        cells: (B, A, D) raw cells.
        height, width: Size of the network input in px.
        score: Smallest probability that is reported.
        min_candidates: Smallest number of cells that are read in each picture.
        iou: NMS threshold.
        strides: Strides of the network in px.

    Returns:
        Faces in px of the network input, best score first in each picture. `image` is the index in the batch.

    Raises:
        ValueError: If the shape of `cells` does not fit the input size.

    Several cells, often of two strides, predict one face. The best of them decides that it is there. All of them are averaged to describe
    it: their mean is 5 to 7 % more accurate than the best cell alone (see `average_duplicates`).
    """
    center, stride = grid(height, width, strides)
    if cells.ndim != 3 or cells.shape[1:] != (len(center), CELL_SIZE):
        raise ValueError(f"expected cells of shape (B, {len(center)}, {CELL_SIZE}), got {cells.shape}")
    logit = np.minimum(cells[..., SLICES["score"].start], MAX_LOGIT)
    peak = local_maxima(logit, height, width, strides)
    found = []
    for image in range(len(cells)):
        rows = choose_candidates(logit[image], peak[image], score, min_candidates)
        values = read_boxes(cells[image, rows], center[rows], stride[rows])
        overlaps = find_overlaps(values["box"], min(iou, DUPLICATE_IOU))
        suppressing = overlaps.iou > iou
        rivals = Overlaps(overlaps.first[suppressing], overlaps.second[suppressing], overlaps.iou[suppressing])
        keep = suppress(values["score"], rivals)
        keep &= values["score"] >= score
        values |= {"raw": cells[image, rows, PARAMETERS], "center": center[rows], "stride": stride[rows]}
        mean, count = average_duplicates(values, np.flatnonzero(keep), overlaps), int(keep.sum())
        found.append(Faces(image=np.full(count, image, np.int32), track=np.full(count, -1, np.int32), **{n: mean[n] for n in FIELDS}))
    return Faces.concatenate(found) if found else Faces.empty(IDENTITY_SIZE)


def choose_candidates(
    logit: NDArray[np.float32], peak: NDArray[np.bool_], score: float, min_candidates: int = MIN_CANDIDATES
) -> NDArray[np.int64]:
    """Choose the cells of a picture that may be faces, or duplicates of faces.

    Args:
        logit: (A,) score logits.
        peak: (A,) mask of the local maxima.
        score: Smallest probability of a face that is reported.
        min_candidates: Smallest number of cells to choose.

    Returns:
        (K,) row numbers, best logit first: all local maxima that reach `score`, and the best of the others.

    About ten cells predict one face. In a crowd they would fill all places, so local maxima are chosen first.
    """
    duplicates = int((logit >= _to_logit(MIN_RELATIVE_SCORE * score)).sum())
    faces = int((peak & (logit >= _to_logit(score))).sum())
    count = min(len(logit), max(min_candidates, faces, min(duplicates, MAX_DUPLICATES)))
    first = peak & (logit > MIN_PEAK_LOGIT)
    best = np.argpartition(np.where(first, -MAX_LOGIT, np.float32(0)) - logit, count - 1)[:count]
    return np.asarray(best[np.lexsort((best, -logit[best]))])


def _to_logit(probability: float) -> float:
    probability = min(max(probability, 1e-12), 1 - 1e-7)
    return float(np.log(probability / (1 - probability)))


def local_maxima(
    logit: NDArray[np.float32], height: int, width: int, strides: tuple[int, ...] = STRIDES
) -> NDArray[np.bool_]:
    """Mark the cells (B, A) whose logit is not below that of any of their eight neighbors of the same stride.

    Args:
        logit: (B, A) score logits.
        height, width: Size of the network input in px.
        strides: Strides of the network in px.

    Returns:
        (B, A) mask.
    """
    import cv2

    found, start, neighborhood = np.empty(logit.shape, bool), 0, np.ones((3, 3), np.uint8)
    for stride in strides:
        rows, columns = -(-height // stride), -(-width // stride)
        level = slice(start, start + rows * columns)
        for image, values in enumerate(logit[:, level]):
            largest = cv2.dilate(np.ascontiguousarray(values).reshape(rows, columns), neighborhood)
            found[image, level] = values >= largest.ravel()
        start = level.stop
    return found


def average_duplicates(values: dict[str, Any], kept: NDArray[np.int64], overlaps: Overlaps) -> dict[str, Any]:
    """Average every field, except the score, over the cells that predict the same face.

    Args:
        values: Of K candidates: `score` (K,), `box` (K, 4), and the cell's `raw` parameters, `center` and `stride`.
        kept: (N,) rows of the candidates that are faces.
        overlaps: Pairs of candidates; those above `DUPLICATE_IOU` are used.

    Returns:
        The fields of the N faces, each (N, ...) float32.

    A cell is averaged if its IoU with the kept cell is above `DUPLICATE_IOU` and its score is above `MIN_RELATIVE_SCORE` of the kept one's.
    Its weight is its score. Rotations are averaged by their first two rows, scales by their logarithms.
    """
    scores, face_of = values["score"], np.full(len(values["score"]), -1)
    face_of[kept] = np.arange(len(kept))
    same = (overlaps.iou > DUPLICATE_IOU) & (face_of[overlaps.first] >= 0)
    same &= scores[overlaps.second] > MIN_RELATIVE_SCORE * scores[overlaps.first]
    face = np.concatenate([np.arange(len(kept)), face_of[overlaps.first[same]]])  # the kept cell itself, even where its box is empty
    cell = np.concatenate([kept, overlaps.second[same]])
    order = np.argsort(face, kind="stable")
    face, cell = face[order], cell[order]
    start = np.searchsorted(face, np.arange(len(kept)))
    read = read_parameters(values["raw"][cell], values["center"][cell], values["stride"][cell])
    read |= {"box": values["box"][cell], "scale": np.log(read["scale"])[:, None]}
    names = ("box", "rows", "scale", "center", "identity", "expression")
    weight = np.maximum(scores[cell], np.float32(1e-12))[:, None]
    table = np.concatenate([weight, *(weight * read[name] for name in names)], 1)
    total = np.add.reduceat(table, start) if len(kept) else table
    mean = total[:, 1:] / total[:, :1]
    ends = np.cumsum([read[name].shape[1] for name in names])[:-1]
    part = dict(zip(names, np.split(mean, ends, 1), strict=True))
    return {
        **{name: part[name] for name in ("box", "center", "identity", "expression")},
        "score": scores[kept],
        "rotation": rotation_from_rows(part["rows"], np),
        "scale": np.exp(part["scale"])[:, 0],
    }
