"""Features of crops, computed once by the network that trains, so that only what comes after them has to run in each step.

A network whose first layers are trained already, such as one that starts from SFN, learns its last layers this way with little work.
The crops are drawn once, with their augmentation.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from mfn.models.crop_regressor import CropRegressor
from mfn.structures.crop_geometry import CROP_SIZE
from mfn.training.data.batch import CropBatch
from mfn.training.data.workers import VALIDATION_SEED, Part, check_counts, check_strategy, endless_loader
from mfn.training.device.datamodule import DeviceDataModule
from retarget.io.files import atomic_write

PROBES = 4  # crops of noise whose features tell whether a file belongs to the network
DIGEST = "crops"  # note of a file: a digest of all that its crops depend on


class FeatureCache(LightningDataModule):
    """Batches of features (B, F) and targets, for networks with `features` and `predict` (`mfn.models.crop_regressor.CropRegressor`).

    Args:
        crops: Draws the crops.
        count: Number of crops whose features are computed.
        batch_size: Crops in a batch.
        folder: Where the features are kept for the next training with the same weights and crops; a file for each number of features.
        seed: Seed of the batches and of the crops' augmentation.
    """

    def __init__(
        self,
        crops: DeviceDataModule,
        count: int = 12000,
        batch_size: int = 64,
        folder: Path = Path("runs/features"),
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_counts(count=count, batch_size=batch_size)
        self.crops, self.count, self.batch_size, self.folder, self.seed = crops, count, batch_size, folder, seed
        self.tensors: dict[str, Tensor] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read the features, or compute them.

        Raises:
            ValueError: The network has no features, or the strategy expects a gradient of every parameter.
        """
        if self.tensors:
            return
        if stage == "fit":
            check_strategy(self.trainer, "FeatureCache")
        network = self.trainer.lightning_module.network
        if not isinstance(network, CropRegressor):
            raise ValueError(f"data: expected a network with `features` and `predict`, got {type(network).__name__}")
        probe = probe_features(network)
        path = Path(self.folder) / f"{probe.shape[1]}.safetensors"
        digest = self._digest()
        self.tensors = read_features(path, probe, digest)
        if not self.tensors:
            self.tensors = {"probe": probe, **self._computed("train", network), **self._computed("val", network)}
            write_features(path, self.tensors, digest)

    def _digest(self) -> str:
        """Return a digest of all that the crops depend on."""
        crops, recipe = self.crops, self.crops.recipe
        drawn = (type(recipe).__name__, vars(recipe), crops.batch_size, crops.validation, crops.seed, self.count, self.seed)
        return hashlib.sha256(repr((crops.sources.fingerprint(), drawn)).encode()).hexdigest()

    def _computed(self, part: Part, network: Any) -> dict[str, Tensor]:
        """Compute features and targets of a part; the names of the tensors begin with that of the part."""
        self.crops.trainer = self.trainer
        self.crops.setup()
        loader = iter(self.crops.train_dataloader() if part == "train" else self.crops.val_dataloader())
        batches = -(-self.count // self.crops.batch_size) if part == "train" else self.crops.validation
        with torch.random.fork_rng():
            torch.manual_seed(VALIDATION_SEED if part == "val" else self.seed)
            parts = [self._features_of(next(loader), network) for _ in range(batches)]
        return {f"{part}.{name}": torch.cat([values[name] for values in parts]) for name in parts[0]}

    def _features_of(self, plan: Any, network: Any) -> dict[str, Tensor]:
        """Return features (B, F) in float16, and the targets, for the plan of a batch."""
        assert self.crops.data is not None
        composed: Any = self.crops.recipe.compose(plan, self.crops.data)
        picture, target = composed
        return {"features": features_of(network, picture).half().cpu(), **target}

    def train_dataloader(self) -> DataLoader[CropBatch]:
        """Return batches without end."""
        count = len(self.tensors["train.features"])
        draw = lambda rng: self._batch("train", torch.from_numpy(rng.integers(count, size=self.batch_size)))  # noqa: E731
        return endless_loader(draw, self.seed, 0, self.trainer)

    def val_dataloader(self) -> DataLoader[CropBatch]:
        """Return the crops of validation."""
        parts = torch.arange(len(self.tensors["val.features"])).split(self.batch_size)
        return DataLoader([self._batch("val", rows) for rows in parts], batch_size=None)

    def _batch(self, part: Part, rows: Tensor) -> CropBatch:
        """Return some of the features (B, F) float32 of a part, and their targets."""
        values = {name.removeprefix(f"{part}."): value[rows] for name, value in self.tensors.items() if name.startswith(f"{part}.")}
        return values.pop("features").float(), values

    test_dataloader = val_dataloader


@torch.no_grad()
def features_of(network: Any, picture: Tensor) -> Tensor:
    """Return the features (B, F) of a network in evaluation mode for crops (B, 3, S, S); the network keeps its mode."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    place = next(network.parameters()).device
    features: Tensor = network.features(picture.to(place).float().contiguous(memory_format=torch.channels_last))
    for module, mode in modes:
        module.training = mode
    return features


def probe_features(network: Any) -> Tensor:
    """Return the features (PROBES, F) of crops of noise, by which the layers in front of the features are known."""
    noise = torch.rand(PROBES, 3, CROP_SIZE, CROP_SIZE, generator=torch.Generator().manual_seed(0)) * 255
    return features_of(network, noise).cpu()


def read_features(path: Path, probe: Tensor, digest: str) -> dict[str, Tensor]:
    """Read features from a file; none if it is missing, or belongs to another network or to other crops."""
    if not path.is_file():
        return {}
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        if (file.metadata() or {}).get(DIGEST) != digest:
            return {}
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # the file is no dictionary
    same = kept["probe"].shape == probe.shape and torch.allclose(kept["probe"], probe, atol=1e-3, rtol=1e-3)
    return kept if same else {}


def write_features(path: Path, tensors: dict[str, Tensor], digest: str) -> None:
    """Write features into a file, whole or not at all, with the digest of their crops."""
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, save({name: value.contiguous() for name, value in tensors.items()}, {DIGEST: digest}))
