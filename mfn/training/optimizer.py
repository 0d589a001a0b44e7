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
        steps: Length of the schedule.
        warmup: Steps of warm-up.
        factors: Beginning of a parameter's name -> factor of its learning rate; the first match counts, others have 1. Layers that are
            trained already need smaller steps than those that learn something new.
    """

    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    steps: int = 5000
    warmup: int = 200
    factors: dict[str, float] = field(default_factory=dict)

    def rate(self, step: int) -> float:
        """Return the learning rate at a step, relative to the largest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * progress))

    def configure(self, module: nn.Module) -> dict[str, Any]:
        """Make the optimizer and the schedule of a module, as Lightning's `configure_optimizers` returns them.

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
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


DEFAULT_SCHEDULE = OneCycle()
