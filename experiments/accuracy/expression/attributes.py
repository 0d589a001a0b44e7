"""Choose the thresholds of eyes closed, smile and looking at the camera, and measure precision and recall by size of the face.

    python -m experiments.accuracy.expression.attributes --data ../shared/data --labels LABELS --eval ../shared/eval

The faces are those of the held-out pictures of the packs, which no network was trained on. What is true comes from their labels in LABELS,
which `experiments.labels.fit` made from MediaPipe's landmarks: a pseudo-label model, not a person. Faces between yes and no are left
out (`CLEAR`). Each face is laid on gray at several sizes, and the shipped network reads it there.

A threshold is chosen on faces of `CHOOSING_PX` and more, so that F1 is largest; in the middle where several are equal. The smallest size
of a face whose flag is known is the one from which on F1 keeps `MIN_SHARE` of its value for the largest faces. The largest yaw and the
smallest visible share are set by hand in `LIMITS`. The threshold of blur separates the faces from the same faces after a blur of `BLUR`
of their height.

The script writes experiments/results/accuracy/expression/attributes.json, and with --write the thresholds into the package. Reported,
but not used to choose: the faces of eyelids.json, whose eyes a person judged, and with --eval 40 portraits that nobody learned from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import face_at, read_tar
from experiments.accuracy.expression.eyelids import read_labeled_eyes
from experiments.accuracy.expression.laid_faces import Source, face_nearest, lay_face
from experiments.accuracy.expression.winks import read_kinds
from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.batch.attributes.measure import crop_box, gaze_deg, sharpness, weighted
from mfn.batch.attributes.thresholds import FILE, FLAG_NAMES
from mfn.batch.picture import network_scale
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.training.packs.reader import HELD_OUT_EVERY, read_pictures
from retarget.io.files import atomic_write
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "expression" / "attributes.json"
PACKS = ("lfw", "youtube", "masks_without", "expressions", "fairface")
SIZES_PX = (20, 28, 40, 60, 90, 140, 220)
FRAME_PX = (640, 480)  # width and height
EDGES_PX = (0, 24, 32, 48, 64, 96, 144, 10000)  # of the bins of sizes, as the network sees the faces
CLEAR = {"eyes_closed": (0.3, 0.6), "smile": (0.15, 0.4), "looking_at_camera": (8.0, 15.0)}
"""Largest value of the label that is a clear no (yes, for the angle), and smallest that is the opposite."""
LIMITS = {"eyes_closed": (50.0, 0.8), "smile": (60.0, 0.8), "looking_at_camera": (40.0, 0.8)}  # largest yaw, smallest visible share
CHOOSING_PX = 64.0
MIN_SHARE = 0.85  # of the F1 of the largest faces; smaller faces keep less and are unknown
MIN_YES = 10  # fewer faces with the flag say nothing about a size
BLUR = 0.03


class Reading(NamedTuple):
    """What the network reads of M faces at all sizes: (M,) each. `truth` is the measure of the label; NaN: none."""

    truth: NDArray[Any]
    value: NDArray[Any]
    network_px: NDArray[Any]
    yaw_deg: NDArray[Any]


def read_pack_faces(folder: Path, labels: Path, name: str) -> tuple[list[Source], Faces]:
    """Return the labeled faces of the held-out pictures of a pack, and their labels."""
    pictures = read_pictures(folder / f"{name}.tar", HELD_OUT_EVERY)
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        picture = data["face_picture"] if "face_picture" in data else np.arange(len(data["picture_name"]))
    with np.load(labels / f"{name}.npz", allow_pickle=False) as data:
        label = {key: data[key] for key in data.files}
    rows = np.flatnonzero((picture[label["face"]] % HELD_OUT_EVERY == 0) & label["ok"].astype(bool))
    number = picture[label["face"][rows]] // HELD_OUT_EVERY
    fields = {key: label[key][rows].astype(np.float32) for key in ("box", "rotation", "scale", "center", "identity", "expression")}
    faces = Faces(image=number, score=np.ones(len(rows)), track=np.full(len(rows), -1), **fields)
    return [Source(pictures[n], box) for n, box in zip(number, faces.box, strict=True)], faces


def measures_of(faces: Faces) -> dict[str, NDArray[Any]]:
    """Return the measure (N,) of each flag, for predictions and labels alike."""
    return {
        "eyes_closed": weighted(faces.expression, "eyes_closed"),
        "smile": weighted(faces.expression, "smile"),
        "looking_at_camera": gaze_deg(faces),
    }


def read_at_sizes(predictor: Predictor, sources: Sequence[Source], labels: Faces) -> dict[str, Reading]:
    """Let the network read each face at each size. Faces that it does not find are left out."""
    truth, rows = measures_of(labels), []
    for i, source in enumerate(sources):
        for size_px in SIZES_PX:
            frame = lay_face(source, size_px, *FRAME_PX)
            face = face_nearest(predictor(frame), np.array(FRAME_PX) / 2, size_px)
            if len(face):
                height = float(face.box[0, 3] - face.box[0, 1]) * network_scale(predictor, FRAME_PX[1], FRAME_PX[0])
                rows.append([i, height, face.pitch_yaw_roll_deg[0, 1], *(float(v[0]) for v in measures_of(face).values())])
    table = np.array(rows, np.float64).reshape(len(rows), 6)
    index = table[:, 0].astype(int)
    return {name: Reading(truth[name][index], table[:, 3 + k], table[:, 1], table[:, 2]) for k, name in enumerate(FLAG_NAMES)}


def clear_faces(name: str, reading: Reading) -> tuple[Reading, NDArray[np.bool_]]:
    """Keep the faces whose label is a clear yes or no and whose yaw is within the limit; return them and which are a yes."""
    low, high = CLEAR[name]
    keep = ((reading.truth <= low) | (reading.truth >= high)) & (np.abs(reading.yaw_deg) <= LIMITS[name][0])
    kept = Reading(*(part[keep] for part in reading))
    return kept, (kept.truth <= low) if name == "looking_at_camera" else (kept.truth >= high)


def is_true(name: str, value: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Return the flags (M,) of measures (M,)."""
    return np.asarray(value <= threshold if name == "looking_at_camera" else value >= threshold)


def choose_threshold(name: str, value: NDArray[Any], yes: NDArray[np.bool_]) -> float:
    """Return the threshold of the largest F1; the middle one of several equal ones."""
    grid = np.arange(2, 40, 0.5) if name == "looking_at_camera" else np.arange(0.02, 0.99, 0.01)
    scores = np.array([f1(is_true(name, value, t), yes) for t in grid])
    best = grid[scores >= scores.max() - 1e-9]
    return round(float(best[len(best) // 2]), 2)


def f1(flags: NDArray[np.bool_], yes: NDArray[np.bool_]) -> float:
    """Return the harmonic mean of precision and recall."""
    return float(2 * (flags & yes).sum() / max(flags.sum() + yes.sum(), 1))


def precision_recall(flags: NDArray[np.bool_], yes: NDArray[np.bool_]) -> Figures:
    """Return precision and recall, None where there is nothing to divide by, and the number of faces."""
    hits = int((flags & yes).sum())
    return {
        "yes": int(yes.sum()),
        "no": int((~yes).sum()),
        "precision": round(hits / int(flags.sum()), 3) if flags.any() else None,
        "recall": round(hits / int(yes.sum()), 3) if yes.any() else None,
    }


def smallest_size_px(bins: Sequence[Figures]) -> int:
    """Return the size in px from which on a flag is known, from the rows of `precision_recall` of the bins, the largest size first."""
    scores = [2 * (b["precision"] or 0) * (b["recall"] or 0) / max((b["precision"] or 0) + (b["recall"] or 0), 1e-9) for b in bins]
    smallest = EDGES_PX[-2]
    for low, row, score in zip(EDGES_PX[-2::-1], bins, scores):
        if score < MIN_SHARE * scores[0] or (row["yes"] < MIN_YES and low < EDGES_PX[-2]):
            break
        smallest = low
    return smallest


def calibrate(name: str, reading: Reading) -> Figures:
    """Choose the threshold of a flag, and measure it by the size of the face."""
    faces, yes = clear_faces(name, reading)
    large = faces.network_px >= CHOOSING_PX
    threshold = choose_threshold(name, faces.value[large], yes[large])
    bins: dict[str, Figures] = {}
    for low, high in list(zip(EDGES_PX, EDGES_PX[1:]))[::-1]:
        inside = (faces.network_px >= low) & (faces.network_px < high)
        row = precision_recall(is_true(name, faces.value[inside], threshold), yes[inside])
        bins[f"{low} px and more" if high == EDGES_PX[-1] else f"{low} to {high} px"] = row
    yaw, visible = LIMITS[name]
    smallest = smallest_size_px(list(bins.values()))
    chosen = {"value": threshold, "min_network_px": smallest, "max_yaw_deg": yaw, "min_visible": visible}
    return {"threshold": chosen, "by_size": bins}


def calibrate_blur(sources: Sequence[Source]) -> Figures:
    """Choose the sharpness that separates faces from the same faces after a blur."""
    import cv2

    def blurred(picture: Image, box: NDArray[Any]) -> Image:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR * float(box[3] - box[1])), np.uint8)

    large = [s for s in sources if s.box[3] - s.box[1] >= CHOOSING_PX]
    own = np.array([sharpness(crop_box(s.picture, s.box)) for s in large])
    less = np.array([sharpness(crop_box(blurred(s.picture, s.box), s.box)) for s in large])
    grid = np.arange(0.02, 0.98, 0.01)
    right = np.array([((own > t).mean() + (less <= t).mean()) / 2 for t in grid])
    best = float(grid[right.argmax()])
    return {
        "value": round(best, 2),
        "faces": len(large),
        "sharp_faces_right": round(float((own > best).mean()), 3),
        "blurred_faces_right": round(float((less <= best).mean()), 3),
    }


def judged_by_people(predictor: Predictor, folder: Path, threshold: float) -> Figures:
    """Return precision and recall of closed eyes on the faces of eyelids.json; a face that is not found has open eyes."""
    value, closed = [], []
    for eyes in read_labeled_eyes(folder):
        face = face_at(predictor(eyes.picture), eyes.box)
        value.append(float(weighted(face.expression, "eyes_closed")[0]) if len(face) else 0.0)
        closed.append(eyes.closed)
    return precision_recall(np.array(value) >= threshold, np.array(closed))


def portraits(predictor: Predictor, folder: Path, thresholds: dict[str, Figures]) -> Figures:
    """Return the share of portraits of each kind that get a flag."""
    kinds, found = read_kinds(folder / "yale.npz"), []
    for picture in read_tar(folder / "yale.tar"):
        faces = predictor(picture)[:1]
        found.append({n: bool(is_true(n, v, thresholds[n]["value"])[0]) for n, v in measures_of(faces).items()} if len(faces) else {})

    def share(name: str, kind: str) -> float:
        return round(float(np.mean([f.get(name, False) for f, k in zip(found, kinds, strict=True) if k == kind])), 3)

    return {kind: {name: share(name, kind) for name in ("eyes_closed", "smile")} for kind in dict.fromkeys(kinds.tolist())}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the fitted labels of the packs")
    parser.add_argument("--eval", type=Path, help="folder of the evaluation sets, for the portraits")
    parser.add_argument("--weights", default="large", help="network")
    parser.add_argument("--write", action="store_true", help="write the thresholds into the package")
    args = parser.parse_args()
    predictor = Predictor.load(args.weights, threads=1)
    sources, labels = [], []
    for name in PACKS:
        found, faces = read_pack_faces(args.data / "faces", args.labels, name)
        sources += found
        labels.append(faces)
    readings = read_at_sizes(predictor, sources, Faces.concatenate(labels))
    flags = {name: calibrate(name, readings[name]) for name in FLAG_NAMES}
    thresholds = {name: row["threshold"] for name, row in flags.items()}
    figures: Figures = {"faces": len(sources), "flags": flags, "blurred": calibrate_blur(sources)}
    figures["closed_eyes_judged_by_people"] = judged_by_people(predictor, args.data / "faces", thresholds["eyes_closed"]["value"])
    if args.eval:
        figures["portraits"] = portraits(predictor, args.eval, thresholds)
    print(json.dumps(figures, indent=1))
    if args.write:
        content = {"flags": thresholds, "blurred": figures["blurred"]["value"]}
        atomic_write(FILE, (json.dumps(content, indent=1) + "\n").encode())
    save_report(args, __file__, figures, {args.weights: find_model(args.weights).path})


if __name__ == "__main__":
    main()
