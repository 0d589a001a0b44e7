"""A set that is measured with perfect, shifted and missed faces."""

from argparse import Namespace

import numpy as np
import pytest

from experiments.accuracy.benchmarks import draw_worst, load_predictor, measure_set, pose_error, table
from experiments.accuracy.evaluation_sets import EVALUATION_SETS, EvaluationSet, load_score
from experiments.common import sha256
from mfn.inference.model_zoo import DEFAULT_WEIGHTS, EYE_READER_WEIGHTS, READER_WEIGHTS, SINGLE_FACE_WEIGHTS
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from tests.helpers.experiments import SCORE, by_number, numbered_pictures, one_face

MODEL = HeadModel.load()
COUNT = 9


@pytest.fixture
def score(tmp_path):
    (tmp_path / "score.py").write_text(SCORE)
    return load_score(tmp_path)


def faces_at_their_points() -> tuple[list[Faces], np.ndarray]:
    """Return faces whose boxes surround their 68 points, and the points (COUNT, 68, 2)."""
    faces = [one_face((100, 100, 200, 220)) for _ in range(COUNT)]
    points = [MODEL.landmarks(face, "photo68")[0, :, :2] for face in faces]
    return [
        face.replace(box=np.concatenate([p.min(0), p.max(0)])[None]) for face, p in zip(faces, points, strict=True)
    ], np.array(points)


def test_a_perfect_network_has_no_error_and_a_missed_face_is_counted(score):
    faces, points = faces_at_their_points()
    pose = np.zeros((COUNT, 3))
    pose[1, 1] = np.radians(45)
    answers = [faces[0][[]], *faces[1:]]
    data = EvaluationSet(numbered_pictures(COUNT), points.astype(float), pose)
    figures, worst = measure_set(data, by_number(answers), MODEL, score)
    assert figures["missed"] == 1 and figures["pictures"] == COUNT
    assert figures["nme all"] == pytest.approx(0, abs=1e-3) and figures["aligned_nme 30-60"] == pytest.approx(0, abs=1e-3)
    assert np.isnan(figures["nme 60+"])
    assert figures["pose_error_deg"]["yaw"] == pytest.approx(45 / (COUNT - 1), abs=0.01)
    assert len(worst) == COUNT and len(worst[0][1]) == 0


def test_too_few_faces_are_not_aligned(score):
    faces, points = faces_at_their_points()
    data = EvaluationSet(numbered_pictures(COUNT), points + [3, 4], None)
    figures = measure_set(data, by_number([faces[0], *(face[[]] for face in faces[1:])]), MODEL, score).figures
    assert np.isnan(figures["aligned_nme all"]) and figures["nme all"] > 1 and "pose_error_deg" not in figures


def test_new_networks_are_measured_with_their_own_readers(tmp_path):
    new = {"weights": DEFAULT_WEIGHTS, "reader": READER_WEIGHTS, "eye_reader": EYE_READER_WEIGHTS, "portrait_reader": SINGLE_FACE_WEIGHTS}
    for name, path in new.items():
        new[name] = tmp_path / f"{name}.onnx"
        new[name].write_bytes(path.read_bytes())
    options = Namespace(**new | {"weights": str(new["weights"])}, min_face=None, score=0.3)
    predictor, digests = load_predictor(options)
    parts = {"reader": predictor.reader, "eyes": predictor.eye_reader, "portrait": predictor.portrait_reader}
    assert [part.weights for part in parts.values()] == [new[name] for name in ("reader", "eye_reader", "portrait_reader")]
    assert digests == {"readers_sha256": {name: sha256(part.weights) for name, part in parts.items()}}
    unnamed = dict.fromkeys(("reader", "eye_reader", "portrait_reader"))
    shipped, digests = load_predictor(Namespace(weights="large", **unnamed, min_face=None, score=0.3))
    assert shipped.reader.weights == READER_WEIGHTS and not digests


def test_pose_errors_in_degrees():
    pose = np.radians([[0, 10.0, 0], [0, -20, 0], [0, 120, 0], [100, 20, 0]])
    rotation = rotation_from_euler(pose + np.radians([0, 0, 2.0]))
    rotation[1] = np.nan
    error = pose_error(rotation, pose)
    assert error["faces"] == 2 and error["turn"] == pytest.approx(2, abs=0.01)
    assert pose_error(rotation, pose, "all") == {"faces": 1, "pitch": 0, "yaw": 0, "roll": 2, "mean": 0.67, "turn": 2}
    assert pose_error(np.full((1, 3, 3), np.nan), pose[:1]) == {}


def test_the_table_has_a_row_a_method():
    figures = {f"{kind} {group}": 2.5 for kind in ("nme", "aligned_nme") for group in ("all", "0-30", "30-60", "60+")}
    lines = table({name: figures | {"missed": 1, "pictures": 9} for name in EVALUATION_SETS}).splitlines()
    assert len(lines) == 5 and len({line.count("|") for line in lines}) == 1
    assert "2.50 / 2.50 / 2.50 / 2.50 (2.50) | 1 of 9" in lines[-1]


def test_the_worst_pictures_are_drawn(tmp_path, score):
    import cv2

    faces, points = faces_at_their_points()
    data = EvaluationSet(numbered_pictures(COUNT, 240, 240), points.astype(float), None)
    result = measure_set(data, by_number(faces), MODEL, score)
    draw_worst(tmp_path / "worst.png", {"a": result}, MODEL, count=3, side_px=32)
    assert cv2.imread(str(tmp_path / "worst.png")).shape == (32, 192, 3)
