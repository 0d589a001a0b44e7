"""Prior of identities: the most likely identity of a person, from fits of one or several photos.

The fit of a photo finds the person's identity plus an error that differs from photo to photo: pitch is mistaken for the length of a face, a
smile for its width. How much people differ, and how much the fits of one person differ, was measured on pairs of photos
(`experiments/labels/learn_identity_prior.py`). Between Gaussians the most likely identity is a linear function of the mean of the fits: the
two-covariance model, also known as probabilistic linear discriminant analysis (Prince and Elder, ICCV 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mfn.weights import weights_path

IDENTITY_PRIOR_FILE = weights_path("people.npz")
SAME_PERSON_SD = 3.0  # a face further than this from the median of its person's faces is somebody else
_SAME_HEAD_MODEL_MM = 0.1


@dataclass(frozen=True)
class IdentityPrior:
    """Distribution of fitted identities, in standard deviations of the head model.

    Attributes:
        mean: (I,) float32.
        between: (I, I) float32 covariance between people.
        within: (I, I) float32 covariance of the fits of one person.
    """

    mean: torch.Tensor
    between: torch.Tensor
    within: torch.Tensor

    def most_likely(self, fitted: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Compute the posterior mean of identities.

        Args:
            fitted: (N, I) means of the fits of each person.
            noise: (N,) variance of their errors, relative to that of one photo.

        Returns:
            (N, I).
        """
        out = torch.empty_like(fitted)
        for value in noise.unique():
            gain = torch.linalg.solve(self.between + value * self.within, self.between).T  # both are symmetric
            rows = noise == value
            out[rows] = self.mean + (fitted[rows] - self.mean) @ gain.T
        return out


def load_identity_prior(components: torch.Tensor) -> IdentityPrior | None:
    """Read the shipped prior if it belongs to this head model.

    Args:
        components: (I, K, 3) meters, how the identity components move the landmarks.

    Returns:
        The prior, or None if there is no file or it was measured with another head model.
    """
    if not IDENTITY_PRIOR_FILE.is_file():
        return None
    with np.load(IDENTITY_PRIOR_FILE, allow_pickle=False) as data:
        size_mm, *parts = (
            torch.from_numpy(data[key].astype(np.float32)) for key in ("size_mm", "mean", "between", "within")
        )
    own_mm = component_sizes_mm(components)
    if size_mm.shape != own_mm.shape or (size_mm - own_mm).abs().max() >= _SAME_HEAD_MODEL_MM:
        return None
    return IdentityPrior(*parts)


def component_sizes_mm(components: torch.Tensor) -> torch.Tensor:
    """Compute how far each identity component moves the landmarks: a fingerprint of the head model.

    Args:
        components: (I, K, 3) meters.

    Returns:
        (I,) root mean square, millimeters.
    """
    return components.pow(2).sum(2).mean(1).sqrt() * 1000


def person_identity(
    identity: torch.Tensor, person: torch.Tensor, prior: IdentityPrior | None, shared_error: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate the identity of each face's person from the fits of all their faces.

    Args:
        identity: (N, I) fitted to each face alone.
        person: (N,) int, equal for the faces of one person; below 0: unknown, a person with one face.
        prior: distribution of identities; None: faces of one person are averaged.
        shared_error: share of a face's error variance that the person's other photos have too, and that averaging does not reduce.

    Returns:
        The identity (N, I), and (N,) bool, True where it was changed.
    """
    out, count = identity.clone(), torch.ones(len(identity))
    for number in person[person >= 0].unique():
        rows = torch.nonzero(person == number)[:, 0]
        median = identity[rows].median(0).values
        rows = rows[(identity[rows] - median).norm(dim=1) / identity.shape[1] ** 0.5 < SAME_PERSON_SD]
        if len(rows):
            out[rows], count[rows] = identity[rows].mean(0), float(len(rows))
    if prior is None:
        return out, count > 1
    return prior.most_likely(out, shared_error + (1 - shared_error) / count), torch.ones(len(identity), dtype=torch.bool)
