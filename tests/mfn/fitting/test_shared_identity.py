"""Several pictures of one person share an identity; unknown people are fitted alone; trust follows what was measured."""

import numpy as np
import pytest
import torch

from mfn.fitting.blendshape_calibration import expression_to_scores, scores_to_expression
from mfn.fitting.fitter import (
    FitBasis,
    FitOptions,
    FitResult,
    basis_from_head_model,
    fit,
    fit_people,
    fitted_points,
    label_confidence,
)
from mfn.structures import camera
from mfn.structures.head_model import HeadModel
from mfn.structures.mediapipe_points import INNER_LIPS, LOWER_INNER_LIPS
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.rotations import rotation_about


@pytest.fixture(scope="module")
def basis() -> FitBasis:
    torch.set_num_threads(1)
    return basis_from_head_model(HeadModel.load())


def pictures(basis: FitBasis, people: int, each: int, seed: int = 0) -> tuple[FitResult, torch.Tensor, torch.Tensor]:
    """People in several poses and expressions, points with noise: truth, points (N, 478, 3), person (N,)."""
    rng = np.random.default_rng(seed)
    count = people * each
    person = np.repeat(np.arange(people), each)
    identity = rng.normal(0, 1, (people, len(basis.identity)))[person].astype(np.float32)
    expression = np.where(rng.random((count, 51)) < 0.1, rng.uniform(0.3, 0.8, (count, 51)), 0).astype(np.float32)
    expression[:, EXPRESSION_NAMES.index("mouthClose")] = 0
    angles = rng.uniform(-0.5, 0.5, (count, 3)).astype(np.float32)
    rotation = torch.from_numpy(camera.rotation_from_euler(angles).astype(np.float32))
    size = torch.full((count,), 1000.0)
    true = FitResult(rotation, size, torch.full((count, 2), 100.0), torch.from_numpy(identity), torch.from_numpy(expression), torch.zeros(count))
    shape = torch.cat([true.identity, true.expression], 1)
    head = basis.mean + torch.tensordot(shape, torch.cat([basis.identity, basis.expression]), 1)
    depth = (head @ rotation[:, 2, :, None]) * 1000.0
    points = torch.cat([fitted_points(basis, true), depth], 2)
    noise = torch.from_numpy(rng.normal(0, 1.5, points.shape).astype(np.float32))
    return true, points + noise, torch.from_numpy(person)


def spread(identity: torch.Tensor, person: torch.Tensor) -> float:
    return float(torch.stack([identity[person == p].std(0).mean() for p in person.unique()]).mean())


def test_one_person_one_identity(basis: FitBasis) -> None:
    true, points, person = pictures(basis, 3, 4)
    alone = fit(points, true.expression, basis)
    joint = fit_people(points, true.expression, person, basis)
    exact = fit_people(points, true.expression, person, basis, FitOptions(wiggle=0.0))
    assert spread(exact.identity, person) < 1e-6 < spread(joint.identity, person) < 0.5 * spread(alone.identity, person)
    error = [(f.identity - true.identity).norm(dim=1).mean() for f in (exact, alone)]
    assert error[0] < error[1]
    assert joint.residual.mean() < 1.2 * alone.residual.mean()


def test_unknown_people_are_fitted_alone(basis: FitBasis) -> None:
    true, points, person = pictures(basis, 2, 2, seed=1)
    person[:2] = -1
    joint, alone = fit_people(points, true.expression, person, basis), fit(points, true.expression, basis)
    torch.testing.assert_close(joint.identity[:2], alone.identity[:2], atol=1e-3, rtol=0)
    assert (joint.identity[2:] - alone.identity[2:]).abs().max() > 0.05
    none = fit_people(points[:0], true.expression[:0], person[:0], basis)
    assert none.identity.shape == (0, len(basis.identity))
    with pytest.raises(ValueError, match="person: expected shape"):
        fit_people(points, true.expression, person[:1], basis)


def test_trust_follows_residual_and_pose(basis: FitBasis) -> None:
    true, points, _ = pictures(basis, 2, 1, seed=2)
    found = fit(points, true.expression, basis)
    ok, sure = label_confidence(found, points, true.rotation)
    assert ok.all() and (sure > 0.8).all()
    turned = torch.from_numpy(rotation_about("y", np.float32(0.5))) @ true.rotation
    far, doubt = label_confidence(found, points, turned)
    assert not far.any() and (doubt < 0.1).all()


def test_an_open_jaw_parts_the_inner_lips() -> None:
    """The lower lip's points go with the jaw, the upper lip's stay."""
    moved = HeadModel.load().landmark_basis("mediapipe478")[2][EXPRESSION_NAMES.index("jawOpen"), :, 1]
    upper = [i for i in INNER_LIPS if i not in LOWER_INNER_LIPS and i not in (78, 308)]
    assert moved[list(LOWER_INNER_LIPS[2:7])].max() < -0.025 and moved[upper].min() > -0.012


def test_scores_and_weights_are_each_others_inverse() -> None:
    names = ["_neutral", *sorted(EXPRESSION_NAMES)]
    weights = np.random.default_rng(3).uniform(0, 1, (4, 51)).astype(np.float32)
    assert np.allclose(scores_to_expression(expression_to_scores(weights, names), names), weights, atol=1e-5)
