"""Drawings of truth and prediction, after every validation."""

from __future__ import annotations

from typing import Any

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from numpy.typing import NDArray
from torch import Tensor

from mfn.inference.visualize import draw_faces
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from mfn.training.data.batch import Batch, CropBatch
from mfn.training.metrics.crops import crop_landmarks, target_faces
from mfn.training.metrics.scenes import faces_of
from mfn.training.run.run_folder import run_folder
from retarget.io.images import Image, write_image

MIN_SCORE = 0.3  # of a face that is drawn
TITLE = "truth above, prediction below"
PICTURE_NDIM = 4  # axes of a batch of crops; features that were computed before have two, and nothing to draw on
MIN_CROP_PX = 192  # smaller crops are enlarged, so that dots do not cover the face
DOT_PX = 2
TRUE_COLOR, PREDICTED_COLOR = (60, 220, 80), (255, 170, 40)  # of the landmarks


class Overlays(Callback):
    """Draw the first scenes or crops of each validation: the truth above, the prediction below.

    Scenes of a multi-face network show the faces, crops of a single-face network the 68 landmarks. Of features that were computed before,
    nothing is drawn: there are no pictures. The picture is written to `overlays` in the folder of the run, and given to W&B and TensorBoard
    where they are the logger. Without a logger, and with `fast_dev_run`, nothing is drawn.

    Args:
        pictures: Number of scenes or crops.
    """

    def __init__(self, pictures: int = 6) -> None:
        self.pictures = pictures

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *numbers: int) -> None:
        """Draw the first batch."""
        if numbers[0] or not trainer.is_global_zero or not trainer.loggers or trainer.fast_dev_run:
            return
        sheet = draw_batch(batch, outputs, self.pictures)
        if sheet is None:
            return
        path = run_folder(trainer) / "overlays" / f"step-{trainer.global_step:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, sheet)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("val/overlays", [sheet], caption=[TITLE])
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("val/overlays", sheet, trainer.global_step, dataformats="HWC")


def draw_batch(batch: Any, outputs: Any, count: int) -> Image | None:
    """Draw what a system returned for a batch; None where there is nothing that can be drawn.

    Args:
        batch: What a data module gave.
        outputs: What the validation step returned: the found faces of scenes, or a network's output for crops.
        count: Number of scenes or crops.
    """
    if isinstance(batch, Batch) and isinstance(outputs, Faces):
        return draw_pairs(batch, outputs, count)
    crops = isinstance(outputs, Tensor) and isinstance(batch, (tuple, list)) and len(batch) == 2 and batch[0].ndim == PICTURE_NDIM
    return draw_crops((batch[0], batch[1]), outputs, count) if crops else None


def draw_pairs(batch: Batch, found: Faces, count: int) -> Image:
    """Draw the first `count` scenes of a batch side by side, with the true faces above and the found ones below."""
    pictures = batch.picture[:count].permute(0, 2, 3, 1).cpu().numpy()
    target, model = faces_of(batch), default_head_model()
    rows = []
    for faces in (target, found[found.score >= MIN_SCORE]):
        rows.append(np.concatenate([draw_faces(picture, faces[faces.image == i], model) for i, picture in enumerate(pictures)], 1))
    return np.concatenate(rows)


def draw_crops(batch: CropBatch, raw: Tensor, count: int) -> Image:
    """Draw the first `count` crops of a batch side by side, with the true landmarks above and the predicted ones below.

    Args:
        batch: The crops and their targets.
        raw: The network's output, as of `crop_landmarks`.
        count: Number of crops.
    """
    crops = batch[0][:count].permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8)
    model, size_px = default_head_model(), crops.shape[1]
    true = model.landmarks(target_faces({name: values[:count] for name, values in batch[1].items()}, model), "ibug68")[..., :2]
    found = crop_landmarks(raw[:count].detach().float().cpu().numpy(), model, size_px)
    rows = []
    for points, color in ((true, TRUE_COLOR), (found, PREDICTED_COLOR)):
        rows.append(np.concatenate([draw_points(crop, p, color) for crop, p in zip(crops, points, strict=True)], 1))
    return np.concatenate(rows)


def draw_points(crop: Image, points: NDArray[np.floating], color: tuple[int, int, int]) -> Image:
    """Draw dots on an enlarged copy of a crop.

    Args:
        crop: (S, S, 3) uint8 RGB.
        points: (L, 2) x y, px of the crop. Points that are not finite are left out.
        color: Of the dots, sRGB 0 to 255.
    """
    import cv2

    factor = -(-MIN_CROP_PX // len(crop))
    drawn = cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    for x, y in np.floor(points[np.isfinite(points).all(1)] * factor).clip(-len(drawn), 2 * len(drawn)).astype(int).tolist():
        cv2.circle(drawn, (x, y), DOT_PX, color, -1, cv2.LINE_AA)
    return np.asarray(drawn, np.uint8)
