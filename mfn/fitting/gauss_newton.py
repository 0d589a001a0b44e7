"""One Gauss-Newton step of the fit: weights of the landmarks, normal equations, and their bounded solution.

Letters: N faces, K landmarks, C landmarks of the face's outline, S shape unknowns, P = 7 + S unknowns, B bounded unknowns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from mfn.fitting.fit_basis import FitBasis, FitOptions

POSE_SIZE = 7  # rotation vector 3, log scale 1, center 2, depth of the origin 1, all in the normalized image


class Pose(NamedTuple):
    """A similarity transform of each head into the image.

    Attributes:
        rotation: (N, 3, 3) head to camera.
        scale: (N,) px per meter.
        shift: (N, 3) px.
    """

    rotation: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor


class NormalEquations(NamedTuple):
    """Quadratic approximation of the cost: Hessian (N, P, P) and gradient (N, P)."""

    hessian: torch.Tensor
    gradient: torch.Tensor


class LandmarkState(NamedTuple):
    """The landmarks at the current step, in the normalized image.

    Attributes:
        rotated: (N, K, 3) meters, the head's landmarks in camera axes.
        residual: (N, K, 3) meters, where they project minus where they should.
        weight: (N, K) 1 / m².
        pose_jacobian: (N, 3, K, 7).
        shape_jacobian: (N, 3, K, S).
    """

    rotated: torch.Tensor
    residual: torch.Tensor
    weight: torch.Tensor
    pose_jacobian: torch.Tensor
    shape_jacobian: torch.Tensor


def initial_pose(points: torch.Tensor, basis: FitBasis) -> Pose:
    """Find the similarity transform that takes the mean head to the landmarks.

    Args:
        points: (N, K, 3) px.
        basis: the head model.

    The closed-form solution is that of Umeyama ("Least-squares estimation of transformation parameters between two point patterns",
    PAMI 1991), with weights.
    """
    weight = torch.nn.functional.normalize(basis.weight / (basis.sigma**2 + 0.002**2), p=1, dim=0)[:, None]
    head_center, center = (weight * basis.mean).sum(0), (weight * points).sum(1)
    head, target = basis.mean - head_center, points - center[:, None]
    u, s, vt = torch.linalg.svd(target.transpose(1, 2) @ (weight * head))
    sign = torch.ones_like(s)
    sign[:, 2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = (u * sign[:, None]) @ vt
    scale = ((s * sign).sum(1) / (weight * head**2).sum()).clamp_min(1e-6)
    return Pose(rotation, scale, center - scale[:, None] * (rotation @ head_center))


def landmark_weights(
    rotation: torch.Tensor, residual: torch.Tensor, basis: FitBasis, options: FitOptions, robust: bool
) -> torch.Tensor:
    """Weight the landmarks by importance, variation, visibility and, if robust, by their residual.

    Args:
        rotation: (N, 3, 3) head to camera.
        residual: (N, K, 3) meters.
        basis: the head model.
        options: constants of the fit.
        robust: reduce the weight of outliers (Geman and McClure's function).

    Returns:
        (N, K) 1 / m².
    """
    variance = basis.sigma**2 + options.noise_m**2
    toward_viewer = -(basis.normal @ rotation[:, 2, :, None])[..., 0]
    visible = torch.sigmoid((toward_viewer + 0.05) * 12) * 0.97 + 0.03
    weight = options.independent_share * basis.weight / variance * visible
    if not robust:
        return weight
    distance = (residual[..., :2] ** 2).sum(2) / (variance * options.outlier_sigma**2)
    return weight / (1 + distance) ** 2


def pose_jacobian(rotated: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Differentiate `scale * rotated + shift` by rotation vector, log scale and shift.

    Args:
        rotated: (N, K, 3) landmarks in camera axes.
        scale: (N,).

    Returns:
        (N, 3, K, 7).
    """
    x, y, z = (rotated * scale[:, None, None]).unbind(2)
    o, one = torch.zeros_like(x), torch.ones_like(x)
    rows = [[o, z, -y, x, one, o, o], [-z, o, x, y, o, one, o], [y, -x, o, z, o, o, one]]
    return torch.stack([torch.stack(row, 2) for row in rows], 1)


def normal_equations(state: LandmarkState, basis: FitBasis, options: FitOptions) -> NormalEquations:
    """Build the normal equations of the landmarks' cost.

    The outline in a picture is not a fixed line on the head. So outline landmarks have the weight `outline_slide` in all
    directions, and the rest of their weight acts only across the outline.
    """
    c, stride = basis.contour, options.depth_stride
    residual, weight = state.residual, state.weight
    along = torch.roll(state.rotated[:, c, :2], -1, 1) - torch.roll(state.rotated[:, c, :2], 1, 1)
    across = torch.stack([-along[..., 1], along[..., 0]], 1)  # (N, 2, C)
    across = across / across.norm(dim=1, keepdim=True).clamp_min(1e-6)
    in_plane = weight.clone()
    in_plane[:, c] *= options.outline_slide
    # The landmarker's depth is an estimate: its sigma is wide, and every fourth landmark stands for its neighbors.
    depth_share = 1 / (1 + options.depth_noise_m**2 / (basis.sigma**2 + options.noise_m**2))
    depth = (stride * depth_share * weight)[:, ::stride]
    roots = [w.sqrt()[..., None] for w in (in_plane, in_plane, depth, weight[:, c] * (1 - options.outline_slide))]
    ends = np.cumsum([0, *(root.shape[1] for root in roots)]).tolist()
    unknowns = POSE_SIZE + state.shape_jacobian.shape[3]
    rows = residual.new_empty(len(weight), ends[-1], unknowns)  # filled in place: copies take most of the time here
    for part, columns in ((state.pose_jacobian, slice(POSE_SIZE)), (state.shape_jacobian, slice(POSE_SIZE, None))):
        kinds = (part[:, 0], part[:, 1], part[:, 2, ::stride], (across[..., None] * part[:, :2, c]).sum(1))
        for k, kind in enumerate(kinds):
            torch.mul(kind, roots[k], out=rows[:, ends[k] : ends[k + 1], columns])
    across_residual = (across.transpose(1, 2) * residual[:, c, :2]).sum(2)
    parts = [residual[..., 0], residual[..., 1], residual[:, ::stride, 2], across_residual]
    weighted = torch.cat(parts, 1)[..., None] * torch.cat(roots, 1)
    transposed = rows.transpose(1, 2)
    return NormalEquations(transposed @ rows, (transposed @ weighted)[..., 0])


def bounded_step(
    equations: NormalEquations, lower: torch.Tensor, upper: torch.Tensor, sweeps: int = 10
) -> torch.Tensor:
    """Minimize x H x / 2 + g x with bounds on the last B unknowns; the others are free.

    Args:
        equations: H (N, P, P) positive definite, and g (N, P).
        lower: (N, B).
        upper: (N, B).
        sweeps: rounds of coordinate descent.

    Returns:
        (N, P).

    The free unknowns are eliminated exactly; coordinate descent finds the bounded ones.
    """
    hessian, gradient = equations
    free = hessian.shape[1] - lower.shape[1]
    factor = torch.linalg.cholesky(hessian[:, :free, :free])
    solved = torch.cholesky_solve(torch.cat([hessian[:, :free, free:], gradient[:, :free, None]], 2), factor)
    by_bounded, constant = solved[..., :-1], solved[..., -1]
    coupling = hessian[:, free:, :free]
    reduced = hessian[:, free:, free:] - coupling @ by_bounded
    slope = gradient[:, free:] - (coupling @ constant[..., None])[..., 0]
    diagonal = reduced.diagonal(dim1=1, dim2=2).clamp_min(1e-8)
    x = torch.zeros_like(lower).clamp(lower, upper)
    for _ in range(sweeps):
        for i in range(x.shape[1]):
            step = (slope[:, i] + (reduced[:, i] * x).sum(1)) / diagonal[:, i]
            x[:, i] = torch.minimum(torch.maximum(x[:, i] - step, lower[:, i]), upper[:, i])
    return torch.cat([-constant - (by_bounded @ x[..., None])[..., 0], x], 1)


def rotation_from_vector(vector: torch.Tensor) -> torch.Tensor:
    """Convert rotation vectors (N, 3), radians, to matrices (N, 3, 3), with gradients."""
    x, y, z = vector.unbind(1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(cross)
