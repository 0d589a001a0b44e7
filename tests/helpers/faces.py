"""Random faces and boxes, and slow but obvious versions of what is tested."""

import numpy as np

from mfn.structures.cells import IDENTITY_SIZE, rotation_from_rows
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES


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
