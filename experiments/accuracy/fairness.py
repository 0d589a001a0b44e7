"""Measure how the errors of a shipped network differ between groups of people: FairFace's seven groups, two sexes and nine age bands.

    python -m experiments.accuracy.fairness --data ../shared/data --labels fairface_label_train.csv

FairFace's pictures are crops of one face each; its table `fairface_label_train.csv` (file, age, gender, race) comes with the set (CC BY
4.0). `--per-group` pictures of each of the seven groups are drawn. What people wrote down as group, sex and age is taken as it stands.

- found: share of the pictures in which a face of at least `MIN_HEIGHT` of the picture lies on its middle.
- nme: mean distance of the 478 points from those of MediaPipe's Face Landmarker, in percent of the root of the area of the box of these.
- blink, smile: mean distance from the landmarker's scores on the scale of our weights; `bias` is the mean of ours minus its.
- closed_wrong: share of the faces with a flag "eyes closed", of those whose lids the landmarker sees open; smile_wrong likewise.

The landmarker is a pseudo-label model, not truth, and it has habits of its own in each group. Upright faces (yaw below 25 degrees by a
rough guess that came with the pictures), turned ones (to 55) and profiles stand apart; of profiles only the found share is reported,
because the landmarker fails there. Brackets hold 95 % intervals: Wilson's for shares, a bootstrap over the faces for means.

Most pictures were in the training of the network: `seen` and `held_out` compare both kinds. The script writes
experiments/results/accuracy/fairness.json.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.accuracy.evaluation_sets import read_tar
from experiments.common import RESULTS, Figures, make_parser, mean_with_interval, save_report, share_with_interval
from experiments.labels.bench import TASK
from mfn.batch.attributes.measure import weighted
from mfn.batch.attributes.thresholds import default_thresholds
from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.fitting.landmarker import Landmarker, LandmarkResult, View, bounding_boxes
from mfn.fitting.multi_view import consensus
from mfn.inference.model_zoo import default_eye_reader, default_portrait_reader, default_reader, find_model
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.training.packs.reader import HELD_OUT_EVERY
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "fairness.json"
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
_SPREADSHEET_AGES = {"03-Sep": "3-9", "9-Mar": "3-9", "Oct-19": "10-19", "19-Oct": "10-19"}  # what spreadsheets make of two bands
YAWS = {"upright": (0.0, 25.0), "turned": (25.0, 55.0), "profile": (55.0, 180.0)}  # degrees
MIN_HEIGHT = 0.25  # of the picture
FACE_SHARE = 0.67  # side of the face in FairFace's crops, whose margin is a quarter of the face on each side
VIEWS = (View(), View(1.6))
CLEAR_NO = {"eyes_closed": 0.3, "smile": 0.15}  # the landmarker's weights up to here are a clear no
Floats = NDArray[np.float64]


class Person(NamedTuple):
    """What FairFace's table says of one picture."""

    group: str
    sex: str
    age: str


class Reading(NamedTuple):
    """What was measured on P pictures: (P,) each; NaN where nothing was found.

    Attributes:
        found: 1 if the network found the face, else 0.
        nme: Distance of the points, percent.
        blink, smile: Our weight minus the landmarker's.
        closed_wrong, smile_wrong: 1 for a wrong flag, 0 for a right one; NaN where the landmarker gives no clear no.
    """

    found: Floats
    nme: Floats
    blink: Floats
    smile: Floats
    closed_wrong: Floats
    smile_wrong: Floats


def read_people(path: Path) -> dict[str, Person]:
    """Read FairFace's table: picture name -> person.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It lacks a column, or names an unknown age.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected FairFace's fairface_label_train.csv at {path}: get it with the set, give it with --labels")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"file", "age", "gender", "race"} <= rows[0].keys():
        raise ValueError(f"{path}: expected the columns file, age, gender and race, got {', '.join(rows[0]) if rows else 'no rows'}")
    people = {}
    for row in rows:
        age = _SPREADSHEET_AGES.get(row["age"], row["age"])
        if age not in AGES:
            raise ValueError(f"{path}: expected an age among {', '.join(AGES)}, got {row['age']!r}")
        people[Path(row["file"]).name] = Person(row["race"].replace("_", " "), row["gender"].lower(), age)
    return people


def draw_pictures(people: Sequence[Person | None], per_group: int, seed: int) -> NDArray[np.int64]:
    """Draw up to `per_group` pictures of each group; all held-out ones of the group are among them."""
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for group in sorted({person.group for person in people if person}):
        rows = np.array([i for i, person in enumerate(people) if person and person.group == group])
        rows = rng.permutation(rows)
        held_out = rows % HELD_OUT_EVERY == 0
        chosen += [*rows[held_out], *rows[~held_out]][:per_group]
    return np.sort(np.array(chosen, np.int64))


def middle_face(faces: Faces, picture: Image) -> Faces:
    """Return the largest face that covers the middle of the picture and is high enough, or none."""
    height, width = picture.shape[:2]
    low, high = faces.box[:, :2], faces.box[:, 2:]
    middle = np.array([width, height]) / 2
    fits = ((low < middle) & (high > middle)).all(1) & (high[:, 1] - low[:, 1] >= MIN_HEIGHT * height)
    rows = np.flatnonzero(fits)
    return faces[rows[[int((high - low)[rows].prod(1).argmax())]]] if len(rows) else faces[[]]


def landmark(picture: Image, landmarker: Landmarker) -> LandmarkResult:
    """Detect the face of a crop with the landmarker: the median of two views with a margin, or no row."""
    height, width = picture.shape[:2]
    middle, half = np.array([width, height]) / 2, FACE_SHARE * np.array([width, height]) / 2
    box = np.concatenate([middle - half, middle + half]).astype(np.float32)
    rows = landmarker.detect_in_views(picture, box, VIEWS)
    return consensus(rows)[0] if len(rows) else rows


def compare(face: Faces, points: NDArray[Any], expression: NDArray[Any]) -> list[float]:
    """Compare one face with the landmarker's points (478, 3) and expression (51,): the values of `Reading` after `found`."""
    size = np.sqrt(np.prod(np.diff(bounding_boxes(points[None]).reshape(2, 2), axis=0)))
    nme = 100 * float(np.linalg.norm(face.landmarks("mediapipe478")[0, :, :2] - points[:, :2], axis=1).mean() / size)
    values, flags = [], []
    for name in ("eyes_closed", "smile"):
        ours, theirs = (float(weighted(x, name)[0]) for x in (face.expression, expression[None]))
        values.append(ours - theirs)
        is_true = ours >= default_thresholds().flags[name].value
        flags.append(float(is_true) if theirs <= CLEAR_NO[name] else np.nan)
    return [nme, *values, *flags]


def read_faces(pictures: Sequence[Image], predictor: Predictor, landmarker: Landmarker) -> Reading:
    """Measure pictures of one face each."""
    rows = []
    for picture in tqdm(pictures, unit="picture"):
        face, marks = middle_face(predictor(picture), picture), landmark(picture, landmarker)
        rest = [np.nan] * 5
        if len(face) and len(marks):
            rest = compare(face, marks.points[0], scores_to_expression(marks.scores, landmarker.names)[0])
        rows.append([float(len(face)), *rest])
    return Reading(*np.array(rows, np.float64).reshape(len(rows), 6).T)


def summarize(reading: Reading, rows: NDArray[np.bool_], landmarks: bool) -> Figures:
    """Summarize the chosen pictures (P,) bool; without `landmarks` the found share only."""
    if not rows.any():
        return {}
    figures: Figures = {"found": share_with_interval(reading.found[rows])}
    if not landmarks:
        return figures
    kept = {name: values[rows][np.isfinite(values[rows])] for name, values in reading._asdict().items()}
    if len(kept["nme"]):
        figures["nme"] = mean_with_interval(kept["nme"])
        for name in ("blink", "smile"):
            figures[name] = mean_with_interval(np.abs(kept[name])) | {"bias": round(float(kept[name].mean()), 4)}
    for name in ("closed_wrong", "smile_wrong"):
        if len(kept[name]):
            figures[name] = share_with_interval(kept[name])
    return figures


def by_yaw(reading: Reading, rows: NDArray[np.bool_], yaw_deg: Floats) -> Figures:
    """Summarize the chosen pictures for each band of the yaw."""
    bands = {name: rows & (np.abs(yaw_deg) >= low) & (np.abs(yaw_deg) < high) for name, (low, high) in YAWS.items()}
    return {name: summarize(reading, band, name != "profile") for name, band in bands.items()}


def measure(options: argparse.Namespace) -> Figures:
    """Measure every group, sex and age band."""
    path = options.data / "faces" / "fairface.npz"
    people = read_people(options.labels)
    with np.load(path, allow_pickle=False) as data:
        named, yaw = [people.get(str(name)) for name in data["picture_name"]], data["pose_deg_rough"][:, 1].astype(float)
    chosen = draw_pictures(named, options.per_group, options.seed)
    everything = read_tar(path.with_suffix(".tar"))
    with Landmarker(options.data / TASK) as landmarker:
        reading = read_faces([everything[i] for i in chosen], Predictor.load(options.network), landmarker)
    yaw, drawn = yaw[chosen], [person for i in chosen if (person := named[i])]
    held_out = chosen % HELD_OUT_EVERY == 0
    everyone = np.ones(len(chosen), bool)
    figures: Figures = {"network": options.network, "pictures": len(chosen), "all": by_yaw(reading, everyone, yaw)}
    figures["seen"], figures["held_out"] = by_yaw(reading, ~held_out, yaw), by_yaw(reading, held_out, yaw)
    for field, order in {"group": None, "sex": None, "age": AGES}.items():
        values = np.array([getattr(person, field) for person in drawn])
        names = [name for name in order or sorted(set(values.tolist())) if (values == name).any()]
        figures[field] = {name: by_yaw(reading, values == name, yaw) for name in names}
    return figures


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with faces/ and MediaPipe's model file")
    parser.add_argument("--labels", type=Path, default=Path("fairface_label_train.csv"), help="FairFace's table of groups, sexes and ages")
    parser.add_argument("--network", default="large", help="large, small or an .onnx file")
    parser.add_argument("--per-group", type=int, default=300, help="pictures of each of the seven groups")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of pictures")
    options = parser.parse_args()
    weights = {"network": find_model(options.network).path}
    readers = {"reader": default_reader(options.network), "eyes": default_eye_reader(options.network)}
    readers["portrait"] = default_portrait_reader(options.network)
    weights |= {name: path for name, path in readers.items() if path}
    save_report(options, __file__, measure(options), weights)


if __name__ == "__main__":
    main()
