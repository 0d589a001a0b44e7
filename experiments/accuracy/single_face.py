"""Compare networks that read one face in a crop: accuracy, head pose, expression, jitter, size and speed.

    python -m experiments.accuracy.single_face sfn=mfn/weights/sfn.onnx \\
        mobileface=experiments/weights/mobileface/network.onnx --eval ../shared/eval

MFN finds the boxes, so a face it misses is missed by all. A name that ends with *2 reads a second crop around the first
prediction. `nme` and `aligned_nme` come from the evaluation's own score.py. For a network that predicts points, the
head pose is the rotation that takes the mean head's 68 points to them.

Jitter on a still frame: a fixed box, new camera noise (standard deviation 6) in every frame; mean change from frame to
frame, of the 68 points in percent of the face's size and of the rotation in degrees. Jitter on the clips: mean second
difference of the points. The script writes experiments/results/accuracy/single_face.json and prints Markdown.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.benchmarks import PEER_HEAD, find_faces, peer_rows, pose_error
from experiments.accuracy.evaluation_sets import (
    EVALUATION_CLIPS,
    EVALUATION_SETS,
    EvaluationSet,
    Score,
    finite_mean,
    load_score,
    read_clip,
    read_evaluation_set,
)
from experiments.common import (
    RESULTS,
    Figures,
    add_eval_option,
    kept_rows,
    make_parser,
    markdown_table,
    save_report,
    split_named,
)
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.crop_geometry import CROP_SIZE
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.heads import HeadGenerator
from mfn.training.packs.reader import read_pictures
from retarget.geometry.rotations import fit_similarity
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "single_face.json"
SYNTHETIC_COUNT, SYNTHETIC_SEED = 200, 90210
STILL_FRAMES, NOISE_LEVELS, CLIP_FRAMES = 60, 6.0, 90
TIMED_RUNS, WARM_UP_RUNS = 200, 20


class BoxedSet(NamedTuple):
    """Hold an evaluation set and for each picture the box (1, 4) of MFN on the true face, or (0, 4) if it is missed."""

    data: EvaluationSet
    boxes: list[NDArray[np.float32]]


class BoxedFrame(NamedTuple):
    """Hold a frame (H, W, 3) uint8 RGB and the box (1, 4) of its best face."""

    picture: Image
    box: NDArray[np.float32]


class Material(NamedTuple):
    """Hold all pictures that the networks are measured on."""

    sets: dict[str, BoxedSet]
    clips: dict[str, list[BoxedFrame]]
    synthetic: list[tuple[Image, Faces]]


class Reading(NamedTuple):
    """Hold predictions for N faces: points (N, 68, 3) px and rotation (N, 3, 3), head to camera."""

    points: NDArray[Any]
    rotation: NDArray[Any]


def rotation_of_points(points: NDArray[Any], model: HeadModel) -> NDArray[np.float64]:
    """Return the rotations (N, 3, 3) that take the mean head's 68 points nearest to points (N, 68, 3) px (Umeyama, 1991)."""
    return fit_similarity(model.points(model.mean, "ibug68"), points).rotation


def read(network: SingleFace, picture: Image, boxes: NDArray[Any], crops: int) -> Reading:
    """Read the faces in boxes (N, 4). With two crops a network of parameters reads again around its first prediction."""
    if network.kind != "parameters":
        points = network.landmarks(picture, boxes)
        return Reading(points, rotation_of_points(points, network.model))
    faces = network(picture, boxes)
    for _ in range(crops - 1):
        faces = network(picture, faces.box)
    return Reading(network.model.landmarks(faces, "ibug68"), faces.rotation)


def accuracy(network: SingleFace, crops: int, sets: Mapping[str, BoxedSet], score: Score) -> Figures:
    """Measure aligned and raw NME in percent and the head pose error in degrees on the evaluation sets."""
    figures: Figures = {}
    for name, (data, boxes) in sets.items():
        points = np.full(data.points.shape, np.nan)
        rotation = np.full((len(points), 3, 3), np.nan)
        for i, (picture, box) in enumerate(zip(data.pictures, boxes, strict=True)):
            if len(box):
                reading = read(network, picture, box, crops)
                points[i], rotation[i] = reading.points[0, :, :2], reading.rotation[0]
        raw, aligned = score.nme(points, data.points), score.aligned_nme(points, data.points)
        if data.pose is not None:
            figures["pose_error_deg"] = pose_error(rotation, data.pose)["mean"]
            figures["pose_error_all_within_99_deg"] = pose_error(rotation, data.pose, "all")["mean"]
        for group, rows in data.yaw_groups().items():
            figures[f"{name} aligned {group}"] = finite_mean(aligned[rows])
            figures[f"{name} raw {group}"] = finite_mean(raw[rows])
        figures[f"{name} missed"] = int(np.isnan(raw).sum())
    return figures


def read_sets(folder: Path, predictor: Predictor) -> dict[str, BoxedSet]:
    """Read the evaluation sets and find the boxes with MFN."""
    sets = {name: read_evaluation_set(folder, name) for name in EVALUATION_SETS}
    return {name: BoxedSet(data, [face.box for face in find_faces(predictor, data)]) for name, data in sets.items()}


def draw_heads(data: Path, count: int) -> list[tuple[Image, Faces]]:
    """Draw heads with exact expressions. Their seed belongs to no training run."""
    heads = HeadGenerator(HeadModel.load(), read_pictures(data / "backgrounds.tar", every=15))
    rng = np.random.default_rng(SYNTHETIC_SEED)
    return [heads.generate(rng, 200, 1.25) for _ in range(count)]


def expression_error(network: SingleFace, heads: Sequence[tuple[Image, Faces]]) -> float:
    """Return the mean absolute error of an expression weight on drawn heads."""
    errors = [np.abs(network(picture, face.box).expression - face.expression).mean() for picture, face in heads]
    return float(np.mean(errors))


def mean_turn_deg(rotation: NDArray[Any]) -> float:
    """Return the mean angle in degrees between neighbors of rotations (F, 3, 3)."""
    trace = np.einsum("nij,nij->n", rotation[1:], rotation[:-1])
    return float(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))).mean())


def still_jitter(network: SingleFace, crops: int, frame: BoxedFrame) -> tuple[float, float]:
    """Return the mean change between frames that differ in noise alone: points in percent of the face, rotation in degrees."""
    rng, readings = np.random.default_rng(0), []
    for _ in range(STILL_FRAMES):
        noisy = np.clip(frame.picture + rng.normal(0, NOISE_LEVELS, frame.picture.shape), 0, 255).astype(np.uint8)
        readings.append(read(network, noisy, frame.box, crops))
    points = np.stack([reading.points[0, :, :2] for reading in readings])
    size_px = np.sqrt(np.prod(np.ptp(points[0], axis=0)))
    moved = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean() / size_px * 100
    return float(moved), mean_turn_deg(np.stack([reading.rotation[0] for reading in readings]))


def clip_jitter(network: SingleFace, crops: int, clips: Mapping[str, Sequence[BoxedFrame]]) -> float:
    """Return the mean second difference of the 68 points over the clips, in percent of the face."""
    found = []
    for frames in clips.values():
        points = np.stack([read(network, frame.picture, frame.box, crops).points[0, :, :2] for frame in frames])
        size_px = np.sqrt(np.prod(np.ptp(points, axis=1), axis=1))[1:-1]
        found.append((np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).mean(1) / size_px).mean() * 100)
    return float(np.mean(found))


def count_work(path: Path) -> tuple[float, float]:
    """Return the millions of weights, and of multiply-adds for one crop, counted in the ONNX graph."""
    import onnx

    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model).graph
    shape = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    weight = {i.name: list(i.dims) for i in graph.initializer}
    for node in graph.node:
        if node.op_type in ("Cast", "Mul", "DequantizeLinear") and node.input[0] in weight:  # of integers and half floats
            weight[node.output[0]] = weight[node.input[0]]
    multiply_adds = 0.0
    for node in graph.node:
        kernel = weight.get(node.input[1]) if len(node.input) > 1 else None
        if kernel and node.op_type == "Conv":
            multiply_adds += np.prod(kernel) * np.prod(shape[node.output[0]][2:])
        elif kernel and node.op_type in ("Gemm", "MatMul"):
            multiply_adds += np.prod(kernel)
    return float(sum(np.prod(i.dims) for i in graph.initializer) / 1e6), float(multiply_adds / 1e6)


def median_ms(path: Path) -> float:
    """Return the median time of one crop on one core, in milliseconds."""
    network, crop = SingleFace.load(path, threads=1), np.full((1, CROP_SIZE, CROP_SIZE, 3), 90, np.uint8)
    seconds = []
    for _ in range(TIMED_RUNS + WARM_UP_RUNS):
        start = time.perf_counter()
        network.session.run(None, {"image": crop})
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[WARM_UP_RUNS:]) * 1e3)


def measure(path: Path, crops: int, material: Material, score: Score) -> Figures:
    """Measure all columns of one network."""
    network = SingleFace.load(path)
    figures = accuracy(network, crops, material.sets, score)
    if network.kind == "parameters":
        figures["expression_error"] = round(expression_error(network, material.synthetic), 4)
    moved, turned = still_jitter(network, crops, material.clips["d0"][0])
    weights_millions, macs_millions = count_work(path)
    return figures | {
        "still_jitter_percent": round(moved, 3),
        "still_jitter_deg": round(turned, 3),
        "clip_jitter_percent": round(clip_jitter(network, crops, material.clips), 3),
        "parameters_millions": round(weights_millions, 2),
        "macs_millions": round(macs_millions, 1),
        "file_megabytes": round(path.stat().st_size / 1e6, 2),
        "ms_one_core": round(median_ms(path) * crops, 2),
    }


def table(rows: Mapping[str, Figures]) -> str:
    """Return a Markdown table with the two other methods above the networks."""
    head = [*PEER_HEAD, "pose °", "expression", "jitter still / clips %", "M weights", "M multiply-adds", "MB", "ms"]
    lines: list[Sequence[object]] = [[*peer, *["–"] * 7] for peer in peer_rows()]
    for name, row in rows.items():
        yaw = " / ".join(f"{row[f'aflw2000 aligned {group}']:.2f}" for group in ("0-30", "30-60", "60+", "all"))
        cells = [name, f"{yaw} ({row['aflw2000 raw all']:.2f})", row["aflw2000 missed"]]
        for s in EVALUATION_SETS[1:]:
            cells += [f"{row[f'{s} aligned all']:.2f} ({row[f'{s} raw all']:.2f})", row[f"{s} missed"]]
        cells += [f"{row['pose_error_all_within_99_deg']} ({row['pose_error_deg']})", row.get("expression_error", "–")]
        cells += [f"{row['still_jitter_percent']} / {row['clip_jitter_percent']}"]
        lines.append([*cells, *(row[k] for k in ("parameters_millions", "macs_millions", "file_megabytes", "ms_one_core"))])
    return markdown_table(head, lines)


def read_material(eval_folder: Path, data: Path) -> Material:
    """Read or draw all pictures, with MFN's boxes."""
    predictor, clips = Predictor.load("large", score=0.3), {}
    for name in EVALUATION_CLIPS:
        frames = read_clip(eval_folder / "clips" / f"{name}.mp4", CLIP_FRAMES)
        boxed = [BoxedFrame(frame, predictor(frame).box[:1]) for frame in frames]
        clips[name] = [frame for frame in boxed if len(frame.box)]
    return Material(read_sets(eval_folder, predictor), clips, draw_heads(data, SYNTHETIC_COUNT))


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("networks", nargs="+", help="NAME=FILE.onnx; NAME*2=FILE.onnx reads two crops")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with backgrounds.tar")
    parser.add_argument("--keep", action="store_true", help="keep the figures of the networks of the report that are not given here")
    add_eval_option(parser)
    args = parser.parse_args()
    networks = {name: Path(path) for name, path in split_named(args.networks).items()}
    score, material, rows = load_score(args.eval), read_material(args.eval, args.data), {}
    for name, path in networks.items():
        rows[name] = measure(path, 2 if name.endswith("*2") else 1, material, score)
        print(name, json.dumps(rows[name]), flush=True)
    print(table(rows))
    others, digests = kept_rows(args, rows)
    save_report(args, __file__, {"networks": others | rows}, networks, digests)


if __name__ == "__main__":
    main()
