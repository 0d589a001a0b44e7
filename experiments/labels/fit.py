"""Fit the training labels: head pose, identity and expression of our head model for each face of the packs.

    python -m experiments.labels.fit --data ../shared/data --out labels
    python -m experiments.labels.fit --data ../shared/data --out labels --source lfw --landmarker face_landmarker.task

The packs hold MediaPipe's landmarks from one view of each face. With --landmarker, faces turned by more than 22 degrees
are detected again in a dozen views (upright, rotated, mirrored, enlarged) and the median is fitted; this does seven
faces a second. Give such labels a folder of their own, because labels that exist are not fitted again.

One SOURCE.npz is written for each pack of F faces:

    face         (F,) row in the pack's face arrays
    rotation     (F, 3, 3) head to camera
    scale        (F,) px per meter
    center       (F, 2) px
    identity     (F, I) standard deviations
    expression   (F, 51) in [0, 1]
    box          (F, 4) px, see `mfn.structures.head_model.face_box`
    residual     (F,) percent
    ok           (F,) bool
    person       (F,) number; the faces of one person share one identity; -1 for unknown
    confidence   (F,) in [0, 1]
    head_model   fingerprint of the head model that the coefficients belong to

A source whose labels have the fingerprint of the present head model is skipped. The figures go to --report.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.accuracy.evaluation_sets import load_score
from experiments.common import Figures, make_parser, write_report
from experiments.labels.landmark_packs import Arrays, LandmarkPack, read_landmark_pack, sources_with_faces
from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.fitting.expression_prior import even_eyes, look_down
from mfn.fitting.fit_basis import FitBasis, basis_from_head_model
from mfn.fitting.fitter import FitResult, fit_people, fit_to_faces, label_confidence
from mfn.fitting.landmarker import HARD_VIEWS, VIEWS, Landmarker, LandmarkResult
from mfn.fitting.multi_view import consensus
from mfn.structures.boxes import box_iou
from mfn.structures.camera import FRONTAL, project
from mfn.structures.head_model import HeadModel
from mfn.training.packs.reader import read_pictures
from retarget.io.files import atomic_write

BLOCK_FACES = 512
TURNED_DEG = 22.0  # from this yaw on, one view is not enough
SAME_FACE_IOU = 0.3
MAX_SAME_NME = 15.0  # percent; above it, the 68 points belong to another face of the picture


class Refinement(NamedTuple):
    """Hold how many faces were detected again, and how far the median face's points moved, in percent of its size."""

    faces: int
    moved_percent: float


def refine_turned_faces(pack: LandmarkPack, pictures: Path, landmarker: Landmarker) -> Refinement:
    """Detect the faces that are turned past TURNED_DEG in more views, and put the consensus into the pack, in place.

    Args:
        pack: Its points, expressions and poses are changed.
        pictures: The pack's .tar.
        landmarker: MediaPipe's Face Landmarker.
    """
    poses = pack.rotation().numpy()
    yaw_deg = np.degrees(np.arctan2(np.abs(poses[:, 0, 2]), np.abs(poses[:, 2, 2])))
    rows = np.flatnonzero(yaw_deg > TURNED_DEG)
    photos, moved = read_pictures(pictures), []
    for row in tqdm(rows, desc=pictures.stem, unit="face"):
        before = pack.points[row].numpy()
        box = np.concatenate([before[:, :2].min(0), before[:, :2].max(0)])
        found = landmarker.detect_in_views(photos[pack.arrays["face_picture"][row]], box, (*VIEWS, *HARD_VIEWS))
        if len(found.points) == 0:
            continue
        expression = scores_to_expression(found.scores, landmarker.names)
        first = (before, pack.expression[row].numpy(), poses[row])
        views = LandmarkResult(
            *(np.concatenate([one[None], more]) for one, more in zip(first, (found.points, expression, found.rotation), strict=True))
        )
        middle, _ = consensus(views)
        size_px = np.sqrt((box[2:] - box[:2]).prod())
        moved.append(np.linalg.norm((middle.points[0] - before)[:, :2], axis=1).mean() / size_px * 100)
        pack.points[row], pack.expression[row] = torch.from_numpy(middle.points[0]), torch.from_numpy(middle.scores[0])
        pack.arrays["face_transform"][row, :3, :3] = FRONTAL @ middle.rotation[0]
    return Refinement(len(moved), float(np.median(moved)) if moved else 0.0)


def blocks_of_people(person: torch.Tensor) -> list[torch.Tensor]:
    """Split faces into blocks of about BLOCK_FACES rows that keep the faces of one person together. person: (F,), -1 unknown."""
    order = torch.argsort(person, stable=True)
    blocks, start = [], 0
    while start < len(order):
        end = min(start + BLOCK_FACES, len(order))
        while end < len(order) and person[order[end]] >= 0 and person[order[end]] == person[order[end - 1]]:
            end += 1
        blocks.append(order[start:end])
        start = end
    return blocks


def fit_in_blocks(points: torch.Tensor, expression: torch.Tensor, person: torch.Tensor, basis: FitBasis, title: str) -> FitResult:
    """Call `fit_people` block by block with a progress bar.

    Args:
        points: (F, 478, 3) landmarks in px.
        expression: (F, 51) calibrated blendshapes.
        person: (F,) number of each face's person, -1 if unknown.
        basis: The head model's points.
        title: Text of the progress bar.

    Returns:
        The fits in the order of the faces.
    """
    blocks = blocks_of_people(person)
    parts = [fit_people(points[rows], expression[rows], person[rows], basis) for rows in tqdm(blocks, desc=title, unit="block")]
    found = FitResult(*(torch.cat([getattr(part, name) for part in parts]) for name in FitResult.__dataclass_fields__))
    return found[torch.argsort(torch.cat(blocks))]


def detector_iou(box: NDArray[Any], arrays: Arrays) -> NDArray[np.float64]:
    """Return the IoU of each face's box (F, 4) with the best box of the pack's detector; faces it lacks are left out."""
    detected = arrays["box"].astype(np.float32) * arrays["box_scale"]
    best = []
    for own, picture in zip(box, arrays["face_picture"], strict=True):
        best.append(box_iou(own[None], detected[arrays["box_picture"] == picture]).max(initial=0))
    return np.array([iou for iou in best if iou >= SAME_FACE_IOU])


def labels_of(found: FitResult, pack: LandmarkPack, model: HeadModel) -> Arrays:
    """Return the arrays of a label file, without the fingerprint."""
    found = replace(found, expression=look_down(even_eyes(found.expression, found.rotation), pack.expression))
    labels: Arrays = {name: getattr(found, name).numpy() for name in FitResult.__dataclass_fields__}
    labels["box"] = fit_to_faces(found, model).box
    ok, confidence = label_confidence(found, pack.points, pack.rotation())
    labels["ok"], labels["confidence"] = ok.numpy(), confidence.numpy()
    labels["face"] = np.arange(len(pack), dtype=np.int32)
    labels["identity"], labels["expression"] = labels["identity"].astype(np.float16), labels["expression"].astype(np.float16)
    labels["person"] = pack.people().numpy().astype(np.int32)
    return labels


def fingerprint(model: HeadModel) -> str:
    """Return a short digest that changes whenever a coefficient changes its meaning."""
    digest = hashlib.sha256()
    for part in (model.mean, model.identity_basis, model.expression_basis):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def is_fitted(path: Path, mark: str) -> bool:
    """Return whether a label file exists and belongs to the head model with this fingerprint."""
    if not path.is_file():
        return False
    with np.load(path, allow_pickle=False) as file:
        return "head_model" in file.files and str(file["head_model"]) == mark


def compare68(data: Path, evaluation: Path, labels: Arrays, model: HeadModel) -> Figures:
    """Measure the NME of the head's 68 points in the youtube pack against the pack's own predicted points.

    Args:
        data: Folder with faces/.
        evaluation: Folder with score.py.
        labels: The labels of the youtube pack.
        model: The head model.
    """
    score = load_score(evaluation)
    pack = read_landmark_pack(data, "youtube").arrays
    with np.load(data / "faces" / "youtube_landmarks68.npz") as file:
        points_of = dict(zip(file["picture"].tolist(), file["landmarks"].astype(np.float64), strict=True))
    target = np.stack([points_of[picture] for picture in pack["face_picture"][labels["face"]]])
    mean, identity, expression = model.landmark_basis("ibug68")
    weights = np.concatenate([labels["identity"], labels["expression"]], 1).astype(np.float32)
    head = mean + np.tensordot(weights, np.concatenate([identity, expression]), 1)
    predicted = project(head, labels["rotation"], labels["scale"], labels["center"])
    raw = score.nme(predicted, target)
    same = raw < MAX_SAME_NME
    aligned = score.aligned_nme(predicted[same], target[same])
    return {"faces": int(same.sum()), "nme68": round(raw[same].mean(), 3), "aligned_nme68": round(aligned.mean(), 3)}


def write_labels(path: Path, labels: Arrays, mark: str) -> None:
    """Write a label file, whole or not at all."""
    arrays: dict[str, Any] = labels | {"head_model": np.array(mark)}
    atomic_write(path, lambda temporary: np.savez_compressed(temporary, **arrays))


def fit_source(options: argparse.Namespace, source: str, model: HeadModel, basis: FitBasis) -> Figures:
    """Fit one pack, write its labels and return the figures."""
    pack, refined = read_landmark_pack(options.data, source), Refinement(0, 0.0)
    if options.landmarker:
        with Landmarker(options.landmarker) as landmarker:
            refined = refine_turned_faces(pack, options.data / "faces" / f"{source}.tar", landmarker)
    start = time.perf_counter()
    found = fit_in_blocks(pack.points, pack.expression, pack.people(), basis, source)
    rate = len(pack) / (time.perf_counter() - start) * 60
    labels = labels_of(found, pack, model)
    write_labels(options.out / f"{source}.npz", labels, fingerprint(model))
    residual, iou = labels["residual"], detector_iou(labels["box"], pack.arrays)
    return {
        "faces": len(residual),
        "detected_again": refined.faces,
        "moved_percent_median": round(refined.moved_percent, 3),
        "ok": int(labels["ok"].sum()),
        "nme_percent_mean": round(float(residual.mean()), 3),
        "nme_percent_p95": round(float(np.quantile(residual, 0.95)), 3),
        "faces_per_minute": round(rate),
        "box_iou_median": round(float(np.median(iou)), 4),
    }


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/ and mediapipe_blendshapes.txt")
    parser.add_argument("--out", type=Path, required=True, help="folder of the labels")
    parser.add_argument("--source", action="append", help="name of a pack (may be repeated; default: all that hold faces)")
    parser.add_argument("--landmarker", type=Path, help="MediaPipe's .task file: detect turned faces again in more views")
    parser.add_argument("--report", type=Path, help="JSON file of the figures")
    parser.add_argument("--eval", type=Path, help="folder with score.py: also compare the 68 points of the youtube pack")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    model = HeadModel.load()
    basis, mark = basis_from_head_model(model), fingerprint(model)
    figures: Figures = {}
    sources = options.source or sources_with_faces(options.data)
    if not sources:
        raise SystemExit(f"{options.data}: expected packs with landmarks in faces/, got none; give --data the folder that holds faces/")
    for source in sources:
        path = options.out / f"{source}.npz"
        if is_fitted(path, mark):
            print(f"{source}: {path} exists, skipped")
            continue
        figures[source] = fit_source(options, source, model, basis)
        print(source, json.dumps(figures[source]))
    if options.eval:
        with np.load(options.out / "youtube.npz") as file:
            labels = dict(file)
        figures["youtube 68 points"] = compare68(options.data, options.eval, labels, model)
        print("youtube 68 points", json.dumps(figures["youtube 68 points"]))
    if options.report:
        write_report(options.report, __file__, figures)


if __name__ == "__main__":
    main()
