"""Compare the sizes of the head model's expression shapes with ARKit's, and rescale them so that a weight of 1 means the same.

    python -m experiments.labels.expression_units [--write runs/head_model.npz]

ARKit defines its weights by a reference face that moves. REACH holds how far that face moves at weight 1: the largest displacement of a
shape, divided by the width of the face. A shape learned from ICT-FaceKit points in the same direction, but moves up to twice as far, or
less than half as far. A weight that is fitted with it therefore differs from the weight that a phone reports. One factor corrects a shape.

These shapes keep their size: a blink closes the lid, jawOpen and mouthClose cancel each other, eyes turn by an angle, and mouthRollLower
has another direction in ICT-FaceKit.

The shipped head model is not rescaled, because the shipped networks predict weights in its present units.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.common import make_parser
from mfn.structures.head_model import DEFAULT_FILE, HeadModel
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write

REACH = {
    "browDown": 0.066, "browInnerUp": 0.085, "browOuterUp": 0.087, "cheekPuff": 0.070, "cheekSquint": 0.057,
    "eyeSquint": 0.037, "eyeWide": 0.026, "jawForward": 0.068, "jawLeft": 0.066, "jawRight": 0.066,
    "mouthDimple": 0.075, "mouthFrown": 0.052, "mouthFunnel": 0.101, "mouthLeft": 0.090, "mouthRight": 0.090,
    "mouthLowerDown": 0.053, "mouthPress": 0.077, "mouthPucker": 0.085, "mouthRollUpper": 0.076, "mouthShrugLower": 0.055,
    "mouthShrugUpper": 0.035, "mouthSmile": 0.138, "mouthStretch": 0.103, "mouthUpperUp": 0.070, "noseSneer": 0.036,
}  # fmt: skip
"""Largest displacement at weight 1 of ARKit's reference face in parts of its width, Left and Right alike (measured, 1,220 vertices)."""


def reach_of(name: str) -> float | None:
    """Return the reach of a shape in `REACH`, or None where the shape keeps its size."""
    return REACH.get(name, REACH.get(name.removesuffix("Left").removesuffix("Right")))


def unit_factors(model: HeadModel) -> np.ndarray:
    """Return the factor (51,) by which each shape must grow to reach as far as ARKit's; 1 where it keeps its size."""
    width = float(np.ptp(model.landmark_basis("mediapipe478")[0][:, 0]))
    factors = np.ones(len(EXPRESSION_NAMES))
    for i, name in enumerate(EXPRESSION_NAMES):
        reach = reach_of(name)
        if reach is not None:
            factors[i] = reach * width / np.linalg.norm(model.expression_basis[i], axis=-1).max()
    return factors


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", type=Path, default=DEFAULT_FILE, help="head model to read (default: the one that ships)")
    parser.add_argument("--write", type=Path, help="file for the rescaled model; without it, the factors are only printed")
    args = parser.parse_args()
    factors = unit_factors(HeadModel.load(args.model))
    for name, factor in zip(EXPRESSION_NAMES, factors, strict=True):
        print(f"{name:20s} {factor:.2f}")
    if args.write is not None:
        with np.load(args.model, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        arrays["expression_step"] = (arrays["expression_step"] * factors).astype(np.float32)
        atomic_write(args.write, lambda path: np.savez_compressed(path, **arrays))


if __name__ == "__main__":
    main()
