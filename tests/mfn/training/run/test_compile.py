"""Trainings with a compiled network: they learn the same, validate batches of another size, and keep the names of the weights."""

from functools import partial

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.models.sfn import Regressor  # noqa: E402
from mfn.training.data.batch import collate  # noqa: E402
from mfn.training.multi_face import MultiFaceModule  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.single_face.losses import ParameterLoss, TddfaLoss  # noqa: E402
from mfn.training.single_face.module import SingleFaceModule  # noqa: E402
from tests.helpers.training import crop_faces, targets_of, tiny_backbone, tiny_crop_networks, tiny_mfn, two_face_scene  # noqa: E402

QUIET = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}


def scenes(count: int):
    return collate([two_face_scene(number) for number in range(count)])


def crops(count: int):
    pictures = torch.randint(0, 255, (count, 3, 128, 128), generator=torch.Generator().manual_seed(count), dtype=torch.uint8)
    return pictures, targets_of(crop_faces(count))


def single(compiled: bool):
    return SingleFaceModule(tiny_crop_networks()["sfn"], ParameterLoss(), OneCycle(warmup=1, steps=4), compile=compiled)


def multi(compiled: bool):
    return MultiFaceModule(tiny_mfn(), OneCycle(warmup=1, steps=4), compile=compiled)


@pytest.mark.parametrize(("make", "batch"), [(single, crops), (multi, scenes)])
def test_a_compiled_training_is_the_same_training(make, batch, monkeypatch, tmp_path):
    from lightning.pytorch import Trainer
    from torch.utils.data import DataLoader

    calls = []

    def without_a_compiler(graph, _):
        calls.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=without_a_compiler))
    states, losses = [], []
    for compiled in (False, True):
        system = make(compiled)
        names = list(system.state_dict())
        trainer = Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, num_sanity_val_steps=0, **QUIET)
        training, validation = (DataLoader([batch(size) for size in sizes], batch_size=None) for sizes in ((4,), (3,)))
        trainer.fit(system, training, validation)
        assert list(system.state_dict()) == names and bool(calls) == compiled
        states.append(system.state_dict())
        losses.append(float(trainer.callback_metrics["val/loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-3, atol=1e-4, msg=name)


def test_what_would_not_be_compiled_is_refused():
    with pytest.raises(ValueError, match="compile: expected false with landmark_regression"):
        SingleFaceModule(Regressor(tiny_backbone()), TddfaLoss("vdc"), landmark_regression=1.0, compile=True)
