"""Features that are computed once: only what comes after them learns."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("safetensors")
from lightning.pytorch.strategies import DDPStrategy  # noqa: E402

from mfn.models.dense_landmarks import BranchDenseLandmarks  # noqa: E402
from mfn.models.position_map import PositionMap  # noqa: E402
from mfn.models.sfn import SFN, BranchRegressor  # noqa: E402
from mfn.training.device.datamodule import CropRecipe, DeviceDataModule  # noqa: E402
from mfn.training.device.feature_cache import FeatureCache  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.single_face.losses import DenseLandmarkLoss, ParameterLoss, PositionMapLoss, TddfaLoss  # noqa: E402
from mfn.training.single_face.meta_joint import MetaJointModule  # noqa: E402
from mfn.training.single_face.module import SingleFaceModule  # noqa: E402
from tests.helpers.training import tiny_backbone  # noqa: E402

QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
CYCLE = OneCycle(warmup=1, steps=3)
SYSTEMS = {
    "parameters": lambda: SingleFaceModule(BranchRegressor(tiny_backbone(), 16, 16), ParameterLoss(), CYCLE),
    "landmark regression": lambda: SingleFaceModule(BranchRegressor(tiny_backbone(), 16, 16), TddfaLoss("vdc"), CYCLE, 1.0),
    "meta-joint": lambda: MetaJointModule(BranchRegressor(tiny_backbone(), 16, 16), CYCLE),
    "dense": lambda: SingleFaceModule(BranchDenseLandmarks(tiny_backbone(), 16, 16), DenseLandmarkLoss(), CYCLE),
    "position map": lambda: SingleFaceModule(PositionMap(tiny_backbone(), (16, 16, 16, 16), 16), PositionMapLoss(), CYCLE),
}


@pytest.fixture
def train(sources, tmp_path):
    """Return a function that trains a system on cached features and returns the data module."""
    from lightning.pytorch import Trainer

    def run(system, sources=sources, count=6, min_px=1, seed=0):
        crops = DeviceDataModule(sources, CropRecipe(128, min_px=min_px), batch_size=4, workers=0, validation=1, seed=seed)
        data = FeatureCache(crops, count=count, batch_size=3, folder=tmp_path)
        Trainer(max_epochs=1, limit_train_batches=3, accelerator="cpu", default_root_dir=tmp_path, **QUIET).fit(system, data)
        return data

    return run


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_only_the_last_layers_learn(name, train):
    torch.manual_seed(0)
    system = SYSTEMS[name]()
    before = {key: value.clone() for key, value in system.network.state_dict().items()}
    data = train(system)
    changed = {key.split(".")[0] for key, value in system.network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed and changed <= {"out", "landmarks", "stages"}
    assert data.tensors["train.features"].shape == (8, system.network.features_size) and len(data.tensors["val.scale"]) == 4


def test_features_are_those_of_the_network_and_are_computed_once(train, monkeypatch):
    torch.manual_seed(0)
    system = SYSTEMS["parameters"]()
    first = train(system)
    assert first.crops.data is not None
    again = train(system)
    assert again.crops.data is None and torch.equal(again.tensors["train.features"], first.tensors["train.features"])
    torch.nn.init.normal_(system.network.backbone.stages[0][0][0].weight)
    assert train(system).crops.data is not None


def test_features_of_other_crops_are_not_used_again(train, sources, tmp_path):
    torch.manual_seed(0)
    system = SYSTEMS["parameters"]()
    train(system)
    (tmp_path / "faces").mkdir()
    for change in ({"seed": 1}, {"min_px": 2}, {"count": 5}, {"sources": replace(sources, weights={"p": 2.0})}):
        assert train(system, **change).crops.data is not None
        assert train(system, **change).crops.data is None
    for name in ("faces/p.tar", "faces/p.npz", "p.npz"):
        train(system)
        (tmp_path / name).write_bytes(b"another")
        assert train(system).crops.data is not None


def test_a_strategy_that_needs_all_layers_is_refused(sources, tmp_path):
    data = FeatureCache(DeviceDataModule(sources, CropRecipe(128, min_px=1), workers=0), folder=tmp_path)
    data.trainer = SimpleNamespace(strategy=DDPStrategy(), lightning_module=SYSTEMS["parameters"]())
    with pytest.raises(ValueError, match=r"trainer\.strategy: expected ddp_find_unused_parameters_true with FeatureCache"):
        data.setup("fit")


def test_a_network_without_features_is_refused(train):
    with pytest.raises(ValueError, match="expected a network with `features` and `predict`, got SFN"):
        train(SingleFaceModule(SFN(tiny_backbone(), 16, 16), ParameterLoss(), CYCLE))
