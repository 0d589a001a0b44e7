"""Measure the time of rig weights for 1, 100 and 1,000 faces and 60 targets, on one core.

    OMP_NUM_THREADS=1 python -m experiments.speed.rig

The weights of all faces are one matrix product. The script writes experiments/results/speed/rig_speed.json.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from experiments.common import RESULTS, Figures, make_parser, save_report
from retarget import Rig, load_rig
from retarget.arkit import ARKIT_NAMES
from retarget.rig.avatars import find_avatar

RESULT = RESULTS / "speed" / "rig_speed.json"
TARGETS = 60
CASES = ((1, 200), (100, 50), (1000, 10))  # faces, calls a round
ROUNDS = 200


def best_us(run: Callable[[], object], repeats: int, rounds: int = ROUNDS) -> float:
    """Return the microseconds of a call in the fastest round, so that other work on the machine does not count."""
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        best = min(best, (time.perf_counter() - start) / repeats)
    return float(best * 1e6)


def measure(rig: Rig, rounds: int = ROUNDS) -> Figures:
    """Measure a rig whose targets are replaced with 60 that follow one ARKit shape each."""
    rng = np.random.default_rng(0)
    matrix = np.zeros((len(ARKIT_NAMES), TARGETS), np.float32)
    matrix[rng.integers(0, len(ARKIT_NAMES), TARGETS), np.arange(TARGETS)] = 1
    rig = replace(rig, matrix=matrix, moves_back=np.zeros(matrix.shape, np.bool_), rest_weights=np.zeros(TARGETS, np.float32))
    figures: Figures = {"targets": TARGETS, "threads": 1}
    for count, repeats in CASES:
        coefficients = rng.uniform(0, 1, (count, len(ARKIT_NAMES))).astype(np.float32)

        def run(coefficients: np.ndarray = coefficients) -> np.ndarray:
            return rig.weights(coefficients)

        if run().shape != (count, TARGETS):
            raise ValueError(f"expected weights of shape {(count, TARGETS)}, got {run().shape}")
        figures[f"us_{count}"] = round(best_us(run, repeats, rounds), 2)
    return figures


def main() -> None:
    """Run the command."""
    args = make_parser(__doc__, RESULT).parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("expected OMP_NUM_THREADS=1 in the environment: NumPy reads it when it is loaded")
    figures = measure(load_rig(find_avatar("robot")))
    print(figures)
    save_report(args, __file__, figures)


if __name__ == "__main__":
    main()
