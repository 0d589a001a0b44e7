"""Detection on group photos: recall, precision and average precision at IoU 0.5.

    python experiments/groups.py --groups ../shared/eval/groups [--weights mfn.onnx] [--overlays folder]

Truth is a detector's boxes: those of score >= 0.75 count, the others are neither hit nor false. Only boxes of at least 32 px height in the
network's input count (and detections of that height). Prints a line a picture and writes experiments/results/groups.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from mfn.draw import draw_faces
from mfn.head_model import HeadModel
from mfn.nms import overlaps
from mfn.pictures import read_picture
from mfn.predictor import WEIGHTS, Predictor

RESULT = Path(__file__).parent / "results" / "groups.json"
TRUSTED, IOU = 0.75, 0.5


def match(box: np.ndarray, score: np.ndarray, true: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Greedy, best score first. true: (T, 4); counts: (T,) whether it is asked for.

    -> hit (N,), judged (N,): False for detections on boxes that are not asked for; found (T,)
    """
    hit, judged, found = np.zeros(len(box), bool), np.ones(len(box), bool), np.zeros(len(true), bool)
    shared = overlaps(box, true)
    for i in np.argsort(-score, kind="stable"):
        free = np.where(found, 0, shared[i]) if len(true) else np.zeros(0)
        wanted = np.where(counts, free, 0)
        if len(true) and wanted.max() >= IOU:
            hit[i], found[int(wanted.argmax())] = True, True
        elif len(true) and shared[i].max() >= 0.3:
            judged[i] = counts[int(shared[i].argmax())]
    return hit, judged, found


def average_precision(hit: np.ndarray, score: np.ndarray, positives: int) -> float:
    """Area under precision over recall, precision made monotone (all points, as COCO and VOC 2010)."""
    order = np.argsort(-score, kind="stable")
    true = np.cumsum(hit[order])
    recall, precision = true / max(positives, 1), true / np.arange(1, len(order) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate([[0], recall])) * precision))


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--groups", type=Path, default=Path("../shared/eval/groups"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--score", type=float, default=0.65, help="score at which recall and precision are told")
    parser.add_argument("--least", type=float, default=32.0, help="least height of a box in the network's input, px")
    parser.add_argument("--overlays", type=Path, help="folder for the drawn pictures")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    predictor = Predictor.load(args.weights, score=0.02)
    model = HeadModel.load()
    hits, judged_score, positives, rows = [], [], 0, {}
    for path in sorted(args.groups.glob("*.jpg")):
        picture = read_picture(path)
        faces = predictor(picture)
        truth = np.loadtxt(path.with_suffix(".txt"), ndmin=2).reshape(-1, 5)
        factor = predictor.letterbox(*picture.shape[:2]).factor[1]
        tall = (truth[:, 3] - truth[:, 1]) * factor >= args.least
        counts = tall & (truth[:, 4] >= TRUSTED)
        hit, judged, found = match(faces.box, faces.score, truth[:, :4], counts)
        judged &= hit | ((faces.box[:, 3] - faces.box[:, 1]) * factor >= args.least)
        hits.append(hit[judged])
        judged_score.append(faces.score[judged])
        positives += int(counts.sum())
        sure = judged & (faces.score >= args.score)
        rows[path.name] = {"faces": int(counts.sum()), "hits": int(hit[sure].sum()), "false": int((~hit[sure]).sum())}
        print(path.name, rows[path.name])
        if args.overlays:
            import cv2

            args.overlays.mkdir(parents=True, exist_ok=True)
            drawn = draw_faces(picture, faces[faces.score >= args.score], model)
            cv2.imwrite(str(args.overlays / (path.stem + ".png")), drawn[..., ::-1])
    hit, score = np.concatenate(hits), np.concatenate(judged_score)
    sure = score >= args.score
    result = {
        "weights_sha256": hashlib.sha256(args.weights.read_bytes()).hexdigest(),
        "least_px": args.least,
        "score": args.score,
        "faces": positives,
        "recall": round(float(hit[sure].sum() / max(positives, 1)), 4),
        "precision": round(float(hit[sure].mean()), 4) if sure.any() else 0.0,
        "ap": round(average_precision(hit, score, positives), 4),
        "pictures": rows,
    }
    print({k: v for k, v in result.items() if k != "pictures"})
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
