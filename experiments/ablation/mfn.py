"""The MFN poster's ablations, on our data: what the labeller's and MFN's own scales are worth, and what faces are worth to a detector.

    python -m experiments.ablation.mfn single-single=a.onnx single-multi=b.onnx multi-multi=c.onnx detection=d.onnx --eval ../shared/eval

Runs: single-scale MFN with labels of a single-scale SFN; the same with labels of a multi-scale SFN; multi-scale MFN with the latter; the
detector alone. All short and from scratch: `mfn fit --config configs/mfn/default.yaml --config configs/mfn/short.yaml --data.labels LABELS`, with
configs/mfn/single_scale.yaml or configs/mfn/detection.yaml; LABELS by experiments/labels/from_network.py with the two SFNs of
experiments/ablation/sfn.py. Several files of one name, divided by commas, are seeds. Aligned NME of the evaluation's score.py (not of the
detector, which has none), and AP of the group photos as experiments/accuracy/groups.py counts. Writes experiments/results/ablation/mfn_ablation.json and
prints Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from experiments.accuracy.benchmarks import SETS, load_score, measure
from experiments.accuracy.groups import average_precision, judge
from mfn.inference.predictor import Predictor
from mfn.structures.head_model import HeadModel
from retarget.io.images import read_image

RESULT = Path(__file__).parents[1] / "results" / "ablation" / "mfn_ablation.json"
LEAST_PX = 16.0  # least height of a face in the network's input


def detection(folder: Path, predictor: Predictor) -> float:
    """Average precision over the group photos."""
    hits, scores, asked = [], [], 0
    for path in sorted(folder.glob("*.jpg")):
        picture = read_image(path)
        faces = predictor(picture)
        told = judge(path, faces, predictor.letterbox(*picture.shape[:2]).factor[1], LEAST_PX)
        hits.append(told.hit[told.judged])
        scores.append(faces.score[told.judged])
        asked += told.asked
    return average_precision(np.concatenate(hits), np.concatenate(scores), asked)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("runs", nargs="+", help="NAME=FILE.onnx,FILE.onnx…, one file a seed")
    parser.add_argument("--eval", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    score, model, rows = load_score(args.eval), HeadModel.load(), {}
    for given in args.runs:
        name, _, files = given.partition("=")
        seeds = []
        for path in files.split(","):
            row = {"ap": round(detection(args.eval / "groups", Predictor.load(path, score=0.02)), 4)}
            if name != "detection":
                # boxes of a short run are sure of little: the pose is what is asked here
                row |= {s: measure(s, args.eval, Predictor.load(path, score=0.05), model, score)[0] for s in SETS}
            seeds.append(row | {"sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()})
        rows[name] = seeds
        nme = [f"{np.mean([s[x]['aligned_nme all'] for s in seeds]):.2f}" if name != "detection" else "–" for x in SETS]
        print(f"| {name} | {' | '.join(nme)} | {np.mean([s['ap'] for s in seeds]):.3f} |", flush=True)
    args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
