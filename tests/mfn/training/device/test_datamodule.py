"""Batches that are planned on the CPU and composed on the device."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.training.device.datamodule import CropRecipe, DeviceDataModule, SceneRecipe  # noqa: E402
from mfn.training.packs.reader import held_out  # noqa: E402
from mfn.training.packs.sources import PackSources  # noqa: E402


def test_scenes_have_pictures_and_targets(sources):
    module = DeviceDataModule(sources, SceneRecipe(128), batch_size=6, workers=0)
    module.setup()
    batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert batch.picture.shape == (6, 3, 128, 128) and batch.picture.dtype == torch.uint8
    assert len(batch.box) == len(batch.image) == len(batch.expression) > 0 and batch.has_labels.all()


def test_crops_have_pictures_and_targets(sources):
    module = DeviceDataModule(sources, CropRecipe(32), batch_size=5, workers=0)
    module.setup()
    picture, target = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
    assert picture.shape == (5, 3, 32, 32) and target["rotation"].shape == (5, 3, 3)
    assert (target["center"] > 0).all() and (target["center"] < 32).all()


def test_validation_batches_are_fixed_and_of_other_pictures(sources):
    module = DeviceDataModule(sources, CropRecipe(32), batch_size=4, workers=0, validation=2)
    module.setup()
    first, second = ([module.on_after_batch_transfer(plan, 0)[0] for plan in module.val_dataloader()] for _ in range(2))
    assert len(first) == 2 and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    held = {int(plan.picture[i]) for plan in module.val_dataloader() for i in range(4)}
    drawn = {int(i) for i in next(iter(module.train_dataloader())).picture}
    assert all(held_out(len(module.data.library.pictures))[number] for number in held) and not held & drawn


@pytest.mark.parametrize("recipe", [SceneRecipe(64), CropRecipe(32, min_px=1)])
def test_one_picture_serves_training_and_validation(sources, recipe, monkeypatch):
    pictures = sources.read()
    pack = pictures.packs[0].select(np.arange(len(pictures.packs[0].pictures)) == 0)
    monkeypatch.setattr(PackSources, "read", lambda self: pictures._replace(packs=[replace(pack, pictures=pack.pictures[:1])]))
    module = DeviceDataModule(sources, recipe, batch_size=2, workers=0, validation=1)
    module.setup()
    assert next(iter(module.train_dataloader())) and len(list(module.val_dataloader())) == 1


def test_faces_without_labels_are_no_crops(sources, monkeypatch):
    pictures = sources.read()
    pack = replace(pictures.packs[0], has_labels=np.zeros(len(pictures.packs[0].faces), bool))
    monkeypatch.setattr(PackSources, "read", lambda self: pictures._replace(packs=[pack]))
    with pytest.raises(ValueError, match="sources: expected faces to train with, got none with labels"):
        DeviceDataModule(sources, CropRecipe(32), workers=0).setup()


def test_a_scene_of_another_size_is_refused():
    with pytest.raises(ValueError, match="multiple of 64, got 100"):
        SceneRecipe(100)
