"""The parts of a Gauss-Newton step agree with slow or numerical versions of themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mfn.fitting.fit_basis import FitBasis, FitOptions
from mfn.fitting.gauss_newton import (
    LandmarkState,
    NormalEquations,
    bounded_step,
    initial_pose,
    landmark_weights,
    normal_equations,
    pose_jacobian,
    rotation_from_vector,
)

K = 12


@pytest.fixture
def basis() -> FitBasis:
    """A head of 12 random points that face the viewer; the first four are its outline."""
    random = torch.Generator().manual_seed(0)
    mean = 0.05 * torch.randn(K, 3, generator=random)
    shapes = 0.01 * torch.randn(5, K, 3, generator=random)
    normal = torch.tensor([0.0, 0.0, 1.0]).expand(K, 3)
    return FitBasis(mean, shapes[:2], shapes[2:], torch.full((K,), 0.001), normal, torch.arange(4), torch.ones(K))


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
    equations = NormalEquations(*tensors[:2])
    assert np.allclose(bounded_step(equations, *tensors[2:], sweeps=100)[0], x, atol=1e-5)


def test_pose_jacobian_against_finite_differences() -> None:
    random = torch.Generator().manual_seed(1)
    rotated = torch.randn(1, K, 3, generator=random, dtype=torch.float64)
    scale = torch.tensor([1.3], dtype=torch.float64)
    jacobian = pose_jacobian(rotated, scale)[0]
    for column in range(7):
        step = torch.zeros(1, 7, dtype=torch.float64)
        step[0, column] = 1e-6
        turned = rotated @ rotation_from_vector(step[:, :3]).transpose(1, 2)
        moved = scale * step[:, 3].exp() * turned + step[:, None, 4:]
        numerical = (moved - scale * rotated)[0].T / 1e-6
        assert torch.allclose(jacobian[..., column], numerical, atol=1e-4)


def test_initial_pose_recovers_a_similarity(basis: FitBasis) -> None:
    rotation = rotation_from_vector(torch.tensor([[0.3, -0.2, 0.5], [0.0, 2.0, 0.0]]))
    scale, shift = torch.tensor([800.0, 90.0]), torch.tensor([[10.0, 20.0, 30.0], [-5.0, 0.0, 1.0]])
    points = scale[:, None, None] * (basis.mean @ rotation.transpose(1, 2)) + shift[:, None]
    pose = initial_pose(points, basis)
    assert torch.allclose(pose.rotation, rotation, atol=1e-4)
    assert torch.allclose(pose.scale, scale, rtol=1e-4) and torch.allclose(pose.shift, shift, atol=1e-2)


def test_outliers_and_hidden_landmarks_weigh_less(basis: FitBasis) -> None:
    frontal, away = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None], torch.eye(3)[None]
    residual = torch.zeros(1, K, 3)
    residual[0, 0, 0] = 0.1
    weight = landmark_weights(frontal, residual, basis, FitOptions(), robust=True)
    assert weight[0, 0] < 0.01 * weight[0, 1]
    plain = landmark_weights(frontal, residual, basis, FitOptions(), robust=False)
    assert torch.allclose(plain[0, 0], plain[0, 1])
    assert (landmark_weights(away, residual, basis, FitOptions(), robust=False) < 0.1 * plain).all()


def test_gradient_is_that_of_the_weighted_squares(basis: FitBasis) -> None:
    """Without an outline, with all depths and no extra depth noise the cost is a plain weighted sum of squares."""
    random = torch.Generator().manual_seed(2)
    no_outline = replace(basis, contour=torch.arange(0))
    options = FitOptions(depth_stride=1, depth_noise_m=0.0)
    state = LandmarkState(
        rotated=torch.randn(1, K, 3, generator=random),
        residual=torch.randn(1, K, 3, generator=random),
        weight=torch.rand(1, K, generator=random),
        pose_jacobian=torch.randn(1, 3, K, 7, generator=random),
        shape_jacobian=torch.randn(1, 3, K, 5, generator=random),
    )
    equations = normal_equations(state, no_outline, options)
    jacobian = torch.cat([state.pose_jacobian, state.shape_jacobian], 3)[0]  # (3, K, 12)
    gradient = torch.einsum("ckp,k,kc->p", jacobian, state.weight[0], state.residual[0])
    hessian = torch.einsum("ckp,k,ckq->pq", jacobian, state.weight[0], jacobian)
    assert torch.allclose(equations.gradient[0], gradient, atol=1e-4)
    assert torch.allclose(equations.hessian[0], hessian, atol=1e-4)


def test_rotation_vectors() -> None:
    half_turn = rotation_from_vector(torch.tensor([[0.0, 0.0, np.pi], [0.0, 0.0, 0.0]]))
    assert torch.allclose(half_turn[0], torch.diag(torch.tensor([-1.0, -1.0, 1.0])), atol=1e-5)
    assert torch.allclose(half_turn[1], torch.eye(3))
