"""Closed and open eyes told apart: the area under the ROC curve on faces that were labelled by eye.

    python -m experiments.accuracy.eyelids mfn=mfn/weights/mfn.onnx sfn=mfn/weights/sfn.onnx --data ../shared/data

eyelids.json holds rows of the packs' `face_…` arrays: faces whose two eyes are clearly shut, and clearly open, as seen on enlarged pictures
of the eyes; narrow, hidden, winking and downcast ones were left out. What is measured is the mean of the two eyeBlink weights. The faces
are of the training packs, but these labels are not what the networks were trained on. Writes experiments/results/accuracy/eyelids.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.boxes import box_iou
from mfn.structures.head_model import face_box
from mfn.training.data.packs import read_pictures
from retarget.arkit import EXPRESSION_NAMES

LABELS = Path(__file__).parent / "eyelids.json"
RESULT = Path(__file__).parents[1] / "results" / "accuracy" / "eyelids.json"
BLINK = [EXPRESSION_NAMES.index("eyeBlinkLeft"), EXPRESSION_NAMES.index("eyeBlinkRight")]


def area_under_curve(closed: np.ndarray, opened: np.ndarray) -> float:
    """The chance that a closed eye's value lies above an open one's, ties half."""
    gap = closed[:, None] - opened[None]
    return float(((gap > 0) + 0.5 * (gap == 0)).mean())


def blink(network: Predictor | SingleFace, picture: np.ndarray, box: np.ndarray) -> float:
    """Mean eyeBlink of the face in box (4,); 0 where the network finds none there."""
    if isinstance(network, SingleFace):
        return float(network(picture, box[None]).expression[0, BLINK].mean())
    faces = network(picture)
    if len(faces) == 0 or box_iou(faces.box, box[None]).max() < 0.25:
        return 0.0
    return float(faces.expression[box_iou(faces.box, box[None])[:, 0].argmax(), BLINK].mean())


def cases(folder: Path) -> list[tuple[np.ndarray, np.ndarray, bool]]:
    """(picture, box (4,), closed) of every labelled face."""
    out = []
    for name, groups in json.loads(LABELS.read_text()).items():
        pictures = read_pictures(folder / f"{name}.tar")
        with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
            landmarks = data["face_landmarks"].astype(np.float32) * data["landmark_scale"]
            where = data["face_picture"]
        for label, rows in groups.items():
            boxes = face_box(landmarks[rows])
            out += [(pictures[where[row]], box, label == "closed") for row, box in zip(rows, boxes, strict=True)]
    return out


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("networks", nargs="+", help="NAME=FILE.onnx, of one face or of all")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    labelled, result = cases(args.data / "faces"), {}
    closed = np.array([shut for _, _, shut in labelled])
    for given in args.networks:
        name, _, path = given.partition("=")
        network: Predictor | SingleFace = Predictor.load(path, score=0.3) if name.startswith("mfn") else SingleFace.load(path)
        value = np.array([blink(network, picture, box) for picture, box, _ in labelled])
        result[name] = {
            "auc": round(area_under_curve(value[closed], value[~closed]), 4),
            "closed_median": round(float(np.median(value[closed])), 3),
            "open_median": round(float(np.median(value[~closed])), 3),
            "closed": int(closed.sum()),
            "open": int((~closed).sum()),
            "sha256": hashlib.sha256(find_model(path).path.read_bytes()).hexdigest(),
        }
        print(name, result[name])
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
