"""Reads ICT-FaceKit (light) as arrays: the surface our head model is learned from.

Centimetres, x to the subject's left, y up, z forward.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from retarget.arkit import EXPRESSION_NAMES, canonical_name

SKIN_END = 11248
"""Vertices below are face, head and neck skin."""


class Ict(NamedTuple):
    """ICT-FaceKit: `mean (V,3)`, `identity (100,V,3)`, `expression (51,V,3)` in ARKit order, `quads (Q,4)` with -1 for triangles."""

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    quads: np.ndarray
    landmarks: np.ndarray
    ranges: dict[str, tuple[int, int]]

    def triangles(self, start: int, stop: int, reach: int = 0) -> np.ndarray:
        """Triangles (T, 3) of the faces whose vertices lie in [start, stop), or also in [0, reach) if one lies in [start, stop)."""
        filled = np.where(self.quads < 0, self.quads[:, :1], self.quads)
        inside = (filled >= start) & (filled < stop)
        keep = self.quads[inside.any(1) & (inside | (filled < reach)).all(1)]
        return np.concatenate([keep[:, :3], keep[keep[:, 3] >= 0][:, [0, 2, 3]]])


def load_ict(path: Path) -> Ict:
    """Read `ict_facekit.npz`; browInnerUp and cheekPuff become the sum of their two halves."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected ICT-FaceKit as an .npz; give its place with --ict")
    data = np.load(path, allow_pickle=False)
    mean = data["vertices"].astype(np.float64)
    expression = np.zeros((len(EXPRESSION_NAMES), *mean.shape))
    for name, shape in zip(data["expression_names"], data["expression"]):
        arkit = canonical_name(str(name))
        if arkit is None:
            raise ValueError(f"{path}: unknown expression {name}")
        expression[EXPRESSION_NAMES.index(arkit)] += shape.astype(np.float64)
    ranges = {str(n): (int(a), int(b)) for n, (a, b) in zip(data["region_names"], data["region_ranges"])}
    identity = data["identity"].astype(np.float64)
    return Ict(mean, identity, expression, data["faces"].astype(np.int64), data["landmarks68"].astype(int), ranges)
