"""The inverse of `mfn.structures.cells.read_cells`: the output of a network that knows the faces."""

import numpy as np

from mfn.structures.cells import BOX_CELLS, CELL_SIZE, FRONTAL_6D, SCALE_CELLS, SLICES
from mfn.structures.faces import Faces

_MIN_PROBABILITY = 1e-7


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
