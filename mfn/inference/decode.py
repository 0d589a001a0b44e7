"""Decode the raw cells of the network to `Faces`.

`mfn.structures.cells` defines what the numbers of a cell mean. `decode` does the same work whether a picture holds no face or a hundred:
it always reads the `top_k` best cells and computes one `top_k` x `top_k` IoU matrix.

Letters: B pictures, A cells of a picture, D numbers of a cell, K candidates, N faces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.inference.nms import nms
from mfn.structures.boxes import box_iou
from mfn.structures.cells import (
    CELL_SIZE,
    FIELDS,
    IDENTITY_SIZE,
    MAX_LOGIT,
    SLICES,
    STRIDES,
    grid,
    read_cells,
    rotation_from_rows,
)
from mfn.structures.faces import Faces

SCORE = 0.55
"""Default probability from which a face is reported (chosen by experiments/accuracy/false_faces.py)."""
NMS_IOU = 0.45
DUPLICATE_IOU = 0.6  # cells with boxes this close predict the same face
MIN_RELATIVE_SCORE = 0.5  # of the kept cell's score: weaker duplicates are not averaged
MIN_PEAK_LOGIT = -3.0  # probability 0.05: local maxima below it get no priority in the top-k
TOP_K = 256


def decode(
    cells: NDArray[np.float32],
    height: int,
    width: int,
    score: float = SCORE,
    top_k: int = TOP_K,
    iou: float = NMS_IOU,
    strides: tuple[int, ...] = STRIDES,
) -> Faces:
    """Decode a batch of network outputs.

    Args:
        cells: (B, A, D) raw cells.
        height, width: Size of the network input in px.
        score: Smallest probability that is reported.
        top_k: Number of candidates in each picture, and so the largest number of faces.
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
    logit = cells[..., SLICES["score"].start]
    k = min(top_k, len(center))
    # About ten cells predict one face. In a crowd they would fill the K places, so local maxima are chosen first.
    first = local_maxima(logit, height, width, strides) & (logit > MIN_PEAK_LOGIT)
    best = np.argpartition(np.where(first, -MAX_LOGIT, 0) - np.minimum(logit, MAX_LOGIT), k - 1, axis=1)[:, :k]  # (B, K)
    found = []
    for image, rows in enumerate(best):
        rows = rows[np.argsort(-logit[image, rows], kind="stable")]
        values = read_cells(cells[image, rows], center[rows], stride[rows])
        keep = nms(values["box"], values["score"], iou) & (values["score"] >= score)
        mean, count = average_duplicates(values, keep), int(keep.sum())
        found.append(Faces(image=np.full(count, image, np.int32), track=np.full(count, -1, np.int32), **{n: mean[n] for n in FIELDS}))
    return Faces.concatenate(found) if found else Faces.empty(IDENTITY_SIZE)


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


def average_duplicates(values: dict[str, Any], keep: NDArray[np.bool_]) -> dict[str, Any]:
    """Average every field, except the score, over the cells that predict the same face.

    Args:
        values: The output of `read_cells` for K candidates.
        keep: (K,) mask of the N candidates that are faces.

    Returns:
        The fields of the N faces, each (N, ...) float32.

    A cell is averaged if its IoU with the kept cell is above `DUPLICATE_IOU` and its score is above `MIN_RELATIVE_SCORE` of the kept one's.
    Its weight is its score. Rotations are averaged by their first two rows, scales by their logarithms.
    """
    scores = values["score"]
    same = box_iou(values["box"][keep], values["box"]) > DUPLICATE_IOU
    weight = np.where(same & (scores > MIN_RELATIVE_SCORE * scores[keep, None]), scores, 0).astype(np.float32)
    weight[np.arange(len(weight)), np.flatnonzero(keep)] = scores[keep]  # the kept cell itself, even where its box is empty
    weight /= np.maximum(weight.sum(1, keepdims=True), np.float32(1e-12))
    mean = {name: weight @ values[name] for name in ("box", "rows", "center", "identity", "expression")}
    return {
        **mean,
        "score": scores[keep],
        "rotation": rotation_from_rows(mean["rows"], np),
        "scale": np.exp(weight @ np.log(values["scale"])),
    }
