"""The fit recovers the parameters that made the landmarks, keeps its bounds, and does not depend on the other faces of the batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mfn.fitting.fit_basis import FitBasis, FitOptions, basis_from_head_model
from mfn.fitting.fitter import FitResult, fit, fit_people, fit_to_faces, fitted_points, label_confidence
from mfn.structures import camera
from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES, MIRROR

MIRROR_51 = list(MIRROR[:51])


@pytest.fixture(scope="module")
def model() -> HeadModel:
    torch.set_num_threads(1)
    return HeadModel.load()


@pytest.fixture(scope="module")
def basis(model: HeadModel) -> FitBasis:
    return basis_from_head_model(model)


def random_faces(basis: FitBasis, count: int, seed: int = 0) -> tuple[FitResult, torch.Tensor]:
    """Random parameters and their landmarks (N, 478, 3) px."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(-0.5, 0.5, (count, 3)).astype(np.float32)
    expression = np.where(rng.random((count, 51)) < 0.12, rng.uniform(0.3, 0.9, (count, 51)), 0).astype(np.float32)
    close, opened = EXPRESSION_NAMES.index("mouthClose"), EXPRESSION_NAMES.index("jawOpen")
    expression[:, close] = np.minimum(expression[:, close], expression[:, opened])
    true = FitResult(
        torch.from_numpy(camera.rotation_from_euler(angles).astype(np.float32)),
        torch.from_numpy(rng.uniform(300, 3000, count).astype(np.float32)),
        torch.from_numpy(rng.uniform(50, 500, (count, 2)).astype(np.float32)),
        torch.from_numpy(rng.normal(0, 0.5, (count, len(basis.identity))).astype(np.float32)),
        torch.from_numpy(expression),
        torch.zeros(count),
    )
    shape = torch.cat([true.identity, true.expression], 1)
    head = basis.mean + torch.tensordot(shape, torch.cat([basis.identity, basis.expression]), 1)
    depth = (head @ true.rotation[:, 2, :, None])[..., 0] * true.scale[:, None]
    return true, torch.cat([fitted_points(basis, true), depth[..., None]], 2)


def angle_deg(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.rad2deg(torch.acos((((a * b).sum((1, 2)) - 1) / 2).clamp(-1, 1)))


def test_fits_become_faces(model: HeadModel) -> None:
    plain = basis_from_head_model(model, learned=False)
    true, points = random_faces(plain, 3)
    faces = fit_to_faces(true, model)
    np.testing.assert_allclose(model.landmarks(faces, "mediapipe478")[..., :2], points[..., :2], atol=0.01)
    middle = (faces.box[:, :2] + faces.box[:, 2:]) / 2
    assert (np.abs(middle - points[..., :2].mean(1).numpy()) < 0.03 * true.scale.numpy()[:, None]).all()
    assert len(fit_to_faces(true[torch.arange(0)], model)) == 0


def test_recovers_known_faces(basis: FitBasis) -> None:
    basis = replace(basis, identity_prior=None)  # the landmarks are exact, the prior expects errors
    true, points = random_faces(basis, 24)
    found = fit(points, true.expression, basis)
    off = angle_deg(found.rotation, true.rotation)  # the identity prior shifts the fit a little
    assert off.mean() < 0.5 and off.max() < 1.2
    assert ((found.scale / true.scale) - 1).abs().max() < 0.08  # a large head at a distance looks like a small one that is near
    assert found.residual.max() < 0.3
    assert (found.expression - true.expression).abs().mean() < 0.01


def test_landmarks_win_over_wrong_scores(basis: FitBasis) -> None:
    """A wink and an open mouth without scores are found by the landmarks."""
    true, _ = random_faces(basis, 1)
    expression = torch.zeros(1, 51)
    for name in ("eyeBlinkLeft", "jawOpen"):
        expression[0, EXPRESSION_NAMES.index(name)] = 0.8
    face = replace(true, expression=expression)
    head = (
        basis.mean
        + torch.tensordot(face.identity, basis.identity, 1)
        + torch.tensordot(expression, basis.expression, 1)
    )
    depth = (head @ face.rotation[:, 2, :, None]) * face.scale
    found = fit(torch.cat([fitted_points(basis, face), depth], 2), torch.zeros(1, 51), basis)
    weights = dict(zip(EXPRESSION_NAMES, found.expression[0].tolist()))
    assert weights["eyeBlinkLeft"] > 0.2 and weights["eyeBlinkLeft"] > 4 * weights["eyeBlinkRight"]
    assert weights["jawOpen"] > 0.55


def test_survives_outliers(basis: FitBasis) -> None:
    true, points = random_faces(basis, 8, seed=1)
    rng = torch.Generator().manual_seed(0)
    wild = torch.rand(points.shape[:2], generator=rng) < 0.05
    size = points[..., :2].amax(1) - points[..., :2].amin(1)
    jump = torch.randn(*points.shape[:2], 2, generator=rng) * 0.2 * size[:, None]
    bad = points.clone()
    bad[..., :2] += jump * wild[..., None]
    found = fit(bad, true.expression, basis)
    clean = fit(points, true.expression, basis)
    assert angle_deg(found.rotation, true.rotation).max() < 2.0
    assert (found.expression - clean.expression).abs().mean() < 0.03


def test_bounds_hold_for_random_points(basis: FitBasis) -> None:
    points = torch.randn(5, 478, 3, generator=torch.Generator().manual_seed(2)) * 50
    points[0] = 0
    found = fit(points, torch.ones(5, 51), basis)
    assert all(torch.isfinite(getattr(found, name)).all() for name in FitResult.__dataclass_fields__)
    assert (found.expression >= 0).all() and (found.expression <= 1).all()
    close, opened = EXPRESSION_NAMES.index("mouthClose"), EXPRESSION_NAMES.index("jawOpen")
    assert (found.expression[:, close] <= found.expression[:, opened] + 1e-6).all()
    assert torch.allclose(found.rotation @ found.rotation.transpose(1, 2), torch.eye(3).expand(5, 3, 3), atol=1e-4)


def test_no_faces(basis: FitBasis) -> None:
    found = fit(torch.zeros(0, 478, 3), torch.zeros(0, 51), basis)
    assert found.rotation.shape == (0, 3, 3) and found.expression.shape == (0, 51) and found.residual.shape == (0,)


def test_many_is_one(basis: FitBasis) -> None:
    true, points = random_faces(basis, 5, seed=3)
    together = fit(points, true.expression, basis, FitOptions(chunk=2))
    for i in range(5):
        alone = fit(points[i : i + 1], true.expression[i : i + 1], basis)
        assert torch.allclose(together.expression[i], alone.expression[0], atol=5e-3)
        assert torch.allclose(together.rotation[i], alone.rotation[0], atol=1e-3)


def test_mirrored_points_give_the_mirrored_face(model: HeadModel) -> None:
    """Landmarks in mirrored pairs: the fit of a mirrored photo is the mirrored fit."""
    twin = model.mirror
    rows = np.random.default_rng(0).permutation(np.flatnonzero(model.region == 0))[:239]
    rows = np.concatenate([rows, twin[rows]])
    normal = torch.nn.functional.normalize(torch.from_numpy(model.mean[rows]) + torch.tensor([0.0, 0.0, 0.1]), dim=1)
    parts = [torch.from_numpy(x[..., rows, :]) for x in (model.mean, model.identity_basis, model.expression_basis)]
    ones = torch.ones(478)
    basis = FitBasis(*parts, ones * 0.001, normal, torch.arange(0), ones)
    true, points = random_faces(basis, 4, seed=4)
    other = torch.cat([torch.arange(239, 478), torch.arange(239)])
    flipped = (points * torch.tensor([-1.0, 1.0, 1.0]) + torch.tensor([600.0, 0.0, 0.0]))[:, other]
    options = FitOptions(depth_stride=1)
    found = fit(points, true.expression, basis, options)
    mirrored = fit(flipped, true.expression[:, MIRROR_51], basis, options)
    assert (mirrored.expression - found.expression[:, MIRROR_51]).abs().max() < 0.03
    assert (mirrored.identity - found.identity * torch.from_numpy(model.identity_mirror)).abs().max() < 0.1
    assert np.allclose(mirrored.rotation, camera.mirror_rotation(found.rotation.numpy()), atol=5e-3)
    assert torch.allclose(mirrored.center[:, 0], 600 - found.center[:, 0], atol=0.5)


@pytest.mark.parametrize("points, scores", [((2, 477, 3), (2, 51)), ((2, 478, 2), (2, 51)), ((2, 478, 3), (2, 52))])
def test_wrong_shapes_are_reported(basis: FitBasis, points: tuple[int, ...], scores: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected shape"):
        fit(torch.zeros(points), torch.zeros(scores), basis)


def test_infinite_numbers_are_reported(basis: FitBasis) -> None:
    with pytest.raises(ValueError, match="finite"):
        fit(torch.full((1, 478, 3), torch.nan), torch.zeros(1, 51), basis)


def several_photos(basis: FitBasis, people: int, each: int, seed: int = 0) -> tuple[FitResult, torch.Tensor, torch.Tensor]:
    """People in several poses and expressions: parameters, landmarks with noise (N, 478, 3) and person (N,)."""
    rng = np.random.default_rng(seed)
    count = people * each
    person = np.repeat(np.arange(people), each)
    identity = rng.normal(0, 1, (people, len(basis.identity)))[person].astype(np.float32)
    expression = np.where(rng.random((count, 51)) < 0.1, rng.uniform(0.3, 0.8, (count, 51)), 0).astype(np.float32)
    expression[:, EXPRESSION_NAMES.index("mouthClose")] = 0
    angles = rng.uniform(-0.5, 0.5, (count, 3)).astype(np.float32)
    rotation = torch.from_numpy(camera.rotation_from_euler(angles).astype(np.float32))
    size = torch.full((count,), 1000.0)
    center, residual = torch.full((count, 2), 100.0), torch.zeros(count)
    true = FitResult(rotation, size, center, torch.from_numpy(identity), torch.from_numpy(expression), residual)
    shape = torch.cat([true.identity, true.expression], 1)
    head = basis.mean + torch.tensordot(shape, torch.cat([basis.identity, basis.expression]), 1)
    depth = (head @ rotation[:, 2, :, None]) * 1000.0
    points = torch.cat([fitted_points(basis, true), depth], 2)
    noise = torch.from_numpy(rng.normal(0, 1.5, points.shape).astype(np.float32))
    return true, points + noise, torch.from_numpy(person)


def spread_within_people(identity: torch.Tensor, person: torch.Tensor) -> float:
    return float(torch.stack([identity[person == p].std(0).mean() for p in person.unique()]).mean())


def test_one_person_one_identity(basis: FitBasis) -> None:
    true, points, person = several_photos(basis, 3, 4)
    alone = fit(points, true.expression, basis)
    joint = fit_people(points, true.expression, person, basis)
    exact = fit_people(points, true.expression, person, basis, FitOptions(identity_wiggle=0.0))
    spreads = [spread_within_people(found.identity, person) for found in (exact, joint, alone)]
    assert spreads[0] < 1e-6 < spreads[1] < 0.5 * spreads[2]
    error = [(f.identity - true.identity).norm(dim=1).mean() for f in (exact, alone)]
    assert error[0] < error[1]
    assert joint.residual.mean() < 1.2 * alone.residual.mean()


def test_unknown_people_are_fitted_alone(basis: FitBasis) -> None:
    true, points, person = several_photos(basis, 2, 2, seed=1)
    person[:2] = -1
    joint, alone = fit_people(points, true.expression, person, basis), fit(points, true.expression, basis)
    torch.testing.assert_close(joint.identity[:2], alone.identity[:2], atol=1e-3, rtol=0)
    assert (joint.identity[2:] - alone.identity[2:]).abs().max() > 0.05
    none = fit_people(points[:0], true.expression[:0], person[:0], basis)
    assert none.identity.shape == (0, len(basis.identity))
    with pytest.raises(ValueError, match="person: expected shape"):
        fit_people(points, true.expression, person[:1], basis)


def test_label_confidence_follows_residual_and_pose(basis: FitBasis) -> None:
    true, points, _ = several_photos(basis, 2, 1, seed=2)
    found = fit(points, true.expression, basis)
    ok, confidence = label_confidence(found, points, true.rotation)
    assert ok.all() and (confidence > 0.8).all()
    turned = torch.from_numpy(camera.rotation_about("y", np.float32(0.5))) @ true.rotation
    far_ok, far_confidence = label_confidence(found, points, turned)
    assert not far_ok.any() and (far_confidence < 0.1).all()
