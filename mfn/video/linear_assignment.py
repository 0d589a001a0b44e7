"""The pairing of rows with columns that is best as a whole: shortest augmenting paths (Kuhn; Jonker and Volgenant)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(gain: NDArray) -> NDArray[np.int64]:
    """gain: (n, T), what a pair is worth; 0 or less is worth nothing, -inf is forbidden.

    -> (n,) column of each row or -1, no column twice, with the largest sum of gains. O(n^2 (n + T)).
    """
    rows, columns = gain.shape
    gain = np.nan_to_num(np.asarray(gain, np.float64), nan=-np.inf)
    wanted = gain.argmax(1) if columns else np.zeros(rows, np.int64)
    worth = gain[np.arange(rows), wanted] > 0 if columns else np.zeros(rows, bool)
    if len(np.unique(wanted[worth])) == worth.sum():  # everybody has their best: nothing is better
        return np.where(worth, wanted, -1)
    # One more column for each row, worth 0: to stay alone.
    cost = np.concatenate([-np.maximum(gain, 0), np.zeros((rows, rows))], 1)
    owner = np.full(cost.shape[1], -1)  # row of each column
    row_price, column_price = np.zeros(rows), np.zeros(cost.shape[1])
    for row in range(rows):
        _augment(row, cost, owner, row_price, column_price)
    match = np.full(rows, -1)
    taken = np.flatnonzero(owner[:columns] >= 0)
    match[owner[taken]] = taken
    match[(match >= 0) & (gain[np.arange(rows), match] <= 0)] = -1
    return match


def _augment(row: int, cost: NDArray, owner: NDArray, row_price: NDArray, column_price: NDArray) -> None:
    """Brings one more row in by the cheapest path of exchanges; prices stay such that no reduced cost is negative."""
    width = cost.shape[1]
    distance, before = np.full(width, np.inf), np.full(width, -1)
    done = np.zeros(width, bool)
    reached, here, column = 0.0, row, -1
    path: list[int] = []
    while True:
        through = reached + cost[here] - row_price[here] - column_price
        nearer = ~done & (through < distance)
        distance[nearer], before[nearer] = through[nearer], column
        column = int(np.where(done, np.inf, distance).argmin())
        reached = float(distance[column])
        done[column] = True
        if owner[column] < 0:
            break
        path.append(column)
        here = int(owner[column])
    row_price[row] += reached
    for seen in path:
        row_price[owner[seen]] += reached - distance[seen]
        column_price[seen] -= reached - distance[seen]
    while column >= 0:
        previous = int(before[column])
        owner[column] = row if previous < 0 else owner[previous]
        column = previous
