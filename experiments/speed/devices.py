"""Measure frames a second of each device and batch, and of each runtime that is installed.

    python -m experiments.speed.devices --config configs/mfn/crowds.yaml --checkpoint experiments/weights/mfn.safetensors

Devices are those of `mfn.Predictor` that this machine has; the others are listed with the reason. Three things are measured, each with one
thread and on the same rendered frame of 1280 x 720 px: the network alone at each batch, on frames of FRAME_PX; the face reader alone on
as many crops as it reads in a frame; and the whole predictor on frames one after another. A device that builds a network for each shape,
such as OpenVINO, does so before the clock starts. With --config and --checkpoint the network is also exported in float32 with a
fixed shape, and runs on each device and in OpenVINO's own runtime. The script writes experiments/results/speed/devices.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, markdown_table, save_report
from mfn.cli.bench import crowd_image
from mfn.inference.model_zoo import READER_WEIGHTS, find_model
from mfn.inference.predictor import Predictor
from mfn.inference.sessions.devices import DEVICES
from mfn.structures.faces import Faces
from mfn.structures.metrics import match_faces
from mfn.structures.network_metadata import Size
from retarget.io.images import Image

RESULT = RESULTS / "speed" / "devices.json"
FRAME_PX = Size(864, 480)  # what a frame of 1280 x 720 px becomes for `large`, faces of 36 px and more
PEOPLE = 20
Pictures = NDArray[np.uint8]


def rate(call: Callable[[], object], items: int, seconds: float) -> Figures:
    """Return the items a second of a call that handles `items`: the median of calls that fill some seconds, and the CPU time of one item.

    The first call, which may build a network for a new shape, is timed apart.
    """
    started = time.perf_counter()
    call()
    first_s = time.perf_counter() - started
    times, cpu = [], time.process_time()
    while sum(times) < seconds or len(times) < 3:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    cpu_ms = (time.process_time() - cpu) / len(times) / items * 1000
    return {"a_second": round(items / float(np.median(times)), 2), "cpu_ms": round(cpu_ms, 1), "first_call_ms": round(first_s * 1000)}


def scaled(picture: Image, size: Size) -> Image:
    """Return a frame scaled to a size."""
    import cv2

    return np.asarray(cv2.resize(picture, tuple(size), interpolation=cv2.INTER_AREA), np.uint8)


def agreement(ours: Faces, theirs: Faces) -> Figures:
    """Compare the faces that a device finds in a frame with those of the CPU: largest differences, and the mean for weights."""
    match = match_faces(ours, theirs)
    a, b = ours[match.target], theirs[match.pred]
    turn = np.abs((a.pitch_yaw_roll_deg - b.pitch_yaw_roll_deg + 180) % 360 - 180)
    weights = np.abs(a.expression - b.expression)
    return {
        "faces_of_the_cpu": len(ours),
        "faces_of_both": len(a),
        "box_px": round(float(np.abs(a.box - b.box).max(initial=0)), 2),
        "pose_deg": round(float(turn.max(initial=0)), 2),
        "weight": round(float(weights.max(initial=0)), 3),
        "mean_weight": round(float(weights.mean()) if weights.size else 0.0, 4),
    }


def measure_device(device: str, options: argparse.Namespace, frame: Image, fixed: Path | None) -> Figures:
    """Measure one device, or say why it cannot be measured."""
    try:
        predictor = Predictor.load(options.weights, threads=1, device=device)
    except ValueError as error:
        return {"not_measured": str(error)}
    image, figures = scaled(frame, FRAME_PX), {}
    if device != "cpu":
        figures["differences from the CPU"] = agreement(predictor.on("cpu")(frame), predictor(frame))
    for batch in options.batches:
        pictures = np.repeat(image[None], batch, 0)
        figures[f"network, batch {batch}"] = rate(lambda pictures=pictures: predictor.finder.cells(pictures), batch, options.seconds)
    reader = predictor.reader
    if reader is not None:
        crops = np.zeros((predictor.frame_faces, reader.network.size_px, reader.network.size_px, 3), np.uint8)
        figures[f"face reader, {len(crops)} crops, frames"] = rate(
            lambda: reader.network.session.run(None, {"image": crops}), 1, options.seconds
        )
    figures["predictor, frames"] = rate(lambda: predictor(frame, video=True), 1, options.seconds)
    if fixed is not None:
        whole = Predictor.load(fixed, reader=False, threads=1, device=device)
        figures["float32 network, fixed shape"] = rate(lambda: whole.finder.cells(image[None]), 1, options.seconds)
    return figures


def measure_openvino(files: Sequence[Path], frame: Image, seconds: float) -> dict[str, Figures]:
    """Measure ONNX files in OpenVINO's own runtime, as its IR, with one thread; nothing where the package is missing."""
    if find_spec("openvino") is None:
        return {}
    import openvino

    found: dict[str, Figures] = {}
    for file in files:
        network: Any = openvino.convert_model(str(file))
        if network.is_dynamic():
            network.reshape([1, FRAME_PX.height, FRAME_PX.width, 3])
        settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(network, "CPU", settings)
        image = scaled(frame, FRAME_PX)[None]
        found[file.name] = rate(lambda compiled=compiled, image=image: compiled(image), 1, seconds)
    return found


def export(options: argparse.Namespace, file: Path) -> Path | None:
    """Export the network of a checkpoint in float32 with a fixed shape; None without a checkpoint."""
    if not options.checkpoint:
        return None
    from mfn.models.export.deployment import OnnxForm
    from mfn.models.export.to_onnx import set_refinement_steps, write_onnx
    from mfn.training.checkpoints import load_network

    network = load_network(options.config, options.checkpoint)
    set_refinement_steps(network, 1)
    write_onnx(network, file, form=OnnxForm(batch=1, size=FRAME_PX))
    return file


def table(measured: dict[str, Figures]) -> str:
    """Return the table of all devices that were measured."""
    rows = ((device, name, row) for device, found in measured.items() for name, row in found.items() if "a_second" in row)
    return markdown_table(("device", "what", "a second", "CPU ms"), [(d, n, row["a_second"], row["cpu_ms"]) for d, n, row in rows])


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--devices", nargs="*", default=list(DEVICES), help="devices to measure (default: all)")
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 8, 64], help="numbers of pictures in one call of the network")
    parser.add_argument("--seconds", type=float, default=3.0, help="time of each measurement")
    parser.add_argument("--weights", default="large", help="network")
    parser.add_argument("--config", type=Path, action="append", default=[], help="configuration of the checkpoint")
    parser.add_argument("--checkpoint", type=Path, help="network in float32")
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    frame, weights = crowd_image(PEOPLE), find_model(args.weights).path
    with tempfile.TemporaryDirectory() as folder:
        fixed = export(args, Path(folder, "float32-fixed.onnx"))
        measured = {device: measure_device(device, args, frame, fixed) for device in args.devices}
        own = measure_openvino([weights, *([fixed] if fixed else [])], frame, args.seconds)
    print(table(measured | {"OpenVINO's runtime": own}))
    figures = {
        "cores": os.cpu_count(),
        "load_at_the_end": round(os.getloadavg()[0], 1),
        "frame_px": list(FRAME_PX),
        "devices_a_second": measured,
        "openvino_runtime_a_second": own,
    }
    save_report(args, __file__, figures, {args.weights: weights, "reader": READER_WEIGHTS})


if __name__ == "__main__":
    main()
