"""The training of the eye reader: the crops, how they are drawn, and that it learns."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from lightning.pytorch import Trainer  # noqa: E402

from mfn.models.export.to_onnx import write_onnx  # noqa: E402
from mfn.models.readers.eye_reader import EyeReader  # noqa: E402
from mfn.structures.crop_geometry import EYE_COLUMNS, EYE_CROP_PX, EYE_SHAPES  # noqa: E402
from mfn.training.data.workers import endless_loader  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.packs.reader import Pack  # noqa: E402
from mfn.training.packs.sources import PackSources, TrainingPictures  # noqa: E402
from mfn.training.single_face.eyes import STORED_PX, EyeBatches, EyeData, EyeModule, Eyes, augment, cut_eyes, strength  # noqa: E402
from tests.helpers.faces import random_faces  # noqa: E402
from tests.helpers.training import first_batches  # noqa: E402


def a_pack(count: int = 6) -> Pack:
    faces = random_faces(count).replace(image=np.arange(count), center=np.full((count, 2), 60), scale=np.full(count, 500))
    pictures = [np.random.default_rng(i).integers(0, 256, (120, 120, 3)).astype(np.uint8) for i in range(count)]
    labeled = np.arange(count) != 2
    return Pack("p", pictures, faces, labeled, np.zeros((0, 4), np.float32), np.zeros(0, np.int32))


def test_both_eyes_of_labeled_faces_are_cut():
    pack = a_pack()
    eyes = cut_eyes([pack, a_pack(3)], [3.0, 1.0])
    assert eyes.crops.shape == (14, STORED_PX, STORED_PX, 3) and eyes.crops.dtype == np.uint8
    np.testing.assert_array_equal(eyes.shapes[0], pack.faces.expression[0, EYE_COLUMNS[0]])
    np.testing.assert_array_equal(eyes.shapes[1], pack.faces.expression[0, EYE_COLUMNS[1]])
    plain = eyes.weight / strength(eyes.shapes)
    assert len(plain) == 7 and plain[:5].sum() == pytest.approx(3) and plain[5:].sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="expected packs with labeled faces, got none"):
        cut_eyes([], [])


def test_faces_whose_eyes_show_something_are_drawn_more_often():
    shapes = np.zeros((4, len(EYE_SHAPES)), np.float32)
    shapes[3, 0] = 0.9
    assert strength(shapes).tolist() == [1, 6]
    eyes = Eyes(np.zeros((4, STORED_PX, STORED_PX, 3), np.uint8), np.zeros((4, 3), np.float32), shapes, strength(shapes))
    batch = EyeBatches(eyes, 700).draw(np.random.default_rng(0))
    shut = batch.shapes[:, 0] > 0.5
    assert batch.picture.shape == (700, 3, STORED_PX, STORED_PX) and 270 < int(shut.sum()) < 330
    assert not shut[0::2].any(), "left and right stay in order"
    assert [len(b.shapes) for b in EyeBatches(cut_eyes([a_pack()], [1.0]), 4)] == [4, 4, 2]


def test_each_process_and_each_place_of_a_training_draws_eyes_of_its_own(monkeypatch):
    monkeypatch.setattr(PackSources, "read", lambda self: TrainingPictures([a_pack(40)], [1.0], []))
    data = EyeData(PackSources(weights={"p": 1.0}), batch_size=8, seed=3)
    data.setup()
    later = {rank: first_batches(data, rank, 2) for rank in (0, 1)}
    start = first_batches(data, 0, 0)
    assert all(torch.equal(a, b) for a, b in zip(start[2:], later[0][:2])), "a training that goes on sees what it has not seen"
    assert not torch.equal(start[0], later[0][0]) and not torch.equal(later[0][0], later[1][0])
    assert sum(len(batch.shapes) for batch in data.test_dataloader()) == 2 * len(data.val.eyes.weight)


def test_augmented_crops_keep_their_middle():
    torch.manual_seed(0)
    picture = torch.zeros(64, 3, STORED_PX, STORED_PX, dtype=torch.uint8)
    middle = slice(STORED_PX // 2 - 5, STORED_PX // 2 + 5)
    picture[:, :, middle, middle] = 255
    batch = EyeBatches(cut_eyes([a_pack()], [1.0]), 64).draw(np.random.default_rng(0))._replace(picture=picture)
    x, direction = augment(batch)
    assert x.shape == (64, 3, EYE_CROP_PX, EYE_CROP_PX) and x.min() >= 0 and x.max() <= 255
    assert (x[:, :, 12:20, 12:20].mean((1, 2, 3)) > x[:, :, :4, :4].mean((1, 2, 3))).float().mean() > 0.9
    assert 0 < (direction - batch.direction).abs().mean() < 0.1


def test_it_learns_whether_an_eye_is_bright_and_is_exported(tmp_path):
    torch.manual_seed(0)
    bright = np.random.default_rng(0).integers(0, 2, 64)
    crops = np.where(bright[:, None, None, None], 200, 60).astype(np.uint8) * np.ones((1, STORED_PX, STORED_PX, 3), np.uint8)
    shapes = np.zeros((64, len(EYE_SHAPES)), np.float32)
    shapes[:, 0] = bright
    eyes = Eyes(crops, np.tile(np.float32([0, 0, -1]), (64, 1)), shapes, np.ones(32))
    module = EyeModule(EyeReader((8, 8, 8), 16), OneCycle(learning_rate=0.01, steps=40, warmup=1))
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=40, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )
    held = torch.utils.data.DataLoader(EyeBatches(eyes, 16), batch_size=None)
    trainer.fit(module, endless_loader(EyeBatches(eyes, 32).draw, 0, 0, trainer), held)
    figures = dict(trainer.callback_metrics)
    assert figures["val/eyeBlink_r"] > 0.9 and figures["val/wink_gain"] > 0.4
    (tested,) = trainer.test(module, held, verbose=False)
    assert tested["test/loss"] == pytest.approx(float(figures["val/loss"])) and tested["test/eyeBlink_r"] > 0.9
    assert module.hparams["difference"] == 2.0 and "network" not in module.hparams
    write_onnx(module.network.eval(), tmp_path / "eyes.onnx")
    from mfn.inference.readers.eye_reader import EyeReader as Reader

    session = Reader.load(tmp_path / "eyes.onnx", threads=1).session
    images, direction = crops[:4, :EYE_CROP_PX, :EYE_CROP_PX], np.tile(np.float32([0, 0, -1]), (4, 1))
    with torch.no_grad():
        expected = module.network(torch.from_numpy(images).permute(0, 3, 1, 2).float(), torch.from_numpy(direction)).numpy()
    np.testing.assert_allclose(session.run(None, {"image": images, "direction": direction})[0], expected, atol=0.02)
