"""The training of the eye reader: crops of the eyes of faces with their labels, and the training system.

`mfn fit --config configs/others/eye_reader.yaml`. Letters: E eyes, B eyes in a batch, S side of a crop in px. Eyes come in pairs: the left
and the right eye of a face, one after the other.
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
from mfn.training.checkpoints import start_from
from mfn.training.data.workers import endless_loader
from mfn.training.device.eye_effects import cast_shadows, choose_swaps, match_colors, put_on_glasses
from mfn.training.device.photometric_augment import degrade, jitter_colors
from mfn.training.losses.terms import expression_gain
from mfn.training.metrics.eyes import eye_figures, left_minus_right
from mfn.training.optimizer import DEFAULT_SCHEDULE, OneCycle
from mfn.training.packs.reader import Pack
from mfn.training.packs.sources import PackSources

SHOWN = 1.5  # side of a stored crop relative to that of a training crop, so that it can be turned, zoomed and shifted
STORED_PX = round(SHOWN * EYE_CROP_PX)
STRONG = {
    "eyeBlink": (0.5, 5.0),
    "eyeLookDown": (0.35, 3.0),
    "eyeLookIn": (0.45, 3.0),
    "eyeLookOut": (0.45, 3.0),
    "eyeLookUp": (0.35, 3.0),
    "eyeSquint": (0.5, 2.0),
    "eyeWide": (0.3, 4.0),
}
"""Shape -> label from which an eye is drawn more often, and how much more."""
ROLL_STD_RAD, LOG_ZOOM_STD, SHIFT_STD, DIRECTION_STD = 0.12, 0.1, 0.035, 0.06
LOW_RESOLUTION_SHARE, LOW_RESOLUTION_PX = 0.4, (6, 24)  # share of the crops that are shown with so few px


class EyeBatch(NamedTuple):
    """B eyes of B / 2 faces.

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
        weight: (E / 2,) how often each face is drawn.
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
            parts.append(Eyes(cut_crops(pack.pictures[number], frames.matrix, STORED_PX), frames.direction, shapes, np.ones(len(faces))))
        share = weight / max(sum(len(part.weight) for part in parts[start:]), 1)
        parts[start:] = [part._replace(weight=part.weight * share * strength(part.shapes)) for part in parts[start:]]
    if not parts:
        raise ValueError("expected packs with labeled faces, got none")
    return Eyes(*(np.concatenate([part[field] for part in parts]) for field in range(len(Eyes._fields))))


def strength(shapes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much more often faces are drawn for what their eyes (E, 7) show -> (E / 2,). Most labels are near rest."""
    more = np.ones(len(shapes))
    for name, (limit, factor) in STRONG.items():
        more += factor * (shapes[:, EYE_SHAPES.index(name)] > limit)
    return np.asarray(more.reshape(-1, 2).max(1))


class EyeBatches(IterableDataset[EyeBatch]):
    """Batches of the eyes of faces. `draw` chooses faces by weight; an iteration gives each face once.

    Args:
        eyes: The eyes.
        batch_size: Eyes in a batch, an even number.
    """

    def __init__(self, eyes: Eyes, batch_size: int) -> None:
        self.eyes, self.faces, self.cumulated = eyes, batch_size // 2, np.cumsum(eyes.weight)

    def __iter__(self) -> Iterator[EyeBatch]:
        count = len(self.eyes.weight)
        yield from (self._batch(np.arange(i, min(i + self.faces, count))) for i in range(0, count, self.faces))

    def draw(self, rng: np.random.Generator) -> EyeBatch:
        """Draw a batch."""
        return self._batch(np.searchsorted(self.cumulated, rng.random(self.faces) * self.cumulated[-1]))

    def _batch(self, faces: NDArray[np.int64]) -> EyeBatch:
        rows = (2 * faces[:, None] + [0, 1]).reshape(-1)
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
        if batch_size < 2:
            raise ValueError(f"batch_size: expected 2 eyes or more, those of one face, got {batch_size}")
        self.sources, self.batch_size, self.workers, self.seed = sources, batch_size, workers, seed

    def prepare_data(self) -> None:
        """Check the packs and render heads; Lightning calls this in one process of each machine."""
        self.sources.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Read the packs and cut their eyes."""
        pictures = self.sources.read()
        parts = (pictures.part(held, lambda pack: pack.has_labels) for held in (False, True))
        self.train, self.val = (EyeBatches(cut_eyes(*part), self.batch_size) for part in parts)

    def train_dataloader(self) -> DataLoader[EyeBatch]:
        """Return batches without end; processes of a distributed training draw different ones."""
        return endless_loader(self.train.draw, self.seed, self.workers, self.trainer)

    def val_dataloader(self) -> DataLoader[EyeBatch]:
        """Return each held-out eye once. Every process of a distributed training reads all of them, so that correlations are exact."""
        return DataLoader(self.val, batch_size=None)

    test_dataloader = val_dataloader


def swap_eyes(batch: EyeBatch) -> EyeBatch:
    """Give some faces one eye of another face, in their own colors."""
    source = choose_swaps(batch.direction, batch.shapes[:, 0])
    swapped = (source != torch.arange(len(source), device=source.device)).nonzero()[:, 0]
    picture = batch.picture.clone()
    partner = swapped + 1 - 2 * (swapped % 2)
    picture[swapped] = match_colors(batch.picture[source[swapped]].float(), batch.picture[partner].float()).to(picture.dtype)
    return EyeBatch(picture, batch.direction[source], batch.shapes[source])


def augment(batch: EyeBatch) -> tuple[Tensor, Tensor]:
    """Turn, zoom, shift, blur and light eyes at random -> crops (B, 3, 32, 32) and directions (B, 3).

    Shadows and what lenses mirror differ between the two eyes of a face; light, colors, noise and resolution are those of one photo.
    """
    count, device = len(batch.picture), batch.picture.device
    roll = ROLL_STD_RAD * torch.randn(count, device=device)
    zoom = torch.exp(LOG_ZOOM_STD * torch.randn(count, device=device)) / SHOWN
    where = torch.zeros(count, 2, 3, device=device)
    where[:, 0, 0], where[:, 0, 1], where[:, 1, 0], where[:, 1, 1] = (zoom * f for f in (roll.cos(), -roll.sin(), roll.sin(), roll.cos()))
    where[:, :, 2] = 2 * SHIFT_STD / SHOWN * torch.randn(count, 2, device=device)
    grid = F.affine_grid(where, [count, 3, EYE_CROP_PX, EYE_CROP_PX], align_corners=False)
    x = F.grid_sample(batch.picture.float(), grid, align_corners=False, padding_mode="border")
    x = cast_shadows(put_on_glasses(x))
    side = int(torch.randint(LOW_RESOLUTION_PX[0], LOW_RESOLUTION_PX[1] + 1, ()))
    low = F.interpolate(F.interpolate(x, size=(side, side), mode="area"), size=x.shape[2:], mode="bilinear")
    chosen = (torch.rand(count // 2, 1, 1, 1, device=device) < LOW_RESOLUTION_SHARE).repeat_interleave(2, 0)
    both = torch.where(chosen, low, x).unflatten(0, (-1, 2))
    photo = degrade(jitter_colors(torch.cat([both[:, 1].flip(3), both[:, 0]], 3)))  # the right eye as it lies in the photo, beside the left
    x = torch.stack([photo[..., EYE_CROP_PX:], photo[..., :EYE_CROP_PX].flip(3)], 1).flatten(0, 1)
    return x, batch.direction + DIRECTION_STD * torch.randn_like(batch.direction)


class EyeModule(LightningModule):
    """Train an eye reader with the distance of the weights, of the differences between two eyes, and with a penalty on gains below 1.

    What one eye alone tells is trained too, so that the features of each eye do not come to lean on the other.

    Args:
        network: The eye reader.
        schedule: Optimizer and learning rate.
        gain: Weight of the penalty.
        difference: Weight of the differences between the left and the right eye.
        weights: Weights to start from: safetensors or a checkpoint.
    """

    def __init__(
        self,
        network: EyeReader,
        schedule: OneCycle = DEFAULT_SCHEDULE,
        gain: float = 0.3,
        difference: float = 2.0,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        if weights is not None:
            start_from(network, Path(weights))
        self.network = network.to(memory_format=torch.channels_last)
        self.schedule, self.gain, self.difference = schedule, gain, difference
        self._seen: list[tuple[Tensor, Tensor]] = []
        self.save_hyperparameters(ignore=["network"])

    def forward(self, picture: Tensor, direction: Tensor) -> Tensor:
        """Return the weights (B, 7) in [0, 1] for crops (B, 3, 32, 32) and directions (B, 3)."""
        return self.both(picture, direction)[1]

    def both(self, picture: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights (B, 7) of each eye by itself, and those in sight of the other eye."""
        alone, together = self.network.both(picture.float().contiguous(memory_format=torch.channels_last), direction)
        return alone.float().sigmoid(), together.float().sigmoid()

    def losses(self, alone: Tensor, together: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Return the weighted losses of the weights (B, 7) of each eye by itself and of those in sight of the other eye."""
        slope, counts = expression_gain(together, target)
        lack = (1 - slope).clamp(min=0).square() * counts
        return {
            "alone": 2 * F.smooth_l1_loss(alone, target, beta=0.1),
            "shapes": 4 * F.smooth_l1_loss(together, target, beta=0.1),
            "difference": self.difference * F.smooth_l1_loss(left_minus_right(together), left_minus_right(target), beta=0.1),
            "gain": self.gain * lack.sum() / counts.sum().clamp(min=1),
        }

    def training_step(self, batch: EyeBatch, _: int) -> Tensor:
        """Compute the loss of a batch."""
        batch = swap_eyes(batch)
        terms = self.losses(*self.both(*augment(batch)), batch.shapes)
        return self._log_losses(terms, len(batch.picture), "train")

    def _log_losses(self, terms: dict[str, Tensor], size: int, stage: str) -> Tensor:
        total = torch.stack(list(terms.values())).sum()
        self.log(f"{stage}/loss", total, prog_bar=True, batch_size=size, sync_dist=stage != "train")
        self.log_dict({f"{stage}/{name}": value for name, value in terms.items()}, batch_size=size, sync_dist=stage != "train")
        return total

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop the training at the end of a schedule that has one of its own."""
        self.trainer.should_stop |= self.schedule.is_over(self.global_step)

    def _measure(self, batch: EyeBatch, stage: str) -> None:
        """Log the losses of held-out eyes, and keep what is read of them."""
        margin = (STORED_PX - EYE_CROP_PX) // 2
        inner = batch.picture[:, :, margin : margin + EYE_CROP_PX, margin : margin + EYE_CROP_PX]
        alone, together = self.both(inner, batch.direction)
        self._log_losses(self.losses(alone, together, batch.shapes), len(inner), stage)
        self._seen.append((together, batch.shapes))

    def validation_step(self, batch: EyeBatch, _: int) -> None:
        """Read held-out eyes."""
        self._measure(batch, "val")

    def test_step(self, batch: EyeBatch, _: int) -> None:
        """Read held-out eyes."""
        self._measure(batch, "test")

    def _log_figures(self, stage: str) -> None:
        """Log the figures of the eyes that were read, and forget them."""
        predicted, target = (torch.cat(values) for values in zip(*self._seen, strict=True))
        self._seen.clear()
        self.log_dict({f"{stage}/{name}": value for name, value in eye_figures(predicted, target).items()}, sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the validation: val/l1 and so on."""
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test."""
        self._log_figures("test")

    def configure_optimizers(self) -> dict[str, Any]:
        """Return the optimizer and the schedule."""
        return self.schedule.configure(self, self.schedule.length(self.trainer))
