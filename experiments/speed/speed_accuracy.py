"""The curve by which `small` and `large` were chosen: accuracy against time, of each network at several input sizes, on one core.

    python -m experiments.speed.speed_accuracy --eval ../shared/eval --photo crowd.jpg [--plot speed_accuracy.png]

Accuracy is `accuracy.py`'s: aligned NME on three sets with the network's own boxes, and misses; AP is `groups.py`'s, of the faces of at
least 16 px in the picture. Time is `runtime.py`'s: a 1280 x 720 frame of ten faces to rig weights, everything included, median, one size
after the other. A size is a number of px (see `mfn.inference.model_zoo.MODELS`); `input` is what a frame gets of it. Prints Markdown, writes
experiments/results/speed/speed_accuracy.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from experiments.accuracy.benchmarks import SETS, load_score, measure
from experiments.accuracy.groups import average_precision, judge
from experiments.speed.runtime import HEIGHT, WIDTH, crops_of, frame_seconds, frame_with
from mfn.inference.model_zoo import MODELS, find_model
from mfn.inference.predictor import Predictor
from mfn.structures.head_model import HeadModel
from retarget import Rig, load_rig
from retarget.io.images import Picture, read_image
from retarget.rig.avatars import find_avatar

RESULT = Path(__file__).parents[1] / "results" / "speed" / "speed_accuracy.json"
SIZES = ((320, 176), (352, 208), (384, 224), (448, 256), (576, 320), (720, 416), (864, 496), (896, 512))
SCORE, GROUP_SCORE, GROUP_LEAST = 0.3, 0.02, 16.0  # as the two scripts
Curves = dict[str, dict[str, dict]]


def group_ap(predictor: Predictor, folder: Path) -> float:
    """Average precision on the group photos."""
    judged = []
    for path in sorted(folder.glob("*.jpg")):
        faces = predictor(read_image(path))
        judged.append((judge(path, faces, 1.0, GROUP_LEAST), faces.score))
    hit = np.concatenate([j.hit[j.judged] for j, _ in judged])
    score = np.concatenate([s[j.judged] for j, s in judged])
    return round(average_precision(hit, score, sum(j.asked for j, _ in judged)), 4)


def accuracy(weights: str, folder: Path) -> dict[str, dict]:
    """Of one network by size."""
    score, model, session = load_score(folder), HeadModel.load(), Predictor.load(weights, threads=1).session
    rows = {}
    for size in SIZES:
        predictor = Predictor(session, size, SCORE)
        box = predictor.letterbox(HEIGHT, WIDTH)
        row: dict = {"input": [box.width, box.height], "shipped": weights in MODELS and MODELS[weights].size == size}
        for name in SETS:
            result, _ = measure(name, folder, predictor, model, score)
            row[name] = {"aligned_nme": result["aligned_nme all"], "missed": result["missed"]}
        row["groups_ap"] = group_ap(Predictor(session, size, GROUP_SCORE), folder / "groups")
        rows[f"{size[0]}x{size[1]}"] = row
        print(weights, size, row, flush=True)
    return rows


def milliseconds(weights: list[str], frame: Picture, rig: Rig, rounds: int) -> dict[str, list[float]]:
    """Median time of a frame by size, of each network. Round after round of one size: ONNX Runtime plans its memory anew for another."""
    middle: dict[str, list[float]] = {}
    for name in weights:
        session = Predictor.load(name, threads=1).session
        middle[name] = []
        for size in SIZES:
            predictor = Predictor(session, size, SCORE)
            seconds = [frame_seconds(predictor, rig, frame)[1] for _ in range(rounds + 3)]
            middle[name].append(round(float(np.median(seconds[3:])) * 1e3, 2))  # the first three warm up
    return middle


def table(curves: Curves) -> str:
    """Markdown."""
    head = "| network | px | a frame's input | ms | " + " | ".join(f"{name} (missed)" for name in SETS) + " | groups AP |"
    lines = [head, "|---" * 8 + "|"]
    for weights, rows in curves.items():
        for size, row in rows.items():
            name = f"**{weights}**" if row["shipped"] else weights
            cells = [name, size, "x".join(map(str, row["input"])), row["ms"]]
            cells += [f"{row[s]['aligned_nme']:.2f} ({row[s]['missed']})" for s in SETS]
            lines.append("| " + " | ".join(map(str, [*cells, f"{row['groups_ap']:.3f}"])) + " |")
    return "\n".join(lines)


def draw(path: Path, curves: Curves) -> None:
    """NME of each set, and AP, over ms; stars are what ships."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    errors = [row[name]["aligned_nme"] for rows in curves.values() for row in rows.values() for name in SETS]
    figure, axes = plt.subplots(1, len(SETS) + 1, figsize=(18, 4.2))
    for axis, name in zip(axes, (*SETS, "groups"), strict=True):
        for weights, rows in curves.items():
            points = [(r["ms"], r["groups_ap"] if name == "groups" else r[name]["aligned_nme"]) for r in rows.values()]
            line = axis.plot(*zip(*points), marker="o", markersize=3, label=Path(weights).name)[0]
            for (x, y), (size, row) in zip(points, rows.items(), strict=True):
                axis.annotate(size, (x, y), fontsize=6, xytext=(3, 4), textcoords="offset points")
                if row["shipped"]:
                    axis.plot(x, y, marker="*", markersize=14, color=line.get_color())
        axis.set_title(f"{name}: " + ("AP, faces of 16 px and more" if name == "groups" else "aligned NME, %"), fontsize=9)
        axis.set_xlabel("ms a 1280 x 720 frame, one core", fontsize=8)
        axis.set_xlim(0, 1.15 * axis.get_xlim()[1])
        axis.set_ylim((0, 1) if name == "groups" else (np.floor(np.nanmin(errors)), np.ceil(np.nanmax(errors))))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("weights", nargs="*", default=["small", "large"], help="small, large or ONNX files")
    parser.add_argument("--eval", type=Path, default=Path("../shared/eval"), help="folder of the evaluation sets")
    parser.add_argument("--photo", type=Path, required=True, help="a photo with faces to fill the timed frame with")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--plot", type=Path, help="PNG of the curves")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    frame = frame_with(10, crops_of(args.photo, Predictor.load("large", threads=1)))
    ms = milliseconds(args.weights, frame, load_rig(find_avatar()), args.rounds)
    curves = {name: accuracy(name, args.eval) for name in args.weights}
    for name, rows in curves.items():
        for row, taken in zip(rows.values(), ms[name], strict=True):
            row["ms"] = taken
    digests = {name: hashlib.sha256(find_model(name).path.read_bytes()).hexdigest() for name in args.weights}
    report = {"weights_sha256": digests, "frame": [WIDTH, HEIGHT], "threads": 1, "rounds": args.rounds, "curves": curves}
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(table(curves))
    if args.plot:
        draw(args.plot, curves)


if __name__ == "__main__":
    main()
