"""Fit of the head model to MediaPipe's 478 landmarks: pose, identity and expression of many faces at once.

Given the pose, the model is linear. A few Gauss-Newton steps with closed-form normal equations therefore suffice: about 12 ms a face on
one core. Photos of one person share one identity (`fit_people`). Letters: N faces, K landmarks, I identity components, S shape unknowns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from mfn.fitting.expression_prior import cancel_antagonists, expression_prior_precision, jaw_coordinates, shape_prior
from mfn.fitting.fit_basis import FitBasis, FitOptions
from mfn.fitting.gauss_newton import (
    POSE_SIZE,
    LandmarkState,
    Pose,
    bounded_step,
    initial_pose,
    landmark_weights,
    normal_equations,
    pose_jacobian,
    rotation_from_vector,
)
from mfn.fitting.identity_prior import person_identity
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel

MAX_RESIDUAL_PERCENT = 2.5  # larger ones are hands before faces and errors of the landmarker
MAX_IDENTITY_SD = 3.0  # half as much again as the largest of 5,000 faces
MAX_POSE_ERROR_DEG = 15.0  # angle to the landmarker's own pose
MIN_HEIGHT_PX = 20.0  # height of the landmarks


@dataclass(frozen=True)
class FitResult:
    """Fitted heads, float32 tensors.

    Attributes:
        rotation: (N, 3, 3) head to camera.
        scale: (N,) px per meter.
        center: (N, 2) px, where the head's origin projects.
        identity: (N, I) standard deviations.
        expression: (N, 51) in [0, 1].
        residual: (N,) mean distance to the landmarks, in % of sqrt(width * height) of their box.
    """

    rotation: torch.Tensor
    scale: torch.Tensor
    center: torch.Tensor
    identity: torch.Tensor
    expression: torch.Tensor
    residual: torch.Tensor

    def __getitem__(self, rows: torch.Tensor | slice) -> FitResult:
        """Select rows by mask, indices or slice."""
        return FitResult(*(getattr(self, name)[rows] for name in FitResult.__dataclass_fields__))


class LabelQuality(NamedTuple):
    """Which fits can be used as labels.

    Attributes:
        ok: (N,) bool, accepted.
        confidence: (N,) float32 in [0, 1]; at 0.5 labels begin to be wrong more often than right, judged by eye.
    """

    ok: torch.Tensor
    confidence: torch.Tensor


def fit(
    points: torch.Tensor,
    scores: torch.Tensor,
    basis: FitBasis,
    options: FitOptions | None = None,
    identity: torch.Tensor | None = None,
) -> FitResult:
    """Fit N faces, each on its own.

    Args:
        points: (N, K, 3) float32: x y in px, y down, and depth on the same scale; smaller is nearer.
        scores: (N, 51) in [0, 1], expression weights of the pseudo-label model, the center of the prior
            (`mfn.fitting.blendshape_calibration.scores_to_expression`).
        basis: the head model.
        options: constants of the fit.
        identity: (N, I) known identities. Each fit may deviate from it by `options.identity_wiggle` standard deviations, or not at all if
            that is 0.

    Raises:
        ValueError: a shape is wrong, or a value is not finite.
    """
    if identity is None:
        return fit_people(points, scores, torch.full((len(points),), -1), basis, options)
    return _fit_all(points, scores, basis, options or FitOptions(), identity)


def fit_people(
    points: torch.Tensor, scores: torch.Tensor, person: torch.Tensor, basis: FitBasis, options: FitOptions | None = None
) -> FitResult:
    """Fit N faces, with one identity for all faces of a person and one expression for each face.

    Args:
        points: (N, K, 3), see `fit`.
        scores: (N, 51), see `fit`.
        person: (N,) int, equal for the faces of one person; below 0: unknown, fitted alone. A face that does not look like its person
            (`mfn.fitting.identity_prior.SAME_PERSON_SD`) keeps its own identity.
        basis: the head model.
        options: constants of the fit.

    Returns:
        The fits. `residual` is that of the first round: how well a head explains the landmarks.

    The first round fits each face alone. The second round fits about the identity that the first one makes likely for the person. The
    identity may still vary a little: the landmarks' errors depend on the pose, and otherwise the expression would follow them.
    """
    options = options or FitOptions()
    if person.shape != (len(points),):
        raise ValueError(f"person: expected shape ({len(points)},), got {tuple(person.shape)}")
    alone = _fit_all(points, scores, basis, options, None)
    identity, changed = person_identity(alone.identity, person, basis.identity_prior, options.shared_error)
    if not changed.any():
        return alone
    rows = torch.nonzero(changed)[:, 0]
    second = replace(options, steps=options.refine_steps)
    refined = _fit_all(points[rows], scores[rows], basis, second, identity[rows], alone[rows])
    parts = {name: getattr(alone, name).clone() for name in FitResult.__dataclass_fields__ if name != "residual"}
    for name, part in parts.items():
        part[rows] = getattr(refined, name)
    return FitResult(**parts, residual=alone.residual)


def fitted_points(basis: FitBasis, found: FitResult) -> torch.Tensor:
    """Project the basis' landmarks of fitted faces into the image: (N, K, 2) px."""
    shape = torch.cat([found.identity, found.expression], 1)
    head = basis.mean + torch.tensordot(shape, torch.cat([basis.identity, basis.expression]), 1)
    rotated = head @ found.rotation[:, :2].transpose(1, 2)
    return found.scale[:, None, None] * rotated + found.center[:, None]


def fit_to_faces(found: FitResult, model: HeadModel) -> Faces:
    """Convert fits to N rows of `Faces` with the boxes of these heads, score 1, image 0 and track -1."""
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
    return faces.replace(box=model.boxes(faces))


def residual_percent(fitted: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Compute the mean distance between landmarks (N, K, 2) px, (N,) in % of sqrt(width * height) of the box around `points`."""
    size = (points.amax(1) - points.amin(1)).prod(1).clamp_min(1e-6).sqrt()
    return (fitted - points).norm(dim=2).mean(1) / size * 100


def label_confidence(found: FitResult, points: torch.Tensor, rotation: torch.Tensor) -> LabelQuality:
    """Decide which fits can be used as labels.

    A fit is accepted if its residual is small, its identity likely, its pose near the landmarker's, and the face large enough.

    Args:
        found: N fits.
        points: (N, K, 2 or 3) px, the landmarks that were fitted.
        rotation: (N, 3, 3) the landmarker's own pose, head to camera.
    """
    cosine = ((found.rotation * rotation).sum((1, 2)) - 1) / 2
    angle_deg = torch.rad2deg(torch.acos(cosine.clamp(-1, 1)))
    height = points[..., 1].amax(1) - points[..., 1].amin(1)
    likely = (found.residual < MAX_RESIDUAL_PERCENT) & (found.identity.abs().amax(1) < MAX_IDENTITY_SD)
    by_residual = torch.sigmoid((MAX_RESIDUAL_PERCENT - 0.3 - found.residual) / 0.35)
    by_pose = torch.sigmoid((MAX_POSE_ERROR_DEG - 2 - angle_deg) / 2.5)
    return LabelQuality(likely & (angle_deg < MAX_POSE_ERROR_DEG) & (height > MIN_HEIGHT_PX), by_residual * by_pose)


def _fit_all(
    points: torch.Tensor,
    scores: torch.Tensor,
    basis: FitBasis,
    options: FitOptions,
    identity: torch.Tensor | None,
    start: FitResult | None = None,
) -> FitResult:
    """Check the input and fit one round in chunks. start: where the fit begins; None: at the mean head."""
    if points.ndim != 3 or points.shape[1:] != basis.mean.shape:
        raise ValueError(f"points: expected shape (N, {len(basis.mean)}, 3), got {tuple(points.shape)}")
    if scores.shape != (len(points), len(EXPRESSION_NAMES)):
        raise ValueError(f"scores: expected shape ({len(points)}, {len(EXPRESSION_NAMES)}), got {tuple(scores.shape)}")
    if identity is not None and identity.shape != (len(points), len(basis.identity)):
        raise ValueError(f"identity: expected shape ({len(points)}, {len(basis.identity)}), got {tuple(identity.shape)}")
    if not (torch.isfinite(points).all() and torch.isfinite(scores).all()):
        raise ValueError("points and scores: expected finite numbers; remove faces without landmarks before fitting")
    parts = []
    for first in range(0, max(len(points), 1), options.chunk):
        rows = slice(first, first + options.chunk)
        known = None if identity is None else identity[rows]
        chunk = _Chunk(points[rows], scores[rows], basis, options, known)
        parts.append(chunk.fit(None if start is None else start[rows]))
    return FitResult(*(torch.cat([getattr(part, name) for part in parts]) for name in FitResult.__dataclass_fields__))


class _Chunk:
    """Faces that are fitted at once. Shape unknowns: the identity, or its deviation from the known one, then the expression."""

    def __init__(
        self,
        points: torch.Tensor,
        scores: torch.Tensor,
        basis: FitBasis,
        options: FitOptions,
        known_identity: torch.Tensor | None,
    ) -> None:
        self.points, self.scores, self.basis, self.options, self.known = points, scores, basis, options, known_identity
        fixed = known_identity is not None and options.identity_wiggle == 0
        self.free = 0 if fixed else len(basis.identity)  # unknowns of the identity
        offset = 0.0 if known_identity is None else torch.tensordot(known_identity, basis.identity, 1)
        self.mean = basis.mean + offset
        self.jaw = jaw_coordinates(basis.mean.dtype)
        expression = torch.tensordot(self.jaw.T, basis.expression, 1)
        self.shapes = torch.cat([basis.identity[: self.free], expression])  # (S, K, 3)

    def fit(self, start: FitResult | None) -> FitResult:
        """Run the Gauss-Newton steps. The landmarks are scaled so that the first scale is 1."""
        basis, options, count = self.basis, self.options, len(self.points)
        pose = initial_pose(self.points, basis) if start is None else self._pose_of(start)
        unit = pose.scale
        rotation, scale, shift = pose.rotation, torch.ones(count), pose.shift / unit[:, None]
        target = self.points / unit[:, None, None]
        shape = self._start_shape(start)
        identity_precision = options.identity_weight if self.known is None else max(options.identity_wiggle, 1e-6) ** -2
        expression_precision = expression_prior_precision(basis.correlation, options.expression_deviation)
        prior = shape_prior(self.scores, expression_precision, self.free, identity_precision)
        flat = self.shapes.permute(2, 1, 0).reshape(3, -1)  # (3, K S)
        for step in range(options.steps):
            rotated = (self.mean + self._offsets(shape)) @ rotation.transpose(1, 2)
            residual = scale[:, None, None] * rotated + shift[:, None] - target
            weight = landmark_weights(rotation, residual, basis, options, robust=step > 1 or start is not None)
            shape_jacobian = ((rotation * scale[:, None, None]) @ flat).reshape(count, 3, len(basis.mean), len(self.shapes))
            state = LandmarkState(rotated, residual, weight, pose_jacobian(rotated, scale), shape_jacobian)
            hessian, gradient = equations = normal_equations(state, basis, options)
            hessian[:, POSE_SIZE:, POSE_SIZE:] += prior.precision
            hessian.diagonal(dim1=1, dim2=2)[:, POSE_SIZE:] += prior.gaze_precision
            hessian.diagonal(dim1=1, dim2=2)[:, :POSE_SIZE] += 1e-3
            deviation = shape - prior.center
            gradient[:, POSE_SIZE:] += deviation @ prior.precision + prior.gaze_precision * deviation
            expression = shape[:, self.free :]
            delta = bounded_step(equations, -expression, 1 - expression)
            rotation = rotation_from_vector(delta[:, :3]) @ rotation
            scale = scale * delta[:, 3].clamp(-0.5, 0.5).exp()
            shift, shape = shift + delta[:, 4:POSE_SIZE], shape + delta[:, POSE_SIZE:]
        return self._result(Pose(rotation, scale * unit, shift * unit[:, None]), shape)

    def _pose_of(self, start: FitResult) -> Pose:
        """The pose of a first fit, with the depth that its landmarks have on average."""
        head_depth = (self.mean @ start.rotation[:, 2, :, None])[..., 0].mean(-1)
        depth = self.points[..., 2].mean(1) - start.scale * head_depth
        return Pose(start.rotation, start.scale, torch.cat([start.center, depth[:, None]], 1))

    def _start_shape(self, start: FitResult | None) -> torch.Tensor:
        """The shape unknowns (N, S) at the start."""
        shape = torch.zeros(len(self.points), len(self.shapes))
        if start is not None:
            shape[:, self.free :] = torch.linalg.solve(self.jaw, start.expression.T).T.clamp(0, 1)
        return shape

    def _offsets(self, shape: torch.Tensor) -> torch.Tensor:
        """How far the shape unknowns (N, S) move the landmarks, (N, K, 3) meters."""
        return (shape @ self.shapes.flatten(1)).reshape(len(shape), *self.basis.mean.shape)

    def _result(self, pose: Pose, shape: torch.Tensor) -> FitResult:
        """Turn the unknowns into coefficients."""
        count = len(self.points)
        expression = cancel_antagonists((shape[:, self.free :].clamp(0, 1) @ self.jaw.T).clamp(0, 1))
        identity = shape[:, : self.free] if self.free else torch.zeros(count, len(self.basis.identity))
        identity = identity if self.known is None else self.known + identity
        found = FitResult(pose.rotation, pose.scale, pose.shift[:, :2], identity, expression, torch.zeros(count))
        return replace(found, residual=residual_percent(fitted_points(self.basis, found), self.points[..., :2]))
