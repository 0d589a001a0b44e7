"""From the network's raw cells to `Faces`, and back.

`read_cells` is the one meaning of a cell's numbers (see `mfn.structures.cell_layout`). It is written with operators that NumPy and torch share, so
training losses and the predictor read the same lines. `decode` is NumPy and does the same work whether a picture holds no face or a
hundred: always the `top_k` best cells, always one `top_k` x `top_k` overlap matrix.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from mfn.inference.nms import keep_best, overlaps
from mfn.structures.cell_layout import (
    BOX_CELLS,
    CELL_SIZE,
    FIELDS,
    FRONTAL_6D,
    IDENTITY_SIZE,
    INPUT_MULTIPLE,
    PARAMETERS,
    SCALE_CELLS,
    SLICES,
    STRIDES,
)
from mfn.structures.faces import Faces

SAME_FACE_IOU = 0.6
PEAK_LOGIT = -3.0  # p = 0.05: below it a cell gets no place for standing out
LOGIT_LIMIT = 30.0  # beyond it a sigmoid is 0 or 1 in float32, and exp would overflow


@lru_cache(maxsize=32)  # a third of decoding's time; nobody writes into the arrays
def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell centres (A, 2) x y in px and strides (A,) of an input of this size, both float32, in the network's order."""
    if height % INPUT_MULTIPLE or width % INPUT_MULTIPLE:
        raise ValueError(f"expected a height and width divisible by {INPUT_MULTIPLE}, got {height} x {width}")
    centers, strides = [], []
    for stride in STRIDES:
        y, x = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)]
        centers.append((np.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(np.full(centers[-1].shape[0], stride))
    return np.concatenate(centers).astype(np.float32), np.concatenate(strides).astype(np.float32)


def rotation_from_rows(rows: Any, xp: ModuleType) -> Any:
    """Rotation matrices (..., 3, 3) from their first two rows (..., 6), by Gram-Schmidt (Zhou et al., CVPR 2019, eq. 15)."""
    a, b = rows[..., :3], rows[..., 3:]
    a = a / ((a * a).sum(-1)[..., None] + 1e-12) ** 0.5
    b = b - (a * b).sum(-1)[..., None] * a
    b = b / ((b * b).sum(-1)[..., None] + 1e-12) ** 0.5
    c = xp.stack(
        [
            a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
            a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
            a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0],
        ],
        -1,
    )
    return xp.stack([a, b, c], -2)


def read_cells(raw: Any, center: Any, stride: Any, xp: ModuleType = np) -> dict[str, Any]:
    """What raw cells say, in px of the network's input.

    raw: (..., D) cells; center: (..., 2) px; stride: (...); xp: `numpy` or `torch`, whichever the arrays are of.
    -> dict: score (...), box (..., 4) x1 y1 x2 y2, and all that `read_parameters` gives
    """
    s = stride[..., None]
    box = raw[..., SLICES["box"]]
    middle = center + s * box[..., :2]
    half = 0.5 * BOX_CELLS * s * xp.exp(box[..., 2:].clip(-6, 6))
    return {
        "score": _sigmoid(raw[..., SLICES["score"].start], xp),
        "box": xp.concatenate([middle - half, middle + half], -1),
        **read_parameters(raw[..., PARAMETERS], center, stride, xp),
    }


def read_parameters(raw: Any, center: Any, stride: Any, xp: ModuleType = np) -> dict[str, Any]:
    """What the part PARAMETERS of raw cells says of faces, in px of the network's input.

    raw: (..., PARAMETER_SIZE); center: (..., 2) px; stride: (...)
    -> dict: rows (..., 6) the rotation's first two rows before they are made orthonormal, rotation (..., 3, 3), scale (...) px per metre,
    center (..., 2), identity (..., I), expression (..., 51)
    """
    first = PARAMETERS.start
    part = {
        name: raw[..., where.start - first : where.stop - first] for name, where in SLICES.items() if where.start >= first
    }
    frontal = (
        np.asarray(FRONTAL_6D, np.float32)
        if xp is np
        else xp.tensor(FRONTAL_6D, dtype=raw.dtype, device=raw.device)
    )
    return {
        "rows": part["rotation"] + frontal,
        "rotation": rotation_from_rows(part["rotation"] + frontal, xp),
        "scale": SCALE_CELLS * stride * xp.exp(part["scale"][..., 0].clip(-6, 6)),
        "center": center + stride[..., None] * part["center"],
        "identity": part["identity"],
        "expression": _sigmoid(part["expression"], xp),
    }


def _sigmoid(x: Any, xp: ModuleType) -> Any:
    return 1 / (1 + xp.exp(-x.clip(-LOGIT_LIMIT, LOGIT_LIMIT)))


def write_cells(faces: Faces, center: np.ndarray, stride: np.ndarray) -> np.ndarray:
    """The raw cells (N, D) that `read_cells` reads as these faces: its inverse.

    faces: N faces in px of the network's input; center: (N, 2) px and stride: (N,) of the cell that holds each.
    """
    raw = np.zeros((len(faces), CELL_SIZE), np.float32)
    s = stride[:, None]
    raw[:, SLICES["score"]] = _logit(faces.score)[:, None]
    middle, size = (faces.box[:, :2] + faces.box[:, 2:]) / 2, faces.box[:, 2:] - faces.box[:, :2]
    raw[:, SLICES["box"]] = np.concatenate([(middle - center) / s, np.log(size / (BOX_CELLS * s))], 1)
    raw[:, SLICES["rotation"]] = faces.rotation[:, :2].reshape(-1, 6) - np.asarray(FRONTAL_6D)
    raw[:, SLICES["scale"]] = np.log(faces.scale / (SCALE_CELLS * stride))[:, None]
    raw[:, SLICES["center"]] = (faces.center - center) / s
    raw[:, SLICES["identity"]] = faces.identity
    raw[:, SLICES["expression"]] = _logit(faces.expression)
    return raw


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return np.log(p / (1 - p))


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
    best = np.argpartition(np.where(first, -LOGIT_LIMIT, 0) - np.minimum(logit, LOGIT_LIMIT), k - 1, axis=1)[:, :k]  # (B, K)
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
    same = overlaps(values["box"][keep], values["box"]) > SAME_FACE_IOU
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
