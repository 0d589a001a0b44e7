"""Measure how much of an expression is left when the face is small: the same face at several sizes in one frame.

    python -m experiments.accuracy.expression.by_size --data ../shared/data --eval ../shared/eval
    python -m experiments.accuracy.expression.by_size new=runs/new.onnx --data ../shared/data --faces 1 --faces 64
    python -m experiments.accuracy.expression.by_size small=small large=large --video --data ../shared/data --every 200

A picture is scaled until its face has the wanted size, the square root of its box's area, and laid on a gray frame of
1280 x 720 px. The reference is the same network on the same face at 256 px, so the figures say what a network loses
with size, not whether it is right. The faces come from the held-out pictures of the packs and, with --eval, from every
12th frame of four clips (--clip-every). With --faces N, N faces of one size share a frame; sizes that leave no room are
left out.

With --video the frames are read as those of a clip, where `small` and `large` differ: each looks for faces from a size of
its own, and the readers read K of them. The reference is the face at 256 px read as a photo. A row "NAME, dense" is
added for each network: the readers read no face, so that each has the multi-face network's own prediction, as the faces
beyond K have. These figures go to by_size_video.json.

For each size the script reports the share of faces found, and correlation and gain (slope of the regression line) of
six groups of shapes over the faces that are found. Gaze is the angle of both eyes together, sideways and up. It writes
experiments/results/accuracy/expression/by_size.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.expression.laid_faces import (
    GRAY,
    Source,
    cell_corners,
    clip_faces,
    face_nearest,
    follow,
    lay_face,
    pack_faces,
)
from experiments.common import RESULTS, Figures, add_networks_argument, make_parser, save_report, split_named
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.training.packs.reader import HELD_OUT_EVERY
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "expression" / "by_size.json"
VIDEO_RESULT = RESULT.with_name("by_size_video.json")
PACKS = ("lfw", "youtube", "expressions", "masks_without")
SIZES_PX = (100, 60, 40, 24)
FULL_PX = 256
WIDTH_PX, HEIGHT_PX = 1280, 720
CLIP_EVERY = 12
ROOM = 1.5  # a face needs a cell of so many times its size
MIN_SPREAD = 0.03  # a shape that hardly varies has no meaningful correlation
FACES = (1, 60)  # faces in a frame

Predict = Callable[[Image], Faces]

# Group -> its signals; a signal is a sum of shapes with signs, divided by the number of eyes or 1.
_GAZE = {
    "sideways": {"eyeLookOutLeft": 0.5, "eyeLookInLeft": -0.5, "eyeLookInRight": 0.5, "eyeLookOutRight": -0.5},
    "up": {"eyeLookUpLeft": 0.5, "eyeLookDownLeft": -0.5, "eyeLookUpRight": 0.5, "eyeLookDownRight": -0.5},
}
SIGNALS: dict[str, dict[str, dict[str, float]]] = {
    "blink": {"left": {"eyeBlinkLeft": 1}, "right": {"eyeBlinkRight": 1}},
    "jaw": {"open": {"jawOpen": 1}},
    "smile": {"left": {"mouthSmileLeft": 1}, "right": {"mouthSmileRight": 1}},
    "gaze": _GAZE,
    "pucker": {"pucker": {"mouthPucker": 1}},
    "inner brow": {"up": {"browInnerUp": 1}},
}


def signal(expression: NDArray[Any], shapes: dict[str, float]) -> NDArray[Any]:
    """Return the weighted sum (N,) of named shapes of expressions (N, 51)."""
    return np.asarray(sum(weight * expression[:, EXPRESSION_NAMES.index(name)] for name, weight in shapes.items()))


def crowd_frame(sources: Sequence[Source], size_px: float, count: int) -> tuple[Image, NDArray[Any]]:
    """Lay faces of one size side by side.

    Args:
        sources: At most `count` faces.
        size_px: Their size.
        count: Number of cells of the frame.

    Returns:
        The frame (HEIGHT_PX, WIDTH_PX, 3) uint8 RGB, and the middle of each face (N, 2) x y in px.
    """
    corners, (width, height) = cell_corners(count, WIDTH_PX, HEIGHT_PX)
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), GRAY, np.uint8)
    for source, (x, y) in zip(sources, corners, strict=False):
        frame[y : y + height, x : x + width] = lay_face(source, size_px, width, height)
    return frame, corners[: len(sources)] + np.array([width, height]) / 2


def read_faces(predict: Predict, sources: Sequence[Source], size_px: float, count: int) -> NDArray[np.float32]:
    """Return the expression (N, 51) of each source at one size with `count` faces in a frame; NaN if it is not found."""
    rows = np.full((len(sources), len(EXPRESSION_NAMES)), np.nan, np.float32)
    for start in range(0, len(sources), count):
        frame, middles = crowd_frame(sources[start : start + count], size_px, count)
        faces = predict(frame)
        for row, middle in enumerate(middles, start):
            face = face_nearest(faces, middle, size_px)
            if len(face):
                rows[row] = face.expression[0]
    return rows


def compare(full: NDArray[Any], small: NDArray[Any]) -> Figures:
    """Compare the expressions (N, 51) of faces at two sizes; rows of NaN are faces that were not found.

    Returns:
        The share of the faces of full size that are found at the small size too, correlation and gain of each group,
        and their means over the groups.
    """
    at_full = np.isfinite(full[:, 0])
    both = at_full & np.isfinite(small[:, 0])
    groups = {}
    for name, signals in SIGNALS.items():
        follows = [follow(signal(full[both], shapes), signal(small[both], shapes), MIN_SPREAD) for shapes in signals.values()]
        groups[name] = [round(float(np.mean([getattr(f, key) for f in follows])), 3) for key in ("correlation", "gain")]
    means = np.array(list(groups.values())).mean(0)
    return {
        "found": round(float(both.sum() / max(at_full.sum(), 1)), 3),
        "correlation": round(float(means[0]), 3),
        "gain": round(float(means[1]), 3),
        "groups": groups,
    }


def measure(
    predict: Predict, sources: Sequence[Source], counts: Sequence[int], full: NDArray[np.float32] | None = None
) -> Figures:
    """Measure one network at all sizes and numbers of faces in a frame.

    Args:
        predict: Finds the faces of a frame.
        sources: N faces.
        counts: Numbers of faces in a frame.
        full: (N, 51) the reference. None: what `predict` reads at FULL_PX.
    """
    full, figures = read_faces(predict, sources, FULL_PX, 1) if full is None else full, {}
    for count in counts:
        room = min(cell_corners(count, WIDTH_PX, HEIGHT_PX)[1]) / ROOM
        for size_px in (size for size in SIZES_PX if size <= room):
            key = f"{size_px} px" if count == 1 else f"{size_px} px, {count} in a frame"
            figures[key] = compare(full, read_faces(predict, sources, size_px, count))
    return {"found at full size": int(np.isfinite(full[:, 0]).sum())} | figures


def measure_video(
    predictors: Mapping[str, Predictor], sources: Sequence[Source], counts: Sequence[int]
) -> Iterator[tuple[str, Figures]]:
    """Measure networks on frames of clips.

    The reference is what a network reads of a photo of the face at FULL_PX. Models of the same file share it.

    Yields:
        The name and the figures of each network as it is, then those of "NAME, dense", of which the readers read no face.
    """
    references: dict[Path | None, NDArray[np.float32]] = {}
    for name, predictor in predictors.items():
        if predictor.weights not in references:
            references[predictor.weights] = read_faces(predictor, sources, FULL_PX, 1)
        full, faces, predict = references[predictor.weights], predictor.frame_faces, partial(predictor, video=True)
        yield name, measure(predict, sources, counts, full)
        predictor.frame_faces = 0
        yield f"{name}, dense", measure(predict, sources, counts, full)
        predictor.frame_faces = faces


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_networks_argument(parser)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--eval", type=Path, help="folder of the evaluation sets, to take frames of its clips too")
    parser.add_argument("--every", type=int, default=HELD_OUT_EVERY, help="take one picture in so many of each pack")
    parser.add_argument("--clip-every", type=int, default=CLIP_EVERY, help="take one frame in so many of the clips")
    parser.add_argument("--faces", type=int, action="append", help="faces in a frame (may be repeated; default: 1 and 60)")
    parser.add_argument("--video", action="store_true", help="read the frames as those of a clip")
    args = parser.parse_args()
    if args.video and args.out == RESULT:
        args.out = VIDEO_RESULT
    networks, counts = split_named(args.networks), args.faces or FACES
    sources = [source for name in PACKS for source in pack_faces(args.data / "faces", name, args.every)]
    if args.eval is not None:
        sources += clip_faces(args.eval / "clips", args.clip_every, Predictor.load("large", threads=1))
    sources = [sources[i] for i in np.random.default_rng(0).permutation(len(sources))]  # mixes packs within a frame
    predictors = {name: Predictor.load(weights, threads=1) for name, weights in networks.items()}
    stills = ((name, measure(predictor, sources, counts)) for name, predictor in predictors.items())
    figures = {}
    for name, row in measure_video(predictors, sources, counts) if args.video else stills:
        figures[name] = row
        print(name, row, flush=True)
    digests = {name: find_model(weights).path for name, weights in networks.items()}
    save_report(args, __file__, {"faces": len(sources), "networks": figures}, digests)


if __name__ == "__main__":
    main()
