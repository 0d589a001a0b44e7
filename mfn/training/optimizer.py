"""The optimizer and the learning-rate schedule that all training systems use."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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
        steps: Length of the schedule, after which the training ends; None for the trainer's `max_steps`.
        warmup: Steps of warm-up.
        factors: Beginning of a parameter's name -> factor of its learning rate; the first match counts, others have 1. Layers that are
            trained already need smaller steps than those that learn something new.
    """

    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    steps: int | None = None
    warmup: int = 200
    factors: dict[str, float] = field(default_factory=dict)

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate at a step of `steps`, relative to the largest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = min((step - self.warmup) / max(steps - self.warmup, 1), 1.0)
        return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress))

    def length(self, trainer: Any) -> int:
        """Return the number of steps of a training.

        Raises:
            ValueError: Neither the schedule nor the trainer has an end.
        """
        steps = self.steps if self.steps is not None else trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ValueError("trainer.max_steps: expected the number of steps of the training, got -1; the learning rate depends on it")
        return int(steps)

    def is_over(self, step: int) -> bool:
        """Return whether the training ends after this many steps."""
        return self.steps is not None and step >= self.steps

    def configure(self, module: nn.Module, steps: int) -> dict[str, Any]:
        """Make the optimizer and the schedule of a module, as Lightning's `configure_optimizers` returns them.

        Args:
            module: The module.
            steps: Length of the schedule.

        Raises:
            ValueError: No parameter has a name that begins as one of `factors`.
        """
        named = dict(module.named_parameters())
        unused = [start for start in self.factors if not any(name.startswith(start) for name in named)]
        if unused:
            raise ValueError(f"factors: expected the beginnings of parameter names such as {next(iter(named))!r}, got {unused}")
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in named.items():
            factor = next((value for start, value in self.factors.items() if name.startswith(start)), 1.0)
            groups.setdefault((factor, self.weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [{"params": params, "weight_decay": decay, "lr": factor * self.learning_rate} for (factor, decay), params in groups.items()],
            lr=self.learning_rate,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.rate(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


DEFAULT_SCHEDULE = OneCycle()
