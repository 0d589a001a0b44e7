"""The networks of one crop: what they return."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.models.backbone import Backbone  # noqa: E402
from mfn.models.position_map import MAP_SIZE  # noqa: E402
from mfn.models.sfn import SFN, CompactLayer  # noqa: E402
from mfn.structures.cells import PARAMETER_SIZE  # noqa: E402
from mfn.structures.crop_geometry import CROP_SIZE  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.checkpoints import load_matching  # noqa: E402
from mfn.training.single_face.losses import (  # noqa: E402
    read_crops,
)
from tests.helpers.training import (  # noqa: E402
    tiny_crop_networks,
)

MODEL = HeadModel.load()

@pytest.mark.parametrize("name", list(tiny_crop_networks()))
def test_networks_give_what_is_read(name):
    given = tiny_crop_networks()[name].eval()(torch.zeros(2, 3, CROP_SIZE, CROP_SIZE))
    shapes = {"position map": (2, 3, MAP_SIZE, MAP_SIZE), "dense": (2, 520, 3), "branch dense": (2, 520, 3)}
    assert given.shape == shapes.get(name, (2, PARAMETER_SIZE))
    if name not in shapes:
        told = read_crops(given)
        assert (told["expression"] < 0.15).all() and torch.allclose(told["rotation"], torch.diag(torch.tensor([1.0, -1, -1])), atol=0.3)


@pytest.mark.parametrize("name", ["branch regressor", "position map", "branch dense"])
def test_the_systems_beside_sfn_start_from_its_weights(name):
    networks = tiny_crop_networks()
    sfn, other = networks["sfn"], networks[name]
    for parameter in sfn.parameters():
        torch.nn.init.uniform_(parameter)
    copied = load_matching(other, sfn.state_dict())
    shared = [key for key in other.state_dict() if not key.startswith(("out.", "stages.", "landmarks."))]
    assert copied == len(shared)
    for key in shared:
        assert torch.equal(other.state_dict()[key], sfn.state_dict()[key]), key


def test_the_single_scale_twin_is_as_large():
    both = [SFN(Backbone("conv", [16, 32, 64, 128, 192], [0, 0, 1, 2, 1]), 96, 256, multi_scale=m) for m in (True, False)]
    many, one = (sum(p.numel() for p in n.parameters()) for n in both)
    assert one == pytest.approx(many, rel=0.1)


def test_a_compact_layer_has_forty_numbers_of_identity_and_ten_of_expression():
    torch.manual_seed(0)
    layer = CompactLayer(32)
    torch.nn.init.normal_(layer.numbers.weight)
    raw = layer(torch.randn(200, 32))
    identity, expression = raw[:, PARAMETER_SIZE - 51 - 64 : -51], raw[:, -51:]
    assert layer.numbers.out_features == 9 + 40 + 10
    assert (identity[:, :40].std(0) > 0).all() and not identity[:, 40:].any()
    assert torch.linalg.matrix_rank(expression - expression.mean(0), rtol=1e-4) == 10
