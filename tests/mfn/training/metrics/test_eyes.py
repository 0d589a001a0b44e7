"""The figures of the eye reader."""

import pytest

torch = pytest.importorskip("torch")
from mfn.structures.crop_geometry import EYE_SHAPES  # noqa: E402
from mfn.training.metrics.eyes import eye_figures, left_minus_right  # noqa: E402


def test_exact_shapes_have_no_error():
    target = torch.rand(40, len(EYE_SHAPES), generator=torch.Generator().manual_seed(0))
    figures = eye_figures(target, target)
    assert figures["l1"] == 0 and figures["wink_gain"] == 1 and figures["false_winks"] == 0
    for name in EYE_SHAPES:
        assert figures[f"{name}_r"] == pytest.approx(1) and figures[f"{name}_gain"] == pytest.approx(1)
    assert eye_figures(0.5 * target + 0.2, target)["eyeBlink_gain"] == pytest.approx(0.5)


def test_winks_that_are_read_and_false_ones():
    target, predicted = torch.zeros(6, len(EYE_SHAPES)), torch.zeros(6, len(EYE_SHAPES))
    target[0, 0], predicted[0, 0] = 0.8, 0.4  # a wink of the left eye, half read
    predicted[3, 0] = 0.5  # a false one of the right eye
    assert left_minus_right(predicted)[:, 0].tolist() == pytest.approx([0.4, -0.5, 0])
    figures = eye_figures(predicted, target)
    assert figures["wink_gain"] == pytest.approx(0.5) and figures["false_winks"] == pytest.approx(0.5)
    assert "wink_gain" not in eye_figures(predicted[2:], target[2:]), "nobody winks"
