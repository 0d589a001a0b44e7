"""Measure accuracy against time for both models and several smallest faces, on one core.

    python -m experiments.speed.speed_accuracy --eval ../shared/eval --photo crowd.jpg --plot curves.png

The defaults of `small` and `large` are marked. Accuracy is that of experiments.accuracy.benchmarks: aligned NME on three
sets with the network's own boxes, and misses. AP is that of experiments.accuracy.groups for faces of at least 16 px in
the picture. Time is that of experiments.speed.runtime: the median of a 1280 x 720 frame with ten faces, from the frame
to rig weights; models and sizes take turns. The height of the smallest face is one of `mfn.inference.model_zoo.MODELS`: px
of a frame of 720 px; `input` is the size at which such a frame is read. Portraits and group photos are read at the same
scale as a frame of their height. The script prints Markdown and writes speed_accuracy/speed_accuracy.json
of experiments/results/speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from experiments.accuracy.benchmarks import measure_set
from experiments.accuracy.evaluation_sets import EVALUATION_SETS, load_score, read_evaluation_set
from experiments.accuracy.groups import measure_precision
from experiments.common import RESULTS, Figures, add_eval_option, make_parser, markdown_table, pyplot, save_report
from experiments.speed.runtime import HEIGHT, WIDTH, face_crops, frame_with, time_frame
from mfn.inference.model_zoo import MODELS, find_model
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget import Rig, load_rig
from retarget.io.images import Image
from retarget.rig.avatars import find_avatar

RESULT = RESULTS / "speed" / "speed_accuracy" / "speed_accuracy.json"
MIN_FACES_PX = (96.0, 72.0, 60.0, 48.0, 36.0, 24.0)
SCORE, PRECISION_SCORE, MIN_HEIGHT_PX = 0.3, 0.02, 16.0  # as in the two scripts of the accuracy
WARM_UP_RUNS = 3
VISITS = 4
Curves = dict[str, dict[str, Figures]]  # model -> height of the smallest face -> figures


def accuracy(weights: str, folder: Path) -> dict[str, Figures]:
    """Measure one model for all heights of the smallest face.

    Args:
        weights: "small", "large" or an ONNX file.
        folder: Folder of the evaluation sets.
    """
    score, model = load_score(folder), HeadModel.load()
    sets = {name: read_evaluation_set(folder, name) for name in EVALUATION_SETS}
    rows = {}
    for height_px in MIN_FACES_PX:
        predict = make_predictor(weights, height_px, SCORE)
        factor = predict.func.passes(HEIGHT, WIDTH, video=True)[0].factor
        row: Figures = {"input": [round(WIDTH * factor), round(HEIGHT * factor)]}
        row["shipped"] = weights in MODELS and MODELS[weights].min_face_px == height_px
        for name, data in sets.items():
            figures = measure_set(data, predict, model, score).figures
            row[name] = {"aligned_nme": figures["aligned_nme all"], "missed": figures["missed"]}
        detector = make_predictor(weights, height_px, PRECISION_SCORE)
        row["groups_ap"] = round(measure_precision(folder / "groups", detector, MIN_HEIGHT_PX), 4)
        rows[f"{height_px:g} px"] = row
        print(weights, height_px, row, flush=True)
    return rows


def make_predictor(weights: str, height_px: float, score: float) -> partial[Faces]:
    """Return a function that reads pictures as frames in which faces of `height_px` px of 720 px are the smallest."""
    predictor = Predictor.load(weights, score=score, threads=1)
    predictor.frame_face_px = height_px
    return partial(predictor, video=True)


def median_ms(weights: Sequence[str], frame: Image, rig: Rig, rounds: int) -> dict[str, list[float]]:
    """Return for each model the median ms of a frame for all heights of the smallest face.

    The rounds come in VISITS parts. In each part all models and heights take turns, so that a machine that becomes slower or faster
    does so for all. The rounds of one part follow each other, because ONNX Runtime allocates its memory again for another input.
    """
    predictors = {name: [make_predictor(name, height_px, SCORE) for height_px in MIN_FACES_PX] for name in weights}
    seconds: dict[str, list[list[float]]] = {name: [[] for _ in MIN_FACES_PX] for name in weights}
    for _ in range(VISITS):
        for name, row in predictors.items():
            for predictor, times in zip(row, seconds[name], strict=True):
                part = [time_frame(predictor, rig, frame).rig for _ in range(-(-rounds // VISITS) + WARM_UP_RUNS)]
                times += part[WARM_UP_RUNS:]
    return {name: [round(float(np.median(times)) * 1e3, 2) for times in row] for name, row in seconds.items()}


def table(curves: Curves) -> str:
    """Return a Markdown table; the defaults are bold."""
    lines = []
    for weights, rows in curves.items():
        for size, row in rows.items():
            cells = [f"{row[s]['aligned_nme']:.2f} ({row[s]['missed']})" for s in EVALUATION_SETS]
            name = f"**{weights}**" if row["shipped"] else weights
            lines.append([name, size, "x".join(map(str, row["input"])), row["ms"], *cells, f"{row['groups_ap']:.3f}"])
    sets = [f"{name} (missed)" for name in EVALUATION_SETS]
    return markdown_table(["model", "smallest face", "a frame's input", "ms", *sets, "groups AP"], lines)


def draw_curves(path: Path, curves: Mapping[str, Mapping[str, Figures]]) -> None:
    """Draw the NME of each set, and AP, over ms. Stars are the defaults."""
    plt = pyplot()
    errors = [row[name]["aligned_nme"] for rows in curves.values() for row in rows.values() for name in EVALUATION_SETS]
    figure, axes = plt.subplots(1, len(EVALUATION_SETS) + 1, figsize=(18, 4.2))
    for axis, name in zip(axes, (*EVALUATION_SETS, "groups"), strict=True):
        for weights, rows in curves.items():
            points = [(r["ms"], r["groups_ap"] if name == "groups" else r[name]["aligned_nme"]) for r in rows.values()]
            line = axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=Path(weights).name)[0]
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
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("weights", nargs="*", default=["small", "large"], help="small, large or ONNX files")
    add_eval_option(parser)
    parser.add_argument("--photo", type=Path, required=True, help="a photo with faces that fill the timed frame")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--plot", type=Path, help="PNG of the curves")
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    frame = frame_with(10, face_crops(args.photo, Predictor.load("large", threads=1)))
    ms = median_ms(args.weights, frame, load_rig(find_avatar()), args.rounds)
    curves = {name: accuracy(name, args.eval) for name in args.weights}
    for name, rows in curves.items():
        for row, median in zip(rows.values(), ms[name], strict=True):
            row["ms"] = median
    print(table(curves))
    if args.plot:
        draw_curves(args.plot, curves)
    figures = {"frame": [WIDTH, HEIGHT], "threads": 1, "rounds": args.rounds, "curves": curves}
    save_report(args, __file__, figures, {name: find_model(name).path for name in args.weights})


if __name__ == "__main__":
    main()
