"""Random faces and boxes, the cells of known faces, and slow but obvious versions of what is tested."""

import numpy as np

from mfn.structures.cells import (
    BOX_CELLS,
    CELL_SIZE,
    FRONTAL_6D,
    IDENTITY_SIZE,
    SCALE_CELLS,
    SLICES,
    rotation_from_rows,
)
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES

_MIN_PROBABILITY = 1e-7


def random_faces(count: int, seed: int = 0) -> Faces:
    rng = np.random.default_rng(seed)
    rotation = rotation_from_rows(rng.normal(size=(count, 6)), np)
    corner = rng.uniform(5, 60, (count, 2))
    return Faces(
        image=np.zeros(count, np.int32),
        box=np.concatenate([corner, corner + rng.uniform(10, 50, (count, 2))], 1),
        score=rng.uniform(0.6, 0.95, count),
        rotation=rotation,
        scale=rng.uniform(50, 800, count),
        center=rng.uniform(0, 100, (count, 2)),
        identity=rng.normal(size=(count, IDENTITY_SIZE)),
        expression=rng.uniform(0.02, 0.98, (count, len(EXPRESSION_NAMES))),
        track=np.full(count, -1),
    )


def random_boxes(count: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    corner = random.random((count, 2)) * spread
    box = np.concatenate([corner, corner + random.random((count, 2)) * 30 + 5], 1).astype(np.float32)
    return box, random.random(count).astype(np.float32)


def slow_iou(a, b) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = [max(0.0, r[2] - r[0]) * max(0.0, r[3] - r[1]) for r in (a, b)]
    return width * height / max(sum(area) - width * height, 1e-12)


def write_cells(faces: Faces, center: np.ndarray, stride: np.ndarray) -> np.ndarray:
    """Encode faces as raw cells: the inverse of `read_cells`.

    Args:
        faces: N faces in px of the network input.
        center: (N, 2) center of the cell that predicts each face, in px.
        stride: (N,) stride of that cell in px.

    Returns:
        (N, D) raw cells.
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
    p = np.clip(p, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    return np.log(p / (1 - p))
