"""Worker processes of the data loaders, and the seeds of their random numbers."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import get_worker_info

PREFETCH_BATCHES = 4  # per worker
VALIDATION_SEED = 7
RANK_SEED_STEP = 1000  # processes that share a seed would train on the same data

Part = Literal["train", "val"]


def limit_threads(_: int) -> None:
    """Let a worker process use one thread. OpenCV's and torch's threads would take the cores that train the network."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def worker_rng(seed: int) -> np.random.Generator:
    """Return a random generator that differs between workers and epochs: torch gives each worker of each epoch its own seed."""
    info = get_worker_info()
    return np.random.default_rng([seed, info.seed if info else torch.initial_seed()])


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
