"""The training system of 3DDFA_V2: `mfn fit --config configs/tddfa/default.yaml`."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn

from mfn.models.crop_regressor import FEATURES_NDIM, predict
from mfn.structures.crop_geometry import CROP_SIZE
from mfn.training.checkpoints import start_from
from mfn.training.data.batch import CropBatch
from mfn.training.metrics.crops import CropFigures
from mfn.training.optimizer import DEFAULT_SCHEDULE, OneCycle
from mfn.training.single_face.losses import TddfaLoss

GRADIENT_CLIP = 10.0
COPIES = 2  # of the network; a step of each counts as a step of the trainer


class MetaJointModule(LightningModule):
    """Train a network by 3DDFA_V2's meta-joint optimization.

    Two copies of the network train for `look_ahead` batches, one with fWPDC, the other with VDC. On the next batch, the
    meta-test, the copy with the smaller VDC wins, and both continue from it. A step costs as much as two.

    Source: Guo et al., ECCV 2020, Algorithm 1. What is predicted is not as published: see `mfn.models.sfn.Regressor`.

    Args:
        network: Takes crops (B, 3, S, S); returns parameters.
        schedule: Optimizer and learning rate of each copy; its steps are batches. The trainer's `max_steps` counts both copies.
        look_ahead: Batches between two choices.
        weights: Weights to start from, safetensors or a checkpoint, of any network: tensors with the same name and shape are copied.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: OneCycle = DEFAULT_SCHEDULE,
        look_ahead: int = 20,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        if weights is not None:
            start_from(network, Path(weights))
        self.network: nn.Module = network.to(memory_format=torch.channels_last)
        self.other = deepcopy(self.network)
        self.fwpdc, self.vdc = TddfaLoss("fwpdc"), TddfaLoss("vdc")
        self.schedule, self.look_ahead = schedule, look_ahead
        self.wins = {"fwpdc": 0, "vdc": 0}
        self.figures = CropFigures()
        self.save_hyperparameters(ignore=["network"])

    def forward(self, picture: Tensor) -> Tensor:
        """Return parameters (B, PARAMETER_SIZE) float32 for crops (B, 3, S, S) RGB, 0 to 255, or for features (B, F) of crops."""
        return predict(self.network, picture)

    def _loss(self, network: nn.Module, loss: TddfaLoss, batch: CropBatch) -> Tensor:
        picture, target = batch
        raw = predict(network, picture)
        with torch.autocast(raw.device.type, enabled=False):
            return torch.stack(list(loss(raw, target).values())).sum()

    def training_step(self, batch: CropBatch, number: int) -> None:
        """Train both copies on a batch, or, after `look_ahead` batches, choose one."""
        first, second = self.optimizers()
        if number % (self.look_ahead + 1) == self.look_ahead:
            self._choose(batch, first.optimizer, second.optimizer)
            return
        copies = [(self.network, self.fwpdc, first), (self.other, self.vdc, second)]
        # One copy after the other takes half the memory, but `ddp`, also of one process, expects gradients of all parameters in one pass.
        for part in ([copy] for copy in copies) if isinstance(self.trainer.strategy, SingleDeviceStrategy) else (copies,):
            self._step(part, batch)
        for scheduler in self.lr_schedulers():
            scheduler.step()

    def _step(self, copies: list[tuple[nn.Module, TddfaLoss, Any]], batch: CropBatch) -> None:
        """Train copies of the network, each with its loss and optimizer, by one pass through all of them."""
        values = [self._loss(network, loss, batch) for network, loss, _ in copies]
        for _, _, optimizer in copies:
            optimizer.zero_grad()
        self.manual_backward(torch.stack(values).sum())
        for (_, loss, optimizer), value in zip(copies, values, strict=True):
            optimizer.step()
            self.log(f"train/{loss.kind}", value.detach(), prog_bar=True, batch_size=len(batch[0]))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Limit the gradients of a copy. Here those of `precision: 16-mixed` have their true size again."""
        self.clip_gradients(optimizer, GRADIENT_CLIP, "norm")

    @torch.no_grad()
    def _choose(self, batch: CropBatch, first: torch.optim.Optimizer, second: torch.optim.Optimizer) -> None:
        """Copy weights and optimizer state of the copy with the smaller VDC to the other. All processes choose the same copy."""
        losses = torch.stack([self._loss(network, self.vdc, batch) for network in (self.network, self.other)])
        one, two = self.trainer.strategy.reduce(losses, reduce_op="mean")
        if two < one:
            self.network.load_state_dict(self.other.state_dict())
            first.load_state_dict(deepcopy(second.state_dict()))  # an optimizer keeps the tensors that it is given
        else:
            self.other.load_state_dict(self.network.state_dict())
            second.load_state_dict(deepcopy(first.state_dict()))
        self.wins["vdc" if two < one else "fwpdc"] += 1
        self.log("train/vdc_wins", self.wins["vdc"] / sum(self.wins.values()), batch_size=len(batch[0]))

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop the training at the end of a schedule that has one of its own. Lightning counts the steps of both copies."""
        self.trainer.should_stop |= self.schedule.is_over(self.global_step // COPIES)

    def _measure(self, batch: CropBatch, stage: str) -> Tensor:
        picture, target = batch
        raw = self(picture)
        self.log(f"{stage}/loss", self.vdc(raw, target)["vdc"], prog_bar=True, batch_size=len(picture), sync_dist=True)
        self.figures.update(raw, target, CROP_SIZE if picture.ndim == FEATURES_NDIM else picture.shape[-1])
        return raw

    def validation_step(self, batch: CropBatch, _: int) -> Tensor:
        """Measure a batch of fixed crops. Returns the network's output."""
        return self._measure(batch, "val")

    def test_step(self, batch: CropBatch, _: int) -> Tensor:
        """Measure a batch of fixed crops. Returns the network's output."""
        return self._measure(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the validation: val/nme and so on."""
        self.log_dict({f"val/{name}": value for name, value in self.figures.compute().items()})

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test."""
        self.log_dict({f"test/{name}": value for name, value in self.figures.compute().items()})

    def configure_optimizers(self) -> Any:
        """Return an optimizer and a schedule for each copy."""
        steps = self.schedule.length(self.trainer) // (COPIES if self.schedule.steps is None else 1)
        both = [self.schedule.configure(network, steps) for network in (self.network, self.other)]
        return [b["optimizer"] for b in both], [b["lr_scheduler"] for b in both]
