"""Compare short runs of one SFN: multi-scale branches, and each part of the training data.

    python -m experiments.accuracy.ablation.sfn multi=m1.onnx,m2.onnx,m3.onnx single=s1.onnx,s2.onnx,s3.onnx none=n.onnx --eval EVAL

Several files of one name, separated by commas, are seeds. The first run is compared with every other one: the difference
of each figure, with the 95 % confidence interval of the mean over seeds (Student's t; none for a single seed). MFN finds
the boxes. The script writes experiments/results/ablation/sfn_ablation.json and prints Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import EVALUATION_SETS, Score, load_score
from experiments.accuracy.single_face import BoxedSet, accuracy, draw_heads, expression_error, read_sets
from experiments.common import RESULTS, Figures, add_eval_option, make_parser, markdown_table, save_report, split_named
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.faces import Faces
from retarget.io.images import Image

RESULT = RESULTS / "ablation" / "sfn_ablation.json"
COLUMNS = (
    *(f"aflw2000 aligned {yaw}" for yaw in ("0-30", "30-60", "60+")),
    *(f"{name} aligned all" for name in EVALUATION_SETS),
    "expression_error",
)
CONFIDENCE = 0.95


class Difference(NamedTuple):
    """Hold the mean difference of two runs and half the width of its 95 % confidence interval, None for one seed."""

    mean: float
    half_width: float | None

    def __str__(self) -> str:
        return f"{self.mean:+.3f}" + ("" if self.half_width is None else f" ± {self.half_width:.3f}")


def difference(values: NDArray[np.float64]) -> Difference:
    """Summarize the differences (S,) of S seeds with Student's t distribution."""
    from scipy import stats

    count = len(values)
    if count < 2:
        return Difference(float(values.mean()), None)
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)
    return Difference(float(values.mean()), float(quantile * values.std(ddof=1) / np.sqrt(count)))


def measure_seed(
    path: Path, sets: Mapping[str, BoxedSet], heads: Sequence[tuple[Image, Faces]], score: Score
) -> list[float]:
    """Measure the COLUMNS of one network."""
    network = SingleFace.load(path)
    figures = accuracy(network, 1, sets, score) | {"expression_error": expression_error(network, heads)}
    return [figures[column] for column in COLUMNS]


def compare(runs: Mapping[str, NDArray[np.float64]]) -> dict[str, list[Difference]]:
    """Compare the first run with the others.

    Args:
        runs: Name -> figures (S, C) of S seeds. Seeds that only one of two runs has are left out.

    Returns:
        Name -> C differences, the run minus the first one.
    """
    first, *others = runs
    result = {}
    for name in others:
        shared = min(len(runs[name]), len(runs[first]))
        gaps = runs[name][:shared] - runs[first][:shared]
        result[name] = [difference(column) for column in gaps.T]
    return result


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("runs", nargs="+", help="NAME=FILE.onnx,FILE.onnx…, one file a seed")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with backgrounds.tar")
    add_eval_option(parser)
    args = parser.parse_args()
    files = {name: [Path(path) for path in paths.split(",")] for name, paths in split_named(args.runs).items()}
    score, heads = load_score(args.eval), draw_heads(args.data, 200)
    sets = read_sets(args.eval, Predictor.load("large", score=0.3))
    runs = {name: np.array([measure_seed(path, sets, heads, score) for path in paths]) for name, paths in files.items()}
    gaps = compare(runs)
    first = next(iter(runs))
    rows = [[f"{name} ({len(values)})", *(f"{v:.3f}" for v in values.mean(0))] for name, values in runs.items()]
    rows += [[f"{name} minus {first}", *map(str, line)] for name, line in gaps.items()]
    print(markdown_table(["run (seeds)", *COLUMNS], rows))
    figures: Figures = {
        "columns": list(COLUMNS),
        "runs": {name: {"mean": values.mean(0).round(3).tolist()} for name, values in runs.items()},
        "against_" + first: {name: [as_figures(gap) for gap in line] for name, line in gaps.items()},
    }
    save_report(args, __file__, figures, files)


def as_figures(gap: Difference) -> Figures:
    """Return a difference as rounded JSON values."""
    half_width = None if gap.half_width is None else round(gap.half_width, 4)
    return {"difference": round(gap.mean, 4), "interval95": half_width}


if __name__ == "__main__":
    main()
