"""Compare the sizes of the head model's expression shapes with ARKit's, and rescale them so that a weight of 1 means the same.

    python -m experiments.labels.expression_units --model old_head_model.npz [--write runs/head_model.npz]
    python -m experiments.labels.expression_units --model old_head_model.npz --network old.onnx --out new.onnx

ARKit defines its weights by a reference face that moves. REACH holds how far that face moves at weight 1: the largest displacement of a
shape, divided by the width of the face. A shape learned from ICT-FaceKit points in the same direction, but moves up to twice as far, or
less than half as far. A weight that is fitted with it therefore differs from the weight that a phone reports. One factor corrects a shape.

These shapes keep their size: a blink closes the lid, jawOpen and mouthClose cancel each other, eyes turn by an angle, and mouthRollLower
has another direction in ICT-FaceKit.

`experiments.head_model.build` rescales the head model so: all factors of the shipped one are 1. With --write, the script rescales an older
one. With --network, the script appends the same change of units to a
network of one face that was trained with the old model: its raw outputs r become those of the weight sigmoid(r) / factor.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.common import make_parser
from mfn.structures.cells import PARAMETER_SIZE
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


LEAST_WEIGHT = 1e-4  # of an expression, so that its raw value is finite


def reach_of(name: str) -> float | None:
    """Return the reach of a shape in `REACH`, or None where the shape keeps its size."""
    return REACH.get(name, REACH.get(name.removesuffix("Left").removesuffix("Right")))


def unit_factors(model: HeadModel) -> NDArray[np.float64]:
    """Return the factors (51,) of the shapes of a head model, as `shape_factors` does."""
    return shape_factors(model.expression_basis, model.landmark_basis("mediapipe478").mean)


def shape_factors(shapes: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the factor by which each shape must grow to reach as far as ARKit's.

    Args:
        shapes: (51, V, 3) displacements at weight 1, m.
        points: (478, 3) MediaPipe's points on the mean head, m; they give the width of the face.

    Returns:
        (51,); 1 where a shape keeps its size.
    """
    width = float(np.ptp(points[:, 0]))
    factors = np.ones(len(EXPRESSION_NAMES))
    for i, name in enumerate(EXPRESSION_NAMES):
        reach = reach_of(name)
        if reach is not None:
            factors[i] = reach * width / np.linalg.norm(shapes[i], axis=-1).max()
    return factors


def rescale_network(path: Path, out: Path, factors: NDArray[np.float64]) -> None:
    """Append the change of units to a network of one face.

    Args:
        path: ONNX file that predicts raw parameters (B, PARAMETER_SIZE).
        out: ONNX file to write.
        factors: (51,) from `unit_factors`.

    Raises:
        ValueError: Its output has another size.
    """
    import onnx

    network = onnx.load(path)
    output = network.graph.output[0]
    size = output.type.tensor_type.shape.dim[-1].dim_value
    if size != PARAMETER_SIZE:
        raise ValueError(f"{path}: expected a network that predicts {PARAMETER_SIZE} parameters, got {size}")
    producer = next(node for node in network.graph.node if output.name in node.output)
    producer.output[list(producer.output).index(output.name)] = "old_units"
    constants = {"sizes": np.array([size - len(factors), len(factors)]), "one": np.ones(1, np.float32)}
    constants |= {"factors": factors.astype(np.float32), "low": np.float32(LEAST_WEIGHT), "high": np.float32(1 - LEAST_WEIGHT)}
    network.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    steps = [
        ("Sigmoid", ["raw"], ["old_weight"]),
        ("Div", ["old_weight", "factors"], ["new_weight"]),
        ("Clip", ["new_weight", "low", "high"], ["weight"]),
        ("Sub", ["one", "weight"], ["rest"]),
        ("Div", ["weight", "rest"], ["odds"]),
        ("Log", ["odds"], ["logit"]),
    ]
    network.graph.node.append(onnx.helper.make_node("Split", ["old_units", "sizes"], ["others", "raw"], axis=1))
    network.graph.node.extend(onnx.helper.make_node(kind, inputs, outputs) for kind, inputs, outputs in steps)
    network.graph.node.append(onnx.helper.make_node("Concat", ["others", "logit"], [output.name], axis=1))
    onnx.checker.check_model(network)
    atomic_write(out, lambda temporary: onnx.save(network, str(temporary)))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", type=Path, default=DEFAULT_FILE, help="head model to read (default: the one that ships)")
    parser.add_argument("--write", type=Path, help="file for the rescaled model; without it, the factors are only printed")
    parser.add_argument("--network", type=Path, help="ONNX file of a network of one face, trained with this head model")
    parser.add_argument("--out", type=Path, help="file for the network in the new units")
    args = parser.parse_args()
    if (args.network is None) != (args.out is None):
        parser.error("expected --network and --out together")
    factors = unit_factors(HeadModel.load(args.model))
    for name, factor in zip(EXPRESSION_NAMES, factors, strict=True):
        print(f"{name:20s} {factor:.2f}")
    if args.write is not None:
        with np.load(args.model, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        arrays["expression_step"] = (arrays["expression_step"] * factors).astype(np.float32)
        atomic_write(args.write, lambda path: np.savez_compressed(path, **arrays))
    if args.network is not None:
        rescale_network(args.network, args.out, factors)


if __name__ == "__main__":
    main()
