"""Numbered batches: no worker, process or continued training draws what another one drew."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from torch.utils.data import DataLoader  # noqa: E402

from mfn.training.data.workers import EndlessBatches, FixedItems, loader_options  # noqa: E402


def drawn(count: int, workers: int = 0, rank: int = 0, first: int = 0) -> list[float]:
    batches = EndlessBatches(lambda rng: float(rng.random()), 5, rank, lambda: first)
    loader = iter(DataLoader(batches, batch_size=None, **loader_options(workers)))
    return [next(loader) for _ in range(count)]


def test_workers_share_the_batches_of_one_process():
    assert drawn(6, workers=0) == drawn(6, workers=1) == drawn(6, workers=2)
    assert len(set(drawn(6))) == 6


def test_a_training_goes_on_with_the_next_batch():
    assert drawn(2, first=4) == drawn(6)[4:] and drawn(2, workers=2, first=4) == drawn(6)[4:]


def test_processes_draw_different_batches():
    assert not set(drawn(6, rank=0)) & set(drawn(6, rank=1))


def test_validation_is_fixed():
    items = FixedItems(lambda rng: float(rng.random()), 3)
    assert list(items) == list(items) and len(set(items)) == len(items) == 3
