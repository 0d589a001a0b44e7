"""Repeat the MFN poster's ablations on our data: scales of the labeler, scales of MFN, and joint training.

    python -m experiments.accuracy.ablation.mfn single-single=a.onnx single-multi=b.onnx multi-multi=c.onnx detection=d.onnx --eval EVAL

The four runs:

- single-single: single-scale MFN, trained with the labels of a single-scale SFN;
- single-multi: single-scale MFN, trained with the labels of a multi-scale SFN;
- multi-multi: multi-scale MFN, trained with the labels of a multi-scale SFN;
- detection: the detector alone.

These runs are short and start from scratch: `mfn fit --config configs/mfn/default.yaml --config configs/mfn/short.yaml
--data.labels LABELS`, with configs/mfn/single_scale.yaml or configs/mfn/detection.yaml. experiments.labels.from_network
makes LABELS with the two SFNs of experiments.accuracy.ablation.sfn. Several files of one name, separated by commas, are seeds.

Without a run named detection, the first run is compared with the others, with a 95 % interval over the seeds. So several scales
were measured on a trained backbone: `multi=…` and `single=…`, configs/mfn/short.yaml with and without
configs/mfn/single_scale.yaml, --trainer.max_steps 150 --trainer.limit_train_batches 150 --model.schedule.warmup 20
--seed_everything N --data.seed N for N = 1, 2, 3, and --model.weights with the tensors of
experiments/weights/mfn.safetensors whose names begin with `backbone` (--out
experiments/results/ablation/mfn_ablation_warm.json).

The networks are measured alone, without readers. The script measures aligned NME with the evaluation's own score.py
(not for the detector, which predicts no points) and average precision on the group photos. It writes
experiments/results/ablation/mfn_ablation.json and prints Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.accuracy.ablation.sfn import as_figures, compare
from experiments.accuracy.benchmarks import measure_set
from experiments.accuracy.evaluation_sets import EVALUATION_SETS, EvaluationSet, Score, load_score, read_evaluation_set
from experiments.accuracy.groups import measure_precision
from experiments.common import RESULTS, Figures, add_eval_option, make_parser, save_report, split_named
from mfn.inference.predictor import Predictor
from mfn.structures.head_model import HeadModel

RESULT = RESULTS / "ablation" / "mfn_ablation.json"
MIN_HEIGHT_PX = 16.0  # of a face in the picture
PRECISION_SCORE = 0.02
POINTS_SCORE = 0.05  # a short run is sure of few boxes, and here the points are what is measured
DETECTION = "detection"


def measure_seed(
    path: Path, groups: Path, sets: Mapping[str, EvaluationSet], model: HeadModel, score: Score
) -> Figures:
    """Measure one network.

    Args:
        path: Its ONNX file.
        groups: Folder of the group photos.
        sets: The evaluation sets for the points; empty for a detector.
        model: The head model.
        score: The evaluation's score.py.
    """
    detector = Predictor.load(path, score=PRECISION_SCORE, reader=False)
    figures: Figures = {"ap": round(measure_precision(groups, detector, MIN_HEIGHT_PX), 4)}
    for name, data in sets.items():
        figures[name] = measure_set(data, Predictor.load(path, score=POINTS_SCORE, reader=False), model, score).figures
    return figures


def table_row(name: str, seeds: Sequence[Figures]) -> str:
    """Return one Markdown line: the run, its mean aligned NME on each set in percent, its mean AP."""
    cells = ["–"] * len(EVALUATION_SETS)
    if name != DETECTION:
        cells = [f"{np.mean([seed[s]['aligned_nme all'] for seed in seeds]):.2f}" for s in EVALUATION_SETS]
    return f"| {name} | {' | '.join(cells)} | {np.mean([seed['ap'] for seed in seeds]):.3f} |"


COLUMNS = (*(f"aflw2000 {band}" for band in ("0-30", "30-60", "60+")), *(f"{name} all" for name in EVALUATION_SETS), "ap")


def columns(seed: Figures) -> list[float]:
    """Return the COLUMNS of one network: aligned NME in percent, and average precision."""
    return [seed[name.split()[0]][f"aligned_nme {name.split()[1]}"] for name in COLUMNS[:-1]] + [seed["ap"]]


def summary(rows: Mapping[str, Sequence[Figures]]) -> Figures:
    """Return the means of all runs, and the differences of the others from the first one."""
    values = {name: np.array([columns(seed) for seed in seeds]) for name, seeds in rows.items()}
    gaps = {name: [as_figures(gap) for gap in line] for name, line in compare(values).items()}
    means = {name: {"mean": value.mean(0).round(4).tolist()} for name, value in values.items()}
    return {"columns": list(COLUMNS), "summary": means, f"against_{next(iter(rows))}": gaps}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("runs", nargs="+", help="NAME=FILE.onnx,FILE.onnx…, one file a seed")
    add_eval_option(parser)
    args = parser.parse_args()
    runs = {name: [Path(path) for path in files.split(",")] for name, files in split_named(args.runs).items()}
    score, model, rows = load_score(args.eval), HeadModel.load(), {}
    sets = {name: read_evaluation_set(args.eval, name) for name in EVALUATION_SETS}
    for name, paths in runs.items():
        chosen = {} if name == DETECTION else sets
        rows[name] = [measure_seed(path, args.eval / "groups", chosen, model, score) for path in paths]
        print(table_row(name, rows[name]), flush=True)
    save_report(args, __file__, {"runs": rows} | (summary(rows) if DETECTION not in rows else {}), runs)


if __name__ == "__main__":
    main()
