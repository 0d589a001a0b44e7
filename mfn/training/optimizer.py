"""The optimizer and the learning-rate schedule that all training systems use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

FINAL_RATE = 0.01  # learning rate at the end of the schedule, relative to the largest


@dataclass(frozen=True)
class OneCycle:
    """AdamW with one cycle of the learning rate: linear warm-up, then a cosine to a hundredth.

    Attributes:
        learning_rate: The largest learning rate.
        weight_decay: Weight decay of matrices and convolutions. Biases and normalization have none.
        steps: Length of the schedule.
        warmup: Steps of warm-up.
    """

    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    steps: int = 5000
    warmup: int = 200

    def rate(self, step: int) -> float:
        """Return the learning rate at a step, relative to the largest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress))

    def configure(self, module: nn.Module) -> dict[str, Any]:
        """Make the optimizer and the schedule of a module, as Lightning's `configure_optimizers` returns them."""
        decayed = [p for p in module.parameters() if p.ndim > 1]
        others = [p for p in module.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": self.weight_decay}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


DEFAULT_SCHEDULE = OneCycle()
