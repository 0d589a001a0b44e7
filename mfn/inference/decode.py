"""Decode the raw cells of the network to `Faces`.

`mfn.structures.cells` defines what a cell's numbers mean. `decode` needs NumPy and OpenCV, and does the same work whether a picture holds
no face or a hundred: always the `top_k` best cells, always one `top_k` x `top_k` IoU matrix.
"""

from __future__ import annotations

import numpy as np

from mfn.inference.nms import keep_best
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

SAME_FACE_IOU = 0.6
PEAK_LOGIT = -3.0  # p = 0.05: below it a cell gets no place for standing out


def decode(
    cells: np.ndarray, height: int, width: int, score: float = 0.55, top_k: int = 256, iou: float = 0.45
) -> Faces:
    """Faces of a batch of network outputs, best score first within each picture.

    Several cells, often of two strides, speak of one face. The best of them says that it is there, and all of them what it looks like:
    their mean is 5 to 7 % nearer to the truth than the best alone (see `merge`).

    cells: (B, A, D) raw; height, width: px of the network's input; score: least probability kept; top_k: cells looked at in each picture,
    those first that stand out among their neighbours, so also the most faces it can give; iou: overlap above which the weaker of two
    boxes goes.
    -> Faces in px of the network's input, `image` = index in the batch.
    """
    center, stride = grid(height, width)
    if cells.ndim != 3 or cells.shape[1:] != (len(center), CELL_SIZE):
        raise ValueError(f"expected cells of shape (B, {len(center)}, {CELL_SIZE}), got {cells.shape}")
    logit = cells[..., SLICES["score"].start]
    k = min(top_k, len(center))
    # Ten cells speak of one face. In a crowd they would use up the K places, were the one that stands out among its neighbours not first.
    first = peaks(logit, height, width) & (logit > PEAK_LOGIT)
    best = np.argpartition(np.where(first, -MAX_LOGIT, 0) - np.minimum(logit, MAX_LOGIT), k - 1, axis=1)[:, :k]  # (B, K)
    found = []
    for image, rows in enumerate(best):
        rows = rows[np.argsort(-logit[image, rows], kind="stable")]
        values = read_cells(cells[image, rows], center[rows], stride[rows])
        keep = keep_best(values["box"], values["score"], iou) & (values["score"] >= score)
        values, number = merge(values, keep), int(keep.sum())
        found.append(
            Faces(
                image=np.full(number, image, np.int32),
                track=np.full(number, -1, np.int32),
                **{name: np.ascontiguousarray(values[name], np.float32) for name in FIELDS},
            )
        )
    return Faces.concatenate(found) if found else Faces.empty(IDENTITY_SIZE)


def peaks(logit: np.ndarray, height: int, width: int) -> np.ndarray:
    """Which cells (B, A) are not below any of the eight around them, each stride for itself. height, width: px of the network's input."""
    import cv2

    found, start, nearby = np.empty(logit.shape, bool), 0, np.ones((3, 3), np.uint8)
    for stride in STRIDES:
        rows, columns = -(-height // stride), -(-width // stride)
        here = slice(start, start + rows * columns)
        for image, one in enumerate(logit[:, here]):
            around = cv2.dilate(np.ascontiguousarray(one).reshape(rows, columns), nearby)  # the greatest of nine
            found[image, here] = one >= around.ravel()
        start = here.stop
    return found


def merge(values: dict[str, np.ndarray], keep: np.ndarray) -> dict[str, np.ndarray]:
    """The kept cells with every field but the score replaced by its mean over the cells that speak of the same face.

    Those are the cells whose box overlaps the kept one's by more than SAME_FACE_IOU and whose score is more than half as high; a cell
    counts as much as its score. Rotations are averaged by their rows, scales by their logarithms.

    values: of `read_cells`, K cells; keep: (K,) bool -> the fields (N, ...)
    """
    scores = values["score"]
    same = box_iou(values["box"][keep], values["box"]) > SAME_FACE_IOU
    weight = np.where(same & (scores > 0.5 * scores[keep, None]), scores, 0).astype(np.float32)
    weight[np.arange(len(weight)), np.flatnonzero(keep)] = scores[keep]  # itself, even where its box is empty
    weight /= np.maximum(weight.sum(1, keepdims=True), np.float32(1e-12))
    mean = {name: weight @ values[name] for name in ("box", "rows", "center", "identity", "expression")}
    return {
        **mean,
        "score": scores[keep],
        "rotation": rotation_from_rows(mean["rows"], np),
        "scale": np.exp(weight @ np.log(values["scale"])),
    }
