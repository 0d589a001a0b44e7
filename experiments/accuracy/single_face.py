"""The single-face networks in one table: accuracy, pose, expression, jitter, size and speed.

    python -m experiments.accuracy.single_face sfn=mfn/weights/sfn.onnx prnet=experiments/weights/prnet.onnx --eval ../shared/eval

Boxes are MFN's own, so a face it misses counts as missed by all. Writes experiments/results/accuracy/single_face.json and prints Markdown.
`aligned_nme` and `nme` are those of the evaluation's own score.py. Pose of a network of points is the rotation that takes the mean
head's 68 points to its own. Jitter: mean change from frame to frame, of the 68 points in % of the face's size and of the rotation in
degrees, on one still frame with camera noise (sigma 6) in a fixed box; on the clips the mean second difference of the points.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np

from experiments.accuracy.benchmarks import PEERS, SETS, choose, load_score, mean_of, pose_error, read_tar
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.crop_geometry import CROP_SIZE
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.heads import HeadGenerator
from mfn.training.data.packs import read_pictures

RESULT = Path(__file__).parents[1] / "results" / "accuracy" / "single_face.json"
CLIPS = ("d0", "d3", "d10", "d12")
SYNTHETIC, FRAMES, NOISE = 200, 60, 6.0


def rotation_of_points(points: np.ndarray, model: HeadModel) -> np.ndarray:
    """(N, 68, 3) px -> (N, 3, 3): the rotation that takes the mean head's points nearest to them (Umeyama, 1991)."""
    mean = model.points(model.mean, "ibug68")
    covariance = np.einsum("nki,kj->nij", points - points.mean(1, keepdims=True), mean - mean.mean(0))
    u, _, vt = np.linalg.svd(covariance)
    sign = np.ones((len(points), 3))
    sign[:, 2] = np.linalg.det(u @ vt)
    return (u * sign[:, None]) @ vt


def read(network: SingleFace, picture: np.ndarray, boxes: np.ndarray, looks: int) -> tuple[np.ndarray, np.ndarray, Faces | None]:
    """68 points (N, 68, 3), rotations (N, 3, 3) and, of a network of parameters, Faces. looks: 2 cuts once more, around what it saw."""
    if network.kind != "parameters":
        points = network.landmarks(picture, boxes)
        return points, rotation_of_points(points, network.model), None
    faces = network(picture, boxes)
    for _ in range(looks - 1):
        faces = network(picture, faces.box)
    return network.model.landmarks(faces, "ibug68"), faces.rotation, faces


def accuracy(network: SingleFace, looks: int, cases: dict[str, list], score: object) -> dict:
    """Aligned and raw NME and pose error on the three sets."""
    out: dict = {}
    for name, rows in cases.items():
        true = np.stack([row[1] for row in rows])
        told, turned = np.full((len(rows), 68, 2), np.nan), np.full((len(rows), 3, 3), np.nan)
        for i, (picture, _, boxes, _) in enumerate(rows):
            if len(boxes) == 0:
                continue
            points, rotation, _ = read(network, picture, boxes, looks)
            told[i] = points[0, :, :2]
            turned[i] = rotation[0]
        raw, aligned = score.nme(told, true), score.aligned_nme(told, true)  # type: ignore[attr-defined]
        groups = {"all": np.ones(len(rows), bool)}
        if rows[0][3] is not None:
            pose = np.stack([row[3] for row in rows])
            yaw = np.abs(np.degrees(pose[:, 1]))
            groups |= {"0-30": yaw <= 30, "30-60": (yaw > 30) & (yaw <= 60), "60+": yaw > 60}
            out["pose_error_deg"] = pose_error(turned, pose)["mean"]
            out["pose_error_all_within_99_deg"] = pose_error(turned, pose, "all")["mean"]
        for group, chosen in groups.items():
            out[f"{name} aligned {group}"], out[f"{name} raw {group}"] = mean_of(aligned[chosen]), mean_of(raw[chosen])
        out[f"{name} missed"] = int(np.isnan(raw).sum())
    return out


def read_sets(folder: Path, predictor: Predictor) -> dict[str, list]:
    """Set name -> rows of (picture, true points (68, 2), MFN's box (0 or 1, 4), pose (3,) or None)."""
    cases = {}
    for name in SETS:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
            true = data["landmarks"][:, :68, :2].astype(float)
            pose = data["pose"] if "pose" in data else [None] * len(true)
        pictures = read_tar(folder / f"{name}.tar")
        boxes = [choose(predictor(picture), points).box for picture, points in zip(pictures, true, strict=True)]
        cases[name] = list(zip(pictures, true, boxes, pose, strict=True))
    return cases


def synthetic(data: Path, count: int) -> list[tuple[np.ndarray, Faces]]:
    """Synthetic heads that no training saw (a seed of their own), with exact expressions."""
    heads, rng = HeadGenerator(HeadModel.load(), read_pictures(data / "backgrounds.tar", every=15)), np.random.default_rng(90210)
    return [heads.generate(rng, 200, 1.25) for _ in range(count)]


def read_clip(path: Path, most: int = 90) -> list[np.ndarray]:
    """The first frames of a clip, RGB."""
    import cv2

    clip, frames = cv2.VideoCapture(str(path)), []
    while len(frames) < most:
        there, frame = clip.read()
        if not there:
            break
        frames.append(np.ascontiguousarray(frame[..., ::-1]))
    return frames


def still_jitter(network: SingleFace, looks: int, picture: np.ndarray, box: np.ndarray) -> tuple[float, float]:
    """Mean change from frame to frame under noise: points in % of the face, rotation in degrees."""
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(FRAMES):
        noisy = np.clip(picture + rng.normal(0, NOISE, picture.shape), 0, 255).astype(np.uint8)
        seen.append(read(network, noisy, box, looks)[:2])
    points = np.stack([p[0, :, :2] for p, _ in seen])
    turn = np.stack([r[0] for _, r in seen])
    size = np.sqrt(np.prod(np.ptp(points[0], axis=0)))
    moved = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean() / size * 100
    trace = np.einsum("nij,nij->n", turn[1:], turn[:-1])
    return float(moved), float(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))).mean())


def clip_jitter(network: SingleFace, looks: int, clips: dict[str, list]) -> float:
    """Mean second difference of the 68 points over the clips, % of the face."""
    found = []
    for frames in clips.values():
        points = np.stack([read(network, picture, box, looks)[0][0, :, :2] for picture, box in frames])
        size = np.sqrt(np.prod(np.ptp(points, axis=1), axis=1))[1:-1]
        found.append((np.linalg.norm(np.diff(points, 2, axis=0), axis=-1).mean(1) / size).mean() * 100)
    return float(np.mean(found))


def work(path: Path) -> tuple[float, float]:
    """Millions of numbers to learn, and of multiply-adds for one crop, counted in the ONNX graph."""
    import onnx

    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model).graph
    shape = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.value_info, *graph.output)}
    weight = {i.name: list(i.dims) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in weight:
            weight[node.output[0]] = weight[node.input[0]]
    macs = 0.0
    for node in graph.node:
        kernel = weight.get(node.input[1]) if len(node.input) > 1 else None
        if kernel and node.op_type == "Conv":
            macs += np.prod(kernel) * np.prod(shape[node.output[0]][2:])
        elif kernel and node.op_type in ("Gemm", "MatMul"):
            macs += np.prod(kernel)
    return float(sum(np.prod(i.dims) for i in graph.initializer) / 1e6), float(macs / 1e6)


def milliseconds(path: Path) -> float:
    """Median of 200 runs of one crop on one core."""
    network, crop = SingleFace.load(path, threads=1), np.full((1, CROP_SIZE, CROP_SIZE, 3), 90, np.uint8)
    taken = []
    for _ in range(220):
        start = time.perf_counter()
        network.session.run(None, {"image": crop})
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[20:]) * 1e3)


def measure(path: Path, looks: int, material: dict, score: object) -> dict:
    """All columns of one network."""
    network = SingleFace.load(path)
    row = accuracy(network, looks, material["sets"], score)
    if network.kind == "parameters":
        told = np.concatenate([network(picture, face.box).expression for picture, face in material["synthetic"]])
        true = np.concatenate([face.expression for _, face in material["synthetic"]])
        row["expression_error"] = round(float(np.abs(told - true).mean()), 4)
    moved, turned = still_jitter(network, looks, *material["clips"]["d0"][0])
    millions, macs = work(path)
    return row | {
        "still_jitter_percent": round(moved, 3),
        "still_jitter_deg": round(turned, 3),
        "clip_jitter_percent": round(clip_jitter(network, looks, material["clips"]), 3),
        "parameters_millions": round(millions, 2),
        "macs_millions": round(macs, 1),
        "file_megabytes": round(path.stat().st_size / 1e6, 2),
        "ms_one_core": round(milliseconds(path) * looks, 2),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def table(rows: dict[str, dict]) -> str:
    """Markdown."""
    head = (
        "| aligned (raw) NME, % | aflw2000 yaw 0–30 / 30–60 / 60+ / all | missed | facesynthetics | missed | youtube68 | missed "
        "| pose ° | expression | jitter still / clips % | M numbers | M MACs | MB | ms |"
    )
    lines = [head, "|---" * 14 + "|", *(peer + " – |" * 7 for peer in PEERS)]
    for name, r in rows.items():
        yaw = " / ".join(f"{r[f'aflw2000 aligned {g}']:.2f}" for g in ("0-30", "30-60", "60+", "all"))
        cells = [name, f"{yaw} ({r['aflw2000 raw all']:.2f})", r["aflw2000 missed"]]
        for s in SETS[1:]:
            cells += [f"{r[f'{s} aligned all']:.2f} ({r[f'{s} raw all']:.2f})", r[f"{s} missed"]]
        cells += [f"{r['pose_error_all_within_99_deg']} ({r['pose_error_deg']})", r.get("expression_error", "–")]
        cells += [f"{r['still_jitter_percent']} / {r['clip_jitter_percent']}"]
        cells += [r[k] for k in ("parameters_millions", "macs_millions", "file_megabytes", "ms_one_core")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("networks", nargs="+", help="NAME=FILE.onnx; NAME*2=FILE.onnx looks twice")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--eval", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    score, predictor = load_score(args.eval), Predictor.load("large", score=0.3)
    clips = {}
    for name in CLIPS:
        frames = read_clip(args.eval / "clips" / f"{name}.mp4")
        boxes = [predictor(frame).box[:1] for frame in frames]
        clips[name] = [(frame, box) for frame, box in zip(frames, boxes, strict=True) if len(box)]
    material = {"sets": read_sets(args.eval, predictor), "clips": clips, "synthetic": synthetic(args.data, SYNTHETIC)}
    rows = {}
    for given in args.networks:
        name, _, path = given.partition("=")
        rows[name] = measure(Path(path), 2 if name.endswith("*2") else 1, material, score)
        print(name, json.dumps(rows[name]), flush=True)
    args.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
