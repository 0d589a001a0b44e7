"""Tests of the refinement steps: sampled positions, changed parameters and training."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from mfn.models.backbone import Backbone  # noqa: E402
from mfn.models.mfn import COARSE_STRIDE, MFN  # noqa: E402
from mfn.models.refiner import (  # noqa: E402
    IBUG68_INDICES,
    MEDIAPIPE478_INDICES,
    REFINED_FRACTION,
    FeatureLevel,
    Refiner,
    build_pyramid,
    locate,
    sample_features,
)
from mfn.structures.cells import IDENTITY_SIZE, PARAMETER_SIZE, PARAMETERS, SLICES, grid  # noqa: E402
from mfn.structures.faces import Faces  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402
from tests.helpers.faces import write_cells  # noqa: E402


def tiny() -> MFN:
    torch.manual_seed(0)
    return MFN(Backbone("conv", [8, 8, 16, 16, 16], [0, 0, 1, 0, 0]), (16, 16), (16, 16), refinement_channels=8, refinement_steps=2).eval()


def coordinates(stride: int, height: int, width: int, sign: float = 1.0) -> FeatureLevel:
    """Return a level whose features (2, 2, 2 * height, 2 * width) are the pixel coordinates x and y, negated in the second picture."""
    y, x = torch.meshgrid(*(((torch.arange(2 * n) + 0.5) * stride / 2) for n in (height, width)), indexing="ij")
    index = torch.stack([x, y])
    return FeatureLevel(torch.stack([sign * index, -sign * index]), stride)


def levels(height: int, width: int) -> list[FeatureLevel]:
    return [coordinates(s, -(-height // s), -(-width // s), sign) for s, sign in ((16, 1.0), (32, 2.0), (64, 3.0))]


def test_cell_centers_equal_those_of_the_grid():
    center, stride = grid(96, 176)
    coarse = stride >= COARSE_STRIDE
    index = locate(build_pyramid(levels(96, 176)), torch.arange(coarse.sum()))
    np.testing.assert_array_equal(index.center.numpy(), center[coarse])
    np.testing.assert_array_equal(index.stride.numpy(), stride[coarse])


@pytest.mark.parametrize(("stride", "sign"), [(16, 1.0), (32, 2.0), (64, 3.0)])
def test_features_are_sampled_in_the_level_and_picture_of_each_cell(stride, sign):
    pyramid = build_pyramid(levels(128, 192))
    cell = torch.from_numpy(np.flatnonzero([s == stride for s in grid(128, 192)[1] if s >= COARSE_STRIDE])[:3])
    points = torch.rand(3, 7, 2) * torch.tensor([192.0 - stride, 128 - stride]) + stride / 2
    for picture, side in ((0, 1.0), (1, -1.0)):
        sampled = sample_features(points, torch.full((3,), picture), locate(pyramid, cell), pyramid.features)
        torch.testing.assert_close(sampled, side * sign * points, rtol=1e-4, atol=1e-3)


def test_points_outside_the_picture_sample_its_border():
    pyramid = build_pyramid([coordinates(16, 4, 6)])
    outside = torch.tensor([[[-500.0, 30], [900, 30], [50, -70], [50, 1e6]]])
    first = torch.zeros(1, dtype=torch.long)
    sampled = sample_features(outside, first, locate(pyramid, first), pyramid.features)
    torch.testing.assert_close(sampled[0], torch.tensor([[4.0, 30], [92, 30], [50, 4], [50, 60]]))


def test_points_are_the_landmarks_of_the_face_predicted_by_a_cell():
    rng = np.random.default_rng(0)
    face = Faces(
        image=[0],
        box=[[40, 30, 100, 110]],
        score=[0.9],
        rotation=np.diag([1.0, -1, -1])[None],
        scale=[400.0],
        center=[[70.0, 60]],
        identity=rng.normal(size=(1, IDENTITY_SIZE)),
        expression=rng.uniform(0.1, 0.9, (1, len(EXPRESSION_NAMES))),
        track=[-1],
    )
    center, stride = np.array([[72.0, 72]], np.float32), np.array([16.0], np.float32)
    raw = torch.from_numpy(write_cells(face, center, stride)[:, PARAMETERS])
    points = Refiner(4, HeadModel.load()).project_landmarks(raw, torch.from_numpy(center), torch.from_numpy(stride))[0].numpy()
    model = HeadModel.load()
    expected = [model.landmarks(face, "ibug68")[0, IBUG68_INDICES, :2], model.landmarks(face, "mediapipe478")[0, MEDIAPIPE478_INDICES, :2]]
    np.testing.assert_allclose(points, np.concatenate(expected), atol=0.02)


def test_an_untrained_refiner_changes_nothing_and_a_trained_one_only_parameters_of_coarse_cells():
    network = tiny()
    picture = torch.rand(2, 3, 128, 192) * 255
    with torch.no_grad():
        first = network.forward_features(picture)
        torch.testing.assert_close(network(picture), first.cells)
        network.refiner.out.bias.fill_(0.25)
        moved = network(picture) - first.cells
    coarse = torch.from_numpy(grid(128, 192)[1]) >= COARSE_STRIDE
    assert not moved[:, ~coarse].any() and not moved[..., : PARAMETERS.start].any()
    changed = moved[..., PARAMETERS].any(-1)
    assert (changed.sum(1) == coarse.sum() // REFINED_FRACTION + 1).all()
    two_steps = torch.full((int(changed.sum()), PARAMETER_SIZE), 0.5)
    torch.testing.assert_close(moved[changed][:, PARAMETERS], two_steps)


def test_only_the_cells_with_the_highest_scores_are_refined():
    network = tiny()
    network.refiner.out.bias.data.fill_(1.0)
    cells = torch.randn(2, 18 * 20, 129)
    features = torch.zeros(2, 8, 36, 40)
    with torch.no_grad():
        moved = (network.refiner(cells, [FeatureLevel(features, 16)]) - cells)[..., PARAMETERS].mean(-1) > 0.5
    for picture in range(2):
        best = cells[picture, :, SLICES["score"].start].argsort(descending=True)[: 18 * 20 // REFINED_FRACTION + 1]
        assert set(moved[picture].nonzero()[:, 0].tolist()) == set(best.tolist())


def test_single_scale_networks_have_no_refiner():
    with pytest.raises(ValueError, match="refinement_channels: expected 0"):
        MFN(Backbone("conv", [8, 8, 16, 16, 16], [0, 0, 1, 0, 0]), (16, 16), (16, 16), multi_scale=False, refinement_channels=8)


def test_training_lowers_the_loss_from_step_to_step():
    from mfn.training.data.batch import collate
    from mfn.training.multi_face import MultiFaceModule
    from tests.helpers.training import two_face_scene

    system = MultiFaceModule(tiny())
    batch = collate([two_face_scene(0), two_face_scene(1)])
    system.losses(system.network.forward_features(batch.picture.float()), batch)["landmarks"].backward()
    network = system.network
    assert network.refiner.out.weight.grad.abs().sum() > 0
    optimizer = torch.optim.AdamW([*network.refiner.parameters(), *network.detail.parameters()], 3e-3)
    for _ in range(60):
        terms = system.losses(network.forward_features(batch.picture.float()), batch)
        optimizer.zero_grad()
        terms["landmarks"].backward()
        optimizer.step()
    first = 3 * terms["landmarks"] - terms["landmarks2"] - terms["landmarks3"]
    assert terms["landmarks3"] < terms["landmarks2"] < 0.5 * first, (terms["landmarks3"], terms["landmarks2"], first)
