"""Lightning's data module: scenes without end for training, a fixed set of scenes for validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mfn.structures.head_model import HeadModel
from mfn.training.data.packs import pack_place, read_pack, read_pictures
from mfn.training.data.scenes import KINDS, Kind, Mosaic, Scene

PICTURE_FIELDS = ("box", "rotation", "scale", "center", "identity", "expression")


class Batch(NamedTuple):
    """B scenes with M faces in all, sorted by scene.

    picture (B, 3, S, S) uint8; image (M,) long; known (M,) bool; box (M, 4), rotation (M, 3, 3), scale (M,), center (M, 2),
    identity (M, I), expression (M, 51) as in `Faces`; unsure (Q, 4) and unsure_image (Q,) long: where nothing is asked of the network.
    """

    picture: Tensor
    image: Tensor
    known: Tensor
    box: Tensor
    rotation: Tensor
    scale: Tensor
    center: Tensor
    identity: Tensor
    expression: Tensor
    unsure: Tensor
    unsure_image: Tensor


def collate(scenes: Sequence[Scene]) -> Batch:
    """Scenes -> one Batch."""
    pictures = np.stack([s.picture for s in scenes]).transpose(0, 3, 1, 2)
    number = [np.full(len(s.faces), i) for i, s in enumerate(scenes)]
    unsure_number = [np.full(len(s.unsure), i) for i, s in enumerate(scenes)]
    fields = {f: torch.from_numpy(np.concatenate([getattr(s.faces, f) for s in scenes])) for f in PICTURE_FIELDS}
    return Batch(
        picture=torch.from_numpy(np.ascontiguousarray(pictures)),
        image=torch.from_numpy(np.concatenate(number)).long(),
        known=torch.from_numpy(np.concatenate([s.known for s in scenes])),
        unsure=torch.from_numpy(np.concatenate([s.unsure for s in scenes]).astype(np.float32)),
        unsure_image=torch.from_numpy(np.concatenate(unsure_number)).long(),
        **fields,
    )


class Endless(IterableDataset):
    """New scenes for ever; every worker and every epoch draws its own."""

    def __init__(self, mosaic: Mosaic, seed: int) -> None:
        self.mosaic, self.seed = mosaic, seed

    def __iter__(self) -> Iterator[Scene]:
        info = torch.utils.data.get_worker_info()
        # torch gives every worker of every epoch a seed of its own
        rng = np.random.default_rng([self.seed, info.seed if info else torch.initial_seed()])
        while True:
            yield self.mosaic.scene(rng)


class Fixed(Dataset):
    """The same `count` scenes each time: scene i is drawn with seed i."""

    def __init__(self, mosaic: Mosaic, count: int) -> None:
        self.mosaic, self.count = mosaic, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Scene:
        if i >= self.count:
            raise IndexError(i)
        return self.mosaic.scene(np.random.default_rng([7, i]))


class Scenes(LightningDataModule):
    """Training scenes of packs.

    Args:
        folder: holds `faces/SOURCE.tar`, `faces/SOURCE.npz` and `backgrounds.tar`.
        labels: folder of the fitted labels, `SOURCE.npz` each.
        sources: pack name -> how often it is drawn, relative to the others; a name with a "/" is a path to a pack of yours without ending,
            with `labels/` beside it.
        size: side of a scene, px, a multiple of 64.
        batch_size: scenes in a batch.
        workers: processes that compose scenes.
        validation: number of fixed scenes; their pictures are one in fifty of each pack, left out of training.
        seed: of the training scenes.
        kinds: kinds of scenes, name -> [share, [least, most patches], [least, most face size in parts of the side]]; None: KINDS.
    """

    def __init__(  # noqa: PLR0913  # each is a knob of the YAML
        self,
        folder: Path,
        labels: Path,
        sources: dict[str, float],
        size: int = 256,
        batch_size: int = 16,
        workers: int = 1,
        validation: int = 96,
        seed: int = 0,
        kinds: dict[str, tuple[float, tuple[int, int], tuple[float, float]]] | None = None,
    ) -> None:
        super().__init__()
        if size % 64:
            raise ValueError(f"size: expected a multiple of 64, got {size}")
        self.folder, self.labels, self.sources = Path(folder), Path(labels), sources
        self.size, self.batch_size, self.workers = size, batch_size, workers
        self.validation, self.seed = validation, seed
        self.kinds = KINDS if kinds is None else {name: Kind(*kind) for name, kind in kinds.items()}
        self._mosaics: dict[str, Mosaic] | None = None

    def setup(self, stage: str | None = None) -> None:
        """Decodes every picture into memory, once."""
        if self._mosaics is not None:
            return
        model = HeadModel.load()
        box_of = model.boxes
        backgrounds = read_pictures(self.folder / "backgrounds.tar")
        packs = [read_pack(*pack_place(self.folder, self.labels, name)) for name in self.sources]
        held = [np.arange(len(p.pictures)) % 50 == 0 for p in packs]

        def mosaic(chosen: list[np.ndarray], photos: list[np.ndarray]) -> Mosaic:
            parts = [p.only(c) for p, c in zip(packs, chosen, strict=True)]
            weights = [w for part, w in zip(parts, self.sources.values(), strict=True) if len(part.faces)]
            parts = [part for part in parts if len(part.faces)]
            return Mosaic(parts, weights, photos, model.identity_mirror, box_of, self.size, self.kinds)

        self._mosaics = {
            "fit": mosaic([~h for h in held], [b for i, b in enumerate(backgrounds) if i % 20]),
            "validate": mosaic(held, backgrounds[::20]),
        }

    def train_dataloader(self) -> DataLoader:
        """Batches without end."""
        assert self._mosaics is not None
        rank = self.trainer.global_rank if self.trainer else 0  # processes that share a seed would train on the same scenes
        return self._loader(Endless(self._mosaics["fit"], self.seed + 1000 * rank))

    def val_dataloader(self) -> DataLoader:
        """The fixed scenes."""
        assert self._mosaics is not None
        return self._loader(Fixed(self._mosaics["validate"], self.validation))

    def test_dataloader(self) -> DataLoader:
        """The fixed scenes: photos made for evaluation are measured by `experiments/`."""
        return self.val_dataloader()

    def _loader(self, dataset: Dataset) -> DataLoader:
        # forked workers share the decoded pictures; a spawned one would copy them
        return DataLoader(
            dataset,
            self.batch_size,
            num_workers=self.workers,
            collate_fn=collate,
            multiprocessing_context="fork" if self.workers else None,
            prefetch_factor=4 if self.workers else None,
            worker_init_fn=limit_threads,
        )


def limit_threads(_: int) -> None:
    """OpenCV's and torch's threads of a worker would take the cores the network trains on."""
    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
