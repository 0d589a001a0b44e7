"""The area under the curve, and the three scenarios."""

import numpy as np
import pytest

from experiments.accuracy.evaluation_sets import EvaluationSet, load_score
from experiments.video.video_auc import (
    SCENARIOS,
    area,
    dark,
    far_and_moving,
    is_mfn,
    make_reader,
    measure,
    weights_path,
)
from mfn.inference.model_zoo import MODELS
from mfn.structures.head_model import HeadModel
from tests.helpers.experiments import SCORE, one_face

MODEL = HeadModel.load()


def test_the_area_is_1_for_no_error_and_0_for_a_miss():
    assert area(np.zeros(3)) == 1 and area(np.full(3, np.nan)) == 0
    assert area(np.array([0.0, 4.0, np.nan, 20.0])) == pytest.approx((1 + 0.5) / 4)


def test_scenarios_change_light_and_size():
    frame = np.full((120, 160, 3), 150, np.uint8)
    darker, factor = dark(frame, 80.0)
    assert factor == 1 and darker.mean() == pytest.approx(50, abs=2)
    smaller, factor = far_and_moving(frame, 80.0)
    assert smaller.shape == (60, 80, 3) and factor == 0.5
    assert far_and_moving(frame, 20.0).picture.shape == frame.shape


def test_a_face_read_in_the_small_frame_is_scaled_back(tmp_path):
    (tmp_path / "score.py").write_text(SCORE)
    face = one_face((40, 40, 120, 140))
    points = MODEL.landmarks(face, "photo68")[:, :, :2].astype(float)

    def read(picture, true):
        factor = true.mean() / points.mean()
        return face.replace(center=face.center * factor, scale=face.scale * factor)

    data = EvaluationSet([np.full((160, 160, 3), 90, np.uint8)], points, None)
    figures = measure(read, data, MODEL, load_score(tmp_path))
    assert list(figures) == list(SCENARIOS)
    assert all(row["missed"] == 0 and row["auc"] == pytest.approx(1, abs=1e-3) for row in figures.values())


def test_arguments_name_networks(tmp_path):
    assert is_mfn("small") and is_mfn("mfn:a.onnx") and not is_mfn("a.onnx")
    assert weights_path("large") == MODELS["large"].path and weights_path("a.onnx").name == "a.onnx"
    with pytest.raises(FileNotFoundError):
        make_reader(str(tmp_path / "a.onnx"), lambda picture: one_face((0, 0, 1, 1)))
