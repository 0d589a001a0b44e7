"""The training system of the face reader's box branch: is there a face in the crop, and where does its box lie?

`mfn fit --config configs/others/candidates.yaml`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import Tensor
from torchmetrics.classification import BinaryAUROC

from mfn.models.readers.face_reader import FaceReader
from mfn.structures.cells import SLICES
from mfn.training.checkpoints import start_from
from mfn.training.device.photometric_augment import degrade, jitter_colors
from mfn.training.optimizer import DEFAULT_SCHEDULE, OneCycle
from mfn.training.single_face.candidates import CandidateBatch

TRAINED = ("detection", "box")  # modules of the reader
BOX_BETA = 0.05  # errors of box values beyond this count in proportion, smaller ones by their square
LABEL_SMOOTHING = 0.01


class BoxBranchModule(LightningModule):
    """Train the box branch of a face reader. All other weights stay as they are, so that what it reads of a face does not change.

    Args:
        network: The face reader.
        schedule: Optimizer and learning rate.
        box_weight: Weight of the box loss beside the cross-entropy of the score.
        weights: Weights to start from: safetensors or a checkpoint.
    """

    def __init__(
        self, network: FaceReader, schedule: OneCycle = DEFAULT_SCHEDULE, box_weight: float = 3.0, weights: Path | None = None
    ) -> None:
        super().__init__()
        if weights is not None:
            start_from(network, Path(weights))
        self.network = network.to(memory_format=torch.channels_last)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name.startswith(TRAINED))
        self.schedule, self.box_weight = schedule, box_weight
        self.auc = BinaryAUROC()
        self.save_hyperparameters(ignore=["network"])

    def forward(self, picture: Tensor) -> Tensor:
        """Return the score and the box of raw cells, (B, 5) float32, for crops (B, 3, S, S) RGB, 0 to 255."""
        cell: Tensor = self.network(picture.float().contiguous(memory_format=torch.channels_last))
        return cell[:, : SLICES["box"].stop].float()

    def losses(self, raw: Tensor, batch: CandidateBatch) -> dict[str, Tensor]:
        """Return the cross-entropy of the score, and the weighted smooth L1 distance of the boxes of faces."""
        smooth = batch.is_face * (1 - 2 * LABEL_SMOOTHING) + LABEL_SMOOTHING
        distance = F.smooth_l1_loss(raw[:, SLICES["box"]], batch.box, beta=BOX_BETA, reduction="none").mean(1)
        return {
            "score": F.binary_cross_entropy_with_logits(raw[:, 0], smooth),
            "box": self.box_weight * (distance * batch.is_face).sum() / batch.is_face.sum().clamp(1),
        }

    def training_step(self, batch: CandidateBatch, _: int) -> Tensor:
        """Compute the loss of a batch."""
        self.network.eval()  # the other modules keep their BatchNorm statistics
        for name in TRAINED:
            getattr(self.network, name).train()
        raw = self(degrade(jitter_colors(batch.picture.float())))
        return self._log_losses(raw, batch, "train")

    def _log_losses(self, raw: Tensor, batch: CandidateBatch, stage: str) -> Tensor:
        terms, size = self.losses(raw, batch), len(batch.picture)
        total = torch.stack(list(terms.values())).sum()
        self.log(f"{stage}/loss", total, prog_bar=True, batch_size=size, sync_dist=stage != "train")
        self.log_dict({f"{stage}/{name}": value for name, value in terms.items()}, batch_size=size, sync_dist=stage != "train")
        return total

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop the training at the end of a schedule that has one of its own."""
        self.trainer.should_stop |= self.schedule.is_over(self.global_step)

    def _measure(self, batch: CandidateBatch, stage: str) -> None:
        """Log the losses, and the area under the ROC curve of the score, of held-out candidates."""
        raw = self(batch.picture)
        self._log_losses(raw, batch, stage)
        self.auc(raw[:, 0], batch.is_face.long())
        self.log(f"{stage}/auc", self.auc, batch_size=len(raw))

    def validation_step(self, batch: CandidateBatch, _: int) -> None:
        """Measure held-out candidates."""
        self._measure(batch, "val")

    def test_step(self, batch: CandidateBatch, _: int) -> None:
        """Measure held-out candidates."""
        self._measure(batch, "test")

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer and the schedule."""
        return self.schedule.configure(self, self.schedule.length(self.trainer))
