"""Worker processes of the data loaders, and the numbered random data that they draw.

Batch k of process r of a run is always the same: its random numbers come from the seed of the run, r and k. So workers share the work
without drawing anything twice, and a training that goes on from a checkpoint goes on with the data that it had not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

PREFETCH_BATCHES = 4  # per worker
VALIDATION_SEED = 7

Part = Literal["train", "val"]
Draw = Callable[[np.random.Generator], Any]


class EndlessBatches(IterableDataset[Any]):
    """New batches without end.

    Args:
        draw: Draws a batch.
        seed: Seed of the run.
        rank: Number of the process, of all machines.
        first: Returns the number of the next batch when an epoch begins.
    """

    def __init__(self, draw: Draw, seed: int, rank: int = 0, first: Callable[[], int] = lambda: 0) -> None:
        self.draw, self.seed, self.rank, self.first = draw, seed, rank, first

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        number, step = self.first() + (info.id if info else 0), info.num_workers if info else 1
        while True:
            yield self.draw(np.random.default_rng([self.seed, self.rank, number]))
            number += step


class FixedItems(Dataset[Any]):
    """The same data each time, for validation. Processes of a distributed run share it.

    Args:
        draw: Draws an item.
        count: Number of items.
    """

    def __init__(self, draw: Draw, count: int) -> None:
        self.draw, self.count = draw, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Any:
        if i >= self.count:
            raise IndexError(i)
        return self.draw(np.random.default_rng([VALIDATION_SEED, i]))


def check_counts(**options: int) -> None:
    """Raise ValueError if the value of an option is less than 1; the message has its name."""
    for name, value in options.items():
        if value < 1:
            raise ValueError(f"{name}: expected 1 or more, got {value}")


def check_strategy(trainer: Any, what: str) -> None:
    """Check that a training in several processes can leave out some layers of the network.

    Args:
        trainer: Lightning's trainer.
        what: What leaves them out, for the message.

    Raises:
        ValueError: The strategy expects a gradient of every parameter.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters"):
        raise ValueError(f"trainer.strategy: expected ddp_find_unused_parameters_true with {what}, got ddp, which trains all layers")


def endless_loader(draw: Draw, seed: int, workers: int, trainer: Any) -> DataLoader[Any]:
    """Make the training loader of a data module.

    Args:
        draw: Draws a batch.
        seed: Seed of the run.
        workers: Number of processes that draw; 0 to draw in this one.
        trainer: Lightning's trainer; None outside a training.
    """
    rank = trainer.global_rank if trainer else 0
    batches = EndlessBatches(draw, seed, rank, lambda: trained_batches(trainer))
    return DataLoader(batches, batch_size=None, **loader_options(workers))


def trained_batches(trainer: Any) -> int:
    """Return how many batches a trainer has trained on, with those before the checkpoint that it goes on from."""
    return int(trainer.fit_loop.epoch_loop.batch_progress.total.completed) if trainer else 0


def limit_threads(_: int) -> None:
    """Let a worker process use one thread. OpenCV's and torch's threads would take the cores that train the network."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def loader_options(workers: int) -> dict[str, Any]:
    """Return the options of a `DataLoader` with this many workers.

    Workers are forked, so that they share the decoded pictures; spawned ones would copy them.
    """
    return {
        "num_workers": workers,
        "multiprocessing_context": "fork" if workers else None,
        "prefetch_factor": PREFETCH_BATCHES if workers else None,
        "worker_init_fn": limit_threads,
    }
