"""Detection on group photos: recall, precision and average precision at IoU 0.5.

    python -m experiments.accuracy.groups --groups ../shared/eval/groups [--weights mfn.onnx] [--overlays folder]
    python -m experiments.accuracy.groups --least 16 --out experiments/results/accuracy/groups_16.json --sheet false.png
    python -m experiments.accuracy.groups --tiles --least 16 --out experiments/results/accuracy/groups_tiles.json

Truth is a detector's boxes: those of score >= 0.75 count, the others are neither hit nor false. Only boxes of at least 32 px height in the
network's input count (and detections of that height); with --tiles the height is that in the picture. Prints a line a picture and writes
experiments/results/accuracy/groups.json. The sheet shows every false one at the score of the tables, with the truth that is left aside in gray.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mfn.inference.decode import SCORE
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.tiling import TiledPredictor
from mfn.inference.visualize import draw_faces
from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget.io.files import make_folder
from retarget.io.images import Picture, read_image, write_image

RESULT = Path(__file__).parents[1] / "results" / "accuracy" / "groups.json"
TRUSTED, IOU = 0.75, 0.5


class Judged(NamedTuple):
    """hit (N,), judged (N,): see `match`; asked: true faces that are asked for; aside: (M, 4) boxes of the others."""

    hit: np.ndarray
    judged: np.ndarray
    asked: int
    aside: np.ndarray


def match(box: np.ndarray, score: np.ndarray, true: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Greedy, best score first. true: (T, 4); counts: (T,) whether it is asked for.

    -> hit (N,), judged (N,): False for detections on boxes that are not asked for; found (T,)
    """
    hit, judged, found = np.zeros(len(box), bool), np.ones(len(box), bool), np.zeros(len(true), bool)
    shared = box_iou(box, true)
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


def draw_sheet(path: Path, false: list[tuple[Picture, np.ndarray, float, np.ndarray]], side: int = 160, columns: int = 8) -> None:
    """The false ones (picture, box, score, truth that does not count) beside each other, in order of their scores."""
    import cv2

    cells: list[np.ndarray] = []
    for picture, box, score, aside in sorted(false, key=lambda item: -item[2]):
        middle, reach = (box[:2] + box[2:]) / 2, 1.5 * max(box[2:] - box[:2])
        to_cell = np.array([[1, 0, reach - middle[0]], [0, 1, reach - middle[1]]]) * (side / (2 * reach))
        cell = cv2.warpAffine(picture, to_cell, (side, side), flags=cv2.INTER_CUBIC)
        for rectangle, colour in ((box, (255, 60, 40)), *((b, (150, 150, 150)) for b in aside)):
            x1, y1, x2, y2 = (rectangle.reshape(2, 2) @ to_cell[:, :2].T + to_cell[:, 2]).ravel().round().astype(int).tolist()
            cv2.rectangle(cell, (x1, y1), (x2, y2), colour, 1)
        cv2.putText(cell, f"{score:.2f} {box[3] - box[1]:.0f} px", (3, side - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1)
        cells.append(cell)
    cells += [np.zeros((side, side, 3), np.uint8)] * (-len(cells) % columns or columns * (not cells))
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    write_image(path, np.concatenate(rows))


def judge(path: Path, faces: Faces, factor: float, least: float) -> Judged:
    """The faces found in a picture against its truth. factor: from px of the picture to those in which `least` is told."""
    truth = np.loadtxt(path.with_suffix(".txt"), ndmin=2).reshape(-1, 5)
    counts = ((truth[:, 3] - truth[:, 1]) * factor >= least) & (truth[:, 4] >= TRUSTED)
    hit, judged, _ = match(faces.box, faces.score, truth[:, :4], counts)
    judged &= hit | ((faces.box[:, 3] - faces.box[:, 1]) * factor >= least)
    return Judged(hit, judged, int(counts.sum()), truth[~counts, :4])


def options() -> argparse.Namespace:
    """The command's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--groups", type=Path, default=Path("../shared/eval/groups"))
    parser.add_argument("--weights", default="small")
    parser.add_argument("--score", type=float, default=SCORE, help="score at which recall and precision are told")
    parser.add_argument("--least", type=float, default=32.0, help="least height of a box in the network's input, px")
    parser.add_argument("--tiles", action="store_true", help="look in tiles for faces of --least px in the picture")
    parser.add_argument("--sheet", type=Path, help="picture of the false ones")
    parser.add_argument("--overlays", type=Path, help="folder for the drawn pictures")
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args()


def main() -> None:
    """Measures, prints, writes."""
    args = options()
    predictor: Predictor | TiledPredictor = Predictor.load(args.weights, score=0.02, threads=1)
    if args.tiles:
        predictor = TiledPredictor(predictor, max(4, args.least))
    hits, scores, positives, rows, false = [], [], 0, {}, []
    seconds = megapixels = 0.0
    for path in sorted(args.groups.glob("*.jpg")):
        picture = read_image(path)
        start = time.process_time()
        faces = predictor(picture)
        seconds, megapixels = seconds + time.process_time() - start, megapixels + picture[..., 0].size / 1e6
        factor = 1.0 if args.tiles else predictor.letterbox(*picture.shape[:2]).factor[1]
        hit, judged, count, aside = judge(path, faces, factor, args.least)
        hits.append(hit[judged])
        scores.append(faces.score[judged])
        positives += count
        sure = judged & (faces.score >= args.score)
        rows[path.name] = {"faces": count, "hits": int(hit[sure].sum()), "false": int((~hit[sure]).sum())}
        print(path.name, rows[path.name], flush=True)
        false += [(picture, faces.box[i], float(faces.score[i]), aside) for i in np.flatnonzero(sure & ~hit)]
        if args.overlays:
            make_folder(args.overlays)
            drawn = draw_faces(picture, faces[faces.score >= args.score], HeadModel.load())
            write_image(args.overlays / (path.stem + ".png"), drawn)
    if args.sheet:
        draw_sheet(args.sheet, false)
    hit, score = np.concatenate(hits), np.concatenate(scores)
    sure = score >= args.score
    result = {
        "weights_sha256": hashlib.sha256(find_model(args.weights)[0].read_bytes()).hexdigest(),
        "least_px": args.least,
        "score": args.score,
        "tiles": args.tiles,
        "cpu_seconds_per_megapixel": round(seconds / megapixels, 3),
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
