"""The averaged weights follow a short training."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from torch.optim.swa_utils import AveragedModel  # noqa: E402

from mfn.training.run.weight_averaging import WarmWeightAveraging  # noqa: E402


def last_decay(steps: int, decay: float) -> float:
    """Average a weight that is 1 for some steps and then 0: what is left of the 1 is the decay of the last step."""
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(module.weight)
    average = AveragedModel(module, **WarmWeightAveraging(decay)._kwargs)
    for _ in range(steps):
        average.update_parameters(module)
    torch.nn.init.zeros_(module.weight)
    average.update_parameters(module)
    return average.module.weight.item()


def test_the_decay_rises_to_its_limit():
    early, later, last = (last_decay(steps, 0.9) for steps in (1, 20, 300))
    assert early == pytest.approx(2 / 11) and later == pytest.approx(21 / 30) and last == pytest.approx(0.9)


def test_an_impossible_decay_is_refused():
    with pytest.raises(ValueError, match="from 0 to below 1, got 1"):
        WarmWeightAveraging(1.0)
