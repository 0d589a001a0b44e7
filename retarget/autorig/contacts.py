"""Which vertices of the source head must meet: eyelids when they close, lips while they are closed.

Letters: V vertices, T triangles, C contacts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.autorig.registration import LEFT_EYE_SLIT, MOUTH_SLIT, RIGHT_EYE_SLIT, source_sides
from retarget.autorig.source_head import SourceHead
from retarget.geometry.mesh import Floats, Ints, boundary_vertices

_MAX_EYELID_GAP_M = 0.004  # between paired vertices of closed eyelids
_MAX_LIP_GAP_M = 0.0015  # lips that are this close at rest are held together
_MIN_SIDE = 1e-3  # of `sides_of`: vertices farther from the slit belong to another one


class Contacts(NamedTuple):
    """Pairs of vertices whose relative movement is prescribed.

    Attributes:
        matrix: (C, V) sparse: upper vertex minus lower vertex.
        movement: (51, C, 3) how each shape moves the upper vertex relative to the lower one.
    """

    matrix: Any
    movement: Floats


class _Pair(NamedTuple):
    upper: int
    lower: int
    is_eyelid: bool


def find_contacts(source: SourceHead, registered: Floats) -> Contacts:
    """Find the contacts of the source head and how they should move on the registered head.

    Args:
        source: The source head.
        registered: (V, 3) its vertices on the target.

    Returns:
        The contacts. The gap between eyelids shrinks or grows by the same factor as on the source. Lips move relative
        to each other as on the source.
    """
    from scipy.sparse import coo_matrix

    sides = source_sides(source)
    pairs: list[_Pair] = []
    eyelids = source.mask("lids")
    boundary = boundary_vertices(len(source.neutral), source.triangles) & eyelids
    for column, name in ((LEFT_EYE_SLIT, "eyeBlinkLeft"), (RIGHT_EYE_SLIT, "eyeBlinkRight")):
        margin = neighbors_of(source.triangles, boundary & (np.abs(sides[:, column]) > _MIN_SIDE))
        closed = source.neutral + source.shapes[EXPRESSION_NAMES.index(name)]
        upper, lower = margin & (sides[:, column] > 0), margin & (sides[:, column] < 0)
        pairs += [_Pair(a, b, True) for a, b in _closest_pairs(closed, upper, lower, _MAX_EYELID_GAP_M)]
    lips = source.mask("lips")
    upper, lower = lips & (sides[:, MOUTH_SLIT] > 0), lips & (sides[:, MOUTH_SLIT] < 0)
    pairs += [_Pair(a, b, False) for a, b in _closest_pairs(source.neutral, upper, lower, _MAX_LIP_GAP_M)]
    rows = np.arange(len(pairs))
    columns = np.array([pair.upper for pair in pairs] + [pair.lower for pair in pairs])
    entries = np.repeat([1.0, -1.0], len(rows)), (np.tile(rows, 2), columns)
    matrix = coo_matrix(entries, shape=(len(rows), len(registered))).tocsr()
    source_gap, gap = matrix @ source.neutral, matrix @ registered
    movement = np.stack([matrix @ shape for shape in source.shapes])  # (51, C, 3)
    size = np.linalg.norm(gap, axis=1) / np.maximum(np.linalg.norm(source_gap, axis=1), 1e-6)
    is_eyelid = np.array([pair.is_eyelid for pair in pairs])
    return Contacts(matrix, np.where(is_eyelid[:, None], movement * size[:, None], movement))


def neighbors_of(triangles: Ints, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return (V,) the vertices next to the chosen ones (V,), without these."""
    touched = np.zeros_like(chosen)
    touched[triangles[chosen[triangles].any(1)].ravel()] = True
    return touched & ~chosen


def _closest_pairs(
    points: Floats, upper: NDArray[np.bool_], lower: NDArray[np.bool_], max_distance: float
) -> list[tuple[int, int]]:
    """Each vertex of one mask with the closest of the other mask, in both directions: (upper, lower) vertices."""
    from scipy.spatial import cKDTree

    above, below = np.flatnonzero(upper), np.flatnonzero(lower)
    found = set()
    for a, b, is_swapped in ((above, below, False), (below, above, True)):
        distance, nearest = cKDTree(points[b]).query(points[a])
        is_near = distance < max_distance
        for i, j in zip(a[is_near].tolist(), b[nearest[is_near]].tolist()):
            found.add((j, i) if is_swapped else (i, j))
    return sorted(found)
