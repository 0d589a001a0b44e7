"""The meta-joint optimization of 3DDFA_V2."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from lightning.pytorch import Callback, Trainer  # noqa: E402

from mfn.models.sfn import Regressor  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.data.crops import CropMaker  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.single_face.meta_joint import MetaJointModule  # noqa: E402
from tests.helpers.training import crop_packs, tiny_backbone  # noqa: E402

MODEL = HeadModel.load()
QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}


class Batches(torch.utils.data.IterableDataset):
    """Crops without end; each process draws its own."""

    def __init__(self):
        self.maker = CropMaker(crop_packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL)

    def __iter__(self):
        rng = np.random.default_rng(torch.distributed.get_rank() if torch.distributed.is_initialized() else 0)
        while True:
            yield self.maker.batch(4, rng)


class NotesWins(Callback):
    """Write what each process chose, and a weight of its network."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, system):
        weight = next(system.network.parameters()).flatten()[:4].tolist()
        (self.folder / f"{trainer.global_rank}.json").write_text(json.dumps([system.wins, weight]))


def fit(folder, batches: int, **options) -> MetaJointModule:
    """Train a tiny network, with a choice after every two batches."""
    torch.manual_seed(0)
    system = MetaJointModule(Regressor(tiny_backbone()), OneCycle(steps=7), look_ahead=2)
    trainer = Trainer(max_epochs=1, limit_train_batches=batches, accelerator="cpu", default_root_dir=folder, **QUIET, **options)
    trainer.fit(system, torch.utils.data.DataLoader(Batches(), batch_size=None))
    return system


def test_meta_joint_keeps_the_better_copy(tmp_path):
    system = fit(tmp_path, 9)
    assert sum(system.wins.values()) == 3
    for own, other in zip(system.network.parameters(), system.other.parameters(), strict=True):
        torch.testing.assert_close(own, other)  # the last batch was a choice


def test_the_optimizers_share_no_tensor_after_a_choice(tmp_path):
    first, second = ([tensor for row in one.optimizer.state.values() for tensor in row.values()] for one in fit(tmp_path, 3).optimizers())
    assert first and not {tensor.data_ptr() for tensor in first} & {tensor.data_ptr() for tensor in second}
    for own, other in zip(first, second, strict=True):
        torch.testing.assert_close(own, other)


def test_two_processes_choose_the_same_copy(tmp_path):
    fit(tmp_path, 6, strategy="ddp_spawn", devices=2, callbacks=[NotesWins(tmp_path)])
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second and sum(first[0].values()) == 2
