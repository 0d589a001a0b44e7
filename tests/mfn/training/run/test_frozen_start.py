"""Layers that do not learn at the beginning of a training."""

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from lightning.pytorch.strategies import DDPStrategy  # noqa: E402

from mfn.models.sfn import BranchRegressor  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.data.crops import CropMaker  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.run.frozen_start import FrozenStart  # noqa: E402
from mfn.training.single_face.losses import ParameterLoss  # noqa: E402
from mfn.training.single_face.meta_joint import MetaJointModule  # noqa: E402
from mfn.training.single_face.module import SingleFaceModule  # noqa: E402
from tests.helpers.training import crop_packs, tiny_backbone  # noqa: E402

QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}


def train(system, callback: FrozenStart, batches: int, folder) -> None:
    """Train on a few crops."""
    from lightning.pytorch import Trainer
    from torch.utils.data import DataLoader

    maker, rng = CropMaker(crop_packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], HeadModel.load()), np.random.default_rng(0)
    loader = DataLoader([maker.batch(4, rng) for _ in range(batches)], batch_size=None)
    Trainer(max_epochs=1, accelerator="cpu", default_root_dir=folder, callbacks=[callback], **QUIET).fit(system, loader)


def changed(network, before: dict) -> set[str]:
    """Return the layers of a network whose tensors differ from those of before."""
    return {name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("batches", [3, 5])
def test_layers_learn_after_the_frozen_batches(batches, tmp_path):
    torch.manual_seed(0)
    network = BranchRegressor(tiny_backbone(), 16, 16)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    frozen = {"backbone", "local"}
    system = SingleFaceModule(network, ParameterLoss(), OneCycle(warmup=1, steps=10))
    train(system, FrozenStart(sorted(frozen), 3), batches, tmp_path)
    assert {"out", "regional", "pose"} <= changed(network, before)
    assert frozen & changed(network, before) == (frozen if batches > 3 else set())


def test_both_copies_of_the_meta_joint_optimization_are_frozen(tmp_path):
    torch.manual_seed(0)
    system = MetaJointModule(BranchRegressor(tiny_backbone(), 16, 16), OneCycle(warmup=1, steps=10), look_ahead=10)
    before = {name: value.clone() for name, value in system.network.state_dict().items()}
    train(system, FrozenStart(["backbone"], 100), 2, tmp_path)
    for network in (system.network, system.other):
        assert "out" in changed(network, before) and "backbone" not in changed(network, before)


def test_a_strategy_that_needs_all_layers_is_refused():
    trainer = SimpleNamespace(strategy=DDPStrategy())
    with pytest.raises(ValueError, match=r"trainer\.strategy: expected ddp_find_unused_parameters_true with FrozenStart"):
        FrozenStart(["backbone"], 1).setup(trainer, SingleFaceModule(BranchRegressor(tiny_backbone(), 16, 16), ParameterLoss()), "fit")


def test_an_unknown_layer_is_named(tmp_path):
    system = SingleFaceModule(BranchRegressor(tiny_backbone(), 16, 16), ParameterLoss())
    with pytest.raises(ValueError, match=r"layers: expected layers of the network such as backbone.*got trunk"):
        train(system, FrozenStart(["trunk"], 1), 1, tmp_path)
