"""Evaluate VRM expressions: from ARKit's coefficients to expression values, and from these to morph weights.

Expressions act on each other: an emotion may suppress blinks, another one the mouth. We apply these rules to every
sample before we write morph weights. The player cannot do it, because a glTF animation knows nothing of expressions.

Letters: N faces, K expressions, M morph targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, canonical_name

MIN_ARKIT_SHAPES = len(ARKIT_NAMES) // 2
"""A set of names with at least this number of ARKit's names is driven by ARKit's coefficients one by one."""


class ExpressionMap(NamedTuple):
    """K expressions as affine functions of the 52 coefficients.

    Attributes:
        names: (K,) the expressions.
        matrix: (52, K) float32 weights.
        offset: (K,) float32 constants.
    """

    names: tuple[str, ...]
    matrix: NDArray[np.float32]
    offset: NDArray[np.float32]

    def values(self, coefficients: NDArray[Any]) -> NDArray[np.float32]:
        """Compute expression values (N, K) in [0, 1] from coefficients (N, 52)."""
        return self._sums(coefficients).clip(0, 1)

    def excess(self, coefficients: NDArray[Any], highest: NDArray[Any]) -> NDArray[np.float32]:
        """Compute how far values go beyond 1.

        Args:
            coefficients: (N, 52), above 1 where a response curve goes there.
            highest: (K,) as of `largest_values`.

        Returns:
            (N, K) factors of at least 1.
        """
        return self._sums(coefficients).clip(1, highest)

    def largest_values(self, highest: NDArray[Any]) -> NDArray[np.float32]:
        """Return the largest value (K,), at least 1, that expressions have at the largest coefficients (52,), at least 1 too."""
        asked = np.where(self.matrix > 0, np.asarray(highest)[:, None], 1)
        return np.asarray(asked.max(axis=0, initial=1), np.float32)

    def _sums(self, coefficients: NDArray[Any]) -> NDArray[np.float32]:
        sums: NDArray[np.float32] = np.asarray(coefficients, np.float32) @ self.matrix + self.offset
        return sums


def expression_map(
    names: Sequence[str], weights: Sequence[Mapping[str, float]], offset: Sequence[float] = ()
) -> ExpressionMap:
    """Build an expression map.

    Args:
        names: K expression names.
        weights: For each expression ARKit name -> weight.
        offset: K constants. None given means zeros.
    """
    matrix = np.zeros((len(ARKIT_NAMES), len(weights)), np.float32)
    for column, of_one in enumerate(weights):
        for name, weight in of_one.items():
            matrix[ARKIT_NAMES.index(name), column] = weight
    return ExpressionMap(tuple(names), matrix, np.array(offset or np.zeros(len(weights)), np.float32))


@dataclass(frozen=True)
class VrmExpressions:
    """The expressions of an avatar that ARKit's coefficients drive.

    Attributes:
        mapping: How the K expressions follow the coefficients.
        kind: (K,) BLINK, GAZE, MOUTH (see `presets`), or -1.
        is_binary: (K,) bool. A binary expression is 1 above a value of 0.5, else 0.
        override: (3, K) how each expression suppresses the three kinds: 0 not at all, 1 (blend) by its own value,
            2 (block) completely as soon as its value is above 0.
        binds: (K, M) float32 morph weights at value 1.
        min_binary_factor: A suppressed binary expression stays on while at least this share of it remains. VRM 1.0: 1, so any
            suppression switches it off. VRM 0.x has no rule; we use 0.5.
    """

    mapping: ExpressionMap
    kind: NDArray[np.int64]
    is_binary: NDArray[np.bool_]
    override: NDArray[np.int64]
    binds: NDArray[np.float32]
    min_binary_factor: float = 1.0

    @property
    def is_perfect_sync(self) -> bool:
        """Whether the expressions are named after ARKit's shapes, which VTubers call "perfect sync"."""
        return covers_face(np.array([canonical_name(name) is not None for name in self.mapping.names]))

    def without_inputs(self, rows: Sequence[int]) -> VrmExpressions:
        """Return the same expressions, no longer driven by the coefficients in `rows`."""
        matrix = self.mapping.matrix.copy()
        matrix[list(rows)] = 0
        return replace(self, mapping=self.mapping._replace(matrix=matrix))

    def values(self, coefficients: NDArray[Any]) -> NDArray[np.float32]:
        """Compute expression values (N, K) in [0, 1], after what expressions do to each other, from coefficients (N, 52)."""
        return apply_overrides(self, self.mapping.values(coefficients))

    def mirrored(self, order: Sequence[int]) -> VrmExpressions:
        """Return the same expressions, driven by the coefficients in another order (52,)."""
        return replace(self, mapping=self.mapping._replace(matrix=self.mapping.matrix[list(order)]))

    def weights(self, coefficients: NDArray[Any], highest: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """Compute morph weights, not clipped.

        Args:
            coefficients: (N, 52), above 1 where a response curve goes there.
            highest: (52,) the largest values that coefficients can take; None: 1.

        Returns:
            (N, M). Values above 1 only scale the weights of an expression that is not binary. What expressions do to each
            other depends on values up to 1, as VRM defines them.
        """
        values = self.values(coefficients)
        if highest is not None:
            factor = self.mapping.excess(coefficients, self.mapping.largest_values(highest))
            values = values * np.where(self.is_binary, 1, factor).astype(np.float32)
        return values @ self.binds

    def largest_weights(self, highest: NDArray[Any]) -> NDArray[np.float32]:
        """Return the largest weight (M,), at least 1, that a target has at the largest coefficients (52,)."""
        of_values = np.where(self.is_binary, 1, self.mapping.largest_values(highest))
        return np.asarray(np.where(self.binds > 0, of_values[:, None], 1).max(axis=0, initial=1), np.float32)


def apply_overrides(expressions: VrmExpressions, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply what expressions do to each other.

    Args:
        expressions: K expressions.
        values: (N, K) values in [0, 1].

    Returns:
        (N, K) values that remain.

    The rules are those of VRM 1.0 (expressions.md): binary expressions count as 0 or 1; a kind keeps one minus the sum
    of what suppresses it, but at least 0; a binary expression that is suppressed at all is 0; an expression does not
    suppress its own kind. `min_binary_factor` relaxes the rule of binary expressions for VRM 0.x.
    """
    shown = np.where(expressions.is_binary, values > 0.5, values).astype(np.float32)
    factor = np.ones_like(shown)
    for kind, override in enumerate(expressions.override):
        is_other = expressions.kind != kind
        suppressed = shown @ ((override == 1) & is_other) + (shown > 0) @ ((override == 2) & is_other)
        factor[:, ~is_other] = np.clip(1 - suppressed, 0, 1)[:, None]
    is_kept = factor >= expressions.min_binary_factor
    return np.where(expressions.is_binary, shown * is_kept, shown * factor).astype(np.float32)


def covers_face(is_known: NDArray[np.bool_]) -> bool:
    """Return whether enough of ARKit's shapes are known to drive a face by them alone."""
    return int(is_known.sum()) >= MIN_ARKIT_SHAPES
