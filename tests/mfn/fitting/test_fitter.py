"""The fitter gets back what made the points, obeys its bounds, and does not depend on who else is in the batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.fitting.fitter import (
    FitBasis,
    FitOptions,
    FitResult,
    basis_from_head_model,
    bounded_step,
    fit,
    fit_to_faces,
    fitted_points,
)
from mfn.structures import camera
from mfn.structures.head_model import HeadModel, face_box
from mfn.structures.mediapipe_points import EYELIDS, IRISES, OVAL
from retarget.arkit import EXPRESSION_NAMES, MIRROR

MIRROR_51 = list(MIRROR[:51])


@pytest.fixture(scope="module")
def model() -> HeadModel:
    torch.set_num_threads(1)
    return HeadModel.load()


@pytest.fixture(scope="module")
def basis(model: HeadModel) -> FitBasis:
    return basis_from_head_model(model)


def made_up(basis: FitBasis, count: int, seed: int = 0) -> tuple[FitResult, torch.Tensor]:
    """Known parameters and their 478 points (N, 478, 3) px."""
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


def test_fits_as_faces(model: HeadModel) -> None:
    plain = basis_from_head_model(model, learned=False)
    true, points = made_up(plain, 3)
    faces = fit_to_faces(true, model)
    np.testing.assert_allclose(model.landmarks(faces, "mediapipe478")[..., :2], points[..., :2], atol=0.01)
    middle = (faces.box[:, :2] + faces.box[:, 2:]) / 2
    assert (np.abs(middle - points[..., :2].mean(1).numpy()) < 0.03 * true.scale.numpy()[:, None]).all()
    assert len(fit_to_faces(true[torch.arange(0)], model)) == 0


def test_recovers_known_faces(basis: FitBasis) -> None:
    basis = replace(basis, identity_prior=None)  # exact points: what is known of the fits' errors would only mislead
    true, points = made_up(basis, 24)
    found = fit(points, true.expression, basis)
    off = angle_deg(found.rotation, true.rotation)  # the identity prior pulls a little, by design
    assert off.mean() < 0.5 and off.max() < 1.2
    assert ((found.scale / true.scale) - 1).abs().max() < 0.08  # a large head far away looks like a small one near
    assert found.residual.max() < 0.3
    assert (found.expression - true.expression).abs().mean() < 0.01


def test_landmarks_win_over_a_wrong_teacher(basis: FitBasis) -> None:
    """A wink and an open mouth that the teacher did not see are found all the same."""
    true, _ = made_up(basis, 1)
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
    true, points = made_up(basis, 8, seed=1)
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


def test_bounds_hold_on_nonsense(basis: FitBasis) -> None:
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
    true, points = made_up(basis, 5, seed=3)
    together = fit(points, true.expression, basis, FitOptions(chunk=2))
    for i in range(5):
        alone = fit(points[i : i + 1], true.expression[i : i + 1], basis)
        assert torch.allclose(together.expression[i], alone.expression[0], atol=5e-3)
        assert torch.allclose(together.rotation[i], alone.rotation[0], atol=1e-3)


def test_mirrored_points_give_the_mirrored_face(model: HeadModel) -> None:
    """On a basis made symmetric: twin points mirror each other, so the fit of a mirrored picture is the mirrored fit."""
    twin = model.mirror
    rows = np.random.default_rng(0).permutation(np.flatnonzero(model.region == 0))[:239]
    rows = np.concatenate([rows, twin[rows]])
    normal = torch.nn.functional.normalize(torch.from_numpy(model.mean[rows]) + torch.tensor([0.0, 0.0, 0.1]), dim=1)
    parts = [torch.from_numpy(x[..., rows, :]) for x in (model.mean, model.identity_basis, model.expression_basis)]
    ones = torch.ones(478)
    basis = FitBasis(*parts, ones * 0.001, normal, torch.arange(0), ones)
    true, points = made_up(basis, 4, seed=4)
    other = torch.cat([torch.arange(239, 478), torch.arange(239)])
    flipped = (points * torch.tensor([-1.0, 1.0, 1.0]) + torch.tensor([600.0, 0.0, 0.0]))[:, other]
    options = FitOptions(depth_stride=1)
    found = fit(points, true.expression, basis, options)
    mirrored = fit(flipped, true.expression[:, MIRROR_51], basis, options)
    assert (mirrored.expression - found.expression[:, MIRROR_51]).abs().max() < 0.03
    assert (mirrored.identity - found.identity * torch.from_numpy(model.identity_mirror)).abs().max() < 0.1
    assert np.allclose(mirrored.rotation, camera.mirror_rotation(found.rotation.numpy()), atol=5e-3)
    assert torch.allclose(mirrored.center[:, 0], 600 - found.center[:, 0], atol=0.5)


def test_bounded_step_against_slow() -> None:
    rng = np.random.default_rng(5)
    root = rng.normal(size=(6, 6))
    hessian, gradient = root @ root.T + np.eye(6), rng.normal(size=6) * 3
    lower, upper = -np.full(4, 0.2), np.full(4, 0.3)
    x = np.zeros(6)
    for _ in range(20000):  # projected gradient, tiny steps
        x -= 0.02 * (hessian @ x + gradient)
        x[2:] = np.clip(x[2:], lower, upper)
    tensors = [torch.from_numpy(v)[None] for v in (hessian, gradient, lower, upper)]
    assert np.allclose(bounded_step(*tensors, sweeps=100)[0], x, atol=1e-5)


@pytest.mark.parametrize("points, teacher", [((2, 477, 3), (2, 51)), ((2, 478, 2), (2, 51)), ((2, 478, 3), (2, 52))])
def test_wrong_shapes_say_so(basis: FitBasis, points: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected shape"):
        fit(torch.zeros(points), torch.zeros(teacher), basis)


def test_not_a_number_says_so(basis: FitBasis) -> None:
    with pytest.raises(ValueError, match="finite"):
        fit(torch.full((1, 478, 3), torch.nan), torch.zeros(1, 51), basis)


def test_points_are_where_their_names_say(model: HeadModel) -> None:
    mean = model.landmark_basis("mediapipe478")[0]
    assert OVAL[18] == 152 and mean[152, 1] == mean[list(OVAL)].min(0)[1]
    assert mean[list(EYELIDS[16:]), 0].min() > 0 > mean[list(EYELIDS[:16]), 0].max()
    assert mean[list(IRISES[5:]), 0].min() > 0 > mean[list(IRISES[:5]), 0].max()
    blink = EXPRESSION_NAMES.index("eyeBlinkLeft")
    moved = np.linalg.norm(model.landmark_basis("mediapipe478")[2][blink], axis=1)
    assert moved[list(EYELIDS[16:])].max() > 0.005 > moved[list(EYELIDS[:16])].max()


def test_face_box(basis: FitBasis) -> None:
    points = made_up(basis, 6, seed=6)[1]
    box = face_box(points.numpy())
    assert box.shape == (6, 4) and box.dtype == np.float32
    middle = points[..., :2].mean(1).numpy()
    assert (box[:, :2] < middle).all() and (middle < box[:, 2:]).all()
    moved = face_box(points.numpy()[..., :2] * 2 + 10)
    assert np.allclose(moved, box * 2 + 10, atol=1e-2)
    assert face_box(np.zeros((0, 478, 3), np.float32)).shape == (0, 4)
    with pytest.raises(ValueError, match="expected shape"):
        face_box(np.zeros((2, 68, 2), np.float32))


def test_teacher_expression() -> None:
    names = ["_neutral", *sorted(EXPRESSION_NAMES)]
    scores = np.zeros((2, 52), np.float32)
    scores[0, names.index("mouthSmileRight")] = 0.75
    scores[:, names.index("eyeSquintLeft")] = 0.40  # what a resting face gets
    prior = scores_to_expression(scores, names)
    assert prior.shape == (2, 51) and prior[0, EXPRESSION_NAMES.index("mouthSmileRight")] == pytest.approx(0.75)
    assert prior.sum() == pytest.approx(0.75)
    with pytest.raises(ValueError, match="no blendshape scores for"):
        scores_to_expression(scores, ["x", *names[1:-1], "y"])
