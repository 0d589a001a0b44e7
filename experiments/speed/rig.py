"""Rig weights of 1, 100 and 1,000 faces x 60 targets in microseconds, one core: one product, whatever the number.

    OMP_NUM_THREADS=1 python -m experiments.speed.rig
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is loaded

import numpy as np

from retarget import load_rig
from retarget.arkit import ARKIT_NAMES
from retarget.rig.avatars import find_avatar

TARGETS = 60


def best_us(run, repeats: int) -> float:
    """Least time of a call over rounds of `repeats` calls, so that what else runs on the machine does not count."""
    least = np.inf
    for _ in range(200):
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        least = min(least, (time.perf_counter() - start) / repeats)
    return least * 1e6


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "speed" / "rig_speed.json")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    matrix = np.zeros((len(ARKIT_NAMES), TARGETS), np.float32)
    matrix[rng.integers(0, len(ARKIT_NAMES), TARGETS), np.arange(TARGETS)] = 1
    rig = replace(load_rig(find_avatar("robot")), matrix=matrix, rest_weights=np.zeros(TARGETS, np.float32))
    result: dict[str, object] = {"targets": TARGETS, "threads": 1}
    for count, repeats in ((1, 200), (100, 50), (1000, 10)):
        coefficients = rng.uniform(0, 1, (count, len(ARKIT_NAMES))).astype(np.float32)
        assert rig.weights(coefficients).shape == (count, TARGETS)
        result[f"us_{count}"] = round(best_us(lambda c=coefficients: rig.weights(c), repeats), 2)
    print(result)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
