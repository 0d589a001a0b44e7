"""Calibration of MediaPipe's Face Landmarker: its blendshape scores as our expression weights, and where its points lie on the head.

MediaPipe does not score a neutral face with zeros and does not always score a complete movement with one. The constants here are its
typical scores for both cases. NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.weights import weights_path
from retarget.arkit import EXPRESSION_NAMES

Floats = NDArray[np.float32]
CALIBRATION_FILE = weights_path("teacher.npz")
_SAME_HEAD_MODEL_M = 1e-4

#: Median score of a neutral face, by the beginning of the blendshape's name. Other blendshapes: 0.
NEUTRAL_SCORES: Mapping[str, float] = {
    "eyeSquint": 0.40, "eyeLookDown": 0.18, "eyeBlink": 0.13, "eyeLookOut": 0.13, "browDown": 0.08,
    "eyeLookUp": 0.08, "eyeLookIn": 0.04, "mouthPress": 0.05,
}  # fmt: skip
#: Score of a complete movement, by the beginning of the blendshape's name. Other blendshapes: 1.
FULL_SCORES: Mapping[str, float] = {"eyeBlink": 0.65}


def values_by_prefix(table: Mapping[str, float], default: float) -> Floats:
    """Expand a table that is keyed by the beginnings of expression names.

    Args:
        table: value for each beginning of a name; the first key that matches a name is used.
        default: value of the names that no key matches.

    Returns:
        (51,) float32, in the order of `EXPRESSION_NAMES`.
    """
    values = [next((v for key, v in table.items() if name.startswith(key)), default) for name in EXPRESSION_NAMES]
    return np.asarray(values, np.float32)


def scores_to_expression(scores: NDArray[np.floating], names: Sequence[str]) -> Floats:
    """Convert MediaPipe's blendshape scores to expression weights.

    Args:
        scores: (N, B) in [0, 1].
        names: B names of the scores, in any order; all 51 expression names must be among them.

    Returns:
        (N, 51) float32 in [0, 1], in the order of `EXPRESSION_NAMES`.

    Raises:
        ValueError: the shape does not fit the names, or an expression has no score.
    """
    if scores.ndim != 2 or scores.shape[1] != len(names):
        raise ValueError(f"blendshape scores: expected shape (N, {len(names)}), got {scores.shape}")
    missing = [name for name in EXPRESSION_NAMES if name not in names]
    if missing:
        raise ValueError(f"no blendshape scores for {', '.join(missing)}; pass all of MediaPipe's 52 scores and names")
    column = {name: k for k, name in enumerate(names)}
    ordered = scores[:, [column[name] for name in EXPRESSION_NAMES]].astype(np.float32)
    neutral = values_by_prefix(NEUTRAL_SCORES, 0.0)
    return np.clip((ordered - neutral) / (values_by_prefix(FULL_SCORES, 1.0) - neutral), 0, 1)


def expression_to_scores(expression: NDArray[np.floating], names: Sequence[str]) -> Floats:
    """Convert expression weights to MediaPipe's blendshape scores, the inverse of `scores_to_expression`.

    Args:
        expression: (N, 51) in [0, 1], in the order of `EXPRESSION_NAMES`.
        names: B names of the scores to return.

    Returns:
        (N, B) float32 in [0, 1]; 0 for names that are not expressions.
    """
    neutral = values_by_prefix(NEUTRAL_SCORES, 0.0)
    ordered = neutral + np.asarray(expression) * (values_by_prefix(FULL_SCORES, 1.0) - neutral)
    column = {name: k for k, name in enumerate(names)}
    out = np.zeros((len(ordered), len(names)), np.float32)
    out[:, [column[name] for name in EXPRESSION_NAMES]] = ordered
    return out


class LandmarkCalibration(NamedTuple):
    """Measured differences between MediaPipe's points and the head model's.

    Attributes:
        offset: (478, 3) float32 meters, head frame, to add to the points of the mean head.
        closed: (2, 478, 3) float32 meters, to add to the shapes eyeBlinkLeft and eyeBlinkRight, so that at weight 1 the lids' points lie
            where MediaPipe puts them on closed eyes.
        correlation: (51, 51) float32, how the blendshape scores of real faces vary together.
    """

    offset: Floats
    closed: Floats
    correlation: Floats


def load_calibration(mean: Floats) -> LandmarkCalibration | None:
    """Read the shipped calibration (made by `experiments/labels/learn_calibration.py`) if it belongs to this head model.

    Args:
        mean: (478, 3) meters, MediaPipe's points on the mean head.

    Returns:
        The calibration, or None if there is no file or it was measured with another head model.
    """
    if not CALIBRATION_FILE.is_file():
        return None
    with np.load(CALIBRATION_FILE, allow_pickle=False) as data:
        calibrated_mean = data["mean_mm"].astype(np.float32) / 1000
        parts = [data[name].astype(np.float32) for name in LandmarkCalibration._fields]
    if calibrated_mean.shape != mean.shape or np.abs(calibrated_mean - mean).max() > _SAME_HEAD_MODEL_M:
        return None
    return LandmarkCalibration(*parts)
