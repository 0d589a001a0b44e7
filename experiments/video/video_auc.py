"""Measure the area under the NME curve on video frames, in three scenarios, as the MFN poster's chart does.

    python -m experiments.video.video_auc mfn=large sfn=mfn/weights/sfn.onnx --eval ../shared/eval

No training saw the people in these frames. The curve is the share of faces whose aligned NME (from the evaluation's own
score.py) lies below a limit. Its area is taken from 0 to 8 % and divided by 8 %, so that 1 is perfect. A missed face
lies below no limit. Scenarios: the frames as they are; dark (a third of the light, with camera noise); far and moving
(the face at 40 px, with motion blur). A network of one face reads the boxes that MFN large finds in the same frames.
The script writes experiments/results/video/video_auc.json and prints Markdown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.accuracy.evaluation_sets import (
    EvaluationSet,
    Score,
    box_of_points,
    face_at,
    load_score,
    read_evaluation_set,
)
from experiments.common import RESULTS, Figures, add_eval_option, make_parser, save_report, split_named
from mfn.inference.model_zoo import MODELS, find_model
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget.io.images import Image

RESULT = RESULTS / "video" / "video_auc.json"
LIMIT_PERCENT = 8.0
LIGHT, DARK_NOISE_LEVELS = 0.33, 7.0
FAR_PX, BLUR_PX = 40.0, 3  # size of the face, length of the motion
MFN_PREFIX = "mfn:"


class Changed(NamedTuple):
    """Hold the frame of a scenario and the factor from px of the original frame to px of this one."""

    picture: Image
    factor: float


Scenario = Callable[[Image, float], Changed]  # (frame, size of its face in px) -> the frame in the scenario
FaceReader = Callable[[Image, np.ndarray], Faces]  # (frame, true points (68, 2)) -> the face there: one row or none


def as_it_is(picture: Image, _: float) -> Changed:
    """Return the frame unchanged."""
    return Changed(picture, 1.0)


def dark(picture: Image, _: float) -> Changed:
    """Reduce the light to a third and add camera noise."""
    noise = np.random.default_rng(3).normal(0, DARK_NOISE_LEVELS, picture.shape)
    return Changed(np.clip(picture * LIGHT + noise, 0, 255).astype(np.uint8), 1.0)


def far_and_moving(picture: Image, face_px: float) -> Changed:
    """Reduce the frame until the face has 40 px, and blur it sideways."""
    import cv2

    factor = min(FAR_PX / face_px, 1.0)
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return Changed(np.asarray(cv2.blur(small, (BLUR_PX, 1)), np.uint8), small.shape[1] / picture.shape[1])


SCENARIOS: dict[str, Scenario] = {"as it is": as_it_is, "dark": dark, "far, moving": far_and_moving}


def area(errors: np.ndarray) -> float:
    """Return the area under the cumulative curve of errors (N,) in percent, NaN for a miss, as a share of the full area."""
    return float(np.clip(1 - np.where(np.isnan(errors), np.inf, errors) / LIMIT_PERCENT, 0, 1).mean())


def is_mfn(weights: str) -> bool:
    """Return whether an argument names an MFN: "small", "large" or mfn:FILE."""
    return weights in MODELS or weights.startswith(MFN_PREFIX)


def weights_path(weights: str) -> Path:
    """Return the ONNX file of an argument."""
    return find_model(weights.removeprefix(MFN_PREFIX)).path if is_mfn(weights) else Path(weights)


def make_reader(weights: str, finder: Predictor) -> FaceReader:
    """Make the function that reads the face at the true points.

    Raises:
        ValueError: A single-face network does not predict parameters.
    """
    if is_mfn(weights):
        predictor = Predictor.load(weights.removeprefix(MFN_PREFIX), score=0.3)
        return lambda picture, points: face_at(predictor(picture), box_of_points(points))
    network = SingleFace.load(Path(weights))
    if network.kind != "parameters":
        raise ValueError(f"{weights}: expected a network that predicts parameters, got one of kind {network.kind}")
    return lambda picture, points: network(picture, face_at(finder(picture), box_of_points(points)).box)


def measure(read: FaceReader, data: EvaluationSet, model: HeadModel, score: Score) -> Figures:
    """Measure one network in all scenarios."""
    face_px = np.sqrt(np.ptp(data.points, axis=1).prod(1))
    figures: Figures = {}
    for scenario, change in SCENARIOS.items():
        predicted = np.full(data.points.shape, np.nan)
        for i, frame in enumerate(data.pictures):
            picture, factor = change(frame, face_px[i])
            face = read(picture, data.points[i] * factor)
            if len(face):
                predicted[i] = model.landmarks(face, "photo68")[0, :, :2] / factor
        auc = area(score.aligned_nme(predicted, data.points))
        figures[scenario] = {"auc": round(auc, 4), "missed": int(np.isnan(predicted[:, 0, 0]).sum())}
    return figures


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    networks_help = "NAME=large, NAME=small, NAME=mfn:FILE.onnx (another MFN) or NAME=FILE.onnx (a network of one face)"
    parser.add_argument("networks", nargs="+", help=networks_help)
    add_eval_option(parser)
    args = parser.parse_args()
    networks = split_named(args.networks)
    score, model, finder = load_score(args.eval), HeadModel.load(), Predictor.load("large", score=0.3)
    data, rows = read_evaluation_set(args.eval, "youtube68"), {}
    for name, weights in networks.items():
        rows[name] = row = measure(make_reader(weights, finder), data, model, score)
        print(f"| {name} | " + " | ".join(f"{row[s]['auc']:.3f} ({row[s]['missed']} missed)" for s in SCENARIOS) + " |", flush=True)
    save_report(args, __file__, {"networks": rows}, {name: weights_path(weights) for name, weights in networks.items()})


if __name__ == "__main__":
    main()
