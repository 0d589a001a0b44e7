"""Compare what other runtimes compute from an exported network with what ONNX Runtime computes.

    python -m experiments.speed.runtimes reader=reader-fixed.onnx --litert reader=litert/reader-fixed_float32.tflite

Each NAME=FILE.onnx has a fixed shape (`mfn export --batch`, for the network of whole pictures also `--size`). It runs on the same random
pixels in ONNX Runtime, in OpenVINO where the package is installed, and in LiteRT where a converted file is given. The script writes the
largest and the mean difference to experiments/results/speed/runtimes.json.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, save_report, split_named

RESULT = RESULTS / "speed" / "runtimes.json"
Output = NDArray[np.float32]


def run_onnxruntime(file: Path, seed: int = 0) -> tuple[NDArray[np.uint8], Output]:
    """Return random pixels of the network's shape, and what ONNX Runtime computes from them on the CPU.

    Raises:
        ValueError: The network has no fixed shape.
    """
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    if not all(isinstance(side, int) for side in shape):
        raise ValueError(f"{file}: expected a fixed shape (mfn export --batch and --size), got {shape}")
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    return pixels, np.asarray(session.run(None, {"image": pixels})[0])


def run_openvino(file: Path, pixels: NDArray[np.uint8]) -> Output:
    """Return what OpenVINO computes on the CPU in float32."""
    import openvino

    compiled = openvino.Core().compile_model(openvino.convert_model(str(file)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(pixels)[0])


def run_litert(file: Path, pixels: NDArray[np.uint8]) -> Output:
    """Return what LiteRT computes on the CPU."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(str(file), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def difference(ours: Output, theirs: Output) -> Figures:
    """Return the largest and the mean difference of two outputs."""
    error = np.abs(ours - theirs)
    return {"largest": float(f"{error.max():.3g}"), "mean": float(f"{error.mean():.3g}")}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("networks", nargs="+", help="NAME=FILE.onnx")
    parser.add_argument("--litert", nargs="*", default=[], help="NAME=FILE.tflite, converted from the network of that name")
    args = parser.parse_args()
    networks = {name: Path(file) for name, file in split_named(args.networks).items()}
    converted = {name: Path(file) for name, file in split_named(args.litert).items()}
    figures: Figures = {}
    for name, file in networks.items():
        pixels, ours = run_onnxruntime(file)
        found: Figures = {"shape": list(pixels.shape), "largest_output": round(float(np.abs(ours).max()), 2)}
        if find_spec("openvino") is not None:
            found["openvino"] = difference(ours, run_openvino(file, pixels))
        if name in converted:
            found["litert"] = difference(ours, run_litert(converted[name], pixels))
        figures[name] = found
        print(name, found, flush=True)
    save_report(args, __file__, {"differences": figures}, networks)


if __name__ == "__main__":
    main()
