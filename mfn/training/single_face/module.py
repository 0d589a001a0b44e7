"""The training system of the single-face networks.

`mfn fit --config configs/sfn/default.yaml`, and the other configurations of one crop.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from mfn.models.crop_regressor import FEATURES_NDIM, CropRegressor, predict
from mfn.structures.crop_geometry import CROP_SIZE
from mfn.training.checkpoints import start_from
from mfn.training.data.batch import CropBatch, CropTargets
from mfn.training.metrics.crops import CropFigures
from mfn.training.optimizer import DEFAULT_SCHEDULE, OneCycle
from mfn.training.single_face.losses import TddfaLoss

IBUG_POINTS = 68


class SingleFaceModule(LightningModule):
    """Train a network of one face with a loss of `mfn.training.single_face.losses`.

    Args:
        network: Takes crops (B, 3, S, S); returns what the loss takes.
        loss: Takes the network's output and the targets; returns weighted losses by name.
        schedule: Optimizer and learning rate.
        landmark_regression: Weight of 3DDFA_V2's regularizer: a linear layer that predicts the 68 landmarks from the
            features. It is used in training only, and the network has to be a `CropRegressor`. 0 for none.
        weights: Weights to start from, safetensors or a checkpoint, of any network: tensors with the same name and shape are copied.
        compile: Whether `mfn fit` compiles the forward pass with `torch.compile`. It needs a C++ compiler. Batches of features that were
            computed before are not compiled: one small layer is left.

    Raises:
        ValueError: `landmark_regression` with a network that is not a `CropRegressor`, or with `compile`.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        schedule: OneCycle = DEFAULT_SCHEDULE,
        landmark_regression: float = 0.0,
        weights: Path | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if weights is not None:
            start_from(network, Path(weights))
        self.network: nn.Module = network.to(memory_format=torch.channels_last)
        self.loss = loss
        self.schedule = schedule
        self.landmark_regression, self.compiles = landmark_regression, compile
        self.figures = CropFigures()
        self.save_hyperparameters(ignore=["network", "loss"])
        if landmark_regression:
            if compile:
                raise ValueError("compile: expected false with landmark_regression, which calls the parts of the network one by one")
            if not isinstance(network, CropRegressor):
                name = type(network).__name__
                raise ValueError(f"landmark_regression: expected a network with `features` and `predict`, got {name}; set it to 0")
            self.landmarks = nn.Linear(network.features_size, IBUG_POINTS * 2)
            self.landmark_targets = TddfaLoss("vdc")

    def forward(self, picture: Tensor) -> Tensor:
        """Return the network's output as float32 for crops (B, 3, S, S) RGB, 0 to 255, or for features (B, F) of crops."""
        return predict(self.network, picture)

    def _step(self, batch: CropBatch, stage: str) -> tuple[Tensor, Tensor]:
        """Log the losses of a batch. Returns their sum and the network's output."""
        picture, target = batch
        picture = picture.float()
        if self.landmark_regression and stage == "train":
            cached = picture.ndim == FEATURES_NDIM
            features = picture if cached else self.network.features(picture.to(memory_format=torch.channels_last))
            raw, landmarks = self.network.predict(features).float(), self.landmarks(features).float()
        else:
            raw, landmarks = self(picture), None
        with torch.autocast(raw.device.type, enabled=False):  # in bfloat16, landmarks would be wrong by a pixel
            terms = self.loss(raw, target)
            if landmarks is not None:
                terms = terms | {"landmark_regression": self.landmark_regression * self._landmark_error(landmarks, target)}
        if stage != "train":
            self.figures.update(raw, target, CROP_SIZE if picture.ndim == FEATURES_NDIM else picture.shape[-1])
        total = torch.stack(list(terms.values())).sum()
        self.log(f"{stage}/loss", total, prog_bar=True, batch_size=len(picture), sync_dist=stage != "train")
        self.log_dict({f"{stage}/{name}": value for name, value in terms.items()}, batch_size=len(picture), sync_dist=stage != "train")
        return total, raw

    def _landmark_error(self, landmarks: Tensor, target: CropTargets) -> Tensor:
        """Compute the mean distance of predicted landmarks (B, 136), in sides of the crop from its center, to the target's 68."""
        difference = landmarks.unflatten(1, (IBUG_POINTS, 2)) + 0.5 - self.landmark_targets.points(target)[:, :IBUG_POINTS]
        return difference.norm(dim=2).mean()

    def on_fit_start(self) -> None:
        """Compile the network if `compile` says so. The names of its tensors stay."""
        if self.compiles:
            self.network.compile()

    def training_step(self, batch: CropBatch, _: int) -> Tensor:
        """Compute the loss of a batch."""
        return self._step(batch, "train")[0]

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop the training at the end of a schedule that has one of its own."""
        self.trainer.should_stop |= self.schedule.is_over(self.global_step)

    def validation_step(self, batch: CropBatch, _: int) -> Tensor:
        """Log the losses of a batch of fixed crops. Returns the network's output."""
        return self._step(batch, "val")[1]

    def test_step(self, batch: CropBatch, _: int) -> Tensor:
        """Log the losses of a batch of fixed crops. Returns the network's output."""
        return self._step(batch, "test")[1]

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the validation: val/nme and so on."""
        self.log_dict({f"val/{name}": value for name, value in self.figures.compute().items()})

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test."""
        self.log_dict({f"test/{name}": value for name, value in self.figures.compute().items()})

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer and the schedule."""
        return self.schedule.configure(self, self.schedule.length(self.trainer))
