"""Measure what the enlargement of a picture gives: the recall of faces by their height, and the precision.

    python -m experiments.accuracy.ablation.enlargement --data ../shared/data

The photos are held out from training: every 50th photo of crowds with hand-drawn boxes. Each is made smaller, so that many of its faces
have 12 to 32 px, and read at several enlargements with the readers. A face is found if a detection at the default score has an IoU of at
least 0.4 with it. The script writes experiments/results/ablation/enlargement.json. `MAX_ENLARGED_PX` in mfn/inference/model_zoo.py was
chosen with these figures.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.structures.boxes import box_iou
from mfn.training.packs.reader import held_out, read_pictures

RESULT = RESULTS / "ablation" / "enlargement.json"
SHRINKS = (0.5, 0.6)
ENLARGEMENTS = (1.0, 1.125, 1.25, 1.5, 2.0)
HEIGHTS_PX = (0, 12, 16, 20, 24, 32, 48, 10_000)
HIT_IOU = 0.4


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, required=True, help="folder with scenes/scenes.tar and scenes/scenes.npz")
    parser.add_argument("--network", default="large", help="the multi-face network")
    args = parser.parse_args()
    with np.load(args.data / "scenes" / "scenes.npz") as file:
        box, number, count = file["box"].astype(np.float64), file["box_picture"], len(file["picture_size"])
    rows = np.flatnonzero(held_out(count))
    photos = list(read_pictures(args.data / "scenes" / "scenes.tar", int(rows[1] - rows[0])))
    predictor = Predictor.load(args.network, threads=1)
    assert predictor.reader is not None
    figures: Figures = {}
    for enlargement in ENLARGEMENTS:
        predictor.min_face_px = predictor.finder.limits.face_range.min_px / enlargement
        hit, height, found = [np.zeros(0, bool)], [np.zeros(0)], 0
        for shrink in SHRINKS:
            for row, photo in zip(rows, photos, strict=True):
                small = cv2.resize(photo, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
                true, faces = box[number == row] * shrink, predictor(small)
                found += len(faces)
                height.append(true[:, 3] - true[:, 1])
                hit.append(box_iou(true.astype(np.float32), faces.box).max(1, initial=0) >= HIT_IOU)
        hits, heights = np.concatenate(hit), np.concatenate(height)
        recall: Figures = {}
        for low, high in zip(HEIGHTS_PX, HEIGHTS_PX[1:], strict=False):
            inside = (heights >= low) & (heights < high)
            recall[f"{low} to {high} px"] = {"faces": int(inside.sum()), "recall": round(float(hits[inside].mean()), 3)}
        figures[str(enlargement)] = {"recall by height": recall, "precision": round(float(hits.sum() / max(found, 1)), 3)}
        print(enlargement, figures[str(enlargement)], flush=True)
    weights = {"network": find_model(args.network).path, "reader": predictor.reader.weights or Path()}
    save_report(args, __file__, {"photos": len(photos), "shrunk to": list(SHRINKS), "enlargements": figures}, weights)


if __name__ == "__main__":
    main()
