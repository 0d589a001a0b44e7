"""Drawings of truth and prediction, after every validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from mfn.inference.visualize import draw_faces
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from mfn.training.data.batch import Batch
from mfn.training.metrics.scenes import faces_of
from mfn.training.run.run_folder import run_folder
from retarget.io.images import Image, write_image

MIN_SCORE = 0.3  # of a face that is drawn
TITLE = "truth above, prediction below"


class Overlays(Callback):
    """Draw the first scenes of each validation: the true faces above, the predicted ones below.

    The picture is written to `overlays` in the folder of the run, and given to W&B and TensorBoard where they are the logger.

    Args:
        pictures: Number of scenes.
    """

    def __init__(self, pictures: int = 6) -> None:
        self.pictures = pictures

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *numbers: int) -> None:
        """Draw the first batch."""
        if numbers[0] == 0 and trainer.is_global_zero and isinstance(batch, Batch) and isinstance(outputs, Faces) and trainer.loggers:
            sheet = draw_pairs(batch, outputs, self.pictures)
            path = run_folder(trainer) / "overlays" / f"step-{trainer.global_step:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, sheet)
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.log_image("val/overlays", [sheet], caption=[TITLE])
                elif isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image("val/overlays", sheet, trainer.global_step, dataformats="HWC")


def draw_pairs(batch: Batch, found: Faces, count: int) -> Image:
    """Draw the first `count` scenes of a batch side by side, with the true faces above and the found ones below."""
    pictures = batch.picture[:count].permute(0, 2, 3, 1).cpu().numpy()
    target, model = faces_of(batch), default_head_model()
    rows = []
    for faces in (target, found[found.score >= MIN_SCORE]):
        rows.append(np.concatenate([draw_faces(picture, faces[faces.image == i], model) for i, picture in enumerate(pictures)], 1))
    return np.concatenate(rows)
