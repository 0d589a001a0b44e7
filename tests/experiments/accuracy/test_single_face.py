"""The measures of single-face networks, on stand-in networks and on the shipped one."""

import numpy as np
import pytest

from experiments.accuracy.evaluation_sets import EVALUATION_SETS, EvaluationSet, load_score
from experiments.accuracy.single_face import (
    BoxedFrame,
    BoxedSet,
    accuracy,
    clip_jitter,
    count_work,
    expression_error,
    mean_turn_deg,
    rotation_of_points,
    still_jitter,
    table,
)
from mfn.inference.model_zoo import SINGLE_FACE_WEIGHTS
from mfn.structures.camera import rotation_from_euler
from mfn.structures.head_model import HeadModel
from retarget.geometry.rotations import rotation_about
from tests.helpers.experiments import SCORE, numbered_pictures, one_face

MODEL = HeadModel.load()


class Still:
    """Stand in for a `SingleFace` that predicts the same face for every picture."""

    kind, model = "parameters", MODEL

    def __call__(self, picture, boxes):
        return one_face((100, 100, 200, 220))


def test_the_rotation_of_a_turned_head_is_found():
    rotation = rotation_from_euler(np.radians([[10.0, 30, -5]]))
    points = MODEL.points(MODEL.mean, "ibug68") @ rotation.transpose(0, 2, 1) * 900 + 40
    np.testing.assert_allclose(rotation_of_points(points, MODEL), rotation, atol=1e-4)


def test_turns_between_neighbors():
    rotation = np.stack([rotation_about("y", angle) for angle in np.radians([0.0, 3, 6])])
    assert mean_turn_deg(rotation) == pytest.approx(3, abs=1e-3)


def test_a_network_that_never_changes_has_no_jitter_and_no_error(tmp_path):
    (tmp_path / "score.py").write_text(SCORE)
    face, picture = one_face((100, 100, 200, 220)), np.zeros((8, 8, 3), np.uint8)
    frames = [BoxedFrame(picture, face.box)] * 4
    assert still_jitter(Still(), 1, frames[0]) == (0, pytest.approx(0, abs=0.05))
    assert clip_jitter(Still(), 2, {"d0": frames}) == 0
    assert expression_error(Still(), [(picture, face)]) == 0
    points = np.repeat(MODEL.landmarks(face, "ibug68")[:, :, :2], 2, 0).astype(float)
    data = EvaluationSet(numbered_pictures(2), points, np.zeros((2, 3)))
    figures = accuracy(Still(), 1, {"aflw2000": BoxedSet(data, [face.box, face.box[:0]])}, load_score(tmp_path))
    assert figures["aflw2000 missed"] == 1 and figures["aflw2000 raw all"] == 0 and figures["pose_error_deg"] == 0


def test_work_is_counted_in_the_graph():
    weights_millions, macs_millions = count_work(SINGLE_FACE_WEIGHTS)
    assert 0.1 < weights_millions < 20 and 1 < macs_millions < 2000
    assert weights_millions * 1e6 < SINGLE_FACE_WEIGHTS.stat().st_size


def test_the_table_has_a_row_a_network():
    groups = ("all", "0-30", "30-60", "60+")
    figures = {f"{s} {kind} {group}": 2.0 for s in EVALUATION_SETS for kind in ("raw", "aligned") for group in groups}
    figures |= {f"{s} missed": 0 for s in EVALUATION_SETS}
    keys = ("pose_error_deg", "pose_error_all_within_99_deg", "still_jitter_percent", "clip_jitter_percent")
    keys += ("parameters_millions", "macs_millions", "file_megabytes", "ms_one_core")
    lines = table({"sfn": figures | dict.fromkeys(keys, 1.0)}).splitlines()
    assert len(lines) == 5 and len({line.count("|") for line in lines}) == 1 and lines[-1].startswith("| sfn | 2.00")
