"""Fits the head model to MediaPipe's 478 landmarks: pose, identity and expression of many faces at once.

Given the pose the model is linear, so a few Gauss-Newton steps with closed-form normal equations do what gradient
descent needs hundreds for: about 12 ms a face on one core. Pictures of one person share one identity (`fit_people`). Letters: N faces,
K points, I identity and 51 expression numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from mfn.fitting.blendshape_calibration import LandmarkCalibration, load_calibration
from mfn.fitting.expression_prior import expression_stiffness, jaw_change, shut_eyes
from mfn.fitting.gauss_newton import (
    POSE_SIZE,
    FitBasis,
    FitOptions,
    bounded_step,
    initial_pose,
    normal_equations,
    point_weights,
    pose_jacobian,
    rotation_from_vector,
)
from mfn.fitting.identity_prior import load_identity_prior, person_identity
from mfn.structures.faces import Faces
from mfn.structures.head_model import face_box
from mfn.structures.mediapipe_points import BROWS, EYELIDS, INNER_LIPS, IRISES, OUTER_LIPS, OVAL
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.mesh import vertex_normals

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel

__all__ = [
    "FitBasis",
    "FitOptions",
    "FitResult",
    "basis_from_head_model",
    "bounded_step",
    "fit",
    "fit_people",
    "fit_to_faces",
    "fitted_points",
    "label_confidence",
]
RESIDUAL_LIMIT = 2.5  # %; what lies above are hands before faces and slips of the teacher
IDENTITY_LIMIT = 3.0  # standard deviations of what is likely for the person: half as much again as the largest of 5,000 faces
ANGLE_LIMIT_DEG = 15.0  # to the teacher's own pose
SMALLEST_PX = 20.0  # height of the landmarks


@dataclass(frozen=True)
class FitResult:
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

    def __getitem__(self, rows: torch.Tensor) -> FitResult:
        return FitResult(*(getattr(self, name)[rows] for name in FitResult.__dataclass_fields__))


def basis_from_head_model(model: HeadModel, options: FitOptions | None = None, learned: bool = True) -> FitBasis:
    """FitBasis of MediaPipe's 478 points on our head model.

    learned: with what experiments/labels/learn_calibration.py found on real faces: where the points lie, how lids close, which shapes go together;
    and with what experiments/labels/learn_identity_prior.py found of people.
    """
    options = options or FitOptions()
    vertex, share = model.landmark_sets["mediapipe478"]
    normal = (vertex_normals(model.mean, model.triangles)[vertex] * share[..., None]).sum(1)
    normal[list(IRISES)] = (0.0, 0.0, 1.0)  # an eyeball's own normals say nothing about when the lids hide it
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    weight = np.ones(len(vertex), np.float32)
    weight[list(OUTER_LIPS)] = options.lips
    weight[list(INNER_LIPS)] = options.inner_lips
    weight[list(EYELIDS)] = options.lids
    weight[list(BROWS)] = options.brows
    weight[list(IRISES)] = options.iris
    arrays = (*model.landmark_basis("mediapipe478"), model.mediapipe478_spread, normal)
    mean, identity, expression, sigma, outward = (torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in arrays)
    prior = load_identity_prior(identity) if learned else None
    basis = FitBasis(mean, identity, expression, sigma, outward, torch.tensor(OVAL), torch.from_numpy(weight), identity_prior=prior)
    calibration = load_calibration(mean.numpy()) if learned else None
    return _calibrated(basis, calibration) if calibration is not None else basis


def _calibrated(basis: FitBasis, calibration: LandmarkCalibration) -> FitBasis:
    """Move the basis to where the landmarker puts its points on real faces."""
    expression = basis.expression.clone()
    for side, delta in zip(("Left", "Right"), torch.from_numpy(calibration.closed)):
        expression[EXPRESSION_NAMES.index(f"eyeBlink{side}")] += delta
    correlation = torch.from_numpy(calibration.correlation)
    return replace(basis, mean=basis.mean + torch.from_numpy(calibration.offset), expression=expression, correlation=correlation)


def fit(
    points: torch.Tensor,
    teacher: torch.Tensor,
    basis: FitBasis,
    options: FitOptions | None = None,
    identity: torch.Tensor | None = None,
) -> FitResult:
    """Fit N faces, each on its own.

    points: (N, K, 3) float32 px, y down, z on the x scale, smaller is nearer. teacher: (N, 51) in [0, 1], prior of the
    expression (`mfn.fitting.blendshape_calibration.scores_to_expression`). identity: (N, I) where it is known already; it strays from it by
    `options.wiggle` standard deviations, or not at all if that is 0.
    """
    if identity is None:
        return fit_people(points, teacher, torch.full((len(points),), -1), basis, options)
    return _fit(points, teacher, basis, options or FitOptions(), identity)


def fit_people(
    points: torch.Tensor, teacher: torch.Tensor, person: torch.Tensor, basis: FitBasis, options: FitOptions | None = None
) -> FitResult:
    """Fit N faces, with one identity for all faces of a person and an expression for each.

    First each alone; then again about the identity that these fits make likely for the person (`mfn.fitting.identity_prior`). It may wiggle a
    little: points err differently in each pose, and what the identity is not allowed to take up would go into the expression.
    `residual` stays that of the first round: how well a head explains the points.

    person: (N,) int, equal for one person's faces; below 0: unknown, fitted alone. A face that does not look like the person whose name it
    bears (`mfn.fitting.identity_prior.SAME_PERSON`) keeps its own identity. The rest as in `fit`.
    """
    options = options or FitOptions()
    if person.shape != (len(points),):
        raise ValueError(f"person: expected shape ({len(points)},), got {tuple(person.shape)}")
    alone = _fit(points, teacher, basis, options, None)
    identity, changed = person_identity(alone.identity, person, basis.identity_prior, options.common)
    if not changed.any():
        return alone
    rows = torch.nonzero(changed)[:, 0]
    again = _fit(points[rows], teacher[rows], basis, replace(options, steps=options.steps_again), identity[rows], alone[rows])
    parts = {name: getattr(alone, name).clone() for name in FitResult.__dataclass_fields__ if name != "residual"}
    for name, part in parts.items():
        part[rows] = getattr(again, name)
    return FitResult(**parts, residual=alone.residual)


def _fit(
    points: torch.Tensor,
    teacher: torch.Tensor,
    basis: FitBasis,
    options: FitOptions,
    identity: torch.Tensor | None,
    start: FitResult | None = None,
) -> FitResult:
    """One round in chunks, from `start` if there is one."""
    if points.ndim != 3 or points.shape[1:] != basis.mean.shape:
        raise ValueError(f"points: expected shape (N, {len(basis.mean)}, 3), got {tuple(points.shape)}")
    if teacher.shape != (len(points), len(EXPRESSION_NAMES)):
        raise ValueError(f"teacher: expected shape ({len(points)}, 51), got {tuple(teacher.shape)}")
    if identity is not None and identity.shape != (len(points), len(basis.identity)):
        raise ValueError(f"identity: expected shape ({len(points)}, {len(basis.identity)}), got {tuple(identity.shape)}")
    if not (torch.isfinite(points).all() and torch.isfinite(teacher).all()):
        raise ValueError("points and teacher must be finite: drop faces without landmarks before fitting")
    cuts = [slice(i, i + options.chunk) for i in range(0, max(len(points), 1), options.chunk)]
    parts = [
        _fit_chunk(points[c], teacher[c], basis, options, *(None if x is None else x[c] for x in (identity, start))) for c in cuts
    ]
    return FitResult(*(torch.cat([getattr(part, name) for part in parts]) for name in FitResult.__dataclass_fields__))


def _fit_chunk(
    points: torch.Tensor,
    teacher: torch.Tensor,
    basis: FitBasis,
    options: FitOptions,
    known: torch.Tensor | None,
    start: FitResult | None,
) -> FitResult:
    """`_fit` of as many faces as fit into memory at once. Unknowns: pose, identity (or how it wiggles), expression."""
    count, free = len(points), 0 if known is not None and options.wiggle == 0 else len(basis.identity)
    mean = basis.mean if known is None else basis.mean + torch.tensordot(known, basis.identity, 1)
    weight_of_identity = options.identity_weight if known is None else max(options.wiggle, 1e-6) ** -2
    change = jaw_change(basis.mean)
    shapes = torch.cat([basis.identity[:free], torch.tensordot(change.T, basis.expression, 1)])  # (S, K, 3)
    flat = shapes.permute(2, 1, 0).reshape(3, -1)  # (3, K S)
    correlation = torch.eye(len(change)) if basis.correlation is None else basis.correlation
    stiffness = expression_stiffness(correlation, options.prior_sigma)
    prior = torch.block_diag(weight_of_identity * torch.eye(free), change.T @ stiffness @ change)
    # the teacher reads a shut eye as one that looks far down; a model whose gaze moves the lids must not follow
    shut = shut_eyes(teacher)
    goal = torch.cat([torch.zeros(count, free), torch.linalg.solve(change, (teacher * (1 - shut)).T).T], 1)
    firmer = torch.cat([torch.zeros(count, free), shut / 0.05**2], 1)

    if start is None:
        rotation, unit, shift = initial_pose(points, basis)
    else:
        rotation, unit = start.rotation, start.scale
        depth = points[..., 2].mean(1) - unit * (mean @ rotation[:, 2, :, None])[..., 0].mean(-1)
        shift = torch.cat([start.center, depth[:, None]], 1)
    target, shift, scale = points / unit[:, None, None], shift / unit[:, None], torch.ones(count)
    shape = torch.zeros(count, len(shapes))
    if start is not None:
        shape[:, free:] = torch.linalg.solve(change, start.expression.T).T.clamp(0, 1)
    for step in range(options.steps):
        turned = (mean + (shape @ shapes.flatten(1)).reshape(count, *basis.mean.shape)) @ rotation.transpose(1, 2)
        gap = scale[:, None, None] * turned + shift[:, None] - target
        weight = point_weights(rotation, gap, basis, options, robust=step > 1 or start is not None)
        moved = ((rotation * scale[:, None, None]) @ flat).reshape(count, 3, len(basis.mean), len(shapes))
        hessian, gradient = normal_equations(pose_jacobian(turned, scale), moved, gap, turned, weight, basis, options)
        hessian[:, POSE_SIZE:, POSE_SIZE:] += prior
        hessian.diagonal(dim1=1, dim2=2)[:, POSE_SIZE:] += firmer
        hessian.diagonal(dim1=1, dim2=2)[:, :POSE_SIZE] += 1e-3
        gradient[:, POSE_SIZE:] += (shape - goal) @ prior + firmer * (shape - goal)
        now = shape[:, free:]
        delta = bounded_step(hessian, gradient, -now, 1 - now)
        rotation = rotation_from_vector(delta[:, :3]) @ rotation
        scale = scale * delta[:, 3].clamp(-0.5, 0.5).exp()
        shift, shape = shift + delta[:, 4:POSE_SIZE], shape + delta[:, POSE_SIZE:]
    expression = (shape[:, free:].clamp(0, 1) @ change.T).clamp(0, 1)
    identity = shape[:, :free] if free else torch.zeros(count, len(basis.identity))
    identity = identity if known is None else known + identity
    scale, center = scale * unit, shift[:, :2] * unit[:, None]
    found = FitResult(rotation, scale, center, identity, expression, torch.zeros(count))
    return replace(found, residual=residual_percent(fitted_points(basis, found), points[..., :2]))


def fitted_points(basis: FitBasis, found: FitResult) -> torch.Tensor:
    """The basis' points of every fitted face in the picture, (N, K, 2) px."""
    shape = torch.cat([found.identity, found.expression], 1)
    head = basis.mean + torch.tensordot(shape, torch.cat([basis.identity, basis.expression]), 1)
    turned = head @ found.rotation[:, :2].transpose(1, 2)
    return found.scale[:, None, None] * turned + found.center[:, None]


def fit_to_faces(found: FitResult, model: HeadModel) -> Faces:
    """The fits as N rows: boxes as these heads have them (`mfn.structures.head_model.face_box`), score 1, image 0, track -1."""
    count = len(found.scale)
    faces = Faces(
        image=np.zeros(count, np.int32),
        box=np.zeros((count, 4), np.float32),
        score=np.ones(count, np.float32),
        rotation=found.rotation.numpy(),
        scale=found.scale.numpy(),
        center=found.center.numpy(),
        identity=found.identity.numpy(),
        expression=found.expression.numpy(),
        track=np.full(count, -1, np.int32),
    )
    return faces.replace(box=face_box(model.landmarks(faces, "mediapipe478")))


def residual_percent(reached: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Mean distance in % of sqrt(w h) of the box around `points`. Both (N, K, 2) px -> (N,)."""
    size = (points.amax(1) - points.amin(1)).prod(1).clamp_min(1e-6).sqrt()
    return (reached - points).norm(dim=2).mean(1) / size * 100


def label_confidence(found: FitResult, points: torch.Tensor, rotation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which fits may be labels, from what was measured.

    points: (N, K, 2 or 3) px that were fitted; rotation: (N, 3, 3) the teacher's own pose, head to camera.
    -> ok (N,) bool: small residual, a likely identity, near the teacher's pose, not too small; and confidence (N,) in [0, 1], a half where
    labels begin to be wrong more often than right (looked at).
    """
    cosine = ((found.rotation * rotation).sum((1, 2)) - 1) / 2
    angle_deg = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
    height = points[..., 1].amax(1) - points[..., 1].amin(1)
    likely = (found.residual < RESIDUAL_LIMIT) & (found.identity.abs().amax(1) < IDENTITY_LIMIT)
    sure = torch.sigmoid((RESIDUAL_LIMIT - 0.3 - found.residual) / 0.35) * torch.sigmoid((ANGLE_LIMIT_DEG - 2 - angle_deg) / 2.5)
    return likely & (angle_deg < ANGLE_LIMIT_DEG) & (height > SMALLEST_PX), sure
