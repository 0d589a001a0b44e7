"""One Gauss-Newton step of the fit: what it weighs, its normal equations, and their bounded solution.

Letters: N faces, K points, C contour points, S shape unknowns, P = 7 + S unknowns, B of them bounded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mfn.fitting.identity_prior import IdentityPrior

POSE_SIZE = 7  # rotation vector 3, log scale 1, center 2, depth of the origin 1 (all in the normalised picture)


@dataclass(frozen=True)
class FitOptions:
    """Numbers of the fit. Lengths are metres on the head, weights relative to a point of the face's middle."""

    steps: int = 5
    steps_again: int = 3  # of the second round, which begins where the first ended
    noise_m: float = 0.0015
    depth_noise_m: float = 0.006
    depth_stride: int = 4
    independent: float = 0.25  # neighbouring points err together: K points count as this share of K
    outlier: float = 3.0  # a point this many sigmas away counts a quarter
    identity_weight: float = 1.0
    slide: float = 0.15  # share of a contour point's weight along the contour
    inner_lips: float = 3.0
    lips: float = 2.0
    lids: float = 6.0
    brows: float = 1.5
    iris: float = 1.0
    common: float = 0.2  # share of a face's error that another picture of the same person has too
    wiggle: float = 0.15  # standard deviations that a known identity may differ from picture to picture
    prior_sigma: float = 1.0  # times the table of how far a weight may stray from the teacher's
    chunk: int = 128


@dataclass(frozen=True)
class FitBasis:
    """The head model seen at K landmarks, float32 tensors.

    mean (K, 3), identity (I, K, 3), expression (51, K, 3): metres, head axes. sigma (K,): how far a point wanders,
    metres. normal (K, 3): outward, unit. contour (C,): points of the face's outline in order, a closed loop.
    weight (K,): importance. correlation (51, 51): how expression weights go together, None: not at all.
    identity_prior: how identities vary, None: unknown.
    """

    mean: torch.Tensor
    identity: torch.Tensor
    expression: torch.Tensor
    sigma: torch.Tensor
    normal: torch.Tensor
    contour: torch.Tensor
    weight: torch.Tensor
    correlation: torch.Tensor | None = None
    identity_prior: IdentityPrior | None = None


def initial_pose(points: torch.Tensor, basis: FitBasis) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Similarity that carries the mean head onto the points (Umeyama 1991).

    points: (N, K, 3) px -> rotation (N, 3, 3), scale (N,) px per metre, shift (N, 3) px.
    """
    w = torch.nn.functional.normalize(basis.weight / (basis.sigma**2 + 0.002**2), p=1, dim=0)[:, None]
    x0, p0 = (w * basis.mean).sum(0), (w * points).sum(1)
    x, p = basis.mean - x0, points - p0[:, None]
    u, s, vt = torch.linalg.svd(p.transpose(1, 2) @ (w * x))
    sign = torch.ones_like(s)
    sign[:, 2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = (u * sign[:, None]) @ vt
    scale = ((s * sign).sum(1) / (w * x**2).sum()).clamp_min(1e-6)
    return rotation, scale, p0 - scale[:, None] * (rotation @ x0)


def point_weights(
    rotation: torch.Tensor, gap: torch.Tensor, basis: FitBasis, options: FitOptions, robust: bool
) -> torch.Tensor:
    """Weight of each point, 1/m^2, from importance, spread, visibility and trust.

    rotation (N, 3, 3), gap (N, K, 3) metres -> (N, K).
    """
    variance = basis.sigma**2 + options.noise_m**2
    toward_viewer = -(basis.normal @ rotation[:, 2, :, None])[..., 0]
    visible = torch.sigmoid((toward_viewer + 0.05) * 12) * 0.97 + 0.03
    weight = options.independent * basis.weight / variance * visible
    if not robust:
        return weight
    far = (gap[..., :2] ** 2).sum(2) / (variance * options.outlier**2)
    return weight / (1 + far) ** 2  # Geman and McClure


def pose_jacobian(turned: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """d(scale * turned + shift) / d(rotation vector, log scale, shift): turned (N, K, 3) -> (N, 3, K, 7)."""
    x, y, z = (turned * scale[:, None, None]).unbind(2)
    o, one = torch.zeros_like(x), torch.ones_like(x)
    rows = [[o, z, -y, x, one, o, o], [-z, o, x, y, o, one, o], [y, -x, o, z, o, o, one]]
    return torch.stack([torch.stack(row, 2) for row in rows], 1)


def normal_equations(
    pose: torch.Tensor,
    moved: torch.Tensor,
    gap: torch.Tensor,
    turned: torch.Tensor,
    weight: torch.Tensor,
    basis: FitBasis,
    options: FitOptions,
) -> tuple[torch.Tensor, torch.Tensor]:
    """H (N, P, P) and gradient (N, P) of the landmarks' term.

    Jacobians by pose (N, 3, K, 7) and by shape, moved (N, 3, K, S); gap and turned (N, K, 3), weight (N, K). Contour
    points keep `slide` of their weight in every direction and get the rest only across the contour.
    """
    c, stride = basis.contour, options.depth_stride
    along = torch.roll(turned[:, c, :2], -1, 1) - torch.roll(turned[:, c, :2], 1, 1)
    across = torch.stack([-along[..., 1], along[..., 0]], 1)  # (N, 2, C)
    across = across / across.norm(dim=1, keepdim=True).clamp_min(1e-6)
    plain = weight.clone()
    plain[:, c] *= options.slide
    # the teacher's depth is a guess: a wide sigma, and every fourth point stands for its neighbours
    share = 1 / (1 + options.depth_noise_m**2 / (basis.sigma**2 + options.noise_m**2))
    depth = (stride * share * weight)[:, ::stride]
    roots = [r.sqrt()[..., None] for r in (plain, plain, depth, weight[:, c] * (1 - options.slide))]
    ends = np.cumsum([0, *(root.shape[1] for root in roots)]).tolist()
    rows = moved.new_empty(len(weight), ends[-1], POSE_SIZE + moved.shape[3])  # filled in place: copies cost most here
    for part, columns in ((pose, slice(POSE_SIZE)), (moved, slice(POSE_SIZE, None))):
        kinds = (part[:, 0], part[:, 1], part[:, 2, ::stride], (across[..., None] * part[:, :2, c]).sum(1))
        for k, kind in enumerate(kinds):
            torch.mul(kind, roots[k], out=rows[:, ends[k] : ends[k + 1], columns])
    across_gaps = (across.transpose(1, 2) * gap[:, c, :2]).sum(2)
    gaps = torch.cat([gap[..., 0], gap[..., 1], gap[:, ::stride, 2], across_gaps], 1)[..., None] * torch.cat(roots, 1)
    transposed = rows.transpose(1, 2)
    return transposed @ rows, (transposed @ gaps)[..., 0]


def bounded_step(
    hessian: torch.Tensor, gradient: torch.Tensor, lower: torch.Tensor, upper: torch.Tensor, sweeps: int = 10
) -> torch.Tensor:
    """Minimum of x H x / 2 + g x with lower <= x <= upper for the last B unknowns, the others free.

    The free ones are eliminated exactly, the bounded ones found by coordinate descent. hessian (N, P, P) positive
    definite, gradient (N, P), lower, upper (N, B) -> x (N, P).
    """
    free = hessian.shape[1] - lower.shape[1]
    factor = torch.linalg.cholesky(hessian[:, :free, :free])
    solved = torch.cholesky_solve(torch.cat([hessian[:, :free, free:], gradient[:, :free, None]], 2), factor)
    to_bounded, alone = solved[..., :-1], solved[..., -1]
    coupling = hessian[:, free:, :free]
    reduced = hessian[:, free:, free:] - coupling @ to_bounded
    slope = gradient[:, free:] - (coupling @ alone[..., None])[..., 0]
    diagonal = reduced.diagonal(dim1=1, dim2=2).clamp_min(1e-8)
    x = torch.zeros_like(lower).clamp(lower, upper)
    for _ in range(sweeps):
        for i in range(x.shape[1]):
            step = (slope[:, i] + (reduced[:, i] * x).sum(1)) / diagonal[:, i]
            x[:, i] = torch.minimum(torch.maximum(x[:, i] - step, lower[:, i]), upper[:, i])
    return torch.cat([-alone - (to_bounded @ x[..., None])[..., 0], x], 1)


def rotation_from_vector(vector: torch.Tensor) -> torch.Tensor:
    """Rotation vectors (N, 3) -> (N, 3, 3)."""
    x, y, z = vector.unbind(1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(cross)
