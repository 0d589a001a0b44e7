"""The losses of the single-face networks: against slow versions, and zero for exact predictions."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.inference.single_face import sample_position_map  # noqa: E402
from mfn.models.position_map import MAP_SIZE  # noqa: E402
from mfn.structures.cells import (  # noqa: E402
    IDENTITY_SIZE,  # noqa: E402
)
from mfn.structures.crop_geometry import CROP_SIZE  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.losses.terms import vdc_loss, wing_loss, wpdc_loss  # noqa: E402
from mfn.training.single_face.losses import (  # noqa: E402
    DenseLandmarkLoss,
    ParameterLoss,
    PositionMapLoss,
    TddfaLoss,
    nearest_cells,
    tddfa_parameters,
)
from tests.helpers.training import (  # noqa: E402
    crop_faces,
    exact_parameters,
    targets_of,
)

MODEL = HeadModel.load()

def test_exact_parameters_cost_nothing():
    faces = crop_faces()
    raw, true = exact_parameters(faces), targets_of(faces)
    for cost in (ParameterLoss(), *(TddfaLoss(k) for k in ("pdc", "wpdc", "fwpdc", "vdc"))):
        assert sum(cost(raw, true).values()).item() < 1e-2
        assert sum(cost(raw + 0.2, true).values()).item() > 0.02
    with pytest.raises(ValueError, match="kind"):
        TddfaLoss("pwdc")
    with pytest.raises(ValueError, match="weights"):
        ParameterLoss({"landmark": 1})


def test_effects_are_how_far_the_points_move():
    """Against the slow meaning: the true face with one parameter moved, all points projected again."""
    faces = crop_faces(2)
    true, cost = targets_of(faces), TddfaLoss("wpdc")
    effects, base = cost.effects(true), tddfa_parameters(true)

    def place(p: torch.Tensor) -> torch.Tensor:
        shape = cost.face.shape(p[:, 8 : 8 + IDENTITY_SIZE], p[:, 8 + IDENTITY_SIZE :])
        return shape @ p[:, :6].unflatten(1, (2, 3)).transpose(1, 2) + p[:, None, 6:8]

    start = place(base)
    for k in (0, 2, 4, 6, 7, 8, 40, 8 + IDENTITY_SIZE, base.shape[1] - 1):
        moved = base.clone()
        moved[:, k] += 0.1
        there = (place(moved) - start).flatten(1).norm(dim=1) / 0.1
        torch.testing.assert_close(effects[:, k], there, rtol=2e-3, atol=1e-4)


def test_fast_effects_are_near():
    true = targets_of(crop_faces(8))
    slow, fast = (TddfaLoss(k).effects(true) for k in ("wpdc", "fwpdc"))
    assert torch.corrcoef(torch.stack([slow.flatten(), fast.flatten()]))[0, 1] > 0.95
    assert (fast[:, 8:] >= slow[:, 8:] - 1e-4).all(), "a whole vector is no shorter than what a camera sees of it"


def test_wpdc_weighs_by_the_points_moved():
    true = torch.zeros(1, 3)
    predicted = torch.tensor([[0.1, 0.1, 0.2]], requires_grad=True)
    value = wpdc_loss(predicted, true, torch.tensor([4.0, 1.0, 1.0]))
    weights = np.array([0.4, 0.1, 0.2]) / 0.4
    assert value.item() == pytest.approx((weights * np.array([0.01, 0.01, 0.04])).sum())
    value.sum().backward()
    np.testing.assert_allclose(predicted.grad[0].numpy(), 2 * weights * [0.1, 0.1, 0.2], rtol=1e-5)


def test_vdc_is_the_mean_squared_distance():
    a, b = torch.rand(2, 5, 2), torch.rand(2, 5, 2)
    slow = [np.mean([sum((a[i, j, c] - b[i, j, c]).item() ** 2 for c in range(2)) for j in range(5)]) for i in range(2)]
    np.testing.assert_allclose(vdc_loss(a, b).numpy(), slow, rtol=1e-5)


def test_wing_is_the_published_formula():
    error = np.array([0.0, 0.5, 9.99, 10.0, 10.01, 40.0], np.float32)
    shift = 10 - 10 * np.log(1 + 10 / 2)
    slow = np.where(error < 10, 10 * np.log(1 + error / 2), error - shift)
    fast = wing_loss(torch.from_numpy(error)[:, None, None], torch.zeros(6, 1, 1))
    np.testing.assert_allclose(fast.numpy(), slow, rtol=1e-4)


def test_position_map_and_head_model_agree():
    """The cost's target is the head model's map of the placed face, and landmarks read from it are the head model's."""
    faces = crop_faces(1)
    cost = PositionMapLoss()
    target = cost.target_maps(targets_of(faces)).unflatten(2, (MAP_SIZE, MAP_SIZE)).numpy()
    assert cost(torch.from_numpy(target), targets_of(faces))["position_map"].item() < 1e-6
    px = (target - [[[[0]], [[0]], [[0.5]]]]) * 1.1 * CROP_SIZE
    for name, mean_px, largest_px in (("ibug68", 0.25, 1.4), ("mediapipe478", 0.2, 1.4)):
        gap = np.linalg.norm(sample_position_map(px, MODEL, name)[0] - MODEL.landmarks(faces, name)[0], axis=1)
        assert np.nanmean(gap) < mean_px and np.nanmax(gap) < largest_px, name


def test_nearest_cells_are_the_nearest():
    mask = np.random.default_rng(0).random((9, 9)) < 0.2
    nearest = nearest_cells(mask)
    inside = np.argwhere(mask)
    for cell, chosen in enumerate(nearest):
        here = np.array(divmod(cell, 9))
        away = np.linalg.norm(inside - here, axis=1).min()
        assert mask.reshape(-1)[chosen] and np.linalg.norm(np.array(divmod(chosen, 9)) - here) <= away + 0.3  # OpenCV's is nearly exact


def test_dense_points_are_the_head_models():
    faces = crop_faces(2)
    points = torch.from_numpy(MODEL.landmarks(faces, "dense520") / CROP_SIZE)
    points[..., 2] += 0.5
    terms = DenseLandmarkLoss()(points, targets_of(faces))
    assert terms["wing"].item() < 1e-2 and terms["mse68"].item() < 1e-4
