"""Who a face is, from one picture or from several: what is likely about a person once the fits' own errors are known.

The fit of a picture finds the person's identity plus an error that is another one in the next picture of the same person: of pitch that
passes for the length of a face, of a smile that passes for its width. How much people differ and how much one person's fits differ was
learned from pairs of pictures (experiments/labels/learn_identity_prior.py); between Gaussians the likeliest identity is then a linear function of the
fits' mean, the classical one of two covariances (Prince and Elder 2007 call it probabilistic linear discriminant analysis).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mfn.weights import weights_path

IDENTITY_PRIOR_FILE = weights_path("people.npz")
SAME_PERSON = 3.0  # standard deviations: a face further than this from its people's identity is somebody else


@dataclass(frozen=True)
class IdentityPrior:
    """How identities as fitted vary, float32 tensors in standard deviations of the head model.

    mean (I,); between (I, I): covariance of what belongs to the person; within (I, I): of one person's fits about it.
    """

    mean: torch.Tensor
    between: torch.Tensor
    within: torch.Tensor

    def likeliest(self, found: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Posterior mean (N, I) of identities found as (N, I) with errors that count as noise (N,) times those of one picture."""
        out = torch.empty_like(found)
        for value in noise.unique():
            gain = torch.linalg.solve(self.between + value * self.within, self.between).T  # both symmetric
            rows = noise == value
            out[rows] = self.mean + (found[rows] - self.mean) @ gain.T
        return out


def load_identity_prior(components: torch.Tensor) -> IdentityPrior | None:
    """What was learned for a head model with these identity components at its points (I, K, 3); None for another head model."""
    if not IDENTITY_PRIOR_FILE.is_file():
        return None
    with np.load(IDENTITY_PRIOR_FILE, allow_pickle=False) as data:
        size_mm, *parts = (torch.from_numpy(data[key].astype(np.float32)) for key in ("size_mm", "mean", "between", "within"))
    mine_mm = component_sizes_mm(components)
    return IdentityPrior(*parts) if size_mm.shape == mine_mm.shape and (size_mm - mine_mm).abs().max() < 0.1 else None


def component_sizes_mm(components: torch.Tensor) -> torch.Tensor:
    """(I,) root mean square of how far each component moves the points: says to which head model coefficients belong."""
    return components.pow(2).sum(2).mean(1).sqrt() * 1000


def person_identity(
    identity: torch.Tensor, person: torch.Tensor, people: IdentityPrior | None, common: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The identity of each face's person, from the fits of all their faces.

    identity: (N, I) as fitted alone; person: (N,) int, below 0: unknown, a person of their own. common: share of a face's error that
    another picture of the same person has too, which more pictures do not take away. people: None, nothing is known of identities.
    -> identity (N, I), and (N,) bool where it differs from the fit alone
    """
    out, count = identity.clone(), torch.ones(len(identity))
    for number in person[person >= 0].unique():
        rows = torch.nonzero(person == number)[:, 0]
        middle = identity[rows].median(0).values
        rows = rows[(identity[rows] - middle).norm(dim=1) / identity.shape[1] ** 0.5 < SAME_PERSON]
        if len(rows):
            out[rows], count[rows] = identity[rows].mean(0), float(len(rows))
    if people is None:
        return out, count > 1
    return people.likeliest(out, common + (1 - common) / count), torch.ones(len(identity), dtype=torch.bool)
