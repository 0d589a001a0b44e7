"""Measure face detection on group photos: recall, precision and average precision at IoU 0.5.

    python -m experiments.accuracy.groups --groups ../shared/eval/groups
    python -m experiments.accuracy.groups --min-face 32 --out experiments/results/accuracy/groups/groups_32.json --sheet false.png

The true boxes come from a detector: those with a score of 0.75 or more count; a prediction on one of the others is
neither right nor wrong. Only boxes of at least `--min-face` px height in the picture count, and only predictions of that
height. The script prints one line a picture and writes experiments/results/accuracy/groups/groups.json. The sheet shows
all false detections; true boxes that do not count are gray.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, picture_grid, save_report
from mfn.inference.decode import SCORE
from mfn.inference.model_zoo import MIN_FACE_PX, find_model
from mfn.inference.predictor import Predictor
from mfn.inference.visualize import draw_faces
from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget.io.files import make_folder
from retarget.io.images import Image, read_image, write_image

RESULT = RESULTS / "accuracy" / "groups" / "groups.json"
MIN_TRUE_SCORE = 0.75
HIT_IOU, IGNORE_IOU = 0.5, 0.3
RED, GRAY, WHITE = (255, 60, 40), (150, 150, 150), (255, 255, 255)


class Matches(NamedTuple):
    """Hold the matches of N predicted with T true boxes.

    hit: (N,) bool, lies on a true box that counts; counted: (N,) bool, False for predictions that are neither right nor
    wrong; found: (T,) bool, true boxes that are hit.
    """

    hit: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    found: NDArray[np.bool_]


class Judgment(NamedTuple):
    """Hold the result of one picture.

    hit, counted: (N,) as in `Matches`; positives: number of true boxes that count; ignored: (M, 4) the other true boxes.
    """

    hit: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    positives: int
    ignored: NDArray[np.float64]


class FalseDetection(NamedTuple):
    """Hold one false detection: the picture, its box (4,) and score, and the true boxes (M, 4) that do not count."""

    picture: Image
    box: NDArray[np.float32]
    score: float
    ignored: NDArray[np.float64]


def match(
    box: NDArray[Any], score: NDArray[Any], true: NDArray[Any], counts: NDArray[np.bool_], hit_iou: float = HIT_IOU
) -> Matches:
    """Match predictions with true boxes greedily, the highest score first.

    Args:
        box: (N, 4) predicted boxes.
        score: (N,) their scores.
        true: (T, 4) true boxes.
        counts: (T,) whether a true box counts.
        hit_iou: Overlap from which a prediction is right.
    """
    hit, counted, found = np.zeros(len(box), bool), np.ones(len(box), bool), np.zeros(len(true), bool)
    if len(true) == 0:
        return Matches(hit, counted, found)
    iou = box_iou(box, true)
    for i in np.argsort(-score, kind="stable"):
        free = np.where(counts & ~found, iou[i], 0)
        if free.max() >= hit_iou:
            hit[i] = found[int(free.argmax())] = True
        elif iou[i].max() >= IGNORE_IOU:
            counted[i] = counts[int(iou[i].argmax())]
    return Matches(hit, counted, found)


def average_precision(hit: NDArray[np.bool_], score: NDArray[Any], positives: int) -> float:
    """Return the area under the precision-recall curve at all points, with precision made monotone.

    Args:
        hit: (N,) whether a prediction is right.
        score: (N,) its score.
        positives: Number of true boxes.

    This is the definition of PASCAL VOC 2010. COCO's, which torchmetrics has, samples 101 points and cannot leave
    predictions out that are neither right nor wrong.
    """
    order = np.argsort(-score, kind="stable")
    true = np.cumsum(hit[order])
    recall, precision = true / max(positives, 1), true / np.arange(1, len(order) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate([[0], recall])) * precision))


def judge(path: Path, faces: Faces, min_height_px: float) -> Judgment:
    """Compare the faces found in a picture with its true boxes, which lie beside it in a .txt file.

    Args:
        path: The picture.
        faces: Predictions in px of the picture.
        min_height_px: Lower boxes do not count, px of the picture.
    """
    truth = np.loadtxt(path.with_suffix(".txt"), ndmin=2).reshape(-1, 5)
    counts = (truth[:, 3] - truth[:, 1] >= min_height_px) & (truth[:, 4] >= MIN_TRUE_SCORE)
    hit, counted, _ = match(faces.box, faces.score, truth[:, :4], counts)
    counted &= hit | (faces.box[:, 3] - faces.box[:, 1] >= min_height_px)
    return Judgment(hit, counted, int(counts.sum()), truth[~counts, :4])


def pooled_precision(judgments: Sequence[Judgment], scores: Sequence[NDArray[Any]]) -> float:
    """Return the average precision over the predictions of several pictures together."""
    hit = np.concatenate([judgment.hit[judgment.counted] for judgment in judgments])
    score = np.concatenate([score[judgment.counted] for judgment, score in zip(judgments, scores, strict=True)])
    return average_precision(hit, score, sum(judgment.positives for judgment in judgments))


def measure_precision(folder: Path, predictor: Callable[[Image], Faces], min_height_px: float) -> float:
    """Return the average precision of a network over all group photos of a folder.

    Args:
        folder: The photos with their true boxes.
        predictor: The network, with a low minimum score.
        min_height_px: Lower boxes do not count, px of the picture.
    """
    judgments, scores = [], []
    for path in sorted(folder.glob("*.jpg")):
        picture = read_image(path)
        faces = predictor(picture)
        judgments.append(judge(path, faces, min_height_px))
        scores.append(faces.score)
    return pooled_precision(judgments, scores)


def draw_false(path: Path, false: Sequence[FalseDetection], side_px: int = 160, columns: int = 8) -> None:
    """Draw the false detections side by side, the highest score first."""
    import cv2

    tiles: list[Image] = []
    for item in sorted(false, key=lambda item: -item.score):
        middle, reach = (item.box[:2] + item.box[2:]) / 2, 1.5 * max(item.box[2:] - item.box[:2])
        to_tile = np.array([[1, 0, reach - middle[0]], [0, 1, reach - middle[1]]]) * (side_px / (2 * reach))
        tile = np.asarray(cv2.warpAffine(item.picture, to_tile, (side_px, side_px), flags=cv2.INTER_CUBIC), np.uint8)
        for rectangle, color in ((item.box, RED), *((box, GRAY) for box in item.ignored)):
            x1, y1, x2, y2 = (rectangle.reshape(2, 2) @ to_tile[:, :2].T + to_tile[:, 2]).ravel().round().astype(int).tolist()
            cv2.rectangle(tile, (x1, y1), (x2, y2), color, 1)
        text = f"{item.score:.2f} {item.box[3] - item.box[1]:.0f} px"
        cv2.putText(tile, text, (3, side_px - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, WHITE, 1)
        tiles.append(tile)
    write_image(path, picture_grid(tiles or [np.zeros((side_px, side_px, 3), np.uint8)], columns))


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--groups", type=Path, default=Path("../shared/eval/groups"), help="folder of the group photos")
    parser.add_argument("--weights", default="large", help="small, large, free or an ONNX file")
    parser.add_argument("--score", type=float, default=SCORE, help="minimum score for recall and precision")
    parser.add_argument("--min-face", type=float, default=MIN_FACE_PX, help="height of the smallest face to find, px of the picture")
    parser.add_argument("--sheet", type=Path, help="picture of the false detections")
    parser.add_argument("--overlays", type=Path, help="folder for the pictures with the faces drawn on them")
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_arguments()
    predictor = Predictor.load(args.weights, min_face_px=args.min_face, score=0.02, threads=1)
    judgments: list[Judgment] = []
    scores: list[NDArray[np.float32]] = []
    rows: Figures = {}
    false: list[FalseDetection] = []
    seconds = megapixels = 0.0
    for path in sorted(args.groups.glob("*.jpg")):
        picture = read_image(path)
        start = time.process_time()
        faces = predictor(picture)
        seconds, megapixels = seconds + time.process_time() - start, megapixels + picture[..., 0].size / 1e6
        judgment = judge(path, faces, args.min_face)
        judgments.append(judgment)
        scores.append(faces.score)
        kept = judgment.counted & (faces.score >= args.score)
        rows[path.name] = {
            "faces": judgment.positives,
            "hits": int(judgment.hit[kept].sum()),
            "false": int((~judgment.hit[kept]).sum()),
        }
        print(path.name, rows[path.name], flush=True)
        wrong = np.flatnonzero(kept & ~judgment.hit)
        false += [FalseDetection(picture, faces.box[i], float(faces.score[i]), judgment.ignored) for i in wrong]
        if args.overlays:
            drawn = draw_faces(picture, faces[faces.score >= args.score], HeadModel.load())
            write_image(make_folder(args.overlays) / f"{path.stem}.png", drawn)
    if args.sheet:
        draw_false(args.sheet, false)
    hits, wrong_count, positives = (sum(row[key] for row in rows.values()) for key in ("hits", "false", "faces"))
    figures = {
        "min_face_px": args.min_face,
        "score": args.score,
        "cpu_seconds_per_megapixel": round(seconds / megapixels, 3),
        "faces": positives,
        "recall": round(hits / max(positives, 1), 4),
        "precision": round(hits / max(hits + wrong_count, 1), 4),
        "ap": round(pooled_precision(judgments, scores), 4),
    }
    print(figures)
    save_report(args, __file__, figures | {"pictures": rows}, find_model(args.weights).path)


if __name__ == "__main__":
    main()
