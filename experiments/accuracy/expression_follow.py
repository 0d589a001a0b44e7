"""How well expression follows its labels, by shape and by face size, on pictures that training leaves out (one in fifty of each pack).

    python -m experiments.accuracy.expression_follow --data DATA --labels runs/labels [--size 60 --size 220]

Each face is laid alone on gray with so many px, the network finds it, and its weights stand against the fitted label's: correlation, and
slope (1 = in full strength). Prints the strongest shapes, writes experiments/results/accuracy/expression_follow.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np

from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.training.data.packs import Pack, read_pack
from retarget.arkit import EXPRESSION_NAMES

RESULT = Path(__file__).parents[1] / "results" / "accuracy" / "expression_follow.json"
PACKS = ("lfw", "utkface", "youtube", "expressions", "masks_without")
SIDE = 384
LEAST_SPREAD = 0.03  # shapes that hardly vary in the labels have no correlation to speak of


def laid(pack: Pack, row: int, size: float) -> np.ndarray:
    """A face with `size` px in the middle of a gray square (SIDE, SIDE, 3)."""
    import cv2

    box, picture = pack.faces.box[row], pack.pictures[int(pack.faces.image[row])]
    gain = size / float(np.sqrt((box[2:] - box[:2]).prod()))
    if gain < 0.7:  # a plain warp would alias
        picture = cv2.resize(picture, None, fx=1.2 * gain, fy=1.2 * gain, interpolation=cv2.INTER_AREA)
        box, gain = box * 1.2 * gain, 1 / 1.2
    shift = SIDE / 2 - gain * (box[:2] + box[2:]) / 2
    matrix = np.array([[gain, 0, shift[0]], [0, gain, shift[1]]])
    return cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=(114, 114, 114))


def follow(packs: list[Pack], predictor: Predictor, size: float) -> dict[str, object]:
    """Figures of one face size."""
    true, told, missed = [], [], 0
    for pack in packs:
        for row in np.flatnonzero(pack.known & (pack.faces.image % 50 == 0)):
            faces = predictor(laid(pack, int(row), size))
            away = np.abs((faces.box[:, :2] + faces.box[:, 2:]) / 2 - SIDE / 2).max(1)
            if not len(faces) or away.min() > 0.4 * size:
                missed += 1
                continue
            true.append(pack.faces.expression[row])
            told.append(faces.expression[away.argmin()])
    x, y = np.array(true), np.array(told)
    shapes = {}
    for k in np.flatnonzero(x.std(0) > LEAST_SPREAD):
        slope = float(np.polyfit(x[:, k], y[:, k], 1)[0])
        shapes[EXPRESSION_NAMES[k]] = [round(float(np.corrcoef(x[:, k], y[:, k])[0, 1]), 2), round(slope, 2)]
    neutral = np.abs(x - np.median(x, 0)).mean()
    error = np.abs(x - y).mean()
    return {"faces": len(x), "missed": missed, "error": round(float(error), 4), "error_of_median": round(float(neutral), 4),
            "mean_correlation": round(float(np.mean([c for c, _ in shapes.values()])), 3), "correlation_slope": shapes}  # fmt: skip


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS)
    parser.add_argument("--size", type=float, action="append", help="px of a face (may be repeated); default 60 and 220")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    predictor = Predictor.load(args.weights, size=(SIDE, SIDE), score=0.3, threads=1)
    packs = [read_pack(args.data / "faces", args.labels, name) for name in PACKS]
    result: dict[str, object] = {"weights_sha256": hashlib.sha256(args.weights.read_bytes()).hexdigest()}
    for size in args.size or (60.0, 220.0):
        result[f"{size:g} px"] = figures = follow(packs, predictor, size)
        print(f"{size:g} px", figures)
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
