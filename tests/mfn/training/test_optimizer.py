"""The schedule of the learning rate and the groups of the optimizer."""

import pytest

torch = pytest.importorskip("torch")

from mfn.training.optimizer import FINAL_RATE, OneCycle  # noqa: E402


def test_the_rate_rises_to_one_and_falls_to_a_hundredth():
    schedule = OneCycle(steps=100, warmup=10)
    rates = [schedule.rate(step, 100) for step in range(120)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1
    assert all(later <= earlier for earlier, later in zip(rates[10:], rates[11:]))
    assert rates[100] == pytest.approx(FINAL_RATE) and rates[119] == pytest.approx(FINAL_RATE)
    assert rates[55] == pytest.approx(0.5 * (1 + FINAL_RATE)), "the middle of the cosine"


def test_only_matrices_have_weight_decay():
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = OneCycle(learning_rate=0.01, weight_decay=0.3, warmup=4).configure(module, 100)["optimizer"]
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {decay[id(p)] for p in module.parameters() if p.ndim > 1} == {0.3}
    assert {decay[id(p)] for p in module.parameters() if p.ndim == 1} == {0.0}
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 / 4), "the first step of the warm-up"


def test_chosen_layers_learn_more_slowly():
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    optimizer = OneCycle(learning_rate=0.01, warmup=1, factors={"0.": 0.25}).configure(module, 100)["optimizer"]
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert [rate[id(p)] for p in module[0].parameters()] == [pytest.approx(0.0025)] * 2
    assert [rate[id(p)] for p in module[1].parameters()] == [pytest.approx(0.01)] * 2


def test_factors_of_no_layer_are_refused():
    with pytest.raises(ValueError, match=r"got \['backbone\.'\]"):
        OneCycle(factors={"backbone.": 0.4}).configure(torch.nn.Linear(2, 2), 100)


class Endless:
    """A trainer without an end."""

    estimated_stepping_batches = float("inf")


def test_one_number_is_the_length_of_a_training():
    class Trainer:
        estimated_stepping_batches = 70

    assert OneCycle().length(Trainer()) == 70 and not OneCycle().is_over(10**9)
    own = OneCycle(steps=30)
    assert own.length(Endless()) == 30 and own.is_over(30) and not own.is_over(29)
    with pytest.raises(ValueError, match=r"trainer\.max_steps: expected the number of steps"):
        OneCycle().length(Endless())
