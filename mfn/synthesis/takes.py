"""Expressions as they occur together on real faces, drawn from performances that a phone recorded as ARKit weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfn.structures.flip import hflip_expression
from retarget.arkit import EXPRESSION_NAMES

Floats = NDArray[np.float32]
WINK_SHARE = 0.12  # of the draws close one eye: people wink rarely while a phone records them
ONE_SIDED_SHARE = 0.1  # of the draws relax one side of the face
STRENGTH_SIGMA = 0.2  # standard deviation of the logarithm of an expression's strength
SHAPE_SIGMA = 0.15  # the same for each shape

SIDED = {
    side: tuple(
        name
        for name in EXPRESSION_NAMES
        if name.endswith(side) and not name.startswith(("eyeLook", "jawLeft", "jawRight", "mouthLeft", "mouthRight"))
    )
    for side in ("Left", "Right")
}
"""The shapes that have a twin on the other side of the face."""


class ExpressionTakes:
    """Draws expressions from recorded frames, with changes: strength, side, winks.

    Args:
        frames: (T, 51) ARKit weights in [0, 1], in the order of `EXPRESSION_NAMES`; T > 0.

    Raises:
        ValueError: Another shape.
    """

    def __init__(self, frames: Floats) -> None:
        if frames.ndim != 2 or frames.shape[1] != len(EXPRESSION_NAMES) or not len(frames):
            raise ValueError(f"frames: expected shape (T, {len(EXPRESSION_NAMES)}) with T > 0, got {frames.shape}")
        self.frames = frames
        strength = np.linalg.norm(frames - np.median(frames, 0), axis=1)
        weights = np.clip(strength / max(float(np.median(strength)), 1e-6), 0.3, 3.0)  # most frames of a performance are near rest
        self._steps = np.cumsum(weights / weights.sum())

    @classmethod
    def load(cls, path: str | Path) -> ExpressionTakes:
        """Read an .npz file with `names` (C,) and `values` (T, C). Columns other than the 51 shapes are ignored.

        Raises:
            ValueError: A shape is missing.
        """
        with np.load(path, allow_pickle=False) as file:
            names = [str(name)[:1].lower() + str(name)[1:] for name in file["names"]]
            values = file["values"].astype(np.float32)
        missing = [name for name in EXPRESSION_NAMES if name not in names]
        if missing:
            raise ValueError(f"{path}: names: expected ARKit's 51 shapes; missing: {', '.join(missing)}")
        return cls(values[:, [names.index(name) for name in EXPRESSION_NAMES]].clip(0, 1))

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """Draw `count` expressions (count, 51) in [0, 1]."""
        rows = np.searchsorted(self._steps, rng.random(count)).clip(max=len(self.frames) - 1)
        out = self.frames[rows] * np.exp(rng.normal(0, STRENGTH_SIGMA, (count, 1)))
        out *= np.exp(rng.normal(0, SHAPE_SIGMA, out.shape))
        out = np.where(rng.random((count, 1)) < 0.5, hflip_expression(out), out)
        left, right = (np.array([name in SIDED[side] for name in EXPRESSION_NAMES]) for side in ("Left", "Right"))
        for row in out:
            side = left if rng.random() < 0.5 else right
            if rng.random() < ONE_SIDED_SHARE:
                row[side] *= rng.uniform(0, 0.3)
            if rng.random() < WINK_SHARE:
                _wink(row, "Left" if rng.random() < 0.5 else "Right", rng)
        return np.asarray(out.clip(0, 1), np.float32)


def _wink(row: Floats, side: str, rng: np.random.Generator) -> None:
    """Close the eye of one side in an expression (51,), in place. The cheek below it often rises; the other eye stays open."""
    other = "Right" if side == "Left" else "Left"
    row[_index(f"eyeBlink{side}")] = rng.uniform(0.75, 1.0)
    row[_index(f"eyeBlink{other}")] = rng.uniform(0.0, 0.12)
    shapes = [(f"eyeSquint{side}", 0.7), (f"cheekSquint{side}", 0.6)]
    if rng.random() < 0.5:
        shapes.append((f"mouthSmile{side}", 0.7))
    for name, most in shapes:
        row[_index(name)] = max(row[_index(name)], rng.uniform(0.0, most))


def _index(name: str) -> int:
    return EXPRESSION_NAMES.index(name)
