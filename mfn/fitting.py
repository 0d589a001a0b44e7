"""Fits the head model to MediaPipe's 478 landmarks: pose, identity and expression of many faces at once.

Given the pose the model is linear, so a few Gauss-Newton steps with closed-form normal equations do what gradient
descent needs hundreds for: about 13 ms a face on one core. Letters: N faces, K points, C contour points, I identity
and 51 expression numbers, P = 7 + I + 51 unknowns, B of them bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from mfn.mediapipe import BROWS, INNER_LIPS, IRISES, LIDS, OUTER_LIPS, OVAL, by_prefix, landmark_basis, points_on_head
from retarget.arkit import EXPRESSION_NAMES
from retarget.raster import vertex_normals

if TYPE_CHECKING:
    from mfn.head_model import HeadModel

POSE_SIZE = 7  # rotation vector 3, log scale 1, center 2, depth of the origin 1 (all in the normalised picture)
# How far a weight may stray from the teacher's (standard deviation): wide where landmarks show the shape, narrow where
# they do not. The first key that begins a name counts.
_PRIOR_SIGMA: dict[str, float] = {
    "eyeBlink": 0.12, "eyeLook": 0.25, "eyeSquint": 0.12, "eyeWide": 0.1,
    "jawOpen": 0.3, "jawForward": 0.06, "jaw": 0.1, "mouthClose": 0.1, "mouthSmile": 0.25, "mouth": 0.2,
    "brow": 0.25, "cheekPuff": 0.04, "cheekSquint": 0.08, "noseSneer": 0.06,
}  # fmt: skip


@dataclass(frozen=True)
class FitOptions:
    """Numbers of the fit. Lengths are metres on the head, weights relative to a point of the face's middle."""

    steps: int = 5
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
    prior_sigma: float = 1.0  # times the table of how far a weight may stray from the teacher's
    chunk: int = 128


@dataclass(frozen=True)
class FitBasis:
    """The head model seen at K landmarks, float32 tensors.

    mean (K, 3), identity (I, K, 3), expression (51, K, 3): metres, head axes. sigma (K,): how far a point wanders,
    metres. normal (K, 3): outward, unit. contour (C,): points of the face's outline in order, a closed loop.
    weight (K,): importance.
    """

    mean: torch.Tensor
    identity: torch.Tensor
    expression: torch.Tensor
    sigma: torch.Tensor
    normal: torch.Tensor
    contour: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True)
class Fit:
    """What was fitted, float32 tensors.

    rotation (N, 3, 3) head to camera, scale (N,) px per metre, center (N, 2) px, identity (N, I) standard deviations,
    expression (N, 51) in [0, 1], residual (N,) mean distance of the points in % of sqrt(w h) of their box.
    """

    rotation: torch.Tensor
    scale: torch.Tensor
    center: torch.Tensor
    identity: torch.Tensor
    expression: torch.Tensor
    residual: torch.Tensor


def basis_from_head_model(model: HeadModel, options: FitOptions | None = None) -> FitBasis:
    """FitBasis of MediaPipe's 478 points on our head model."""
    options = options or FitOptions()
    vertex, share = points_on_head(model)
    normal = (vertex_normals(model.mean, model.triangles)[vertex] * share[..., None]).sum(1)
    normal[list(IRISES)] = (0.0, 0.0, 1.0)  # an eyeball's own normals say nothing about when the lids hide it
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    weight = np.ones(len(vertex), np.float32)
    weight[list(OUTER_LIPS)] = options.lips
    weight[list(INNER_LIPS)] = options.inner_lips
    weight[list(LIDS)] = options.lids
    weight[list(BROWS)] = options.brows
    weight[list(IRISES)] = options.iris
    arrays = (*landmark_basis(model), model.mediapipe478_spread, normal)
    mean, identity, expression, sigma, outward = (torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in arrays)
    return FitBasis(mean, identity, expression, sigma, outward, torch.tensor(OVAL), torch.from_numpy(weight))


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


def _point_weights(
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


def _pose_jacobian(turned: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """d(scale * turned + shift) / d(rotation vector, log scale, shift): turned (N, K, 3) -> (N, 3, K, 7)."""
    x, y, z = (turned * scale[:, None, None]).unbind(2)
    o, one = torch.zeros_like(x), torch.ones_like(x)
    rows = [[o, z, -y, x, one, o, o], [-z, o, x, y, o, one, o], [y, -x, o, z, o, o, one]]
    return torch.stack([torch.stack(row, 2) for row in rows], 1)


def _normal_equations(
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


def _rotation_from_vector(vector: torch.Tensor) -> torch.Tensor:
    """Rotation vectors (N, 3) -> (N, 3, 3)."""
    x, y, z = vector.unbind(1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(cross)


def _jaw_change(like: torch.Tensor) -> torch.Tensor:
    """T (51, 51) with weights = T u: u holds jawOpen - mouthClose in jawOpen's place, so u >= 0 keeps them in order."""
    change = torch.eye(len(EXPRESSION_NAMES), dtype=like.dtype)
    change[EXPRESSION_NAMES.index("jawOpen"), EXPRESSION_NAMES.index("mouthClose")] = 1.0
    return change


def _shut(teacher: torch.Tensor) -> torch.Tensor:
    """How surely the eye of each eyeLook shape is shut, so that its gaze is unknown: (N, 51) in [0, 1]; other shapes 0."""
    out = torch.zeros_like(teacher)
    for side in ("Left", "Right"):
        blink = teacher[:, EXPRESSION_NAMES.index(f"eyeBlink{side}")]
        gaze = [i for i, n in enumerate(EXPRESSION_NAMES) if n.startswith("eyeLook") and n.endswith(side)]
        out[:, gaze] = ((blink - 0.5) / 0.4).clamp(0, 1)[:, None]
    return out


def fit(points: torch.Tensor, teacher: torch.Tensor, basis: FitBasis, options: FitOptions | None = None) -> Fit:
    """Fit N faces.

    points: (N, K, 3) float32 px, y down, z on the x scale, smaller is nearer. teacher: (N, 51) in [0, 1], prior of the
    expression (`mfn.mediapipe.teacher_expression`).
    """
    options = options or FitOptions()
    if points.ndim != 3 or points.shape[1:] != basis.mean.shape:
        raise ValueError(f"points: expected shape (N, {len(basis.mean)}, 3), got {tuple(points.shape)}")
    if teacher.shape != (len(points), len(EXPRESSION_NAMES)):
        raise ValueError(f"teacher: expected shape ({len(points)}, 51), got {tuple(teacher.shape)}")
    if not (torch.isfinite(points).all() and torch.isfinite(teacher).all()):
        raise ValueError("points and teacher must be finite: drop faces without landmarks before fitting")
    starts = range(0, max(len(points), 1), options.chunk)
    parts = [_fit_chunk(points[i : i + options.chunk], teacher[i : i + options.chunk], basis, options) for i in starts]
    return Fit(*(torch.cat([getattr(part, name) for part in parts]) for name in Fit.__dataclass_fields__))


def _fit_chunk(points: torch.Tensor, teacher: torch.Tensor, basis: FitBasis, options: FitOptions) -> Fit:
    """`fit` of as many faces as fit into memory at once."""
    count, identity_size = len(points), len(basis.identity)
    change = _jaw_change(basis.mean)
    shapes = torch.cat([basis.identity, torch.tensordot(change.T, basis.expression, 1)])  # (S, K, 3)
    flat = shapes.permute(2, 1, 0).reshape(3, -1)  # (3, K S)
    stiffness = torch.diag((options.prior_sigma * torch.from_numpy(by_prefix(_PRIOR_SIGMA, 0.2))) ** -2)
    prior = torch.block_diag(options.identity_weight * torch.eye(identity_size), change.T @ stiffness @ change)
    # the teacher reads a shut eye as one that looks far down; a model whose gaze moves the lids must not follow
    shut = _shut(teacher)
    goal = torch.cat([torch.zeros(count, identity_size), torch.linalg.solve(change, (teacher * (1 - shut)).T).T], 1)
    firmer = torch.cat([torch.zeros(count, identity_size), shut / 0.05**2], 1)

    rotation, unit, shift = initial_pose(points, basis)
    target, shift, scale = points / unit[:, None, None], shift / unit[:, None], torch.ones(count)
    shape = torch.zeros(count, len(shapes))
    for step in range(options.steps):
        turned = (basis.mean + (shape @ shapes.flatten(1)).reshape(count, *basis.mean.shape)) @ rotation.transpose(1, 2)
        gap = scale[:, None, None] * turned + shift[:, None] - target
        weight = _point_weights(rotation, gap, basis, options, robust=step > 1)
        moved = ((rotation * scale[:, None, None]) @ flat).reshape(count, 3, len(basis.mean), len(shapes))
        pose = _pose_jacobian(turned, scale)
        hessian, gradient = _normal_equations(pose, moved, gap, turned, weight, basis, options)
        hessian[:, POSE_SIZE:, POSE_SIZE:] += prior
        hessian.diagonal(dim1=1, dim2=2)[:, POSE_SIZE:] += firmer
        hessian.diagonal(dim1=1, dim2=2)[:, :POSE_SIZE] += 1e-3
        gradient[:, POSE_SIZE:] += (shape - goal) @ prior + firmer * (shape - goal)
        now = shape[:, identity_size:]
        delta = bounded_step(hessian, gradient, -now, 1 - now)
        rotation = _rotation_from_vector(delta[:, :3]) @ rotation
        scale = scale * delta[:, 3].clamp(-0.5, 0.5).exp()
        shift, shape = shift + delta[:, 4:POSE_SIZE], shape + delta[:, POSE_SIZE:]
    expression = (shape[:, identity_size:].clamp(0, 1) @ change.T).clamp(0, 1)
    identity = shape[:, :identity_size]
    scale, center = scale * unit, shift[:, :2] * unit[:, None]
    found = Fit(rotation, scale, center, identity, expression, torch.zeros(count))
    return replace(found, residual=residual_percent(fitted_points(basis, found), points[..., :2]))


def fitted_points(basis: FitBasis, found: Fit) -> torch.Tensor:
    """The basis' points of every fitted face in the picture, (N, K, 2) px."""
    shape = torch.cat([found.identity, found.expression], 1)
    head = basis.mean + torch.tensordot(shape, torch.cat([basis.identity, basis.expression]), 1)
    turned = head @ found.rotation[:, :2].transpose(1, 2)
    return found.scale[:, None, None] * turned + found.center[:, None]


def residual_percent(reached: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Mean distance in % of sqrt(w h) of the box around `points`. Both (N, K, 2) px -> (N,)."""
    size = (points.amax(1) - points.amin(1)).prod(1).clamp_min(1e-6).sqrt()
    return (reached - points).norm(dim=2).mean(1) / size * 100
