"""The loss on how strongly expressions are predicted."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from mfn.training.losses.terms import expression_gain, gain_loss  # noqa: E402


def targets() -> torch.Tensor:
    torch.manual_seed(0)
    target = torch.rand(64, 51)
    target[:, 3] = 0.2  # a shape that does not vary
    return target


def test_the_gain_is_the_slope_of_a_straight_line():
    target = targets()
    pred = 0.1 + 0.6 * target + 0.05 * torch.randn_like(target)
    slope, counts = expression_gain(pred, target)
    expected = np.polyfit(target[:, 7].numpy(), pred[:, 7].numpy(), 1)[0]
    assert abs(float(slope[7]) - expected) < 0.01 and not counts[3] and counts.sum() == 50


@pytest.mark.parametrize(("gain", "loss"), [(1.0, 0.0), (0.5, 0.25), (1.4, 0.0), (0.0, 1.0)])
def test_only_a_lack_of_gain_costs(gain, loss):
    target = targets()
    assert abs(float(gain_loss(gain * target, target)) - loss) < 0.01


@pytest.mark.parametrize(("gain", "loss"), [(0.8, 0.0), (0.5, 0.09), (0.0, 0.64)])
def test_a_gain_costs_what_it_lacks_of_the_aim(gain, loss):
    target = targets()
    assert abs(float(gain_loss(gain * target, target, aim=0.8)) - loss) < 0.01


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_faces_cost_nothing(count):
    target = torch.rand(count, 51)
    assert float(gain_loss(target, target)) == 0


def test_the_gradient_raises_the_gain():
    target = targets()
    factor = torch.tensor(0.3, requires_grad=True)
    gain_loss(factor * target, target).backward()
    assert factor.grad is not None and factor.grad < 0


def test_random_predictions_get_no_gain_beyond_their_spread():
    rng = torch.Generator().manual_seed(1)
    target = torch.rand(400, 51, generator=rng)
    hardly_read = 0.3 * target + 0.95 * torch.rand(400, 51, generator=rng)  # vary as much as the target, correlation 0.3
    weak = 0.2 * hardly_read
    assert float(gain_loss(hardly_read, target)) > 0.4
    assert float(gain_loss(hardly_read, target, within_spread=True)) < 0.001
    assert float(gain_loss(weak, target, within_spread=True)) == pytest.approx((0.3 * 0.8) ** 2, rel=0.2)
    exact_but_weak = 0.5 * target
    assert float(gain_loss(exact_but_weak, target, within_spread=True)) == pytest.approx(0.25, rel=0.02)
    assert float(gain_loss(1 - 0.3 * target, target, within_spread=True)) == pytest.approx(0.09, rel=0.02)  # read the wrong way round
