"""Fits the head model to MediaPipe's 478 landmarks: pose, identity and expression of many faces at once.

Given the pose the model is linear, so a few Gauss-Newton steps with closed-form normal equations do what gradient descent needs
hundreds for: about 1 ms a face on one core. Letters: N faces, K points, I identity and E expression numbers, P = 7 + I + E unknowns.
Torch is imported when a fit starts, so that `face_box` and `teacher_expression` cost nothing to import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retarget.arkit import EXPRESSION_NAMES

if TYPE_CHECKING:
    import torch

    from mfn.head_model import HeadModel

POSE_SIZE = 7  # rotation vector 3, log scale 1, center 2, depth of the origin 1 (all in the normalised picture)
_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
         152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
_INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
_LIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
         263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)  # fmt: skip
_BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
_IRIS = tuple(range(468, 478))

# How far a weight may stray from the teacher's (standard deviation): wide where landmarks show the shape, narrow where they do not.
_PRIOR_SIGMA: tuple[tuple[str, float], ...] = (
    ("eyeBlink", 0.4), ("jawOpen", 0.3), ("mouthClose", 0.1), ("mouthSmile", 0.25), ("brow", 0.25), ("eyeLook", 0.25),
    ("eyeSquint", 0.12), ("eyeWide", 0.2), ("cheekPuff", 0.04), ("cheekSquint", 0.08), ("noseSneer", 0.06), ("jawForward", 0.06),
    ("jaw", 0.1), ("mouth", 0.2),
)  # fmt: skip
# What MediaPipe gives a resting face (median over the packs): taken off before its numbers are believed.
_TEACHER_REST: tuple[tuple[str, float], ...] = (
    ("eyeSquint", 0.40), ("eyeLookDown", 0.18), ("eyeBlink", 0.13), ("eyeLookOut", 0.13), ("browDown", 0.08),
    ("eyeLookUp", 0.08), ("eyeLookIn", 0.04), ("mouthPress", 0.05),
)  # fmt: skip


def _by_name(table: tuple[tuple[str, float], ...], default: float) -> np.ndarray:
    """Value of the first prefix in `table` that fits, for each of EXPRESSION_NAMES -> (51,) float32."""
    values = [next((v for prefix, v in table if name.startswith(prefix)), default) for name in EXPRESSION_NAMES]
    return np.asarray(values, np.float32)


@dataclass(frozen=True)
class FitOptions:
    """Numbers of the fit. Lengths are metres on the head, weights relative to a point of the face's middle."""

    steps: int = 7
    noise_m: float = 0.0015
    depth_noise_m: float = 0.006
    depth_stride: int = 4
    independent: float = 0.25  # neighbouring points err together: K points count as this share of K
    outlier: float = 3.0  # a point this many sigmas away counts a quarter
    identity_weight: float = 1.0
    slide: float = 0.15  # share of a contour point's weight along the contour
    inner_lips: float = 3.0
    lips: float = 2.0
    lids: float = 3.0
    brows: float = 1.5
    iris: float = 1.0
    chunk: int = 128


@dataclass(frozen=True)
class FitBasis:
    """The head model seen at K landmarks, float32 tensors.

    mean (K, 3), identity (I, K, 3), expression (51, K, 3): metres, head axes. sigma (K,): how far a point wanders, metres.
    normal (K, 3): outward, unit. contour (C,): points of the face's outline in order, a closed loop. weight (K,): importance.
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
    """What was fitted. rotation (N, 3, 3), scale (N,) px per metre, center (N, 2) px, identity (N, I) standard deviations,
    expression (N, 51) in [0, 1], residual (N,) mean distance of the points in % of sqrt(w h) of their box."""

    rotation: torch.Tensor
    scale: torch.Tensor
    center: torch.Tensor
    identity: torch.Tensor
    expression: torch.Tensor
    residual: torch.Tensor


def teacher_expression(blendshapes: np.ndarray, names: list[str]) -> np.ndarray:
    """MediaPipe's scores -> prior of our weights. blendshapes: (N, len(names)) in [0, 1], in the order of `names` -> (N, 51) float32."""
    if blendshapes.ndim != 2 or blendshapes.shape[1] != len(names):
        raise ValueError(f"blendshapes: expected shape (N, {len(names)}), got {blendshapes.shape}")
    missing = [n for n in EXPRESSION_NAMES if n not in names]
    if missing:
        raise ValueError(f"blendshape names lack {', '.join(missing)}: give MediaPipe's 52 names in its order")
    ordered = blendshapes[:, [names.index(n) for n in EXPRESSION_NAMES]].astype(np.float32)
    rest = _by_name(_TEACHER_REST, 0.0)
    return np.clip((ordered - rest) / (1 - rest), 0, 1)


def basis_from_arrays(arrays: dict[str, np.ndarray], options: FitOptions) -> FitBasis:
    """FitBasis of MediaPipe's 478 points from `mean`, `identity`, `expression`, `sigma`, `normal` (see FitBasis for shapes)."""
    import torch

    weight = np.ones(len(arrays["mean"]), np.float32)
    groups = ((_LIPS, options.lips), (_INNER_LIPS, options.inner_lips), (_LIDS, options.lids), (_BROWS, options.brows), (_IRIS, options.iris))
    for points, importance in groups:
        weight[list(points)] = importance
    tensors = {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in arrays.items()}
    return FitBasis(**tensors, contour=torch.tensor(_OVAL), weight=torch.from_numpy(weight))


def basis_from_head_model(model: HeadModel, options: FitOptions | None = None) -> FitBasis:
    """FitBasis of MediaPipe's 478 points on our head model."""
    mean, identity, expression = model.landmark_basis("mediapipe478")
    corner = model.mean[model.triangles]
    face_normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    vertex_normal = np.zeros_like(model.mean)
    for i in range(3):
        np.add.at(vertex_normal, model.triangles[:, i], face_normal)
    vertex, weight = model.landmark_sets["mediapipe478"]
    normal = (vertex_normal[vertex] * weight[..., None]).sum(1)
    normal[list(_IRIS)] = (0.0, 0.0, 1.0)  # an eyeball's own normals say nothing about when the lids hide it
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    arrays = {"mean": mean, "identity": identity, "expression": expression, "sigma": model.mediapipe478_spread, "normal": normal}
    return basis_from_arrays(arrays, options or FitOptions())


def initial_pose(points: torch.Tensor, basis: FitBasis) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Similarity that carries the mean head onto the points (Umeyama). points: (N, K, 3) px -> R (N, 3, 3), scale (N,), shift (N, 3)."""
    import torch

    w = basis.weight / (basis.sigma**2 + 0.002**2)
    w = (w / w.sum())[:, None]
    x0, p0 = (w * basis.mean).sum(0), (w * points).sum(1)
    x, p = basis.mean - x0, points - p0[:, None]
    u, s, vt = torch.linalg.svd(p.transpose(1, 2) @ (w * x))
    sign = torch.ones_like(s)
    sign[:, 2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(1) / (w * x**2).sum()
    return rotation, scale, p0 - scale[:, None] * (rotation @ x0)


def _point_weights(rotation: torch.Tensor, gap: torch.Tensor, basis: FitBasis, options: FitOptions, robust: bool) -> torch.Tensor:
    """Weight of each point, 1/m^2: importance, spread, visibility, trust. rotation (N, 3, 3), gap (N, K, 3) metres -> (N, K)."""
    import torch

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
    import torch

    x, y, z = (turned * scale[:, None, None]).unbind(2)
    o, one = torch.zeros_like(x), torch.ones_like(x)
    rows = [[o, z, -y, x, one, o, o], [-z, o, x, y, o, one, o], [y, -x, o, z, o, o, one]]
    return torch.stack([torch.stack(row, 2) for row in rows], 1)


def _normal_equations(
    jacobian: torch.Tensor, gap: torch.Tensor, turned: torch.Tensor, weight: torch.Tensor, basis: FitBasis, options: FitOptions
) -> tuple[torch.Tensor, torch.Tensor]:
    """H and gradient of the landmarks' term. jacobian (N, 3, K, P), gap, turned (N, K, 3), weight (N, K) -> (N, P, P), (N, P).

    Contour points keep `slide` of their weight in every direction and get the rest only across the contour.
    """
    import torch

    c, stride = basis.contour, options.depth_stride
    along = torch.roll(turned[:, c, :2], -1, 1) - torch.roll(turned[:, c, :2], 1, 1)
    across = torch.stack([-along[..., 1], along[..., 0]], 1)  # (N, 2, C)
    across = across / across.norm(dim=1, keepdim=True).clamp_min(1e-6)
    plain = weight.clone()
    plain[:, c] *= options.slide
    share = 1 / (1 + options.depth_noise_m**2 / (basis.sigma**2 + options.noise_m**2))
    depth = (stride * share * weight)[:, ::stride]
    roots = torch.cat([plain, plain, depth, weight[:, c] * (1 - options.slide)], 1).sqrt()[..., None]
    rows = torch.cat([jacobian[:, 0], jacobian[:, 1], jacobian[:, 2, ::stride], (across[..., None] * jacobian[:, :2, c]).sum(1)], 1)
    gaps = torch.cat([gap[..., 0], gap[..., 1], gap[:, ::stride, 2], (across.transpose(1, 2) * gap[:, c, :2]).sum(2)], 1)
    rows = rows * roots
    transposed = rows.transpose(1, 2)
    return transposed @ rows, (transposed @ (gaps[..., None] * roots))[..., 0]


def bounded_step(
    hessian: torch.Tensor, gradient: torch.Tensor, lower: torch.Tensor, upper: torch.Tensor, sweeps: int = 10
) -> torch.Tensor:
    """Minimum of x H x / 2 + g x with lower <= x <= upper for the last B unknowns, the others free, by coordinate descent.

    hessian (N, P, P) positive definite, gradient (N, P), lower, upper (N, B) -> x (N, P).
    """
    import torch

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
    import torch

    x, y, z = vector.unbind(1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(cross)


def _jaw_change(like: torch.Tensor) -> torch.Tensor:
    """T with weights = T u: u holds jawOpen - mouthClose in jawOpen's place, so that u >= 0 keeps mouthClose <= jawOpen. (51, 51)."""
    import torch

    change = torch.eye(len(EXPRESSION_NAMES), dtype=like.dtype)
    change[EXPRESSION_NAMES.index("jawOpen"), EXPRESSION_NAMES.index("mouthClose")] = 1.0
    return change


def fit(points: torch.Tensor, teacher: torch.Tensor, basis: FitBasis, options: FitOptions | None = None) -> Fit:
    """Fit N faces. points: (N, K, 3) float32 px, y down, z smaller is nearer, on the x scale; teacher: (N, 51) prior weights."""
    import torch

    options = options or FitOptions()
    if points.ndim != 3 or points.shape[1:] != basis.mean.shape:
        raise ValueError(f"points: expected shape (N, {len(basis.mean)}, 3), got {tuple(points.shape)}")
    if teacher.shape != (len(points), len(EXPRESSION_NAMES)):
        raise ValueError(f"teacher: expected shape ({len(points)}, {len(EXPRESSION_NAMES)}), got {tuple(teacher.shape)}")
    starts = range(0, max(len(points), 1), options.chunk)
    parts = [_fit_chunk(points[i : i + options.chunk], teacher[i : i + options.chunk], basis, options) for i in starts]
    return Fit(*(torch.cat([getattr(part, name) for part in parts]) for name in Fit.__dataclass_fields__))


def _fit_chunk(points: torch.Tensor, teacher: torch.Tensor, basis: FitBasis, options: FitOptions) -> Fit:
    """`fit` of as many faces as fit into memory at once."""
    import torch

    count, identity_size = len(points), len(basis.identity)
    change = _jaw_change(basis.mean)
    shapes = torch.cat([basis.identity, torch.tensordot(change.T, basis.expression, 1)])  # (S, K, 3)
    flat = shapes.permute(2, 1, 0).reshape(3, -1)  # (3, K S)
    stiffness = torch.diag(torch.from_numpy(_by_name(_PRIOR_SIGMA, 0.2)) ** -2)
    prior = torch.block_diag(options.identity_weight * torch.eye(identity_size), change.T @ stiffness @ change)
    goal = torch.cat([torch.zeros(count, identity_size), torch.linalg.solve(change, teacher.T).T], 1)

    rotation, unit, shift = initial_pose(points, basis)
    target, shift, scale = points / unit[:, None, None], shift / unit[:, None], torch.ones(count)
    shape = torch.zeros(count, len(shapes))
    for step in range(options.steps):
        turned = (basis.mean + (shape @ shapes.flatten(1)).reshape(count, -1, 3)) @ rotation.transpose(1, 2)
        gap = scale[:, None, None] * turned + shift[:, None] - target
        weight = _point_weights(rotation, gap, basis, options, robust=step > 1)
        moved = ((rotation * scale[:, None, None]) @ flat).reshape(count, 3, len(basis.mean), -1)
        jacobian = torch.cat([_pose_jacobian(turned, scale), moved], 3)
        hessian, gradient = _normal_equations(jacobian, gap, turned, weight, basis, options)
        hessian[:, POSE_SIZE:, POSE_SIZE:] += prior
        hessian.diagonal(dim1=1, dim2=2)[:, :POSE_SIZE] += 1e-3
        gradient[:, POSE_SIZE:] += (shape - goal) @ prior
        now = shape[:, identity_size:]
        delta = bounded_step(hessian, gradient, -now, 1 - now)
        rotation = _rotation_from_vector(delta[:, :3]) @ rotation
        scale = scale * delta[:, 3].clamp(-0.5, 0.5).exp()
        shift, shape = shift + delta[:, 4:POSE_SIZE], shape + delta[:, POSE_SIZE:]
    expression = (shape[:, identity_size:].clamp(0, 1) @ change.T).clamp(0, 1)
    identity = shape[:, :identity_size]
    scale, center = scale * unit, shift[:, :2] * unit[:, None]
    reached = project(basis, rotation, scale, center, identity, expression)
    return Fit(rotation, scale, center, identity, expression, residual_percent(reached, points[..., :2]))


def project(
    basis: FitBasis, rotation: torch.Tensor, scale: torch.Tensor, center: torch.Tensor, identity: torch.Tensor, expression: torch.Tensor
) -> torch.Tensor:
    """The fitted points in the picture, (N, K, 2) px."""
    import torch

    shape = torch.cat([identity, expression], 1)
    head = basis.mean + torch.tensordot(shape, torch.cat([basis.identity, basis.expression]), 1)
    return scale[:, None, None] * (head @ rotation[:, :2].transpose(1, 2)) + center[:, None]


def residual_percent(reached: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Mean distance in % of sqrt(w h) of the box around `points`. Both (N, K, 2) px -> (N,)."""
    size = (points.amax(1) - points.amin(1)).prod(1).clamp_min(1e-6).sqrt()
    return (reached - points).norm(dim=2).mean(1) / size * 100
