"""Layers that do not learn at the beginning of a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mfn.training.data.workers import check_strategy


class FrozenStart(Callback):
    """Keep trained layers as they are until the new layers after them have learned something.

    Steps cost less meanwhile, because no gradient passes through frozen layers in front of the others. Their batch normalization keeps
    its averages.

    Args:
        layers: Layers of the network, such as `backbone` or `backbone.stages.0`.
        batches: Number of batches before they learn; a large number for the whole training.
    """

    def __init__(self, layers: Sequence[str], batches: int) -> None:
        self.layers, self.batches = tuple(layers), batches

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check the names and the strategy.

        Raises:
            ValueError: The network has no such layer, or the strategy expects a gradient of every parameter.
        """
        if stage == "fit":
            check_strategy(trainer, "FrozenStart")
        names = [name for name, _ in pl_module.network.named_modules()]
        unknown = [layer for layer in self.layers if layer not in names]
        if unknown:
            raise ValueError(f"layers: expected layers of the network such as {', '.join(names[1:4])}, got {', '.join(unknown)}")

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Freeze the layers, or let them learn again."""
        done = trainer.fit_loop.epoch_loop.batch_progress.total.completed
        for module in self._modules(pl_module):
            module.requires_grad_(done >= self.batches)
            if done < self.batches:
                for part in module.modules():
                    if isinstance(part, _BatchNorm):
                        part.eval()
            elif done == self.batches:
                module.train()

    def _modules(self, system: LightningModule) -> Iterator[nn.Module]:
        """Return the layers of the network, and those of the copy that the meta-joint optimization trains beside it."""
        for network in (system.network, getattr(system, "other", None)):
            if isinstance(network, nn.Module):
                yield from (network.get_submodule(layer) for layer in self.layers)
