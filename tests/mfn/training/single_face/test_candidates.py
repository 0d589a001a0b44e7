"""Candidates: their crops, the targets of the box branch, and its training."""

import tarfile

import numpy as np
import pytest

from retarget.io.images import encode_jpeg

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from lightning.pytorch import Trainer  # noqa: E402

from mfn.models.readers.face_reader import FaceReader  # noqa: E402
from mfn.structures.cells import CELL_SIZE, read_boxes  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.single_face.box_branch import BoxBranchModule  # noqa: E402
from mfn.training.single_face.candidates import (  # noqa: E402
    CROP_SIDE_PX,
    CandidateBatch,
    CandidateBatches,
    CandidateData,
    Candidates,
    box_targets,
    cut_at_resolution,
    jitter,
    read_candidates,
    write_candidates,
)
from tests.helpers.training import first_batches  # noqa: E402

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (90, 120, 3)).astype(np.uint8)


def some_candidates(count: int = 60) -> Candidates:
    """Every second one is a face of 30 px around (50, 40); the others lie beside it."""
    is_face = np.arange(count) % 2 == 0
    gain = CROP_SIDE_PX / 40
    matrix = np.tile(np.array([[gain, 0, -30 * gain], [0, gain, -20 * gain]]), (count, 1, 1))
    return Candidates(
        np.arange(count) % 3, (~is_face).astype(int), np.where(np.arange(count)[:, None] % 4 == 0, 0.5, 1.0) * np.ones((1, 2)),
        np.full(count, 0.5, np.float32),
        np.where(is_face[:, None], [35.0, 25, 65, 55], 0), is_face, matrix,
    )


def test_targets_are_the_raw_values_of_a_cell_that_covers_the_crop():
    part = some_candidates(4)
    raw = np.zeros((4, CELL_SIZE), np.float32)
    raw[:, 1:5] = box_targets(part.true_box, part.matrix, np.ones((4, 2)))
    box = read_boxes(raw, np.full((4, 2), CROP_SIDE_PX / 2, np.float32), np.full(4, CROP_SIDE_PX / 4, np.float32))["box"]
    gain = CROP_SIDE_PX / 40
    np.testing.assert_allclose(box[0], np.array([35 - 30, 25 - 20, 65 - 30, 55 - 20]) * gain, rtol=1e-4)


def test_targets_of_a_squeezed_copy_are_those_that_the_crop_of_the_copy_shows():
    part, shrink = some_candidates(1), np.array([[0.5, 0.8]])
    matrix = part.matrix.copy()
    matrix[:, :, :2] *= shrink[:, None]
    squeezed = box_targets(part.true_box / np.tile(shrink, (1, 2)), matrix, shrink)
    np.testing.assert_allclose(squeezed, box_targets(part.true_box, part.matrix, np.ones((1, 2))), atol=1e-6)


def test_jitter_keeps_the_face_in_the_crop_and_mirrors_half():
    matrix = np.repeat(some_candidates(1).matrix, 400, 0)
    changed = jitter(matrix, np.random.default_rng(1))
    center = changed[:, :, :2] @ [50.0, 40.0] + changed[:, :, 2]
    assert np.abs(center - CROP_SIDE_PX / 2).max() < 0.2 * CROP_SIDE_PX and center.std(0).min() > 1
    mirrored = np.linalg.det(changed[:, :, :2]) < 0
    assert 0.4 < mirrored.mean() < 0.6
    targets = box_targets(np.tile([45.0, 25, 75, 55], (400, 1)), changed, np.ones((400, 2)))
    assert targets[mirrored, 0].mean() < -0.5 < 0.5 < targets[~mirrored, 0].mean()


def test_a_crop_shows_no_more_than_the_small_copy_does():
    matrix = some_candidates(1).matrix[0]
    fine, coarse = (cut_at_resolution(PICTURE, matrix, side).astype(float) for side in (CROP_SIDE_PX, 8))
    assert fine.shape == coarse.shape == (CROP_SIDE_PX, CROP_SIDE_PX, 3)
    assert np.abs(np.diff(coarse, axis=0)).mean() < 0.3 * np.abs(np.diff(fine, axis=0)).mean()


def test_batches_are_half_faces_and_held_out_candidates_come_once():
    batch = CandidateBatches(some_candidates(), [[PICTURE] * 3] * 2, 10).draw(np.random.default_rng(0))
    assert batch.picture.shape == (10, 3, CROP_SIDE_PX, CROP_SIDE_PX) and batch.picture.dtype == torch.uint8
    assert batch.is_face.tolist() == [1.0] * 5 + [0.0] * 5
    others = some_candidates()._replace(source=np.where(np.arange(60) % 4 == 3, 1, 0))  # half of what is no face is in photos of crowds
    empty = np.isin(np.arange(60), np.flatnonzero(others.source == 1))
    batches = CandidateBatches(others, [[PICTURE] * 3] * 2, 40)
    drawn: list[np.ndarray] = []
    batches._batch = lambda rows, rng=None: drawn.append(rows)
    batches.draw(np.random.default_rng(0))
    assert (~others.is_face[drawn[0]]).sum() == 20 and 10 <= empty[drawn[0]].sum() < 20
    every = list(CandidateBatches(some_candidates(25), [[PICTURE] * 3] * 2, 10))
    assert [len(b.is_face) for b in every] == [10, 10, 5] and sum(b.is_face.sum() for b in every) == 13


def test_the_file_comes_back(tmp_path):
    write_candidates(tmp_path / "new" / "c.npz", some_candidates())
    for a, b in zip(read_candidates(tmp_path / "new" / "c.npz"), some_candidates(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(FileNotFoundError, match=r"none.npz: no such file; make it with python -m experiments.data_generation.candidates"):
        read_candidates(tmp_path / "none.npz")


@pytest.fixture
def data(tmp_path) -> CandidateData:
    """Candidates of three photos."""
    write_candidates(tmp_path / "c.npz", some_candidates())
    (tmp_path / "p.jpg").write_bytes(encode_jpeg(PICTURE))
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        for number in range(3):
            tar.add(tmp_path / "p.jpg", f"{number}.jpg")
    data = CandidateData(tmp_path / "c.npz", tmp_path / "p.tar", tmp_path / "p.tar", batch_size=16, workers=0)
    data.setup()
    return data


def test_each_process_and_each_place_of_a_training_draws_candidates_of_its_own(data):
    later = {rank: first_batches(data, rank, 2) for rank in (0, 1)}
    start = first_batches(data, 0, 0)
    assert all(torch.equal(a, b) for a, b in zip(start[2:], later[0][:2])), "a training that goes on sees what it has not seen"
    assert not torch.equal(start[0], later[0][0]) and not torch.equal(later[0][0], later[1][0])


def test_training_changes_the_box_branch_only_and_lowers_its_loss(data):
    torch.manual_seed(0)
    network = FaceReader((8, 8, 8, 8), (0, 0, 0, 0), 8, 8)
    module = BoxBranchModule(network, OneCycle(learning_rate=0.01, steps=30, warmup=1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    held = list(data.val_dataloader())
    assert held and len(data.train.candidates.score) + len(data.val.candidates.score) == 60

    def loss() -> float:
        network.eval()
        with torch.no_grad():
            return sum(float(sum(module.losses(module(b.picture), b).values())) for b in held)

    first = loss()
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=30, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )
    trainer.fit(module, data)
    validated = dict(trainer.callback_metrics)
    assert loss() < 0.8 * first
    (tested,) = trainer.test(module, data, verbose=False)
    assert {name: tested[f"test/{name}"] for name in ("loss", "auc")} == pytest.approx(
        {name: float(validated[f"val/{name}"]) for name in ("loss", "auc")}
    )
    assert module.hparams["box_weight"] == 3.0 and "network" not in module.hparams
    changed = {name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"detection", "box"}


def test_the_box_of_what_is_no_face_does_not_count():
    module = BoxBranchModule(FaceReader((8, 8, 8, 8), (0, 0, 0, 0), 8, 8))
    batch = CandidateBatch(torch.zeros(2, 3, 64, 64), torch.tensor([1.0, 0.0]), torch.zeros(2, 4))
    raw = torch.zeros(2, 5)
    raw[1, 1:] = 9
    assert module.losses(raw, batch)["box"] == 0
    assert module.losses(raw.flip(0), batch)["box"] > 1


def test_a_file_of_an_older_version_is_one_line(tmp_path):
    old = some_candidates(4)
    write_candidates(tmp_path / "old.npz", old._replace(shrink=old.shrink[:, 0]))
    with pytest.raises(ValueError, match="a file of an older version, without squeezed photos; make it again with python -m"):
        read_candidates(tmp_path / "old.npz")
