"""The training system of the multi-face network: `mfn fit --config configs/mfn/default.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from mfn.models.mfn import MFN, Features
from mfn.models.refiner import build_pyramid
from mfn.models.single_shot import SingleShot
from mfn.structures.cells import PARAMETER_FIELDS, PARAMETERS, SLICES, grid, read_cells, read_parameters
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from mfn.training.checkpoints import start_from
from mfn.training.data.batch import Batch
from mfn.training.losses.face_loss import FaceLoss
from mfn.training.losses.target_assignment import Assignment, assign_targets, cells_of_any
from mfn.training.losses.terms import generalized_iou_loss, paired_box_iou, quality_focal_loss
from mfn.training.metrics.scenes import SceneFigures
from mfn.training.optimizer import DEFAULT_SCHEDULE, OneCycle

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

MIN_QUALITY = 0.05  # target of the objectness of an assigned cell whose box does not overlap the face
CLEAR_FACE_PX = 48.0  # from about this size, a face shows its identity and expression
CLARITY_RANGE = (0.15, 2.0)


class MultiFaceModule(LightningModule):
    """Train a multi-face network.

    Args:
        network: The network.
        schedule: Optimizer and learning rate.
        loss_weights: Name of a loss -> weight; replaces those of LOSS_WEIGHTS.
        weights: Weights to start from, safetensors such as experiments/weights/mfn.safetensors, or a checkpoint. Tensors of the same name
            and shape are taken; the other layers begin with random weights, and a line names them. None: all of them do.
        compile: Whether `mfn fit` compiles the forward pass in front of the refinement with `torch.compile`. It needs a C++ compiler.

    Raises:
        ValueError: An unknown name in `loss_weights`.
    """

    def __init__(
        self,
        network: MFN | SingleShot,
        schedule: OneCycle = DEFAULT_SCHEDULE,
        loss_weights: dict[str, float] | None = None,
        weights: Path | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        unknown = set(loss_weights or {}) - set(LOSS_WEIGHTS)
        if unknown:
            raise ValueError(f"loss_weights: expected names among {sorted(LOSS_WEIGHTS)}, got {sorted(unknown)}")
        if weights is not None:
            start_from(network, Path(weights))
        self.network = network.to(memory_format=torch.channels_last)
        self.schedule = schedule
        self.loss_weights = {**LOSS_WEIGHTS, **(loss_weights or {})}
        self.face_loss = FaceLoss(default_head_model())
        self.figures = SceneFigures()
        self.compiles = compile
        self._forward_features: Callable[[Tensor], Features] | None = None  # compiled
        self.save_hyperparameters(ignore=["network"])

    def forward(self, picture: Tensor) -> Tensor:
        """Return cells (B, A, D) float32 for pictures (B, 3, H, W) RGB, 0 to 255."""
        cells: Tensor = self.network(picture.to(memory_format=torch.channels_last)).float()
        return cells

    def losses(self, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Compute all losses of a batch.

        Args:
            features: The network's output before the refinement, float32.
            batch: Pictures and targets.

        Returns:
            Name -> (). Those of LOSS_WEIGHTS are means over the assigned cells, and over all refinement steps;
            "landmarks2" and so on are those of one step, for the log.
        """
        cells = features.cells
        height, width = batch.picture.shape[2:]
        centers, strides = (torch.from_numpy(x).to(cells.device, non_blocking=True) for x in grid(height, width))
        pairs = assign_targets(batch.box, batch.image, centers, strides, len(cells))
        raw = cells[pairs.picture, pairs.cell]  # (P, D)
        center, stride = centers[pairs.cell], strides[pairs.cell]
        pred = read_cells(raw, center, stride, torch)
        target_box = batch.box[pairs.face]
        ignored = pairs.ignored | cells_inside(batch.ignore_box, batch.ignore_image, centers, len(cells))
        count = max(len(raw), 1)
        terms = {
            "score": self._score_loss(cells, pairs, paired_box_iou(pred["box"], target_box), ignored) / count,
            "box": generalized_iou_loss(pred["box"], target_box).sum() / count,
        }
        labeled = batch.has_labels[pairs.face].nonzero()[:, 0]
        steps = [self._parameter_losses(pred, batch, pairs.face, labeled)]
        if self.network.refiner is not None:
            for refined in self._refine(features, pairs, raw[:, PARAMETERS]):
                pred = read_parameters(refined, center, stride, torch)
                steps.append(self._parameter_losses(pred, batch, pairs.face, labeled))
                terms |= {f"{name}{len(steps)}": value.detach() for name, value in steps[-1].items()}
        return terms | {name: torch.stack([step[name] for step in steps]).mean() for name in steps[0]}

    def _score_loss(self, cells: Tensor, pairs: Assignment, iou: Tensor, ignored: Tensor) -> Tensor:
        """Compute the loss of the objectness, whose target is the IoU (P,) of the predicted box for assigned cells and 0 elsewhere."""
        quality = torch.zeros_like(cells[..., 0])
        quality[pairs.picture, pairs.cell] = iou.detach().clamp(MIN_QUALITY, 1)
        weight = (~ignored).float()
        weight[pairs.picture, pairs.cell] = 1.0
        return quality_focal_loss(cells[..., SLICES["score"].start], quality, weight)

    def _refine(self, features: Features, pairs: Assignment, first: Tensor) -> list[Tensor]:
        """Return the raw parameters (P, ...) of the pairs after each refinement step. Cells of the finest head keep those in `first`."""
        fine = features.fine.shape[1]
        refined = (pairs.cell >= fine).nonzero()[:, 0]
        picture, cell = pairs.picture[refined], pairs.cell[refined] - fine
        pyramid, steps = build_pyramid(features.levels), [first]
        for _ in range(self.network.refiner.steps):
            # Detach the sampling positions: gradients reach earlier refinement steps through the residual sum only.
            correction = self.network.refiner.correction(steps[-1][refined].detach(), picture, cell, pyramid)
            steps.append(steps[-1] + torch.zeros_like(steps[-1]).index_copy(0, refined, correction))
        return steps[1:]

    def _parameter_losses(self, pred: Mapping[str, Tensor], batch: Batch, face: Tensor, labeled: Tensor) -> dict[str, Tensor]:
        """Compute the losses of pose, identity and expression over the pairs whose face has these labels.

        Args:
            pred: What the cells of the P pairs predict.
            batch: Pictures and targets.
            face: (P,) long, the face of each pair.
            labeled: (L,) long, the pairs whose face has labels. Indices instead of a mask: a GPU need not be waited for again.
        """
        face = face[labeled]
        pred = {name: value[labeled] for name, value in pred.items()}
        target = {name: getattr(batch, name)[face] for name in PARAMETER_FIELDS}
        box = batch.box[face]
        size = (box[:, 2:] - box[:, :2]).prod(1).clamp(min=1).sqrt()
        # Small faces are many and show little, so the weight of a face grows with its size.
        weight = (size / CLEAR_FACE_PX).clamp(*CLARITY_RANGE)
        weight = weight / weight.sum().clamp(min=1e-6)
        return {name: (value * weight).sum() for name, value in self.face_loss(pred, target).items()}

    def _features(self, batch: Batch) -> Features:
        """Compute what the losses read, as float32."""
        forward = self._forward_features or self.network.forward_features
        features: Features = forward(batch.picture.float().to(memory_format=torch.channels_last))
        levels = [level._replace(features=level.features.float()) for level in features.levels]
        return features._replace(fine=features.fine.float(), coarse=features.coarse.float(), levels=levels)

    def _log_losses(self, features: Features, batch: Batch, stage: str) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):  # in bfloat16, landmarks would be wrong by a pixel
            terms = self.losses(features, batch)
        total = torch.stack([weight * terms[name] for name, weight in self.loss_weights.items()]).sum()
        size = len(batch.picture)
        self.log(f"{stage}/loss", total, prog_bar=True, batch_size=size, sync_dist=stage != "train")
        self.log_dict({f"{stage}/{name}": value for name, value in terms.items()}, batch_size=size, sync_dist=stage != "train")
        return total

    def on_fit_start(self) -> None:
        """Compile the network if `compile` says so. The names of its tensors stay."""
        if self.compiles:  # not network.compile(), which compiles `forward`: training calls `forward_features`
            self._forward_features = torch.compile(self.network.forward_features)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Compute the loss of a batch."""
        return self._log_losses(self._features(batch), batch, "train")

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop the training at the end of a schedule that has one of its own."""
        self.trainer.should_stop |= self.schedule.is_over(self.global_step)

    def _measure(self, batch: Batch, stage: str) -> Faces:
        """Log the losses of a batch of fixed scenes, and add its faces to the figures."""
        features = self._features(batch)
        self._log_losses(features, batch, stage)
        refiner = self.network.refiner
        with torch.autocast(self.device.type, enabled=False):
            cells = features.cells if refiner is None else features._replace(coarse=refiner(features.coarse, features.levels)).cells
        return self.figures.update(cells, batch)

    def validation_step(self, batch: Batch, _: int) -> Faces:
        """Measure a batch of fixed scenes. Returns the detected faces."""
        return self._measure(batch, "val")

    def test_step(self, batch: Batch, _: int) -> Faces:
        """Measure a batch of fixed scenes. Returns the detected faces."""
        return self._measure(batch, "test")

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the validation: val/nme, val/box_ap50 and so on."""
        self.log_dict({f"val/{name}": value for name, value in self.figures.compute().items()})

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test."""
        self.log_dict({f"test/{name}": value for name, value in self.figures.compute().items()})

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer and the schedule."""
        return self.schedule.configure(self, self.schedule.length(self.trainer))


def cells_inside(box: Tensor, picture: Tensor, centers: Tensor, pictures: int) -> Tensor:
    """Find the cells whose center lies in a box of their picture.

    Args:
        box: (Q, 4) x1 y1 x2 y2, px.
        picture: (Q,) long, the picture of each box.
        centers: (A, 2) x y of the cells, px.
        pictures: B.

    Returns:
        (B, A) bool.
    """
    inside = ((centers[None] >= box[:, None, :2]) & (centers[None] <= box[:, None, 2:])).all(-1)  # (Q, A)
    return cells_of_any(inside, picture, pictures)
