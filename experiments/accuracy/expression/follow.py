"""Measure how well predicted expression weights follow the fitted labels, for each shape and two face sizes.

    python -m experiments.accuracy.expression.follow --data ../shared/data --labels runs/labels

The pictures are those that training leaves out: one in fifty of each pack. Each face is laid alone on a gray picture at
the given size, and the network has to find it. For each expression shape the script prints the correlation with the
label and the slope of the regression line (1 = full strength). It writes experiments/results/accuracy/expression/follow.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.accuracy.expression.laid_faces import Source, face_nearest, lay_face
from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.inference.model_zoo import DEFAULT_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.training.packs.reader import Pack, read_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "expression" / "follow.json"
PACKS = ("lfw", "youtube", "expressions", "masks_without")
SIDE_PX = 384
MIN_SPREAD = 0.03  # a shape that varies very little in the labels has no meaningful correlation


def center_face(pack: Pack, row: int, size_px: float) -> Image:
    """Lay one face of a pack in the middle of a gray square of SIDE_PX, with the square root of its box's area = `size_px`."""
    source = Source(pack.pictures[int(pack.faces.image[row])], pack.faces.box[row])
    return lay_face(source, size_px, SIDE_PX, SIDE_PX)


def measure(packs: Sequence[Pack], predictor: Predictor, size_px: float) -> Figures:
    """Measure all held-out faces at one size."""
    target, predicted, missed = [], [], 0
    for pack in packs:
        for row in np.flatnonzero(pack.has_labels & (pack.faces.image % 50 == 0)):
            faces = predictor(center_face(pack, int(row), size_px))
            face = face_nearest(faces, np.full(2, SIDE_PX / 2), size_px)
            if not len(face):
                missed += 1
                continue
            target.append(pack.faces.expression[row])
            predicted.append(face.expression[0])
    return compare(np.array(target), np.array(predicted)) | {"missed": missed}


def compare(target: np.ndarray, predicted: np.ndarray) -> Figures:
    """Compare expression weights (N, 51) with their labels.

    Returns:
        Mean absolute error, the error of always predicting the median label, and for each shape that varies its
        correlation and slope.
    """
    shapes = {}
    for k in np.flatnonzero(target.std(0) > MIN_SPREAD):
        slope = float(np.polyfit(target[:, k], predicted[:, k], 1)[0])
        correlation = float(np.corrcoef(target[:, k], predicted[:, k])[0, 1])
        shapes[EXPRESSION_NAMES[k]] = [round(correlation, 2), round(slope, 2)]
    return {
        "faces": len(target),
        "error": round(float(np.abs(target - predicted).mean()), 4),
        "error_of_median": round(float(np.abs(target - np.median(target, 0)).mean()), 4),
        "mean_correlation": round(float(np.mean([correlation for correlation, _ in shapes.values()])), 3),
        "correlation_slope": shapes,
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="ONNX file of the network")
    parser.add_argument("--size", type=float, action="append", help="size of a face in px (may be repeated; default: 60 and 220)")
    args = parser.parse_args()
    predictor = Predictor.load(args.weights, score=0.3, threads=1)
    predictor.min_face_px = predictor.finder.limits.face_range.min_px  # the network reads the pictures at their own size
    packs = [read_pack(args.data / "faces", args.labels, name) for name in PACKS]
    figures: Figures = {}
    for size_px in args.size or (60.0, 220.0):
        figures[f"{size_px:g} px"] = measure(packs, predictor, size_px)
        print(f"{size_px:g} px", figures[f"{size_px:g} px"])
    save_report(args, __file__, figures, args.weights)


if __name__ == "__main__":
    main()
