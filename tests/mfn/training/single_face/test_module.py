"""The training system of the single-face networks."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.models.sfn import SFN, Regressor  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.checkpoints import load_matching  # noqa: E402
from mfn.training.data.crops import CropMaker  # noqa: E402
from mfn.training.single_face.losses import (  # noqa: E402
    ParameterLoss,
    TddfaLoss,
)
from mfn.training.single_face.module import SingleFaceModule  # noqa: E402
from tests.helpers.training import crop_packs, tiny_backbone  # noqa: E402

MODEL = HeadModel.load()

@pytest.mark.parametrize("regression", [0.0, 5.0])
def test_one_face_learns_a_batch(regression):
    torch.manual_seed(0)
    maker = CropMaker(crop_packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL)
    batch = maker.batch(8, np.random.default_rng(0))
    system = SingleFaceModule(Regressor(tiny_backbone()), TddfaLoss("vdc"), landmark_regression=regression)
    system.log = system.log_dict = lambda *_, **__: None  # no trainer here
    optimizer = torch.optim.AdamW(system.parameters(), 3e-3)
    values = []
    for _ in range(40):
        value = system.training_step(batch, 0)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


def test_landmark_regression_wants_features():
    with pytest.raises(ValueError, match="features"):
        SingleFaceModule(SFN(tiny_backbone(), 16, 16), ParameterLoss(), landmark_regression=1.0)


def test_weights_of_another_network_start_what_is_alike():
    from mfn.models.mfn import MFN

    whole, one = MFN(tiny_backbone(), (16, 16), (16, 16)), SFN(tiny_backbone(), 16, 16)
    assert load_matching(one, whole.state_dict()) >= len(one.backbone.state_dict())
    torch.testing.assert_close(one.backbone.stages[0][0][0].weight, whole.backbone.stages[0][0][0].weight)
    with pytest.raises(ValueError, match="expected tensors with names and shapes of SFN"):
        load_matching(one, {"x": torch.zeros(1)})
