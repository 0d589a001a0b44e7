"""Measure how well predicted expression weights follow the labels, for each shape and two face sizes.

    python -m experiments.accuracy.expression.follow --data ../shared/data --labels runs/labels \\
        --generated runs/winks/winks --generated runs/heads/heads

The pictures are those that training leaves out: one in fifty of each pack, and all of some people of rendered heads. Each face is laid
alone on a gray picture at the given size. MFN (`large`) has to find it; SFN reads it from a crop around the label's box. Both are measured
on the faces that MFN found. For each expression shape the report has the correlation with the label and the slope of the regression line
(1 = full strength). A shape that hardly varies in the labels is left out: in photos this concerns mouthFunnel and eyeWide among others,
which vary in rendered heads, whose labels are exact. The script writes experiments/results/accuracy/expression/follow.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.expression.laid_faces import Source, face_nearest, follow, lay_face
from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.inference.model_zoo import DEFAULT_WEIGHTS, SINGLE_FACE_WEIGHTS
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from mfn.structures.faces import Faces
from mfn.training.packs.reader import Pack, locate_pack, read_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "expression" / "follow.json"
PACKS = ("lfw", "youtube", "expressions", "masks_without")
SIDE_PX = 384
SIZES_PX = (60.0, 220.0)
MIN_SPREAD = 0.03  # a shape that varies very little in the labels has no meaningful correlation


class Networks(NamedTuple):
    """Hold both networks: `large` finds the faces of a picture, `single` reads those in boxes (N, 4)."""

    large: Callable[[Image], Faces]
    single: Callable[[Image, NDArray[Any]], Faces]


class Readings(NamedTuple):
    """Hold the labels (51,) and predictions (51,) of the faces that MFN found, and the number of those that it missed."""

    target: list[NDArray[np.float32]]
    predicted: dict[str, list[NDArray[np.float32]]]
    missed: int


def center_face(pack: Pack, row: int, size_px: float) -> Image:
    """Lay one face of a pack in the middle of a gray square of SIDE_PX, with the square root of its box's area = `size_px`."""
    source = Source(pack.pictures[int(pack.faces.image[row])], pack.faces.box[row])
    return lay_face(source, size_px, SIDE_PX, SIDE_PX)


def centered_box(box: NDArray[Any], size_px: float) -> NDArray[np.float64]:
    """Return the box (4,) of a face in the picture that `center_face` makes."""
    half = (box[2:] - box[:2]).astype(float)
    half *= size_px / np.sqrt(half.prod()) / 2
    return np.concatenate([SIDE_PX / 2 - half, SIDE_PX / 2 + half])


def read_faces(pack: Pack, networks: Networks, size_px: float) -> Readings:
    """Read all held-out faces of a pack at one size."""
    target: list[NDArray[np.float32]] = []
    predicted: dict[str, list[NDArray[np.float32]]] = {"large": [], "SFN": []}
    rows = np.flatnonzero(pack.has_labels & pack.held_out()[pack.faces.image])
    for row in rows:
        picture = center_face(pack, int(row), size_px)
        face = face_nearest(networks.large(picture), np.full(2, SIDE_PX / 2), size_px)
        if len(face):
            target.append(pack.faces.expression[row])
            predicted["large"].append(face.expression[0])
            predicted["SFN"].append(networks.single(picture, centered_box(pack.faces.box[row], size_px)[None]).expression[0])
    return Readings(target, predicted, len(rows) - len(target))


def figures_of(readings: Sequence[Readings]) -> Figures:
    """Return the figures of both networks on the faces of some packs."""
    target = np.array([label for part in readings for label in part.target])
    figures: Figures = {
        "faces": len(target),
        "missed": sum(part.missed for part in readings),
        "error_of_median": round(float(np.abs(target - np.median(target, 0)).mean()), 4),
    }
    predicted = {name: np.array([row for part in readings for row in part.predicted[name]]) for name in readings[0].predicted}
    return figures | {name: compare(target, values) for name, values in predicted.items()}


def compare(target: NDArray[Any], predicted: NDArray[Any]) -> Figures:
    """Compare expression weights (N, 51) with their labels.

    Returns:
        Mean absolute error, and for each shape that varies its correlation and slope; their mean correlation, None if no shape varies.
    """
    shapes = {}
    for k in np.flatnonzero(target.std(0) > MIN_SPREAD):
        found = follow(target[:, k].astype(float), predicted[:, k].astype(float))
        if not np.isnan(found.correlation):  # of fewer than three faces
            shapes[EXPRESSION_NAMES[k]] = [round(found.correlation, 2), round(found.gain, 2)]
    return {
        "error": round(float(np.abs(target - predicted).mean()), 4),
        "mean_correlation": round(float(np.mean([correlation for correlation, _ in shapes.values()])), 3) if shapes else None,
        "correlation_slope": shapes,
    }


def measure(packs: Mapping[str, Sequence[tuple[Path, Path, str]]], networks: Networks, sizes_px: Sequence[float]) -> Figures:
    """Measure groups of packs, one pack in memory at a time.

    Args:
        packs: Name of a group -> the arguments of `read_pack` for each of its packs.
        networks: The networks.
        sizes_px: Sizes of a face.

    Returns:
        "60 px" and so on -> name of a group -> figures.
    """
    figures: Figures = {f"{size_px:g} px": {} for size_px in sizes_px}
    for group, places in packs.items():
        readings: dict[float, list[Readings]] = {size_px: [] for size_px in sizes_px}
        for place in places:
            pack = read_pack(*place)
            for size_px in sizes_px:
                readings[size_px].append(read_faces(pack, networks, size_px))
        for size_px in sizes_px:
            figures[f"{size_px:g} px"][group] = figures_of(readings[size_px])
            print(f"{size_px:g} px, {group}", figures[f"{size_px:g} px"][group], flush=True)
    return figures


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels")
    parser.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="ONNX file of the multi-face network")
    parser.add_argument("--size", type=float, action="append", help="size of a face in px (may be repeated; default: 60 and 220)")
    parser.add_argument("--generated", action="append", default=[], metavar="PACK", help="generated pack, without suffix (may be repeated)")
    args = parser.parse_args()
    predictor = Predictor.load(args.weights, score=0.3, threads=1)
    predictor.min_face_px = predictor.finder.limits.face_range.min_px  # the network reads the pictures at their own size
    groups = {"photos": [locate_pack(args.data, args.labels, name) for name in PACKS]}
    groups |= {Path(name).name: [locate_pack(args.data, args.labels, name)] for name in args.generated}
    figures = measure(groups, Networks(predictor, SingleFace.load(threads=1)), args.size or SIZES_PX)
    save_report(args, __file__, figures, {"large": args.weights, "SFN": SINGLE_FACE_WEIGHTS})


if __name__ == "__main__":
    main()
