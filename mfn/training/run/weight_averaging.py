"""Moving averages of the weights."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

WARM_UP = 10.0  # after n steps the decay is (1 + n) / (10 + n) at most


class WarmWeightAveraging(WeightAveraging):
    """Average the weights exponentially, with a decay that rises from 0.1: after n steps it is (1 + n) / (10 + n) or `decay`, if less.

    Validation and checkpoints use the average. Without the warm-up, the average of a short training is mostly the weights that it began
    with: after 300 steps with a decay of 0.998 they still count for half.

    Args:
        decay: The largest decay.
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number from 0 to below 1, got {decay}")
        self.decay = decay
        self._is_validating = False
        super().__init__(avg_fn=self._average)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate the average."""
        super().on_validation_epoch_start(trainer, pl_module)
        self._is_validating = True

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the weights that are trained."""
        super().on_validation_epoch_end(trainer, pl_module)
        self._is_validating = False

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Go on with the weights that are trained, so that a checkpoint that is written now has both at their places."""
        if self._is_validating:
            self.on_validation_epoch_end(trainer, pl_module)

    def _average(self, averaged: Tensor, current: Tensor, steps: Any) -> Tensor:
        count = torch.as_tensor(steps, dtype=torch.float32, device=current.device)
        decay = ((1 + count) / (WARM_UP + count)).clamp(max=self.decay)
        return (averaged + (1 - decay) * (current - averaged)).to(averaged.dtype)
