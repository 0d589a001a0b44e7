"""Lightning's data module of crops: endless crops for training, fixed crops for validation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset

from mfn.structures.head_model import default_head_model
from mfn.training.data.batch import CropBatch
from mfn.training.data.crops import CropMaker
from mfn.training.data.workers import RANK_SEED_STEP, VALIDATION_SEED, Part, loader_options, worker_rng
from mfn.training.packs.rendered_heads import RenderedHeads
from mfn.training.packs.sources import PackSources

BACKGROUNDS_EVERY = 4  # crops need fewer background photos than scenes: one in four


class EndlessCrops(IterableDataset[CropBatch]):
    """New batches of crops without end.

    Args:
        maker: Draws the crops.
        size: Crops in a batch.
        seed: Seed; each worker and each epoch adds its own.
    """

    def __init__(self, maker: CropMaker, size: int, seed: int) -> None:
        self.maker, self.size, self.seed = maker, size, seed

    def __iter__(self) -> Iterator[CropBatch]:
        rng = worker_rng(self.seed)
        while True:
            yield self.maker.batch(self.size, rng)


class FixedCrops(IterableDataset[CropBatch]):
    """The same batches of crops each time.

    Args:
        maker: Draws the crops.
        size: Crops in a batch.
        count: Number of batches.
    """

    def __init__(self, maker: CropMaker, size: int, count: int) -> None:
        self.maker, self.size, self.count = maker, size, count

    def __iter__(self) -> Iterator[CropBatch]:
        rng = np.random.default_rng(VALIDATION_SEED)
        for _ in range(self.count):
            yield self.maker.batch(self.size, rng)


class CropDataModule(LightningDataModule):
    """Crops of the labeled faces of packs.

    Args:
        folder: As of `mfn.training.data.scene_datamodule.SceneDataModule`.
        labels: As there.
        sources: As there.
        batch_size: Crops in a batch.
        frames: Number of crops in a row that show one face as it moves in the plane of the picture, as 3DDFA_V2's short
            videos do; 1 for none.
        workers: Number of processes that cut crops.
        validation: Number of fixed batches. Their pictures are one in fifty of each pack, and are not used in training.
        seed: Seed of the training crops.
        rendered: As there.
    """

    def __init__(  # noqa: PLR0913  # each is an option of the YAML
        self,
        folder: Path = Path("data"),
        labels: Path = Path("runs/labels"),
        sources: dict[str, float] | None = None,
        batch_size: int = 128,
        frames: int = 1,
        workers: int = 1,
        validation: int = 6,
        seed: int = 0,
        rendered: RenderedHeads | None = None,
    ) -> None:
        super().__init__()
        self.packs = PackSources(folder, labels, sources or {}, rendered)
        self.batch_size, self.frames, self.workers = batch_size, frames, workers
        self.validation, self.seed = validation, seed
        self._makers: dict[Part, CropMaker] = {}

    def prepare_data(self) -> None:
        """Check the packs and render heads; Lightning calls this in one process of each machine."""
        self.packs.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Decode all pictures into memory, once."""
        if self._makers:
            return
        model, pictures = default_head_model(), self.packs.read()

        def maker(held: bool, frames: int) -> CropMaker:
            return CropMaker(*pictures.part(held), pictures.backgrounds[::BACKGROUNDS_EVERY], model, frames)

        self._makers = {"train": maker(False, self.frames), "val": maker(True, 1)}

    def _maker(self, part: Part) -> CropMaker:
        self.setup()
        return self._makers[part]

    def train_dataloader(self) -> DataLoader[CropBatch]:
        """Return batches without end."""
        rank = self.trainer.global_rank if self.trainer else 0
        return self._loader(EndlessCrops(self._maker("train"), self.batch_size, self.seed + RANK_SEED_STEP * rank), self.workers)

    def val_dataloader(self) -> DataLoader[CropBatch]:
        """Return the fixed crops."""
        return self._loader(FixedCrops(self._maker("val"), self.batch_size, self.validation), 0)

    def test_dataloader(self) -> DataLoader[CropBatch]:
        """Return the fixed crops. `experiments/` measures on photos for evaluation."""
        return self.val_dataloader()

    def _loader(self, dataset: IterableDataset[CropBatch], workers: int) -> DataLoader[CropBatch]:
        return DataLoader(dataset, batch_size=None, **loader_options(workers))
