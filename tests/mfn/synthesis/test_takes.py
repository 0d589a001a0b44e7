"""Expressions from recorded performances."""

import numpy as np
import pytest

from mfn.synthesis.takes import ExpressionTakes
from retarget.arkit import EXPRESSION_NAMES

LEFT, RIGHT = EXPRESSION_NAMES.index("eyeBlinkLeft"), EXPRESSION_NAMES.index("eyeBlinkRight")


def recorded(path, names=EXPRESSION_NAMES):
    values = np.random.default_rng(0).uniform(0, 0.4, (50, len(names))).astype(np.float16)
    np.savez(path, names=np.array([*names, "HeadYaw"]), values=np.c_[values, np.full(50, 3.0)])
    return path


def test_expressions_are_weights_and_some_wink(tmp_path):
    drawn = ExpressionTakes.load(recorded(tmp_path / "takes.npz")).draw(400, np.random.default_rng(0))
    assert drawn.shape == (400, 51) and drawn.min() >= 0 and drawn.max() <= 1
    wink = np.abs(drawn[:, LEFT] - drawn[:, RIGHT]) > 0.6
    assert 0.06 < wink.mean() < 0.2
    assert (drawn[wink, LEFT] > drawn[wink, RIGHT]).mean() == pytest.approx(0.5, abs=0.2)


def test_names_may_begin_with_a_capital(tmp_path):
    names = [name[:1].upper() + name[1:] for name in EXPRESSION_NAMES]
    assert ExpressionTakes.load(recorded(tmp_path / "takes.npz", names)).frames.shape == (50, 51)


def test_a_missing_shape_is_named(tmp_path):
    path = recorded(tmp_path / "takes.npz", EXPRESSION_NAMES[1:])
    with pytest.raises(ValueError, match=f"missing: {EXPRESSION_NAMES[0]}"):
        ExpressionTakes.load(path)


def test_frames_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="expected shape"):
        ExpressionTakes(np.zeros((0, 51), np.float32))
