"""Measure whether the colors of the picture (mfn.fitting.photometric) improve the fits of landmarks alone.

    python -m experiments.accuracy.ablation.photometric --shared ../shared

`--photos` photos of each evaluation set are used, those of AFLW2000-3D from the most turned on, because profiles are hard for landmarks.
Each face gets one view, and is then fitted to the colors: without and, if PyTorch3D is installed, with its prior on the mesh. The error is
the distance from the 68 true points, percent of the root of the area of their box; lids and lips stand apart. `difference` is the mean
change by the colors over the same faces, with a 95 % interval of a bootstrap; below 0 the colors help. Nothing was chosen on these photos.

The script writes experiments/results/ablation/photometric.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import EVALUATION_SETS, EvaluationSet, box_of_points, read_evaluation_set
from experiments.common import RESULTS, Figures, make_parser, mean_with_interval, save_report
from experiments.labels.bench import Bench, Detections, points68
from mfn.fitting.fitter import FitResult
from mfn.fitting.landmarker import Landmarker
from mfn.fitting.photometric import (
    PhotometricOptions,
    Rasterizer,
    has_pytorch3d,
    rasterize_numpy,
    rasterize_pytorch3d,
    refine,
)
from retarget.io.images import Image

RESULT = RESULTS / "ablation" / "photometric.json"
BATCH_FACES = 4
PROFILE_DEG = 55.0
PARTS = {"all points": slice(0, 68), "lids": slice(36, 48), "lips": slice(48, 68)}
RASTERIZERS: dict[str, Rasterizer] = {"numpy": rasterize_numpy, "pytorch3d": rasterize_pytorch3d}


class Faces(NamedTuple):
    """The faces of all sets: P photos, the fits of their landmarks, true points (P, 68, 2) px, and which are profiles (P,)."""

    pictures: list[Image]
    fits: FitResult
    truth: NDArray[np.float64]
    profile: NDArray[np.bool_]


def chosen_rows(data: EvaluationSet, count: int) -> NDArray[np.int64]:
    """Choose photos of a set: the most turned ones where the pose is known, else evenly spread ones."""
    if data.pose is not None:
        return np.argsort(-np.abs(data.pose[:, 1]))[:count]
    return np.unique(np.linspace(0, len(data.pictures) - 1, count).astype(int))


def read_faces(bench: Bench, landmarker: Landmarker, count: int) -> Faces:
    """Detect and fit the faces of the chosen photos."""
    pictures, fits, truth, profile = [], [], [], []
    for name in EVALUATION_SETS:
        data, found = read_evaluation_set(bench.shared / "eval", name), Detections([], [], [])
        for row in chosen_rows(data, count):
            found.add(int(row), landmarker(data.pictures[row]), data.points[row])
        pictures += [data.pictures[row] for row in found.rows]
        fits.append(found.fit(bench.basis, landmarker.names))
        truth.append(data.points[found.rows])
        yaw = np.zeros(len(data.pictures)) if data.pose is None else data.pose[:, 1]
        profile.append(np.abs(np.rad2deg(yaw[found.rows])) > PROFILE_DEG)
    return Faces(pictures, join(fits), np.concatenate(truth), np.concatenate(profile))


def join(parts: list[FitResult]) -> FitResult:
    """Concatenate fits."""
    return FitResult(*(torch.cat([getattr(part, name) for part in parts]) for name in FitResult.__dataclass_fields__))


def refine_all(bench: Bench, faces: Faces, rasterize: Rasterizer, options: PhotometricOptions) -> FitResult:
    """Fit the colors of all faces, a few at a time."""
    parts = []
    for first in range(0, len(faces.pictures), BATCH_FACES):
        rows = slice(first, first + BATCH_FACES)
        parts.append(refine(faces.fits[rows], faces.pictures[rows], bench.model, bench.basis, rasterize, options))
    return join(parts)


def point_errors(fits: FitResult, bench: Bench, truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance (P, 68) of each point, percent of the root of the area of the true box."""
    box = np.stack([box_of_points(points) for points in truth])
    size = np.sqrt((box[:, 2:] - box[:, :2]).prod(1))
    return 100 * np.linalg.norm(points68(fits, bench.model) - truth, axis=2) / size[:, None]


def summarize(before: NDArray[np.float64], after: NDArray[np.float64], rows: NDArray[np.bool_]) -> Figures:
    """Return the errors of the chosen faces (P,) bool before and after, part by part, and the differences."""
    figures: Figures = {"faces": int(rows.sum())}
    for name, part in PARTS.items():
        first, second = (errors[rows][:, part].mean(1) for errors in (before, after))
        difference = mean_with_interval(second - first)
        figures[name] = {
            "landmarks": round(float(first.mean()), 3),
            "photometric": round(float(second.mean()), 3),
            "difference": difference["value"],
            "interval": difference["interval"],
        }
    return figures


def measure(options: argparse.Namespace) -> Figures:
    """Measure the refinement without and with the prior on the mesh."""
    bench = Bench(options.shared)
    with bench.landmarker() as landmarker:
        faces = read_faces(bench, landmarker, options.photos)
    before = point_errors(faces.fits, bench, faces.truth)
    usual = PhotometricOptions(steps=options.steps)
    ways = {"colors": PhotometricOptions(steps=options.steps, evenness=0)} | ({"colors and mesh prior": usual} if has_pytorch3d() else {})
    figures: Figures = {"rasterizer": options.rasterizer, "steps": options.steps, "photos of a set": options.photos}
    for name, way in ways.items():
        start = time.process_time()
        fits = refine_all(bench, faces, RASTERIZERS[options.rasterizer], way)
        seconds = (time.process_time() - start) / len(faces.pictures)
        after = point_errors(fits, bench, faces.truth)
        moved_mm = bench.identity_distance_mm(fits.identity.numpy(), faces.fits.identity.numpy()).mean()
        figures[name] = {
            "seconds of one core a face": round(seconds, 2),
            "identity moved, mm": round(float(moved_mm), 3),
            "all faces": summarize(before, after, np.ones(len(before), bool)),
            "profiles": summarize(before, after, faces.profile),
        }
    return figures


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/ and eval/")
    parser.add_argument("--photos", type=int, default=20, help="photos of each of the three sets")
    parser.add_argument("--steps", type=int, default=PhotometricOptions().steps, help="steps of the refinement")
    parser.add_argument("--rasterizer", choices=tuple(RASTERIZERS), default="numpy", help="who rasterizes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(options)
    print(json.dumps(figures, indent=1))
    save_report(options, __file__, figures)


if __name__ == "__main__":
    main()
