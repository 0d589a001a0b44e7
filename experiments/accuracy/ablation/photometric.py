"""Measure whether the colors of the picture (mfn.fitting.photometric) improve the fits of landmarks alone.

    python -m experiments.accuracy.ablation.photometric --shared ../shared

Every `--every`-th picture of the evaluation sets is used, with one view of each face. PyTorch3D rasterizes if it is
installed, else our own rasterizer, whose gradients are the same. The script writes
experiments/results/ablation/photometric.json: NME before and after the photometric refinement.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch

from experiments.accuracy.evaluation_sets import (
    EVALUATION_SETS,
    EvaluationSet,
    finite_mean,
    load_score,
    read_evaluation_set,
)
from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.labels.bench import Bench, Detections, points68
from mfn.fitting.fitter import FitResult
from mfn.fitting.landmarker import Landmarker
from mfn.fitting.photometric import (
    PhotometricOptions,
    Rasterizer,
    check_pytorch3d,
    rasterize_numpy,
    rasterize_pytorch3d,
    refine,
)

RESULT = RESULTS / "ablation" / "photometric.json"
BATCH_FACES = 4


def detect(data: EvaluationSet, every: int, landmarker: Landmarker) -> Detections:
    """Detect the face of every n-th picture."""
    found = Detections([], [], [])
    for row in range(0, len(data.pictures), every):
        found.add(row, landmarker(data.pictures[row]), data.points[row])
    return found


def join(parts: list[FitResult]) -> FitResult:
    """Concatenate fits."""
    return FitResult(*(torch.cat([getattr(part, name) for part in parts]) for name in FitResult.__dataclass_fields__))


def measure(bench: Bench, every: int, rasterize: Rasterizer, options: PhotometricOptions) -> Figures:
    """Measure each set: NME before and after the refinement, how far the identity moved, CPU seconds a face."""
    score, figures = load_score(bench.shared / "eval"), Figures()
    with bench.landmarker() as landmarker:
        for name in EVALUATION_SETS:
            data = read_evaluation_set(bench.shared / "eval", name)
            found = detect(data, every, landmarker)
            before, target = found.fit(bench.basis, landmarker.names), data.points[found.rows]
            start = time.process_time()
            parts = []
            for first in range(0, len(found.rows), BATCH_FACES):
                rows = slice(first, first + BATCH_FACES)
                pictures = [data.pictures[row] for row in found.rows[rows]]
                parts.append(refine(before[rows], pictures, bench.model, bench.basis, rasterize, options))
            after, seconds = join(parts), time.process_time() - start
            row: Figures = {"faces": len(target), "seconds of one core a face": round(seconds / len(target), 2)}
            for title, fits in (("landmarks", before), ("photometric", after)):
                predicted = points68(fits, bench.model)
                row[title] = {
                    "nme": finite_mean(score.nme(predicted, target)),
                    "aligned_nme": finite_mean(score.aligned_nme(predicted, target)),
                    "mean expression": round(float(fits.expression.mean()), 4),
                }
            moved_mm = bench.identity_distance_mm(after.identity.numpy(), before.identity.numpy()).mean()
            figures[name] = row | {"identity moved, mm": round(float(moved_mm), 3)}
    return figures


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/ and eval/")
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture")
    parser.add_argument("--steps", type=int, default=PhotometricOptions().steps, help="steps of the refinement")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rasterize: Rasterizer = rasterize_pytorch3d
    try:
        check_pytorch3d()
    except ImportError:
        rasterize = rasterize_numpy
    figures: Figures = {"rasterizer": rasterize.__name__, "every": options.every, "steps": options.steps}
    figures |= measure(Bench(options.shared), options.every, rasterize, PhotometricOptions(steps=options.steps))
    print(json.dumps(figures, indent=1))
    save_report(options, __file__, figures)


if __name__ == "__main__":
    main()
