"""The training of the eye reader: crops of single eyes with their labels, and the training system.

`mfn fit --config configs/others/eye_reader.yaml`. Letters: E eyes, B eyes in a batch, S side of a crop in px.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from mfn.models.readers.eye_reader import EyeReader
from mfn.structures.crop_geometry import EYE_COLUMNS, EYE_CROP_PX, EYE_SHAPES, cut_crops, eye_frames
from mfn.structures.head_model import default_head_model
from mfn.training.checkpoints import load_matching, read_state
from mfn.training.data.workers import EndlessBatches
from mfn.training.device.photometric_augment import degrade, jitter_colors
from mfn.training.losses.terms import expression_gain
from mfn.training.optimizer import DEFAULT_SCHEDULE, OneCycle
from mfn.training.packs.reader import Pack
from mfn.training.packs.sources import PackSources

SHOWN = 1.5  # side of a stored crop relative to that of a training crop, so that it can be turned, zoomed and shifted
STORED_PX = round(SHOWN * EYE_CROP_PX)
STRONG = {
    "eyeBlink": (0.5, 5.0),
    "eyeLookIn": (0.45, 3.0),
    "eyeLookOut": (0.45, 3.0),
    "eyeLookUp": (0.35, 3.0),
    "eyeSquint": (0.5, 2.0),
    "eyeWide": (0.3, 4.0),
}
"""Shape -> label from which an eye is drawn more often, and how much more."""
ROLL_STD_RAD, LOG_ZOOM_STD, SHIFT_STD, DIRECTION_STD = 0.12, 0.1, 0.035, 0.06
LOW_RESOLUTION_SHARE, LOW_RESOLUTION_PX = 0.4, (6, 24)  # share of the crops that are shown with so few px
WINK = 0.45  # difference of the labels of two lids


class EyeBatch(NamedTuple):
    """B eyes.

    Attributes:
        picture: (B, 3, S, S) uint8 RGB, S = STORED_PX: with a margin.
        direction: (B, 3) direction in which the face looks, in the frame of the crop.
        shapes: (B, 7) ARKit weights of EYE_SHAPES.
    """

    picture: Tensor
    direction: Tensor
    shapes: Tensor


class Eyes(NamedTuple):
    """The eyes of packs, left and right of each face.

    Attributes:
        crops: (E, S, S, 3) uint8 RGB.
        direction: (E, 3) direction in which the face looks, in the frame of the crop.
        shapes: (E, 7) labels.
        weight: (E,) how often each is drawn.
    """

    crops: NDArray[np.uint8]
    direction: NDArray[np.float32]
    shapes: NDArray[np.float32]
    weight: NDArray[np.float64]


def cut_eyes(packs: list[Pack], weights: list[float]) -> Eyes:
    """Cut the eyes of all labeled faces.

    Args:
        packs: Pictures and labels.
        weights: How often each pack is drawn, relative to the others.
    """
    model = default_head_model()
    parts: list[Eyes] = []
    for pack, weight in zip(packs, weights, strict=True):
        labeled, start = np.flatnonzero(pack.has_labels), len(parts)
        for number in np.unique(pack.faces.image[labeled]):
            faces = pack.faces[labeled[pack.faces.image[labeled] == number]]
            frames = eye_frames(faces, model, STORED_PX, SHOWN)
            shapes = np.stack([faces.expression[:, columns] for columns in EYE_COLUMNS], 1).reshape(-1, len(EYE_SHAPES))
            parts.append(Eyes(cut_crops(pack.pictures[number], frames.matrix, STORED_PX), frames.direction, shapes, np.ones(len(shapes))))
        share = weight / max(sum(len(part.weight) for part in parts[start:]), 1)
        parts[start:] = [part._replace(weight=part.weight * share * strength(part.shapes)) for part in parts[start:]]
    if not parts:
        raise ValueError("expected packs with labeled faces, got none")
    return Eyes(*(np.concatenate([part[field] for part in parts]) for field in range(len(Eyes._fields))))


def strength(shapes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much more often eyes (E, 7) are drawn for what they show. Most labels are near rest."""
    more = np.ones(len(shapes))
    for name, (limit, factor) in STRONG.items():
        more += factor * (shapes[:, EYE_SHAPES.index(name)] > limit)
    return more


class EyeBatches(IterableDataset[EyeBatch]):
    """Batches of eyes: endless and drawn by weight, or, with `once`, each eye once."""

    def __init__(self, eyes: Eyes, batch_size: int, seed: int, once: bool = False) -> None:
        self.eyes, self.batch_size, self.seed, self.once = eyes, batch_size, seed, once

    def __iter__(self) -> Iterator[EyeBatch]:
        count = len(self.eyes.weight)
        if self.once:
            yield from (self._batch(np.arange(i, min(i + self.batch_size, count))) for i in range(0, count, self.batch_size))
            return
        total = np.cumsum(self.eyes.weight)
        yield from EndlessBatches(lambda rng: self._batch(np.searchsorted(total, rng.random(self.batch_size) * total[-1])), self.seed)

    def _batch(self, rows: NDArray[np.int64]) -> EyeBatch:
        crops, direction, shapes = (torch.from_numpy(values[rows]) for values in self.eyes[:3])
        return EyeBatch(crops.permute(0, 3, 1, 2), direction, shapes)


class EyeData(LightningDataModule):
    """The eyes of packs.

    Args:
        sources: The packs.
        batch_size: B.
        workers: Processes that collect batches.
        seed: Of the random choices.
    """

    def __init__(self, sources: PackSources, batch_size: int = 256, workers: int = 0, seed: int = 0) -> None:
        super().__init__()
        self.sources, self.batch_size, self.workers, self.seed = sources, batch_size, workers, seed

    def setup(self, stage: str | None = None) -> None:
        """Read the packs and cut their eyes."""
        pictures = self.sources.read()
        self.train = EyeBatches(cut_eyes(*pictures.part(False)), self.batch_size, self.seed)
        self.val = EyeBatches(cut_eyes(*pictures.part(True)), self.batch_size, self.seed, once=True)

    def train_dataloader(self) -> DataLoader[EyeBatch]:
        """Return the endless batches."""
        return DataLoader(self.train, batch_size=None, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[EyeBatch]:
        """Return each held-out eye once."""
        return DataLoader(self.val, batch_size=None)


def augment(batch: EyeBatch) -> tuple[Tensor, Tensor]:
    """Turn, zoom, shift, blur and light eyes at random -> crops (B, 3, 32, 32) and directions (B, 3)."""
    count, device = len(batch.picture), batch.picture.device
    roll = ROLL_STD_RAD * torch.randn(count, device=device)
    zoom = torch.exp(LOG_ZOOM_STD * torch.randn(count, device=device)) / SHOWN
    where = torch.zeros(count, 2, 3, device=device)
    where[:, 0, 0], where[:, 0, 1], where[:, 1, 0], where[:, 1, 1] = (zoom * f for f in (roll.cos(), -roll.sin(), roll.sin(), roll.cos()))
    where[:, :, 2] = 2 * SHIFT_STD / SHOWN * torch.randn(count, 2, device=device)
    grid = F.affine_grid(where, [count, 3, EYE_CROP_PX, EYE_CROP_PX], align_corners=False)
    x = F.grid_sample(batch.picture.float(), grid, align_corners=False, padding_mode="border")
    side = int(torch.randint(LOW_RESOLUTION_PX[0], LOW_RESOLUTION_PX[1] + 1, ()))
    low = F.interpolate(F.interpolate(x, size=(side, side), mode="area"), size=x.shape[2:], mode="bilinear")
    chosen = torch.rand(count, 1, 1, 1, device=device) < LOW_RESOLUTION_SHARE
    x = degrade(jitter_colors(torch.where(chosen, low, x)))
    return x, batch.direction + DIRECTION_STD * torch.randn_like(batch.direction)


class EyeModule(LightningModule):
    """Train an eye reader with the distance of the weights, and with a penalty on gains below 1 over the batch.

    Args:
        network: The eye reader.
        schedule: Optimizer and learning rate.
        gain: Weight of the penalty.
        weights: Weights to start from: safetensors or a checkpoint.
    """

    def __init__(
        self, network: EyeReader, schedule: OneCycle = DEFAULT_SCHEDULE, gain: float = 0.3, weights: Path | None = None
    ) -> None:
        super().__init__()
        if weights is not None:
            load_matching(network, read_state(Path(weights)))
        self.network = network.to(memory_format=torch.channels_last)
        self.schedule, self.gain = schedule, gain

    def forward(self, picture: Tensor, direction: Tensor) -> Tensor:
        """Return the weights (B, 7) in [0, 1] for crops (B, 3, 32, 32) and directions (B, 3)."""
        raw: Tensor = self.network(picture.float().contiguous(memory_format=torch.channels_last), direction)
        return raw.float().sigmoid()

    def losses(self, predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the weighted losses of weights (B, 7)."""
        slope, counts = expression_gain(predicted, target)
        lack = (1 - slope).clamp(min=0).square() * counts
        return {
            "shapes": 4 * F.smooth_l1_loss(predicted, target, beta=0.1),
            "gain": self.gain * lack.sum() / counts.sum().clamp(min=1),
        }

    def training_step(self, batch: EyeBatch, _: int) -> Tensor:
        """Compute the loss of a batch."""
        terms = self.losses(self(*augment(batch)), batch.shapes)
        total = torch.stack(list(terms.values())).sum()
        self.log("train/loss", total, prog_bar=True, batch_size=len(batch.picture))
        return total

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop the training at the end of a schedule that has one of its own."""
        self.trainer.should_stop |= self.schedule.is_over(self.global_step)

    def on_validation_epoch_start(self) -> None:
        """Forget the eyes of the last validation."""
        self._seen: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, batch: EyeBatch, _: int) -> None:
        """Read held-out eyes."""
        margin = (STORED_PX - EYE_CROP_PX) // 2
        inner = batch.picture[:, :, margin : margin + EYE_CROP_PX, margin : margin + EYE_CROP_PX]
        self._seen.append((self(inner, batch.direction), batch.shapes))

    def on_validation_epoch_end(self) -> None:
        """Log the error, correlation and gain of each shape, and how much of the difference of two lids is read where one winks."""
        predicted, target = (torch.cat(values) for values in zip(*self._seen, strict=True))
        self.log("val/l1", (predicted - target).abs().mean())
        for column, name in enumerate(EYE_SHAPES):
            p, t = predicted[:, column] - predicted[:, column].mean(), target[:, column] - target[:, column].mean()
            self.log(f"val/{name}_r", (p * t).sum() / (p.norm() * t.norm()).clamp(min=1e-6))
            self.log(f"val/{name}_gain", (p * t).sum() / t.square().sum().clamp(min=1e-6))
        lids, true = predicted[:, 0].reshape(-1, 2), target[:, 0].reshape(-1, 2)
        difference = true[:, 0] - true[:, 1]
        winks = difference.abs() > WINK
        if winks.any():
            self.log("val/wink_gain", ((lids[:, 0] - lids[:, 1]) / difference)[winks].mean())

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer and the schedule."""
        return self.schedule.configure(self, self.schedule.length(self.trainer))
