"""Measure the map between our coefficients and those of another head model.

    python -m experiments.head_model.measure.adapters --ict ICT-FaceKit/FaceXModel
    python -m experiments.head_model.measure.adapters --flame flame2023.pkl --bfm model2019_bfm.h5 --out adapters.json

Each model is laid on ours, in both directions. The error is the mean distance of points that lie on both, over random heads: identities
from N(0, 1), 15 % of the blendshapes at random strength, or principal components from N(0, 1). `neutral` is the error of the mean head,
which is a part of it. The script writes experiments/results/head_model/measure/adapters.json.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.structures.head_model import DEFAULT_FILE, HeadModel

RESULT = RESULTS / "head_model" / "measure" / "adapters.json"
READERS = {"ict": HeadModel.from_ict, "flame": HeadModel.from_flame, "bfm": HeadModel.from_bfm}


def measure(source: HeadModel, target: HeadModel, heads: int) -> Figures:
    """Fit one map and return its figures."""
    found = source.map_to(target)
    neutral = found(np.zeros((1, source.identity_size)), np.zeros((1, len(source.expression_names))))
    return {
        "points": len(found.matches.vertex),
        "error_mm": round(found.typical_error_mm(heads), 3),
        "neutral_mm": round(float(neutral.error_mm[0]), 3),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    for name in READERS:
        parser.add_argument(f"--{name}", type=Path, help=f"the file or folder for HeadModel.from_{name}")
    parser.add_argument("--heads", type=int, default=200, help="number of random heads")
    options = parser.parse_args()
    paths = {name: path for name in READERS if (path := getattr(options, name))}
    if not paths:
        raise SystemExit(f"expected one of {', '.join('--' + name for name in READERS)}")
    ours, figures = HeadModel.load(), Figures(heads=options.heads)
    for name, path in paths.items():
        other = READERS[name](path)
        sizes = {"vertices": len(other.mean), "identity": other.identity_size, "expression": len(other.expression_names)}
        figures[name] = sizes | {"from ours": measure(ours, other, options.heads), "to ours": measure(other, ours, options.heads)}
    save_report(options, __file__, figures, DEFAULT_FILE)


if __name__ == "__main__":
    main()
