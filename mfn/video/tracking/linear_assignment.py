"""Solve the linear assignment problem by shortest augmenting paths (Kuhn 1955; Jonker and Volgenant 1987).

SciPy's `linear_sum_assignment` is faster, but clips are tracked without SciPy, which is a large dependency.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def linear_assignment(gain: NDArray[Any]) -> NDArray[np.int64]:
    """Pair rows with columns so that the sum of the gains is as large as possible.

    Args:
        gain: (n, T) gain of each pair. Pairs of 0 or less are never chosen; -inf and NaN forbid a pair.

    Returns:
        (n,) column of each row, or -1 for a row without a pair. No column is used twice.

    The time is O(n^2 (n + T)).
    """
    rows, columns = gain.shape
    gain = np.nan_to_num(np.asarray(gain, np.float64), nan=-np.inf)
    best = gain.argmax(1) if columns else np.zeros(rows, np.int64)
    useful = gain[np.arange(rows), best] > 0 if columns else np.zeros(rows, np.bool_)
    if len(np.unique(best[useful])) == useful.sum():  # the best column of every row is free: no other solution is better
        return np.where(useful, best, -1)
    # One extra column for each row, of gain 0: it stands for no pair.
    cost = np.concatenate([-np.maximum(gain, 0), np.zeros((rows, rows))], 1)
    owner = np.full(cost.shape[1], -1, np.int64)  # row of each column
    row_price, column_price = np.zeros(rows), np.zeros(cost.shape[1])
    for row in range(rows):
        _augment(row, cost, owner, row_price, column_price)
    match = np.full(rows, -1, np.int64)
    taken = np.flatnonzero(owner[:columns] >= 0)
    match[owner[taken]] = taken
    match[(match >= 0) & (gain[np.arange(rows), match] <= 0)] = -1
    return match


def _augment(row: int, cost: Floats, owner: NDArray[np.int64], row_price: Floats, column_price: Floats) -> None:
    """Add one more row, by the cheapest path of exchanges, in place. All reduced costs stay at 0 or above."""
    width = cost.shape[1]
    distance, previous = np.full(width, np.inf), np.full(width, -1)
    done = np.zeros(width, np.bool_)
    reached, current, column = 0.0, row, -1
    path: list[int] = []
    while True:
        through = reached + cost[current] - row_price[current] - column_price
        nearer = ~done & (through < distance)
        distance[nearer], previous[nearer] = through[nearer], column
        column = int(np.where(done, np.inf, distance).argmin())
        reached = float(distance[column])
        done[column] = True
        if owner[column] < 0:
            break
        path.append(column)
        current = int(owner[column])
    row_price[row] += reached
    for visited in path:
        row_price[owner[visited]] += reached - distance[visited]
        column_price[visited] -= reached - distance[visited]
    while column >= 0:
        before = int(previous[column])
        owner[column] = row if before < 0 else owner[before]
        column = before
