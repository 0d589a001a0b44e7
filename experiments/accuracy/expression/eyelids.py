"""Measure how well networks separate closed eyes from open eyes: the area under the ROC curve on faces labeled by hand.

    python -m experiments.accuracy.expression.eyelids mfn=mfn/weights/mfn.onnx sfn=mfn/weights/sfn.onnx --data ../shared/data

eyelids.json lists rows of the packs' `face_…` arrays: faces whose two eyes are clearly closed, and clearly open, judged on
enlarged pictures of the eyes. Narrow, covered, winking and downcast eyes are left out. The measured value is the mean
of the two eyeBlink weights. The faces belong to the training packs, but no network was trained on these labels.
The script writes experiments/results/accuracy/expression/eyelids.json. A network whose name starts with "mfn" finds the faces
itself; the others get the box.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.accuracy.evaluation_sets import face_at, roc_auc
from experiments.common import RESULTS, Figures, make_parser, save_report, split_named
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.head_model import face_box
from mfn.training.packs.reader import read_pictures
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

LABELS = Path(__file__).with_suffix(".json")
RESULT = RESULTS / "accuracy" / "expression" / "eyelids.json"
BLINK = [EXPRESSION_NAMES.index("eyeBlinkLeft"), EXPRESSION_NAMES.index("eyeBlinkRight")]


class Eyes(NamedTuple):
    """Hold one labeled face: picture (H, W, 3) uint8 RGB, box (4,) in px, and whether both eyes are closed."""

    picture: Image
    box: np.ndarray
    closed: bool


def blink(network: Predictor | SingleFace, eyes: Eyes) -> float:
    """Return the mean eyeBlink weight of the face; 0 if the network does not find it."""
    if isinstance(network, SingleFace):
        faces = network(eyes.picture, eyes.box[None])
    else:
        faces = face_at(network(eyes.picture), eyes.box)
    return float(faces.expression[0, BLINK].mean()) if len(faces) else 0.0


def read_labeled_eyes(folder: Path) -> list[Eyes]:
    """Read every labeled face of the packs in a folder."""
    labeled = []
    for name, groups in json.loads(LABELS.read_text()).items():
        pictures = read_pictures(folder / f"{name}.tar")
        with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
            landmarks = data["face_landmarks"].astype(np.float32) * data["landmark_scale"]
            picture_of_face = data["face_picture"]
        for label, rows in groups.items():
            boxes = face_box(landmarks[rows])
            labeled += [Eyes(pictures[picture_of_face[row]], box, label == "closed") for row, box in zip(rows, boxes, strict=True)]
    return labeled


def figures_of(value: np.ndarray, closed: np.ndarray) -> Figures:
    """Summarize blink weights (N,) of faces whose eyes are closed (N,) bool or open."""
    return {
        "auc": round(roc_auc(value[closed], value[~closed]), 4),
        "closed_median": round(float(np.median(value[closed])), 3),
        "open_median": round(float(np.median(value[~closed])), 3),
        "closed": int(closed.sum()),
        "open": int((~closed).sum()),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("networks", nargs="+", help="NAME=FILE.onnx")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with faces/")
    args = parser.parse_args()
    networks = split_named(args.networks)
    labeled, result = read_labeled_eyes(args.data / "faces"), {}
    closed = np.array([eyes.closed for eyes in labeled])
    for name, path in networks.items():
        network: Predictor | SingleFace = Predictor.load(path, score=0.3) if name.startswith("mfn") else SingleFace.load(path)
        result[name] = figures_of(np.array([blink(network, eyes) for eyes in labeled]), closed)
        print(name, result[name])
    weights = {name: find_model(path).path for name, path in networks.items()}
    save_report(args, __file__, {"networks": result}, weights)


if __name__ == "__main__":
    main()
