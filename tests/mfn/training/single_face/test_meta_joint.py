"""The meta-joint optimization of 3DDFA_V2."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from lightning.pytorch import Callback, Trainer  # noqa: E402
from lightning.pytorch.plugins import MixedPrecision  # noqa: E402

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


def test_scaled_gradients_are_limited_as_others(tmp_path, monkeypatch):
    """float16 scales the loss, and the scale may change with each step of an optimizer."""
    norms, step = [], torch.optim.AdamW.step

    def noted(self, *args, **options):
        step(self, *args, **options)
        norms.append(float(torch.nn.utils.get_total_norm([p.grad for group in self.param_groups for p in group["params"]])))

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    monkeypatch.setattr("mfn.training.single_face.meta_joint.GRADIENT_CLIP", 0.5)
    fit(tmp_path, 2)
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0, growth_interval=1)
    fit(tmp_path, 2, plugins=MixedPrecision("16-mixed", "cpu", scaler))
    assert max(norms) < 0.501 and norms[4:] == pytest.approx(norms[:4], rel=0.1)
