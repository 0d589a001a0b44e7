"""A head for tests whose true shapes are known: another identity, deformed, with other vertices than our head model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retarget.autorig.source_head import SourceHead

TURN = np.array([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0], [0.0, 0.8, -0.6]])
"""An unusual rotation."""


@dataclass(frozen=True)
class Head:
    """A head mesh and its true shapes.

    Attributes:
        points: (V, 3)
        triangles: (T, 3)
        shapes: (51, V, 3) true movements.
        landmarks: Vertex of each landmark.
        units_per_m: Length units per meter.
        region: (V,) region of the head model.
    """

    points: np.ndarray
    triangles: np.ndarray
    shapes: np.ndarray
    landmarks: dict[str, int]
    units_per_m: float
    region: np.ndarray

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write head.obj and points.json, and return their paths."""
        lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in self.points]
        lines += [f"f {a} {b} {c}" for a, b, c in self.triangles + 1]
        (folder / "head.obj").write_text("\n".join(lines), encoding="utf-8")
        (folder / "points.json").write_text(json.dumps(self.landmarks), encoding="utf-8")
        return folder / "head.obj", folder / "points.json"


def stretched(points: np.ndarray) -> np.ndarray:
    """Make a head long, with a wide jaw and a bulging brow."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.stack([x * (1.05 - 1.5 * y), y * 1.15 + 1.2 * x**2, z * 1.1 + 1.5 * y**2], axis=-1)


def strange(points: np.ndarray) -> np.ndarray:
    """Make a flat, broad head with a snout."""
    x, y, z = np.moveaxis(points, -1, 0)
    snout = np.exp(-((x / 0.05) ** 2) - ((y + 0.07) / 0.05) ** 2)
    return np.stack([x * 1.3, y * 0.85, z + 0.05 * snout * (z > -0.05)], axis=-1)


def make_head(source: SourceHead, warp: Callable[[np.ndarray], np.ndarray] = stretched, seed: int = 0) -> Head:
    """Make a head from the skin of `source`: vertices moved within their triangles, in centimeters, rotated by TURN."""
    rng = np.random.default_rng(seed)
    rest = source.neutral + np.tensordot(rng.normal(0, 1.2, len(source.identity)), source.identity, 1)
    keep = source.skin & ~source.mask("mouth_inside", "nostrils")
    border = np.bincount(source.triangles[~keep[source.triangles].all(1)].ravel(), minlength=len(rest)) > 0
    corner = np.tile(np.arange(len(rest))[:, None], (1, 3))
    weight = np.tile([1.0, 0.0, 0.0], (len(rest), 1))
    still = ~keep | source.mask("lids", "lips")
    for triangle in rng.permutation(source.triangles[~still[source.triangles].any(1)]):
        if not border[triangle].any():
            corner[triangle[0]], weight[triangle[0]] = triangle, rng.dirichlet([6, 2, 2])

    def at(values: np.ndarray) -> np.ndarray:
        return np.asarray((values[..., corner, :] * weight[..., None]).sum(-2))

    units_per_m = 100.0
    neutral = warp(at(rest))
    shapes = warp(at(rest + source.shapes)) - neutral
    number = np.cumsum(keep) - 1
    near = {name: int(vertex[share.argmax()]) for name, (vertex, share) in source.landmarks.items()}
    landmarks = {name: int(number[vertex]) for name, vertex in near.items() if keep[vertex]}
    triangles = number[source.triangles[keep[source.triangles].all(1)]]
    points = neutral[keep] @ TURN.T * units_per_m + [3.0, -2.0, 50.0]
    return Head(points, triangles, shapes[:, keep] @ TURN.T * units_per_m, landmarks, units_per_m, source.region[keep])
