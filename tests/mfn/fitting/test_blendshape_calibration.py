"""Blendshape scores become expression weights and back; the calibration belongs to one head model."""

import numpy as np
import pytest

from mfn.fitting.blendshape_calibration import (
    expression_to_scores,
    load_calibration,
    scores_to_expression,
    values_by_prefix,
)
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES

NAMES = ["_neutral", *sorted(EXPRESSION_NAMES)]


def test_scores_of_a_neutral_face_become_zero() -> None:
    scores = np.zeros((2, 52), np.float32)
    scores[0, NAMES.index("mouthSmileRight")] = 0.75
    scores[:, NAMES.index("eyeSquintLeft")] = 0.40  # the typical score of a neutral face
    expression = scores_to_expression(scores, NAMES)
    assert expression.shape == (2, 51)
    assert expression[0, EXPRESSION_NAMES.index("mouthSmileRight")] == pytest.approx(0.75)
    assert expression.sum() == pytest.approx(0.75)


def test_conversions_are_inverse() -> None:
    weights = np.random.default_rng(3).uniform(0, 1, (4, 51)).astype(np.float32)
    np.testing.assert_allclose(scores_to_expression(expression_to_scores(weights, NAMES), NAMES), weights, atol=1e-5)


def test_no_faces() -> None:
    assert scores_to_expression(np.zeros((0, 52), np.float32), NAMES).shape == (0, 51)
    assert expression_to_scores(np.zeros((0, 51), np.float32), NAMES).shape == (0, 52)


@pytest.mark.parametrize(
    "names, message", [(["x", *NAMES[1:-1], "y"], "no blendshape scores for"), (NAMES[:-1], r"expected shape \(N, 51\)")]
)
def test_wrong_input_is_reported(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores_to_expression(np.zeros((1, 52), np.float32), names)


def test_the_first_matching_prefix_counts() -> None:
    values = dict(zip(EXPRESSION_NAMES, values_by_prefix({"jawOpen": 1.0, "jaw": 2.0}, 3.0).tolist(), strict=True))
    assert (values["jawOpen"], values["jawLeft"], values["browInnerUp"]) == (1.0, 2.0, 3.0)


def test_the_calibration_belongs_to_the_shipped_head_model() -> None:
    mean = HeadModel.load().landmark_basis("mediapipe478").mean
    calibration = load_calibration(mean)
    assert calibration is not None
    assert calibration.offset.shape == (478, 3) and calibration.closed.shape == (2, 478, 3)
    np.testing.assert_allclose(calibration.correlation, calibration.correlation.T, atol=1e-3)
    assert load_calibration(mean * 1.1) is None and load_calibration(mean[:68]) is None
