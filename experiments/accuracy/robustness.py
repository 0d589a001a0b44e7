"""Measure detection where it is hard: heads tilted all around, dim and hazy light, close-ups, and 720 faces in one picture.

    python -m experiments.accuracy.robustness --eval ../shared/eval

All pictures are made from the portraits of the evaluation sets (one true face each) and, for the light, from the photos
of `crowds/parties` (boxes that people drew). Networks run at their default settings.

    roll       Each portrait is turned clockwise in steps of 15 degrees on gray. Reported: the share of faces found, the
               share whose roll is right within 20 degrees, and the median roll error. The right rotation is the network's
               own rotation of the upright portrait, turned.
    light      Brightness x 0.05, and fog: 15 % of the picture and 85 % of a light gray. Reported: the share found.
    close-ups  The picture ends at the face's box, or 6 % outside it, and is enlarged to 1100 px. The box holds the 68
               points and the forehead. Reported: the share found.
    many       720 portraits with faces of 30 px in one picture. Reported: how many of them are found. `reported` also
               counts the people beside or behind some of the portraits, who were looked at one by one: none is false.

The script writes experiments/results/accuracy/robustness.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.crowds import read_crowd
from experiments.accuracy.evaluation_sets import (
    EVALUATION_SETS,
    box_of_points,
    face_at,
    index_of_box,
    read_evaluation_set,
)
from experiments.accuracy.expression.laid_faces import GRAY, Source, face_nearest, lay_face
from experiments.accuracy.groups import match
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
from retarget.io.images import Image

RESULT = RESULTS / "accuracy" / "robustness.json"
STEP_DEG, MAX_ROLL_ERROR_DEG = 15, 20.0
FOREHEAD = 0.35  # of the height of the 68 points: so much higher is the face
CLOSE_IOU, PARTY_IOU = 0.4, 0.4
CLOSE_PX = 1100  # longer side of a close-up: a small picture is not enlarged by the predictor, so it would be no close-up to the network
MARGINS = (0.0, 0.06)
MANY_COLUMNS, MANY_ROWS, MANY_PX, CELL_PX = 40, 18, 30, (64, 80)

Predict = Callable[[Image], Faces]
LIGHTS: dict[str, Callable[[Image], Image]] = {
    "as it is": lambda picture: picture,
    "brightness x 0.05": lambda picture: np.round(0.05 * picture).astype(np.uint8),
    "fog": lambda picture: np.round(0.15 * picture + 0.85 * 225).astype(np.uint8),
}


def read_portraits(folder: Path, every: int) -> list[Source]:
    """Read one portrait in `every` of the evaluation sets, with the box of the true face."""
    sources = []
    for name in EVALUATION_SETS:
        data = read_evaluation_set(folder, name)
        sources += [Source(p, true_box(points)) for p, points in zip(data.pictures[::every], data.points[::every], strict=True)]
    return sources


def true_box(points: NDArray[Any]) -> NDArray[Any]:
    """Return the box (4,) of 68 points (68, 2) and the forehead."""
    box = box_of_points(points)
    box[1] -= FOREHEAD * (box[3] - box[1])
    return box


def turn(source: Source, angle_deg: float) -> Source:
    """Turn a portrait clockwise on gray, without cutting anything off. The new box surrounds the turned inscribed ellipse."""
    import cv2

    height, width = source.picture.shape[:2]
    side = int(np.ceil(np.hypot(height, width)))
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    rotation = np.array([[cos, -sin], [sin, cos]])  # y points down
    shift = side / 2 - rotation @ np.array([width, height]) / 2
    matrix = np.concatenate([rotation, shift[:, None]], 1)
    turned = np.asarray(cv2.warpAffine(source.picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(GRAY,) * 3), np.uint8)
    middle = rotation @ (source.box[:2] + source.box[2:]) / 2 + shift
    reach = np.hypot(*(rotation * (source.box[2:] - source.box[:2]) / 2).T)
    return Source(turned, np.concatenate([middle - reach, middle + reach]))


def roll_error_deg(rotation: NDArray[Any], upright: NDArray[Any], angle_deg: float) -> float:
    """Return the angle about the viewing axis between a rotation (3, 3) and `upright` (3, 3) turned clockwise."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    expected = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ upright
    rest = rotation @ expected.T
    return float(abs(np.degrees(np.arctan2(rest[1, 0] - rest[0, 1], rest[0, 0] + rest[1, 1]))))


def measure_roll(predict: Predict, portraits: Sequence[Source]) -> Figures:
    """Measure all rolls. A portrait whose face is not found upright counts as not right at any roll."""
    upright = [face_at(predict(portrait.picture), portrait.box) for portrait in portraits]
    figures = {}
    for angle_deg in range(0, 360, STEP_DEG):
        found, errors = 0, []
        for portrait, reference in zip(portraits, upright, strict=True):
            turned = turn(portrait, angle_deg)
            face = face_at(predict(turned.picture), turned.box)
            found += len(face)
            if len(face) and len(reference):
                errors.append(roll_error_deg(face.rotation[0], reference.rotation[0], angle_deg))
        figures[str(angle_deg)] = {
            "found": round(found / len(portraits), 3),
            "right": round(sum(error <= MAX_ROLL_ERROR_DEG for error in errors) / len(portraits), 3),
            "median_error_deg": round(float(np.median(errors)), 1) if errors else float("nan"),
        }
    return figures


def share_of_boxes(predict: Predict, pictures: Sequence[Image], boxes: Sequence[NDArray[Any]], min_iou: float) -> float:
    """Return the share of the true boxes (T, 4) of all pictures that are found."""
    hits = 0
    for picture, true in zip(pictures, boxes, strict=True):
        faces = predict(picture)
        hits += int(match(faces.box, faces.score, true, np.ones(len(true), bool), min_iou).hit.sum())
    return round(hits / max(sum(map(len, boxes)), 1), 3)


def measure_light(predict: Predict, portraits: Sequence[Source], pictures: Sequence[Image], boxes: Sequence[NDArray[Any]]) -> Figures:
    """Measure portraits and photos of parties in each light."""
    figures: Figures = {}
    for name, change in LIGHTS.items():
        found = [len(face_at(predict(change(portrait.picture)), portrait.box)) for portrait in portraits]
        parties = share_of_boxes(predict, [change(picture) for picture in pictures], boxes, PARTY_IOU)
        figures[name] = {"portraits": round(float(np.mean(found)), 3), "parties": parties}
    return figures


def close_up(source: Source, margin: float) -> Source:
    """Cut a picture at the box of its face and enlarge it to CLOSE_PX.

    Args:
        source: The face.
        margin: How far beyond the box the picture reaches, as a share of the box; not beyond the picture.
    """
    import cv2

    height, width = source.picture.shape[:2]
    reach = margin * np.tile(source.box[2:] - source.box[:2], 2) * [-1, -1, 1, 1]
    x1, y1, x2, y2 = np.clip(np.round(source.box + reach), 0, [width, height, width, height]).astype(int).tolist()
    gain = CLOSE_PX / max(x2 - x1, y2 - y1)
    enlarged = cv2.resize(source.picture[y1:y2, x1:x2], None, fx=gain, fy=gain, interpolation=cv2.INTER_CUBIC)
    return Source(np.asarray(enlarged, np.uint8), gain * (source.box - [x1, y1, x1, y1]))


def measure_close_ups(predict: Predict, portraits: Sequence[Source]) -> Figures:
    """Measure the share of close-ups whose face is found, for each margin."""
    figures = {}
    for margin in MARGINS:
        cut = [close_up(portrait, margin) for portrait in portraits]
        found = [index_of_box(predict(source.picture).box, source.box, CLOSE_IOU) is not None for source in cut]
        figures[f"margin {margin:g}"] = round(float(np.mean(found)), 3)
    return figures


def measure_many(predict: Predict, portraits: Sequence[Source]) -> Figures:
    """Lay portraits side by side in one picture and count those that are found."""
    width, height = CELL_PX
    cells = [lay_face(portrait, MANY_PX, width, height) for portrait in portraits]
    rows = [[cells[(r * MANY_COLUMNS + c) % len(cells)] for c in range(MANY_COLUMNS)] for r in range(MANY_ROWS)]
    picture = np.concatenate([np.concatenate(row, 1) for row in rows])
    faces = predict(picture)
    places = [np.array([(c + 0.5) * width, (r + 0.5) * height]) for r in range(MANY_ROWS) for c in range(MANY_COLUMNS)]
    found = sum(len(face_nearest(faces, place, MANY_PX)) for place in places)
    return {"faces": len(places), "found": found, "reported": len(faces)}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    add_networks_argument(parser)
    add_eval_option(parser)
    parser.add_argument("--every", type=int, default=6, help="turn one portrait in so many of each set")
    args = parser.parse_args()
    networks, figures = split_named(args.networks), {}
    portraits, parties = read_portraits(args.eval, 1), read_crowd(args.eval / "crowds", "parties")
    turned = read_portraits(args.eval, args.every)
    for name, weights in networks.items():
        predictor = Predictor.load(weights, threads=1)
        figures[name] = {
            "roll_deg": measure_roll(predictor, turned),
            "light": measure_light(predictor, portraits, parties.pictures, parties.boxes),
            "close-ups": measure_close_ups(predictor, portraits),
            "many": measure_many(predictor, portraits),
        }
        print(name, figures[name], flush=True)
    header = {"portraits": len(portraits), "turned portraits": len(turned), "parties": len(parties.pictures)}
    digests = {name: find_model(weights).path for name, weights in networks.items()}
    save_report(args, __file__, header | {"networks": figures}, digests)


if __name__ == "__main__":
    main()
