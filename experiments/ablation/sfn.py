"""What multi-scale branches are worth, and each part of the training data: short runs of one SFN, compared picture by picture.

    python -m experiments.ablation.sfn multi=m1.onnx,m2.onnx,m3.onnx single=s1.onnx,s2.onnx,s3.onnx none=n.onnx profiles=p.onnx

Runs of one name differ in their seed. The first name is compared with every other: difference of the aligned NME, with the 95 %
confidence interval of the mean over seeds (Student's t; none for a single seed). Boxes are MFN's. Writes
experiments/results/ablation/sfn_ablation.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from experiments.accuracy.benchmarks import SETS, load_score
from experiments.accuracy.single_face import accuracy, read_sets, synthetic
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace

RESULT = Path(__file__).parents[1] / "results" / "ablation" / "sfn_ablation.json"
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}  # two-sided quantiles of Student's t by degrees of freedom


def interval(differences: np.ndarray) -> tuple[float, float | None]:
    """Mean of the seeds' differences (S,), and half the width of its 95 % confidence interval."""
    count = len(differences)
    if count < 2:
        return float(differences.mean()), None
    return float(differences.mean()), float(T95.get(count - 1, 2.0) * differences.std(ddof=1) / np.sqrt(count))


def main() -> None:
    """Measures, compares, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("runs", nargs="+", help="NAME=FILE.onnx,FILE.onnx…, one file a seed")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--eval", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    score, heads = load_score(args.eval), synthetic(args.data, 200)
    cases = read_sets(args.eval, Predictor.load("large", score=0.3))
    columns = [f"aflw2000 aligned {yaw}" for yaw in ("0-30", "30-60", "60+")]
    columns += [*(f"{s} aligned all" for s in SETS), "expression_error"]
    rows: dict[str, np.ndarray] = {}
    digests: dict[str, list[str]] = {}
    for given in args.runs:
        name, _, files = given.partition("=")
        seeds = []
        for path in files.split(","):
            network = SingleFace.load(path)
            row = accuracy(network, 1, cases, score)
            gaps = [np.abs(network(picture, face.box).expression - face.expression).mean() for picture, face in heads]
            row["expression_error"] = float(np.mean(gaps))
            seeds.append([row[c] for c in columns])
            digests.setdefault(name, []).append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
        rows[name] = np.array(seeds)
    result: dict = {"columns": columns, "runs": {n: {"mean": v.mean(0).round(3).tolist(), "sha256": digests[n]} for n, v in rows.items()}}
    print("| run (seeds) | " + " | ".join(columns) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for name, values in rows.items():
        print(f"| {name} ({len(values)}) | " + " | ".join(f"{v:.3f}" for v in values.mean(0)) + " |")
    first, *others = rows
    result["against_" + first] = {}
    for name in others:
        shared = min(len(rows[name]), len(rows[first]))
        gaps = [interval(rows[name][:shared, k] - rows[first][:shared, k]) for k in range(len(columns))]
        told = [f"{m:+.3f}" + (f" ± {h:.3f}" if h is not None else "") for m, h in gaps]
        print(f"| {name} minus {first} | " + " | ".join(told) + " |")
        result["against_" + first][name] = [{"difference": round(m, 4), "interval95": None if h is None else round(h, 4)} for m, h in gaps]
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
