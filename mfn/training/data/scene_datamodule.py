"""Lightning's data module of scenes: endless scenes for training, fixed scenes for validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from mfn.structures.head_model import default_head_model
from mfn.training.data.batch import Batch, collate
from mfn.training.data.scenes import SCENE_KINDS, SceneComposer, SceneKind, is_anchor
from mfn.training.data.workers import FixedItems, Part, check_counts, endless_loader, loader_options
from mfn.training.packs.rendered_heads import RenderedHeads
from mfn.training.packs.sources import PackSources

SIZE_MULTIPLE = 64
HELD_OUT_BACKGROUNDS_EVERY = 20


class SceneDataModule(LightningDataModule):
    """Training scenes composed from packs.

    Args:
        folder: Holds `faces/SOURCE.tar`, `faces/SOURCE.npz` and `backgrounds.tar`. Without the last, backgrounds are drawn.
        labels: Folder of the fitted labels, a `SOURCE.npz` each.
        sources: Name of a pack -> how often it is drawn, relative to the others. A name with a "/" is the path of a
            pack elsewhere, without its suffix, with a folder `labels` beside it.
        size: Side of a scene in px, a multiple of 64.
        batch_size: Scenes in a batch.
        workers: Number of processes that compose scenes.
        validation: Number of fixed scenes. Their pictures are one in fifty of each pack, and are not used in training.
        seed: Seed of the training scenes.
        rendered: Heads that are rendered before the training, in addition to the packs; None for none.
        kinds: Name -> [share, [fewest, most patches], [smallest, largest face relative to the side]]; None for SCENE_KINDS.

    Raises:
        ValueError: A size that is no multiple of 64, or a batch without scenes.
    """

    def __init__(  # noqa: PLR0913  # each is an option of the YAML
        self,
        folder: Path = Path("data"),
        labels: Path = Path("runs/labels"),
        sources: dict[str, float] | None = None,
        size: int = 256,
        batch_size: int = 16,
        workers: int = 1,
        validation: int = 96,
        seed: int = 0,
        rendered: RenderedHeads | None = None,
        kinds: dict[str, tuple[float, tuple[int, int], tuple[float, float]]] | None = None,
    ) -> None:
        super().__init__()
        check_counts(size=size, batch_size=batch_size)
        if size % SIZE_MULTIPLE:
            raise ValueError(f"size: expected a multiple of {SIZE_MULTIPLE} px, got {size}")
        self.packs = PackSources(folder, labels, sources or {}, rendered)
        self.size, self.batch_size, self.workers = size, batch_size, workers
        self.validation, self.seed = validation, seed
        self.kinds = SCENE_KINDS if kinds is None else {name: SceneKind(*kind) for name, kind in kinds.items()}
        self._composers: dict[Part, SceneComposer] = {}

    def prepare_data(self) -> None:
        """Check the packs and render heads; Lightning calls this in one process of each machine."""
        self.packs.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Decode all pictures into memory, once."""
        if self._composers:
            return
        model, pictures = default_head_model(), self.packs.read()

        def composer(held: bool) -> SceneComposer:
            packs, weights = pictures.part(held, is_anchor)
            photos = [b for i, b in enumerate(pictures.backgrounds) if (i % HELD_OUT_BACKGROUNDS_EVERY == 0) == held]
            return SceneComposer(packs, weights, photos or pictures.backgrounds, model.identity_mirror, model.boxes, self.size, self.kinds)

        self._composers = {"train": composer(False), "val": composer(True)}

    def _composer(self, part: Part) -> SceneComposer:
        self.setup()
        return self._composers[part]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return batches without end."""
        composer = self._composer("train")

        def draw(rng: np.random.Generator) -> Batch:
            return collate([composer.compose(rng) for _ in range(self.batch_size)])

        return endless_loader(draw, self.seed, self.workers, self.trainer)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the fixed scenes."""
        scenes = FixedItems(self._composer("val").compose, self.validation)
        return DataLoader(scenes, self.batch_size, collate_fn=collate, **loader_options(self.workers))

    test_dataloader = val_dataloader  # `experiments/` measures on photos for evaluation
