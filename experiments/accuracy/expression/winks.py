"""Measure whether a wink stays a wink: the two eyelids of 40 portraits of eight people, by kind of expression.

    python -m experiments.accuracy.expression.winks --eval ../shared/eval

The kinds are wink (one eye shut), sleepy (both shut), normal, surprised and happy. Per kind the script reports the mean
difference |left - right| of eyeBlink, and the mean of the lid that is more shut and of the other lid, over the faces
that are found. It writes experiments/results/accuracy/expression/winks.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import read_tar
from experiments.accuracy.expression.eyelids import BLINK
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
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "expression" / "winks.json"


def read_blinks(predict: Callable[[Image], Faces], pictures: Sequence[Image]) -> NDArray[np.float32]:
    """Return eyeBlink (N, 2), left and right, of the best face of each picture; NaN if there is none."""
    found = [predict(picture).expression[:1, BLINK] for picture in pictures]
    return np.array([blink[0] if len(blink) else [np.nan, np.nan] for blink in found], np.float32).reshape(-1, 2)


def summarize(blinks: NDArray[Any], kinds: NDArray[Any]) -> Figures:
    """Summarize the lids (N, 2) of portraits by their kind (N,)."""
    figures = {}
    for kind in dict.fromkeys(kinds.tolist()):
        rows = blinks[kinds == kind]
        lids = np.sort(rows[np.isfinite(rows[:, 0])], 1)
        mean = lids.mean(0) if len(lids) else np.full(2, np.nan)
        figures[kind] = {
            "portraits": len(rows),
            "found": len(lids),
            "difference": round(float(mean[1] - mean[0]), 3),
            "more shut": round(float(mean[1]), 3),
            "other lid": round(float(mean[0]), 3),
        }
    return figures


def read_kinds(path: Path) -> NDArray[Any]:
    """Return the kind (N,) of each portrait.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected the kinds of the portraits at {path}: give the folder of the sets with --eval")
    with np.load(path, allow_pickle=False) as data:
        return np.asarray(data["kind"])


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_networks_argument(parser)
    add_eval_option(parser)
    args = parser.parse_args()
    networks, figures = split_named(args.networks), {}
    kinds, pictures = read_kinds(args.eval / "yale.npz"), read_tar(args.eval / "yale.tar")
    for name, weights in networks.items():
        figures[name] = summarize(read_blinks(Predictor.load(weights, threads=1), pictures), kinds)
        print(name, figures[name], flush=True)
    save_report(args, __file__, {"networks": figures}, {name: find_model(weights).path for name, weights in networks.items()})


if __name__ == "__main__":
    main()
