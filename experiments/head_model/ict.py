"""Read ICT-FaceKit (light), the surface that our head model is learned from.

Centimeters; x to the subject's left, y up, z forward.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.head_model.surface import Floats, Ints
from retarget.arkit import EXPRESSION_NAMES, canonical_name

SKIN_END = 11248  # vertices below this number are the skin of face, head and neck


class Ict(NamedTuple):
    """Hold ICT-FaceKit.

    Attributes:
        mean: (V, 3) mean head, cm.
        identity: (100, V, 3) identity shapes as offsets, cm.
        expression: (51, V, 3) expression shapes in ARKit order as offsets, cm.
        quads: (Q, 4) vertex numbers; -1 in the last column for a triangle.
        landmarks: (68,) vertex of each iBUG landmark.
        ranges: First and last + 1 vertex of each named part.
    """

    mean: Floats
    identity: Floats
    expression: Floats
    quads: Ints
    landmarks: Ints
    ranges: dict[str, tuple[int, int]]

    def triangles(self, start: int, stop: int, also_below: int = 0) -> Ints:
        """Return the triangles of a range of vertices.

        Args:
            start: First vertex of the range.
            stop: Last vertex + 1.
            also_below: Also return triangles with some vertices in [0, also_below) and at least one vertex in the range.

        Returns:
            Triangles (T, 3).
        """
        filled = np.where(self.quads < 0, self.quads[:, :1], self.quads)
        inside = (filled >= start) & (filled < stop)
        keep = self.quads[inside.any(1) & (inside | (filled < also_below)).all(1)]
        return np.concatenate([keep[:, :3], keep[keep[:, 3] >= 0][:, [0, 2, 3]]])


def load_ict(path: Path) -> Ict:
    """Read `ict_facekit.npz`.

    ICT splits browInnerUp and cheekPuff into a left and a right shape; each becomes the sum of its two halves.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file has an expression that ARKit does not have.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected ICT-FaceKit as an .npz file at {path}: give its path with --ict")
    data = np.load(path, allow_pickle=False)
    mean = data["vertices"].astype(np.float64)
    expression = np.zeros((len(EXPRESSION_NAMES), *mean.shape))
    for name, shape in zip(data["expression_names"], data["expression"]):
        arkit = canonical_name(str(name))
        if arkit is None:
            raise ValueError(f"{path}: expected the names of ARKit expressions, got {str(name)!r}")
        expression[EXPRESSION_NAMES.index(arkit)] += shape.astype(np.float64)
    ranges = {str(n): (int(a), int(b)) for n, (a, b) in zip(data["region_names"], data["region_ranges"])}
    identity = data["identity"].astype(np.float64)
    return Ict(mean, identity, expression, data["faces"].astype(np.int64), data["landmarks68"].astype(int), ranges)
