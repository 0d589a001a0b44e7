"""Numbered batches: no worker, process or continued training draws what another one drew."""

from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from mfn.training.data.crop_datamodule import CropDataModule  # noqa: E402
from mfn.training.data.scene_datamodule import SceneDataModule  # noqa: E402
from mfn.training.data.workers import EndlessBatches, FixedItems, check_counts, check_strategy, loader_options  # noqa: E402
from mfn.training.device.datamodule import CropRecipe, DeviceDataModule, SceneRecipe  # noqa: E402
from mfn.training.packs.sources import PackSources  # noqa: E402
from mfn.training.single_face.candidates import CandidateData  # noqa: E402


def drawn(count: int, workers: int = 0, rank: int = 0, first: int = 0) -> list[float]:
    batches = EndlessBatches(lambda rng: float(rng.random()), 5, rank, lambda: first)
    loader = iter(DataLoader(batches, batch_size=None, **loader_options(workers)))
    return [next(loader) for _ in range(count)]


def test_workers_share_the_batches_of_one_process():
    assert drawn(6, workers=0) == drawn(6, workers=1) == drawn(6, workers=2)
    assert len(set(drawn(6))) == 6


def test_a_training_goes_on_with_the_next_batch():
    assert drawn(2, first=4) == drawn(6)[4:] and drawn(2, workers=2, first=4) == drawn(6)[4:]


def test_processes_draw_different_batches():
    assert not set(drawn(6, rank=0)) & set(drawn(6, rank=1))


def test_counts_below_one_are_named():
    with pytest.raises(ValueError, match="batch_size: expected 1 or more, got 0"):
        check_counts(size=64, batch_size=0)


@pytest.mark.parametrize(("make", "name"), [
    (lambda: SceneDataModule(size=0), "size"), (lambda: SceneDataModule(batch_size=0), "batch_size"),
    (lambda: CropDataModule(batch_size=-1), "batch_size"), (lambda: CropDataModule(frames=0), "frames"),
    (lambda: SceneRecipe(0), "size"), (lambda: CropRecipe(0), "size"),
    (lambda: DeviceDataModule(PackSources(), SceneRecipe(), batch_size=0), "batch_size"),
    (lambda: CandidateData(Path("c.npz"), Path("s.tar"), Path("b.tar"), batch_size=0), "batch_size"),
])  # fmt: skip
def test_data_modules_check_their_counts(make, name):
    with pytest.raises(ValueError, match=f"^{name}: expected 1 or more, got"):
        make()


def test_plain_ddp_is_refused_where_some_layers_do_not_learn():
    for options in ({}, {"find_unused_parameters": False}):
        with pytest.raises(ValueError, match=r"trainer\.strategy: expected ddp_find_unused_parameters_true with FrozenStart, got ddp"):
            check_strategy(SimpleNamespace(strategy=DDPStrategy(**options)), "FrozenStart")
    for strategy in (DDPStrategy(find_unused_parameters=True), SingleDeviceStrategy("cpu")):
        check_strategy(SimpleNamespace(strategy=strategy), "FrozenStart")


def test_validation_is_fixed():
    items = FixedItems(lambda rng: float(rng.random()), 3)
    assert list(items) == list(items) and len(set(items)) == len(items) == 3
