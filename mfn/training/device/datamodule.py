"""A Lightning data module whose workers plan batches and whose device composes the pictures.

A plan is a few numbers for each tile or crop, so that little travels to the device. Sampling, color jitter, noise and compression run
there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from mfn.structures.head_model import default_head_model
from mfn.training.data.batch import Batch, CropBatch
from mfn.training.data.workers import VALIDATION_SEED, Draw, FixedItems, Part, check_counts, endless_loader
from mfn.training.device.cpu_compose import (
    BLACK_BORDER_SHARE,
    LOW_RESOLUTION_SHARE,
    LOW_RESOLUTIONS,
    OCCLUDED_CROPS,
    OCCLUDED_TILES,
    CpuComposer,
)
from mfn.training.device.crop_plans import CropPlan, CropPlanner
from mfn.training.device.face_library import FaceLibrary
from mfn.training.device.photometric_augment import degrade, jitter_colors, lower_resolution, occlude
from mfn.training.device.picture_bank import PictureBank
from mfn.training.device.scene_plans import ScenePlan, ScenePlanner, TilePlan
from mfn.training.packs.sources import PackSources
from retarget.io.images import Image


class DeviceData:
    """The faces and pictures of all sources, and their place on the device.

    Args:
        sources: Where they come from.
    """

    def __init__(self, sources: PackSources) -> None:
        pictures = sources.read()
        self.library = FaceLibrary(pictures.packs, pictures.weights)
        held = np.concatenate([pack.held_out() for pack in pictures.packs])
        self.validation: NDArray[np.bool_] = held[self.library.faces.image]
        self.backgrounds: list[Image] = pictures.backgrounds
        self.background_sizes: NDArray[np.int64] = np.array([p.shape[1::-1] for p in self.backgrounds], np.int64)
        self._banks: tuple[PictureBank, PictureBank] | None = None
        self._composer: CpuComposer | None = None

    def composer(self) -> CpuComposer:
        """Return what composes pictures where there is no other device than the CPU."""
        if self._composer is None:
            self._composer = CpuComposer(self.library.pictures, self.backgrounds)
        return self._composer

    def banks(self, device: torch.device) -> tuple[PictureBank, PictureBank]:
        """Return the pictures and the photos without faces, on this device."""
        if self._banks is None:
            self._banks = PictureBank(self.library.pictures), PictureBank(self.backgrounds)
        return self._banks[0].to(device), self._banks[1].to(device)


class SceneRecipe:
    """Scenes for the multi-face networks.

    Args:
        size: Side of a scene, px, a multiple of 64.
    """

    def __init__(self, size: int = 512) -> None:
        check_counts(size=size)
        if size % 64:
            raise ValueError(f"size: expected a multiple of 64, got {size}")
        self.size = size

    def usable(self, data: DeviceData) -> NDArray[np.bool_]:
        """Tell which faces (M,) of the data can be drawn."""
        return np.asarray(data.library.weights > 0)

    def planner(self, data: DeviceData, faces: NDArray[np.bool_]) -> ScenePlanner:
        """Make the planner that draws from some of the faces (M,) of the data."""
        model = default_head_model()
        return ScenePlanner(data.library.restrict(faces), data.background_sizes, model.identity_mirror, model.boxes, self.size)

    def compose(self, plan: ScenePlan, data: DeviceData) -> Batch:
        """Sample and join the tiles of a plan, on the device of the plan."""
        device = plan.faces["box"].device
        if device.type == "cpu":
            return Batch(picture=channels_first(data.composer().scenes(plan, self.size, drawn_rng())), **plan.faces)
        bank, backgrounds = data.banks(device)
        pictures = torch.cat([compose_tiles(tiles, bank, backgrounds, self.size) for tiles in plan.tiles])
        return Batch(picture=degrade(pictures).to(torch.uint8), **plan.faces)


class CropRecipe:
    """Crops of labeled faces for the networks of one face.

    Args:
        size: Side of a crop, px.
        min_px: Faces whose longer side is shorter are left out.
        roll_rad: Standard deviation of the rotation of a crop. The reader of upright crops has a small one. A network that reads
            the box of a tilted face, such as SFN, needs a larger one.
        wide_share: Share of the crops that are rotated by any angle up to 0.8 rad.
    """

    def __init__(self, size: int = 64, min_px: float = 40.0, roll_rad: float = 0.15, wide_share: float = 0.15) -> None:
        check_counts(size=size)
        self.size, self.min_px, self.roll_rad, self.wide_share = size, min_px, roll_rad, wide_share

    def usable(self, data: DeviceData) -> NDArray[np.bool_]:
        """Tell which faces (M,) of the data can be drawn."""
        return np.asarray(data.library.large_enough(self.min_px) & (data.library.weights > 0))

    def planner(self, data: DeviceData, faces: NDArray[np.bool_]) -> CropPlanner:
        """Make the planner that draws from some of the faces (M,) of the data."""
        model, library = default_head_model(), data.library.restrict(faces & self.usable(data))
        ranges = {"roll_rad": self.roll_rad, "wide_share": self.wide_share}
        return CropPlanner(library, data.background_sizes, model.identity_mirror, model.boxes, self.size, **ranges)

    def compose(self, plan: CropPlan, data: DeviceData) -> CropBatch:
        """Sample the crops of a plan, on the device of the plan."""
        if plan.matrix.device.type == "cpu":
            return channels_first(data.composer().crops(plan, self.size, drawn_rng())), plan.target
        bank, backgrounds = data.banks(plan.matrix.device)
        picture, inside = bank.sample(plan.picture, plan.matrix, self.size, self.size)
        background, _ = backgrounds.sample(plan.background, plan.background_matrix, self.size, self.size)
        black = torch.rand(len(picture), 1, 1, 1, device=picture.device) < BLACK_BORDER_SHARE
        x = torch.where(inside, picture, torch.where(black, 0.0, background))
        x = occlude(jitter_colors(x), background.roll(1, 0), OCCLUDED_CROPS)
        x = lower_resolution(x, [int(self.size * part) for part in LOW_RESOLUTIONS], LOW_RESOLUTION_SHARE)
        return degrade(x).to(torch.uint8), plan.target


def drawn_rng() -> np.random.Generator:
    """Return random numbers of NumPy that follow the state of torch's."""
    return np.random.default_rng(int(torch.randint(2**31, ())))


def channels_first(pictures: NDArray[np.uint8]) -> Tensor:
    """Return pictures (B, H, W, 3) as a tensor (B, 3, H, W) that shares their memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def compose_tiles(tiles: TilePlan, bank: PictureBank, backgrounds: PictureBank, size: int) -> Tensor:
    """Sample tiles and join them.

    Args:
        tiles: The tiles of scenes of one kind.
        bank: The pictures.
        backgrounds: The photos without faces.
        size: Side of a scene, px.

    Returns:
        Scenes (B, 3, size, size) float32, 0 to 255.
    """
    along = int(tiles.tiles)
    side = size // along
    picture, inside = bank.sample(tiles.picture, tiles.matrix, side, side)
    background, _ = backgrounds.sample(tiles.background, tiles.background_matrix, side, side)
    x = torch.where(inside, jitter_colors(picture), jitter_colors(background))
    x = occlude(x, background.roll(1, 0), OCCLUDED_TILES)
    return x.unflatten(0, (-1, along, along)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


class DeviceDataModule(LightningDataModule):
    """Batches of a recipe, planned by worker processes and composed on the device that trains.

    Args:
        sources: Where the faces come from.
        recipe: What is made of them.
        batch_size: Scenes or crops in a batch.
        workers: Processes that plan; 0 to plan in this one.
        validation: Fixed batches for validation, of pictures that are left out of training.
        seed: Seed of the training batches.
    """

    def __init__(
        self,
        sources: PackSources,
        recipe: SceneRecipe | CropRecipe,
        batch_size: int = 16,
        workers: int = 1,
        validation: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_counts(batch_size=batch_size)
        self.sources, self.recipe, self.batch_size = sources, recipe, batch_size
        self.workers, self.validation, self.seed = workers, validation, seed
        self.data: DeviceData | None = None

    def prepare_data(self) -> None:
        """Check the packs and render heads; Lightning calls this in one process of each machine."""
        self.sources.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Decode all pictures into memory, once."""
        if self.data is not None:
            return
        self.data = DeviceData(self.sources)
        usable, held = self.recipe.usable(self.data), self.data.validation
        validates = bool((usable & held).any())  # else with the faces for training, as in `TrainingPictures.part`
        parts: dict[Part, NDArray[np.bool_]] = {"train": ~held, "val": held if validates else ~held}
        self.planners = {part: self.recipe.planner(self.data, faces) for part, faces in parts.items()}

    def train_dataloader(self) -> DataLoader[Any]:
        """Return plans without end; processes of a distributed training draw different ones."""
        return endless_loader(self._plan("train"), self.seed, self.workers, self.trainer)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the fixed plans."""
        return DataLoader(FixedItems(self._plan("val"), self.validation), batch_size=None)

    def _plan(self, part: Part) -> Draw:
        return lambda rng: self.planners[part].plan(self.batch_size, rng)

    test_dataloader = val_dataloader

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Compose the pictures of a plan. Those for validation are the same each time."""
        assert self.data is not None
        if self.trainer is not None and self.trainer.training:
            return self.recipe.compose(batch, self.data)
        with torch.random.fork_rng():
            torch.manual_seed(VALIDATION_SEED)
            return self.recipe.compose(batch, self.data)
