"""Train the multi-face network through Lightning's command line: `mfn fit --config configs/mfn/default.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningCLI
from torch import Tensor, nn

from mfn.models.mfn import MFN, Look
from mfn.models.refiner import find_places
from mfn.structures.cells import PARAMETER_FIELDS, PARAMETERS, SLICES, grid, read_cells, read_parameters
from mfn.structures.head_model import HeadModel
from mfn.training.data.scene_datamodule import Batch
from mfn.training.face_loss import FaceLoss
from mfn.training.losses import box_iou_pairs, giou_loss, quality_focal_loss
from mfn.training.target_assignment import Assignment, assign

LOSS_WEIGHTS: dict[str, float] = {
    "score": 2.0,
    "box": 2.0,
    "rotation": 8.0,
    "landmarks": 40.0,
    "identity": 0.3,
    "expression": 12.0,
    "pose_landmarks": 20.0,
    "gaps": 4.0,
}


CLEAR_PX = 48.0  # from about this size on a face shows its identity and expression


class MultiFace(LightningModule):
    """The system that trains a multi-face network.

    Args:
        network: the multi-face network.
        learning_rate: at its highest, of AdamW.
        weight_decay: of AdamW, on convolution weights only.
        steps: length of the schedule (one cycle of warm-up and cosine).
        warmup: steps of warm-up.
        loss_weights: name -> weight, over those of LOSS_WEIGHTS.
        weights: network to start from: safetensors such as experiments/weights/mfn.safetensors, or a checkpoint; None starts anew.
    """

    def __init__(
        self,
        network: MFN,
        learning_rate: float = 1.5e-3,
        weight_decay: float = 0.02,
        steps: int = 10_000,
        warmup: int = 400,
        loss_weights: dict[str, float] | None = None,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        unknown = set(loss_weights or {}) - set(LOSS_WEIGHTS)
        if unknown:
            raise ValueError(f"loss_weights: expected some of {sorted(LOSS_WEIGHTS)}, got {sorted(unknown)}")
        if weights is not None:
            network.load_state_dict(read_state(Path(weights)))
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learning_rate, self.weight_decay, self.steps, self.warmup = learning_rate, weight_decay, steps, warmup
        self.loss_weights = {**LOSS_WEIGHTS, **(loss_weights or {})}
        self.face_loss = FaceLoss(HeadModel.load())

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) RGB 0..255 -> cells (B, A, D) float32"""
        return self.network(picture.to(memory_format=torch.channels_last)).float()

    def losses(self, look: Look, batch: Batch) -> dict[str, Tensor]:
        """Every term of the loss, each a mean over the pairs it speaks of, and over the looks at them."""
        cells = look.cells
        height, width = batch.picture.shape[2:]
        centers, strides = (torch.from_numpy(x).to(cells.device) for x in grid(height, width))
        pairs = assign(batch.box, batch.image, centers, strides, len(cells))
        raw = cells[pairs.picture, pairs.cell]  # (P, D)
        told = read_cells(raw, centers[pairs.cell], strides[pairs.cell], torch)
        true_box = batch.box[pairs.face]
        quality = torch.zeros_like(cells[..., 0])
        quality[pairs.picture, pairs.cell] = box_iou_pairs(told["box"], true_box).detach().clamp(0.05, 1)
        weight = (~(pairs.ignored | _inside(batch, centers, len(cells)))).float()
        weight[pairs.picture, pairs.cell] = 1.0
        count = max(len(raw), 1)
        logit = cells[..., SLICES["score"].start]
        terms = {
            "score": quality_focal_loss(logit, quality, weight) / count,
            "box": giou_loss(told["box"], true_box).sum() / count,
        }
        looks = [self._parameter_losses(told, batch, pairs.face)]
        if self.network.refiner is not None:
            for after in self._looks_again(look, pairs, raw[:, PARAMETERS]):
                told = read_parameters(after, centers[pairs.cell], strides[pairs.cell], torch)
                looks.append(self._parameter_losses(told, batch, pairs.face))
                terms |= {f"{name}{len(looks)}": value.detach() for name, value in looks[-1].items()}
        return terms | {name: torch.stack([one[name] for one in looks]).mean() for name in looks[0]}

    def _looks_again(self, look: Look, pairs: Assignment, first: Tensor) -> list[Tensor]:
        """The parameters (P, ...) of the pairs after every further look: as at `first` where the finest head answers."""
        fine = look.fine.shape[1]
        again = (pairs.cell >= fine).nonzero()[:, 0]
        picture, cell = pairs.picture[again], pairs.cell[again] - fine
        places, told = find_places(look.levels), [first]
        for _ in range(self.network.refiner.looks):
            # where it reads is not to be bent to its wishes: an earlier look learns from the sum, not through what it is the question of
            added = self.network.refiner.correction(told[-1][again].detach(), picture, cell, places)
            told.append(told[-1] + torch.zeros_like(told[-1]).index_copy(0, again, added))
        return told[1:]

    def _parameter_losses(self, told: dict[str, Tensor], batch: Batch, face: Tensor) -> dict[str, Tensor]:
        known = batch.known[face]
        face = face[known]
        told = {name: value[known] for name, value in told.items()}
        true = {name: getattr(batch, name)[face] for name in PARAMETER_FIELDS}
        box = batch.box[face]
        span = (box[:, 2:] - box[:, :2]).prod(1).clamp(min=1).sqrt()
        # Small faces are many, and of them nobody can tell much: what is asked grows with what can be seen.
        clear = (span / CLEAR_PX).clamp(0.15, 2.0)
        clear = clear / clear.sum().clamp(min=1e-6)
        return {name: (value * clear).sum() for name, value in self.face_loss(told, true).items()}

    def _step(self, batch: Batch, stage: str) -> Tensor:
        look = self.network.look(batch.picture.float().to(memory_format=torch.channels_last))
        levels = [level._replace(features=level.features.float()) for level in look.levels]
        look = look._replace(fine=look.fine.float(), coarse=look.coarse.float(), levels=levels)
        with torch.autocast(self.device.type, enabled=False):  # landmarks in bfloat16 would be a px off
            terms = self.losses(look, batch)
        total = torch.stack([weight * terms[name] for name, weight in self.loss_weights.items()]).sum()
        size = len(batch.picture)
        self.log(f"{stage}/loss", total, prog_bar=True, batch_size=size)
        self.log_dict({f"{stage}/{name}": value for name, value in terms.items()}, batch_size=size)
        return total

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """One batch."""
        return self._step(batch, "train")

    def validation_step(self, batch: Batch, _: int) -> None:
        """One batch of fixed scenes."""
        self._step(batch, "val")

    def test_step(self, batch: Batch, _: int) -> None:
        """One batch of fixed scenes."""
        self._step(batch, "test")

    def configure_optimizers(self) -> dict[str, Any]:
        """See `one_cycle`."""
        return one_cycle(self, self.learning_rate, self.weight_decay, self.steps, self.warmup)


def one_cycle(module: nn.Module, learning_rate: float, weight_decay: float, steps: int, warmup: int) -> dict[str, Any]:
    """AdamW with weight decay on convolutions and matrices only; warm-up, then cosine to a hundredth. What Lightning wants of them."""
    decayed = [p for p in module.parameters() if p.ndim > 1]
    free = [p for p in module.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}], lr=learning_rate
    )

    def rate(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * progress)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def read_state(path: Path) -> dict[str, Tensor]:
    """The network's weights in safetensors (kept in float16) or in a checkpoint of Lightning's, float32. Executes nothing."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights to start from")
    if path.suffix == ".ckpt":
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        state = {k.removeprefix("network."): v for k, v in state.items() if k.startswith("network.")}
    else:
        from safetensors.torch import load_file

        state = load_file(path)
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _inside(batch: Batch, centers: Tensor, pictures: int) -> Tensor:
    """Cells whose centre lies in a box of which nobody knows whether it is a face: (B, A) bool"""
    box, where = batch.unsure, torch.zeros(pictures, len(centers), dtype=torch.bool, device=centers.device)
    hit = ((centers[None] >= box[:, None, :2]) & (centers[None] <= box[:, None, 2:])).all(-1)  # (Q, A)
    row, cell = hit.nonzero(as_tuple=True)
    where[batch.unsure_image[row], cell] = True
    return where


def main(args: Sequence[str]) -> None:
    """`mfn fit|validate|test …`: Lightning's command line over any system and data module that a configuration names."""
    torch.set_flush_denormal(True)  # moments and weights that die away pass through numbers that a CPU is a hundred times slower at
    LightningCLI(args=list(args), save_config_kwargs={"overwrite": True})
