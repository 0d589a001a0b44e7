"""Tests of the linear assignment against all permutations."""

from itertools import permutations

import numpy as np
import pytest

from mfn.video.tracking.linear_assignment import linear_assignment


def best_sum(gain: np.ndarray) -> float:
    """Return the largest total gain by testing all assignments; rows may stay unassigned."""
    rows, columns = gain.shape
    padded = np.concatenate([np.maximum(gain, 0), np.zeros((rows, rows))], 1)
    return max(
        (padded[np.arange(rows), list(choice)].sum() for choice in permutations(range(rows + columns), rows)), default=0
    )


@pytest.mark.parametrize("seed", range(40))
def test_the_total_gain_is_the_largest_possible(seed):
    random = np.random.default_rng(seed)
    gain = random.normal(0, 1, random.integers(0, 5, 2))
    gain[random.random(gain.shape) < 0.2] = -np.inf
    match = linear_assignment(gain)
    chosen = match >= 0
    assert len(set(match[chosen].tolist())) == chosen.sum()
    assert np.isclose(gain[np.flatnonzero(chosen), match[chosen]].sum(), best_sum(gain))


def test_a_case_in_which_greedy_matching_is_worse():
    assert linear_assignment(np.array([[5.0, 4.0], [4.5, 1.0]])).tolist() == [1, 0]


def test_nan_and_forbidden_pairs_are_never_assigned():
    assert linear_assignment(np.array([[np.nan, -np.inf], [-1.0, 2.0]])).tolist() == [-1, 1]
