"""Turn the coefficients of one head model into those of another, by fitting vertices.

Identity becomes identity by one linear map, expression becomes expression by another, so that a neutral face stays neutral and a smile
does not widen the head. Both are regularized least squares over points that lie on both models. Expressions that are blendshapes keep
their limits, 0 and 1. Letters: N heads, P points, I and E components, which may be 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model.correspondence import Matches, match_pairs, match_surfaces

if TYPE_CHECKING:
    from mfn.structures.head_model.model import HeadModel

Floats = NDArray[np.float64]

_SWEEPS = 200  # of the descent that keeps weights between 0 and 1
_USUAL_SHARE = 0.15  # of the blendshapes that are not 0 in a random head


@dataclass(frozen=True)
class MapOptions:
    """How a map is fitted.

    Attributes:
        pairs: (P, 2) a vertex of the source and the same one of the target. None: the surfaces are laid on each other.
        regularization_mm: A coefficient of 1 costs as much as this distance at every point. Higher: smaller coefficients, larger error.
    """

    pairs: NDArray[np.integer] | None = None
    regularization_mm: float = 0.05


class Coefficients(NamedTuple):
    """Coefficients of N heads.

    Attributes:
        identity: (N, I) standard deviations.
        expression: (N, E) weights.
        error_mm: (N,) mean distance of the points on the two heads that are the same.
    """

    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    error_mm: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CoefficientMap:
    """A map between the coefficients of two head models. `fit_map` and `HeadModel.map_to` make it; call it with coefficients.

    Attributes:
        source: The model whose coefficients go in.
        target: The model whose coefficients come out.
        matches: Points that lie on both, and the rigid motion between the frames.
        identity_matrix: (I of the target, I of the source).
        identity_offset: (I of the target,) the mean head of the source.
        expression_matrix: (E of the target, E of the source), before limits.
    """

    source: HeadModel
    target: HeadModel
    matches: Matches
    identity_matrix: Floats
    identity_offset: Floats
    expression_matrix: Floats
    _expression_square: Floats

    def __call__(self, identity: NDArray[Any], expression: NDArray[Any]) -> Coefficients:
        """Turn coefficients (N, I) and (N, E) of the source into those of the target.

        Raises:
            ValueError: A shape does not fit the source.
        """
        heads = self.source.vertices(np.asarray(identity, np.float32), np.asarray(expression, np.float32))  # checks the shapes
        found = (np.asarray(identity, float) @ self.identity_matrix.T + self.identity_offset).astype(np.float32)
        weights = np.asarray(expression, float) @ self.expression_matrix.T
        if self.target.has_blendshapes:
            weights = _within_limits(self._expression_square, weights)
        moved = self.target.vertices(found, weights.astype(np.float32))[:, self.matches.vertex]
        corners = heads[:, self.matches.corners]
        wanted = self.matches.frame.apply((corners * self.matches.weight[..., None]).sum(2))
        distance = np.linalg.norm(moved - wanted, axis=2) @ self.matches.share * 1000
        return Coefficients(found, weights.astype(np.float32), distance.astype(np.float32))

    def typical_error_mm(self, heads: int = 64, seed: int = 0) -> float:
        """Return the mean error in mm over random heads of the source: identities from N(0, 1), some expressions at random strength."""
        rng = np.random.default_rng(seed)
        identity = rng.standard_normal((heads, self.source.identity_size))
        expression = rng.standard_normal((heads, len(self.source.expression_names)))
        if self.source.has_blendshapes:
            expression = rng.uniform(size=expression.shape) * (rng.uniform(size=expression.shape) < _USUAL_SHARE)
        return float(self(identity, expression).error_mm.mean())


def fit_map(source: HeadModel, target: HeadModel, options: MapOptions | None = None) -> CoefficientMap:
    """Fit a map from the coefficients of one head model to those of another one.

    Args:
        source: The model whose coefficients are known.
        target: The model whose coefficients are wanted.
        options: None: the defaults.

    Raises:
        ValueError: The pairs do not fit the models, or the surfaces cannot be laid on each other.
        ImportError: SciPy is missing, and no pairs are given.
    """
    options = options or MapOptions()
    if options.pairs is not None:
        matches = match_pairs(source, target, options.pairs)
    else:
        try:
            matches = match_surfaces(source, target)
        except ImportError:
            raise ImportError('laying two heads on each other needs SciPy: pip install ".[heads]"') from None
    difference = matches.frame.apply(_on_surface(source.mean[None], matches)[0]) - target.mean[matches.vertex]
    turned = matches.frame.rotation.T
    identity, offset = (
        _solve(target.identity_basis, matches, options.regularization_mm, wanted)
        for wanted in (_on_surface(source.identity_basis, matches) @ turned, difference[None])
    )
    expression = _solve(target.expression_basis, matches, options.regularization_mm, _on_surface(source.expression_basis, matches) @ turned)
    square = _square(_flat(target.expression_basis, matches), matches, options.regularization_mm)
    return CoefficientMap(source, target, matches, identity, offset[:, 0], expression, square)


def _on_surface(values: NDArray[Any], matches: Matches) -> Floats:
    """Interpolate values (K, V, 3) of the source at the matched points: (K, P, 3)."""
    total = np.zeros((len(values), len(matches.vertex), 3))
    for corner in range(3):
        total += values[:, matches.corners[:, corner]] * matches.weight[:, [corner]]
    return total


def _flat(basis: NDArray[Any], matches: Matches) -> Floats:
    """Return the target's components at the matched points: (K, 3 P)."""
    return np.asarray(basis[:, matches.vertex].reshape(len(basis), 3 * len(matches.vertex)), np.float64)


def _square(flat: Floats, matches: Matches, regularization_mm: float) -> Floats:
    weight = np.repeat(matches.share, 3)
    return np.asarray((flat * weight) @ flat.T + (regularization_mm / 1000) ** 2 * np.eye(len(flat)))


def _solve(basis: NDArray[Any], matches: Matches, regularization_mm: float, wanted: Floats) -> Floats:
    """Fit the target's coefficients (K of the target, M) to M wanted offsets (M, P, 3)."""
    flat = _flat(basis, matches)
    right = (flat * np.repeat(matches.share, 3)) @ wanted.reshape(len(wanted), flat.shape[1]).T
    return np.asarray(np.linalg.solve(_square(flat, matches, regularization_mm), right))


def _within_limits(square: Floats, weights: Floats) -> Floats:
    """Move least-squares weights (N, E) between 0 and 1, where the error is smallest there: coordinate descent."""
    right = weights @ square
    found = weights.clip(0, 1)
    diagonal = np.diag(square)
    for _ in range(_SWEEPS):
        before = found.copy()
        for k in range(len(diagonal)):
            slope = right[:, k] - found @ square[:, k]
            found[:, k] = (found[:, k] + slope / diagonal[k]).clip(0, 1)
        if np.abs(found - before).max(initial=0) < 1e-6:
            break
    return np.asarray(found)
