"""Decide which coefficient drives which morph target.

Letters: M morph targets, N people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ANTAGONISTS, ARKIT_NAMES, MIRROR
from retarget.gltf.node_tree import Document
from retarget.rig.morph_targets import MorphNode
from retarget.rig.names.name_map import NameMap, target_columns
from retarget.rig.names.target_names import match_targets
from retarget.rig.vrm.expressions import VrmExpressions, covers_face


class Drivers(NamedTuple):
    """What drives the targets.

    Attributes:
        matrix: (52, M) coefficients to weights.
        expressions: What drives them besides.
        moves_back: (52, M) whether a negative factor of a name map moves a target to the other side, below 0.
    """

    matrix: NDArray[np.float32]
    expressions: VrmExpressions | None
    moves_back: NDArray[np.bool_]

    def follows(self) -> NDArray[np.bool_]:
        """Return (52, M) whether a target follows a coefficient, directly or by an expression."""
        direct: NDArray[np.bool_] = self.matrix != 0
        if self.expressions is None:
            return direct
        by_expression: NDArray[np.bool_] = (self.expressions.mapping.matrix > 0) @ (self.expressions.binds != 0)
        return direct | by_expression

    def weights_at(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Return the weights (N, M) when one of the coefficients of N rows is 1 and all others are 0."""
        alone = np.eye(len(ARKIT_NAMES), dtype=np.float32)[list(rows)]
        by_expression = 0 if self.expressions is None else self.expressions.weights(alone)
        lowest = -self.moves_back.any(axis=0).astype(np.float32)
        return np.asarray((alone @ self.matrix + by_expression).clip(lowest, 1), np.float32)

    def mirrored(self, kept: Sequence[int]) -> Drivers:
        """Return the same drivers with left and right exchanged, but for the rows `kept`, which are those of the name map."""
        swapped = self.matrix[list(MIRROR)]
        swapped[list(kept)] = self.matrix[list(kept)]
        expressions = self.expressions
        return self._replace(matrix=swapped, expressions=None if expressions is None else expressions.mirrored(MIRROR))


def find_drivers(
    document: Document,
    morphs: Sequence[MorphNode],
    moves: NDArray[np.bool_],
    expressions: VrmExpressions | None,
    name_map: NameMap,
) -> Drivers:
    """Decide what drives each target.

    Args:
        document: The glTF document.
        morphs: Its morph nodes.
        moves: (M,) whether a target moves any vertex.
        expressions: The expressions of a VRM that can be driven, or None.
        name_map: What the user says.

    The name map takes precedence. For a VRM its expressions come next, unless only its targets have ARKit's names.
    """
    shares_of = match_targets([morph.names for morph in morphs], expressions is None, moves)
    matrix = np.zeros((len(ARKIT_NAMES), len(shares_of)), np.float32)
    for column, shares in enumerate(shares_of):
        for name, share in shares.items():
            matrix[ARKIT_NAMES.index(name), column] = share
    if expressions is not None and not expressions.is_perfect_sync and covers_face(np.any(matrix[:, moves], axis=1)):
        expressions = None
    if expressions is not None:
        matrix[(expressions.mapping.matrix > 0).any(axis=1)] = 0
        expressions = expressions.without_inputs([ARKIT_NAMES.index(name) for name in name_map])
    moves_back = np.zeros(matrix.shape, bool)
    for name, targets in name_map.items():
        row = ARKIT_NAMES.index(name)
        matrix[row] = 0
        for target, factor in targets.items():
            matrix[row, target_columns(target, document, morphs)] = factor
        moves_back[row] = matrix[row] < 0
    drivers = Drivers(matrix, expressions, moves_back)
    return drivers._replace(moves_back=moves_back & _may_go_below_zero(drivers))


def _may_go_below_zero(drivers: Drivers) -> NDArray[np.bool_]:
    """Return (M,) whether a target may have weights below 0: all its factors are negative, or they are those of antagonists.

    Elsewhere negative factors correct: they weaken what other shapes do.
    """
    lowers = drivers.matrix < 0
    raises = drivers.follows() & ~lowers
    opposes = np.zeros_like(raises)
    for first, second in ANTAGONISTS:
        rows = [ARKIT_NAMES.index(first), ARKIT_NAMES.index(second)]
        opposes[rows] = raises[rows[::-1]]
    result: NDArray[np.bool_] = ~raises.any(axis=0) | (lowers == opposes).all(axis=0)
    return result


def replaced_targets(matrix: NDArray[np.float32], moves: NDArray[np.bool_], names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Find shapes whose own targets are empty.

    Args:
        matrix: (52, M) as in `Drivers`.
        moves: (M,) whether a target moves any vertex.
        names: (M,) names of the targets.

    Returns:
        ARKit's name -> the empty target and the one that is used in its place, "" if there is none.
    """
    result = {}
    for row, shape in enumerate(ARKIT_NAMES):
        driven = [(names[column], bool(moves[column])) for column in np.flatnonzero(matrix[row] > 0).tolist()]
        moving = list(dict.fromkeys(name for name, is_moving in driven if is_moving))
        empty = [name for name, is_moving in driven if not is_moving and name not in moving]
        if empty:
            result[shape] = empty[0], moving[0] if moving else ""
    return result
