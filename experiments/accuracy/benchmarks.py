"""Measure 68 landmarks and head pose on three photo sets that no training saw.

    python -m experiments.accuracy.benchmarks --eval ../shared/eval
    python -m experiments.accuracy.benchmarks --eval ../shared/eval --weights new.onnx --out runs/accuracy.json
    python -m experiments.accuracy.benchmarks --weights new.onnx --reader reader.onnx --eye-reader eyes.onnx \\
        --portrait-reader sfn.onnx --out runs/accuracy.json

A file gets the readers that ship, or those that are named. The network finds the faces itself; a face it misses is counted as
missed. A picture is missed when no predicted box has an IoU of 0.25 or more with the box of the true points. `nme` and
`aligned_nme` come from the evaluation's own score.py. The script prints a Markdown table with two other methods and writes
experiments/results/accuracy/accuracy.json.
With --check it compares with that file instead.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import (
    EVALUATION_SETS,
    EvaluationSet,
    Score,
    box_of_points,
    face_at,
    finite_mean,
    load_score,
    read_evaluation_set,
)
from experiments.common import (
    RESULTS,
    Figures,
    add_eval_option,
    make_parser,
    markdown_table,
    picture_grid,
    save_report,
    sha256,
)
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.readers.reading_rules import FREE_RULES
from mfn.inference.visualize import draw_faces
from mfn.structures.camera import euler_from_rotation, rotation_from_euler
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget.io.images import Image, write_image

RESULT = RESULTS / "accuracy" / "accuracy.json"
MAX_ANGLE_DEG = 99.0
MIN_FACES_TO_ALIGN = 8  # offsets of 68 points cannot be learned from fewer faces
PEER_HEAD = (
    "aligned (raw) NME, %",
    "aflw2000 yaw 0–30 / 30–60 / 60+ / all",
    "missed",
    "facesynthetics",
    "missed",
    "youtube68",
    "missed",
)


class SetResult(NamedTuple):
    """Hold the figures of one set and, worst first, its pictures with the face that was found in each."""

    figures: Figures
    worst_first: list[tuple[Image, Faces]]


def find_faces(predictor: Callable[[Image], Faces], data: EvaluationSet) -> list[Faces]:
    """Return for each picture the one face that lies on the true points, or no face."""
    pairs = zip(data.pictures, data.points, strict=True)
    return [face_at(predictor(picture), box_of_points(points)) for picture, points in pairs]


def measure_set(data: EvaluationSet, predictor: Callable[[Image], Faces], model: HeadModel, score: Score) -> SetResult:
    """Measure one network on one set.

    Args:
        data: The pictures with their true points and pose.
        predictor: The network. It finds the faces itself.
        model: The head model of the predictions.
        score: The evaluation's score.py.

    Returns:
        NME in percent of the face's size, head pose errors in degrees and the number of missed pictures.
    """
    found = find_faces(predictor, data)
    predicted = np.full((len(found), 68, 2), np.nan)
    rotation = np.full((len(found), 3, 3), np.nan)
    for i, face in enumerate(found):
        if len(face):
            predicted[i], rotation[i] = model.landmarks(face, "photo68")[0, :, :2], face.rotation[0]
    raw = score.nme(predicted, data.points)
    enough = np.isfinite(raw).sum() >= MIN_FACES_TO_ALIGN
    aligned = score.aligned_nme(predicted, data.points) if enough else np.full(len(raw), np.nan)
    figures: Figures = {"missed": int(np.isnan(raw).sum()), "pictures": len(raw)}
    if data.pose is not None:
        figures["pose_error_deg"] = pose_error(rotation, data.pose)
        figures["pose_error_all_within_99_deg"] = pose_error(rotation, data.pose, "all")
    for group, rows in data.yaw_groups().items():
        figures[f"aligned_nme {group}"] = finite_mean(aligned[rows])
        figures[f"nme {group}"] = finite_mean(raw[rows])
    order = np.argsort(-np.where(np.isnan(aligned), np.inf, aligned))
    return SetResult(figures, [(data.pictures[i], found[i]) for i in order])


def pose_error(rotation: NDArray[Any], pose: NDArray[Any], within: Literal["yaw", "all"] = "yaw") -> Figures:
    """Return mean head pose errors in degrees.

    Args:
        rotation: (P, 3, 3) predicted rotations, head to camera; NaN where no face was found.
        pose: (P, 3) pitch, yaw and roll in radians as published.
        within: Which published angles must lie within 99 degrees: "yaw" alone or "all" three.

    Returns:
        The number of faces, the mean absolute errors of pitch, yaw and roll, their mean, and "turn", the mean angle
        between the two rotations. Empty if no face remains.

    "all" is the protocol of the field for AFLW2000 (Ruiz et al., CVPRW 2018, section 4.1). Beyond 99 degrees one rotation
    has two triplets of angles that are far from each other.
    """
    limited = np.abs(np.degrees(pose[:, [1]] if within == "yaw" else pose)).max(1) <= MAX_ANGLE_DEG
    rows = limited & np.isfinite(rotation[:, 0, 0])
    if not rows.any():
        return {}
    difference = (euler_from_rotation(rotation[rows]) - pose[rows] + np.pi) % (2 * np.pi) - np.pi
    error_deg = np.degrees(np.abs(difference)).mean(0)
    cosine = (np.einsum("nij,nij->n", rotation[rows], rotation_from_euler(pose[rows])) - 1) / 2
    turn_deg = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())
    values = np.round([*error_deg, error_deg.mean(), turn_deg], 2).tolist()
    return {"faces": int(rows.sum())} | dict(zip(("pitch", "yaw", "roll", "mean", "turn"), values, strict=True))


def table_cells(results: Mapping[str, Figures]) -> list[str]:
    """Return the cells of one method's row: aligned and raw NME, and misses, of each set."""
    cells: list[str] = []
    for name in EVALUATION_SETS:
        figures = results[name]
        groups = ("0-30", "30-60", "60+", "all") if name == "aflw2000" else ("all",)
        aligned = " / ".join(f"{figures[f'aligned_nme {group}']:.2f}" for group in groups)
        cells += [f"{aligned} ({figures['nme all']:.2f})", f"{figures['missed']} of {figures['pictures']}"]
    return cells


def peer_rows() -> list[list[str]]:
    """Return the rows of the two other methods, from experiments/results/peers.json."""
    peers = json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))["accuracy"]
    return [[name, *table_cells(results)] for name, results in peers.items()]


def table(results: dict[str, Figures]) -> str:
    """Return a Markdown table of aligned and raw NME and of misses, with the two other methods above ours."""
    return markdown_table(PEER_HEAD, [*peer_rows(), ["**MFN (ours, finds the faces itself)**", *table_cells(results)]])


def draw_worst(path: Path, results: dict[str, SetResult], model: HeadModel, count: int = 12, side_px: int = 256) -> None:
    """Draw the `count` worst pictures of each set with the face that was found, six in a row."""
    import cv2

    worst = [pair for result in results.values() for pair in result.worst_first[:count]]
    tiles = [cv2.resize(draw_faces(picture, faces, model), (side_px, side_px)) for picture, faces in worst]
    write_image(path, picture_grid([np.asarray(tile, np.uint8) for tile in tiles], 6))


def load_predictor(options: argparse.Namespace) -> tuple[Predictor, Figures]:
    """Load the network that is measured, and the readers that are named beside it.

    Returns:
        The predictor, and for the report the digests of the readers if one was named.
    """
    named = {name: getattr(options, name) for name in ("reader", "eye_reader", "portrait_reader")}
    chosen = {name: file or True for name, file in named.items()}
    predictor = Predictor.load(options.weights, min_face_px=options.min_face, score=options.score, **chosen)
    if not any(named.values()):
        return predictor, {}
    files = {"reader": predictor.reader, "eyes": predictor.eye_reader, "portrait": predictor.portrait_reader}
    return predictor, {"readers_sha256": {name: sha256(part.weights) for name, part in files.items() if part and part.weights}}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_eval_option(parser)
    parser.add_argument("--weights", default="large", help="small, large, free or an ONNX file")
    parser.add_argument("--reader", type=Path, help="ONNX file of the face reader (default: that of --weights)")
    parser.add_argument("--eye-reader", type=Path, help="ONNX file of the eye reader (default: that of --weights)")
    parser.add_argument("--portrait-reader", type=Path, help="ONNX file of the portrait reader (default: that of --weights)")
    parser.add_argument("--reader-alone", action="store_true", help="the multi-face network only finds faces, as with --weights free")
    parser.add_argument("--min-face", type=float, help="height of the smallest face to find, px of the picture (default: Predictor's)")
    parser.add_argument("--score", type=float, default=0.3, help="minimum score of a face")
    parser.add_argument("--sheet", type=Path, help="PNG of the worst pictures")
    args = parser.parse_args()
    score, model, model_file = load_score(args.eval), HeadModel.load(), find_model(args.weights)
    predictor, readers = load_predictor(args)
    if args.reader_alone and predictor.reader is not None:
        predictor.reader.rules = FREE_RULES
        predictor.portrait_reader = predictor.portrait_reader if args.portrait_reader else None
    measured = {name: measure_set(read_evaluation_set(args.eval, name), predictor, model, score) for name in EVALUATION_SETS}
    results = {name: result.figures for name, result in measured.items()}
    print(table(results))
    for name in ("pose_error_deg", "pose_error_all_within_99_deg"):
        print(name, "on aflw2000:", results["aflw2000"][name])
    if args.sheet:
        draw_worst(args.sheet, measured, model)
    figures = readers | {"min_face_px": args.min_face, "score": args.score, "sets": results}
    save_report(args, __file__, figures, model_file.path)


if __name__ == "__main__":
    main()
