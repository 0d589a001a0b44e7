"""What the fit needs to know of a head model: its landmarks as a linear model, their importance, and the constants of the fit.

Letters: K landmarks, C landmarks of the face's outline, I identity components.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from mfn.fitting.blendshape_calibration import LandmarkCalibration, load_calibration
from mfn.fitting.identity_prior import IdentityPrior, load_identity_prior
from mfn.structures.mediapipe_points import BROWS, EYELIDS, INNER_LIPS, IRISES, OUTER_LIPS, OVAL
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.mesh import vertex_normals

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel


@dataclass(frozen=True)
class FitOptions:
    """Constants of the fit. Weights are relative to a landmark in the middle of the face."""

    #: Gauss-Newton steps of the first round, and of the second round, which starts from the first one's result.
    steps: int = 5
    refine_steps: int = 3
    #: Standard deviation of the landmarks on the head, meters: in the image plane, and in depth.
    noise_m: float = 0.0015
    depth_noise_m: float = 0.006
    #: The depth of every n-th landmark is used, with the weight of all.
    depth_stride: int = 4
    #: The errors of neighboring landmarks are correlated: K landmarks count as this share of K independent ones.
    independent_share: float = 0.25
    #: A landmark that is this many standard deviations away gets a quarter of its weight.
    outlier_sigma: float = 3.0
    #: Weight of the identity prior, 1 / variance.
    identity_weight: float = 1.0
    #: Share of an outline landmark's weight along the outline, where it may slide.
    outline_slide: float = 0.15
    #: Weights of groups of landmarks.
    inner_lips: float = 3.0
    lips: float = 2.0
    eyelids: float = 6.0
    brows: float = 1.5
    irises: float = 1.0
    #: Share of a face's identity error that the person's other photos have too.
    shared_error: float = 0.2
    #: Standard deviation of a known identity from photo to photo; 0: it is fixed.
    identity_wiggle: float = 0.15
    #: Factor of the standard deviations of expression weights from the scores.
    expression_deviation: float = 1.0
    #: Faces that are fitted at once; bounds the memory.
    chunk: int = 128


@dataclass(frozen=True)
class FitBasis:
    """The head model at K landmarks. Tensors are float32 unless stated otherwise.

    Attributes:
        mean: (K, 3) meters, head frame.
        identity: (I, K, 3) meters per standard deviation.
        expression: (51, K, 3) meters at weight 1.
        sigma: (K,) meters, how much the place of a landmark on the surface varies.
        normal: (K, 3) unit normals, outward.
        contour: (C,) int64 landmarks of the face's outline, in order, a closed loop.
        weight: (K,) importance.
        correlation: (51, 51) of expression weights; None: they are independent.
        identity_prior: distribution of identities; None: unknown.
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


def basis_from_head_model(model: HeadModel, options: FitOptions | None = None, learned: bool = True) -> FitBasis:
    """Prepare a head model for fitting.

    Args:
        model: the head model.
        options: its weights of the groups of landmarks are used.
        learned: apply what was measured on real faces: where the landmarks lie, how lids close, which shapes vary together, and how
            identities vary. It belongs to the shipped head model and is ignored for others.
    """
    options = options or FitOptions()
    vertex, share = model.landmark_sets["mediapipe478"]
    normal = (vertex_normals(model.mean, model.triangles)[vertex] * share[..., None]).sum(1)
    normal[list(IRISES)] = (0.0, 0.0, 1.0)  # the normals of an eyeball do not show whether the eyelids occlude it
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    weight = np.ones(len(vertex), np.float32)
    groups = {
        OUTER_LIPS: options.lips, INNER_LIPS: options.inner_lips, EYELIDS: options.eyelids, BROWS: options.brows, IRISES: options.irises,
    }  # fmt: skip
    for points, value in groups.items():
        weight[list(points)] = value
    arrays = (*model.landmark_basis("mediapipe478"), model.mediapipe478_spread, normal)
    mean, identity, expression, sigma, outward = (torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in arrays)
    prior = load_identity_prior(identity) if learned else None
    contour = torch.tensor(OVAL)
    basis = FitBasis(mean, identity, expression, sigma, outward, contour, torch.from_numpy(weight), identity_prior=prior)
    calibration = load_calibration(mean.numpy()) if learned else None
    return _calibrated(basis, calibration) if calibration is not None else basis


def _calibrated(basis: FitBasis, calibration: LandmarkCalibration) -> FitBasis:
    """Move the basis to where the landmarker puts its points on real faces."""
    expression = basis.expression.clone()
    for side, delta in zip(("Left", "Right"), torch.from_numpy(calibration.closed)):
        expression[EXPRESSION_NAMES.index(f"eyeBlink{side}")] += delta
    correlation = torch.from_numpy(calibration.correlation)
    return replace(basis, mean=basis.mean + torch.from_numpy(calibration.offset), expression=expression, correlation=correlation)
