"""Measure how predicted expressions follow those of MediaPipe's Face Landmarker in four clips.

    python -m experiments.accuracy.expression.clips --eval ../shared/eval

MediaPipe is a peer, not the truth. The network reads each frame by itself. For each clip and each shape whose MediaPipe
weight moves by more than 0.2 in it, the script reports correlation and gain (slope of the regression line), and their
means over all of them. It writes experiments/results/accuracy/expression/clips.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import EVALUATION_CLIPS, face_at, read_clip
from experiments.accuracy.expression.laid_faces import follow
from experiments.common import (
    RESULTS,
    Figures,
    add_eval_option,
    add_networks_argument,
    make_parser,
    save_report,
    split_named,
)
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "expression" / "clips.json"
MIN_RANGE = 0.2


class Peer(NamedTuple):
    """Hold the peer's reading of T frames: expression (T, 51) in the order of EXPRESSION_NAMES, box (T, 4) px; NaN if not found."""

    expression: NDArray[np.float64]
    box: NDArray[np.float64]


def read_peer(path: Path) -> Peer:
    """Read the peer's figures of a clip.

    Raises:
        FileNotFoundError: There is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected the peer's figures at {path}: give the folder of the sets with --eval")
    with np.load(path, allow_pickle=False) as data:
        names = data["names"].tolist()
        return Peer(data["blendshapes"][:, [names.index(name) for name in EXPRESSION_NAMES]].astype(float), data["box"].astype(float))


def read_frames(predict: Callable[[Image], Faces], frames: Sequence[Image], boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Return the expression (T, 51) of the face at the peer's box in each frame; NaN where one of both finds none."""
    rows = np.full((len(boxes), len(EXPRESSION_NAMES)), np.nan)
    for row, (frame, box) in enumerate(zip(frames, boxes, strict=False)):
        face = face_at(predict(frame), box) if np.isfinite(box).all() else Faces.empty()
        if len(face):
            rows[row] = face.expression[0]
    return rows


def compare(peer: NDArray[Any], ours: NDArray[Any]) -> Figures:
    """Compare the expressions (T, 51) of a clip.

    Returns:
        The share of the peer's frames in which the face is found, and correlation and gain of each shape that moves.
    """
    known = np.isfinite(peer[:, 0])
    both = known & np.isfinite(ours[:, 0])
    moving = np.flatnonzero(np.ptp(peer[both], axis=0) > MIN_RANGE) if both.any() else []
    shapes = {EXPRESSION_NAMES[k]: [round(value, 3) for value in follow(peer[both, k], ours[both, k])] for k in moving}
    return {"frames": len(peer), "found": round(float(both.sum() / max(known.sum(), 1)), 3), "shapes": shapes}


def total(clips: Figures) -> Figures:
    """Return the means over all shapes of all clips."""
    values = np.array([pair for clip in clips.values() for pair in clip["shapes"].values()]).reshape(-1, 2)
    return {"shapes": len(values), "correlation": round(float(values[:, 0].mean()), 3), "gain": round(float(values[:, 1].mean()), 3)}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_networks_argument(parser)
    add_eval_option(parser)
    args = parser.parse_args()
    networks, figures = split_named(args.networks), {}
    folder = args.eval / "clips"
    predictors = {name: Predictor.load(weights, threads=1) for name, weights in networks.items()}
    rows: dict[str, Figures] = {name: {} for name in networks}
    for clip in EVALUATION_CLIPS:
        peer = read_peer(folder / f"{clip}.mediapipe.npz")
        frames = read_clip(folder / f"{clip}.mp4", len(peer.box))
        for name, predictor in predictors.items():
            rows[name][clip] = compare(peer.expression, read_frames(partial(predictor, video=True), frames, peer.box))
    for name, clips in rows.items():
        figures[name] = {"all": total(clips), "clips": clips}
        print(name, figures[name]["all"], flush=True)
    save_report(args, __file__, {"networks": figures}, {name: find_model(weights).path for name, weights in networks.items()})


if __name__ == "__main__":
    main()
