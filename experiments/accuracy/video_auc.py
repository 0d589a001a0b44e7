"""Area under the curve on video frames: the MFN poster's chart, on frames of people who were never trained on, in three scenarios.

    python -m experiments.accuracy.video_auc mfn-large=large mfn-small=small sfn=mfn/weights/sfn.onnx --eval ../shared/eval

The curve is the share of faces whose aligned NME (the evaluation's own score.py) lies below a limit, its area taken from 0 to 8 %, so that
1 is perfect; a missed face lies below no limit. Scenarios: the frames as they are; in the dark (a third of the light, camera noise); far
and moving (the face at 40 px, motion blur). A network of one face reads the boxes that MFN large finds in the same frames.
Writes experiments/results/accuracy/video_auc.json and prints Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.accuracy.benchmarks import choose, load_score, read_tar
from mfn.inference.model_zoo import MODELS, find_model
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget.io.images import Picture

RESULT = Path(__file__).parents[1] / "results" / "accuracy" / "video_auc.json"
LIMIT = 8.0  # %
FAR_PX, BLUR_PX = 40.0, 3  # size of the face, length of the motion
Scenario = Callable[[Picture, float], tuple[Picture, float]]
"""(picture, size of its face in px) -> the picture as it is in the scenario, and its px for one of the picture"""


def as_it_is(picture: Picture, _: float) -> tuple[Picture, float]:
    """The frame."""
    return picture, 1.0


def dark(picture: Picture, _: float) -> tuple[Picture, float]:
    """A third of the light; noise of the camera."""
    noise = np.random.default_rng(3).normal(0, 7, picture.shape)
    return np.clip(picture * 0.33 + noise, 0, 255).astype(np.uint8), 1.0


def far_and_moving(picture: Picture, size: float) -> tuple[Picture, float]:
    """The face is small, and moves sideways while the shutter is open."""
    import cv2

    factor = min(FAR_PX / size, 1.0)
    shrunk = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    blurred = cv2.blur(shrunk, (BLUR_PX, 1))
    return np.asarray(blurred), shrunk.shape[1] / picture.shape[1]


SCENARIOS: dict[str, Scenario] = {"as it is": as_it_is, "dark": dark, "far, moving": far_and_moving}


def area(errors: np.ndarray) -> float:
    """Area under the cumulative curve of errors (N,) in %, NaN for a miss, from 0 to LIMIT, in parts of the whole."""
    return float(np.clip(1 - np.where(np.isnan(errors), np.inf, errors) / LIMIT, 0, 1).mean())


def read_faces(path: str, finder: Predictor) -> Callable[[Picture, np.ndarray], Faces]:
    """The function that gives the face (0 or 1 row) lying on the true points (68, 2) of a picture."""
    if path in MODELS or path.startswith("mfn:"):
        predictor = Predictor.load(path.removeprefix("mfn:"), score=0.3)
        return lambda picture, true: choose(predictor(picture), true)
    network = SingleFace.load(Path(path))
    if network.kind != "parameters":
        raise SystemExit(f"{path}: expected a network that predicts parameters, got one of kind {network.kind}")
    return lambda picture, true: network(picture, choose(finder(picture), true).box)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("networks", nargs="+", help="NAME=large, NAME=small, NAME=mfn:FILE.onnx (another MFN), NAME=FILE.onnx (one face)")
    parser.add_argument("--eval", type=Path, default=Path("../shared/eval"))
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    score, model, finder = load_score(args.eval), HeadModel.load(), Predictor.load("large", score=0.3)
    with np.load(args.eval / "youtube68.npz", allow_pickle=False) as data:
        true = data["landmarks"][:, :68, :2].astype(float)
    frames = read_tar(args.eval / "youtube68.tar")
    size = np.sqrt(np.ptp(true, axis=1).prod(1))
    rows: dict[str, dict] = {}
    for given in args.networks:
        name, _, path = given.partition("=")
        read, row = read_faces(path, finder), {}
        for scenario, change in SCENARIOS.items():
            told = np.full(true.shape, np.nan)
            for i, frame in enumerate(frames):
                picture, factor = change(frame, size[i])
                face = read(picture, true[i] * factor)
                if len(face):
                    told[i] = model.landmarks(face, "ibug68")[0, :, :2] / factor
            row[scenario] = {"auc": round(area(score.aligned_nme(told, true)), 4), "missed": int(np.isnan(told[:, 0, 0]).sum())}
        weights = find_model(path.removeprefix("mfn:"))[0] if path in MODELS or path.startswith("mfn:") else Path(path)
        rows[name] = row | {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
        print(f"| {name} | " + " | ".join(f"{row[s]['auc']:.3f} ({row[s]['missed']} missed)" for s in SCENARIOS) + " |", flush=True)
    args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
