"""Lightning's data module of crops: endless crops for training, fixed crops for validation."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from mfn.structures.head_model import default_head_model
from mfn.training.data.batch import CropBatch
from mfn.training.data.crops import CropMaker, is_usable
from mfn.training.data.workers import FixedItems, Part, check_counts, endless_loader
from mfn.training.packs.rendered_heads import RenderedHeads
from mfn.training.packs.sources import PackSources

BACKGROUNDS_EVERY = 4  # crops need fewer background photos than scenes: one in four


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

    Raises:
        ValueError: A batch without crops, or crops without frames.
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
        check_counts(batch_size=batch_size, frames=frames)
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
            return CropMaker(*pictures.part(held, is_usable), pictures.backgrounds[::BACKGROUNDS_EVERY], model, frames)

        self._makers = {"train": maker(False, self.frames), "val": maker(True, 1)}

    def _maker(self, part: Part) -> CropMaker:
        self.setup()
        return self._makers[part]

    def train_dataloader(self) -> DataLoader[CropBatch]:
        """Return batches without end."""
        maker = self._maker("train")
        return endless_loader(lambda rng: maker.batch(self.batch_size, rng), self.seed, self.workers, self.trainer)

    def val_dataloader(self) -> DataLoader[CropBatch]:
        """Return the fixed crops."""
        maker = self._maker("val")
        return DataLoader(FixedItems(lambda rng: maker.batch(self.batch_size, rng), self.validation), batch_size=None)

    test_dataloader = val_dataloader
