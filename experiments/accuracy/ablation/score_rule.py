"""Choose how the scores and boxes of the multi-face network and of the face reader are combined (`ScoreRule`).

    python -m experiments.accuracy.ablation.score_rule --data ../shared/data --network large

The photos are held out from training: every 50th photo of crowds with hand-drawn boxes, at its own size, smaller, and squeezed, and
every fifth photo without faces. For each weight of the reader's logit and each share of its box, the script reports the average
precision at an IoU of 0.4; and for the rule in use, recall and precision for several limits of the sum of the logits, with the number
of photos without faces in which a face is found. The script writes experiments/results/ablation/score_rule.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.groups import average_precision, match
from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.inference.model_zoo import find_model
from mfn.inference.nms import SAME_FACE_IOU, nms
from mfn.inference.predictor import Predictor
from mfn.inference.readers.face_reader import CANDIDATE_SCORE
from mfn.training.packs.reader import held_out, read_pictures
from retarget.io.images import Image

RESULT = RESULTS / "ablation" / "score_rule.json"
SHRINKS = ((1.0, 1.0), (0.4, 0.4), (0.25, 0.25), (0.5, 0.75))  # width and height of a copy relative to the photo
EVERY_BACKGROUND = 5
MIN_SCORE = CANDIDATE_SCORE
CROP_WEIGHTS = (0.0, 0.5, 0.7, 1.0, 1.4)
BOX_SHARES = (0.0, 0.5, 0.75, 1.0)
LIMITS = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)
HIT_IOU = 0.4


class Looks(NamedTuple):
    """Hold what both networks say of the N candidates of a picture, and the hand-drawn boxes.

    Attributes:
        dense, crop: (N,) logits of the multi-face network and of the reader.
        dense_box, crop_box: (N, 4) x1 y1 x2 y2 in px of the picture.
        true: (T, 4).
    """

    dense: NDArray[np.float64]
    crop: NDArray[np.float64]
    dense_box: NDArray[np.float32]
    crop_box: NDArray[np.float32]
    true: NDArray[np.float64]


def look(predictor: Predictor, picture: Image, true: NDArray[np.float64], shrink: tuple[float, float] = (1.0, 1.0)) -> Looks:
    """Let both networks look at a picture, or at a copy of it.

    Args:
        predictor: Has a face reader.
        picture: (H, W, 3) uint8 RGB.
        true: (T, 4) boxes in px of the picture.
        shrink: Width and height of the copy relative to the picture.
    """
    if min(shrink) < 1:
        picture = cv2.resize(picture, None, fx=shrink[0], fy=shrink[1], interpolation=cv2.INTER_AREA)
    assert predictor.reader is not None
    found = predictor.finder.find(picture, predictor.passes(*picture.shape[:2]), CANDIDATE_SCORE).faces
    reading = predictor.reader.read(picture, found)
    score = np.clip(found.score.astype(float), 1e-6, 1 - 1e-6)
    return Looks(np.log(score / (1 - score)), reading.logit.astype(float), found.box, reading.box, true * np.tile(shrink, 2))


def judge(looks: Sequence[Looks], crop_weight: float, box_share: float) -> tuple[NDArray[np.bool_], NDArray[np.float64], int]:
    """Return which detections of several pictures are right, their summed logits, and the number of true boxes."""
    hits, scores = [np.zeros(0, bool)], [np.zeros(0)]
    for one in looks:
        score = one.dense + crop_weight * one.crop
        box = one.dense_box + box_share * (one.crop_box - one.dense_box)
        rows = np.flatnonzero(nms(box, score, SAME_FACE_IOU))
        hits.append(match(box[rows], score[rows], one.true, np.ones(len(one.true), bool), HIT_IOU).hit)
        scores.append(score[rows])
    return np.concatenate(hits), np.concatenate(scores), sum(len(one.true) for one in looks)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, required=True, help="folder with scenes/scenes.tar, scenes/scenes.npz and backgrounds.tar")
    parser.add_argument("--network", default="large", help="the multi-face network")
    parser.add_argument("--reader", type=Path, help="the face reader, an ONNX file (default: that of the network)")
    args = parser.parse_args()
    with np.load(args.data / "scenes" / "scenes.npz") as file:
        box, number, count = file["box"].astype(np.float64), file["box_picture"], len(file["picture_size"])
    rows = np.flatnonzero(held_out(count))
    photos = read_pictures(args.data / "scenes" / "scenes.tar", int(rows[1] - rows[0]))
    predictor = Predictor.load(args.network, score=MIN_SCORE, reader=args.reader or True, threads=1)
    assert predictor.reader is not None
    rule = predictor.reader.rules.score
    empty = [look(predictor, photo, np.zeros((0, 4))) for photo in read_pictures(args.data / "backgrounds.tar", EVERY_BACKGROUND)]
    figures: Figures = {}
    for shrink in SHRINKS:
        looks = [look(predictor, photo, box[number == i], shrink) for i, photo in zip(rows, photos, strict=True)]
        precision = {
            f"crop {weight}, box {share}": round(average_precision(*judge(looks, weight, share)), 4)
            for weight in CROP_WEIGHTS
            for share in BOX_SHARES
        }
        hit, score, positives = judge(looks, rule.crop, rule.box)
        best = [float((one.dense + rule.crop * one.crop).max(initial=-np.inf)) for one in empty]
        limits = {
            str(limit): {
                "recall": round(float(hit[score >= limit].sum() / positives), 4),
                "precision": round(float(hit[score >= limit].mean()), 4),
                "photos with a false face": sum(b >= limit for b in best),
            }
            for limit in LIMITS
        }
        name = f"shrunk to {shrink[0]:g}" + (f" x {shrink[1]:g}" if shrink[0] != shrink[1] else "")
        figures[name] = {"ap": precision, "rule in use, by limit": limits}
        print(name, figures[name], flush=True)
    report = {"photos": len(photos), "photos without faces": len(empty), "sizes": figures}
    weights = {"network": find_model(args.network).path, "reader": predictor.reader.weights or Path()}
    save_report(args, __file__, report, weights)


if __name__ == "__main__":
    main()
