from itertools import permutations

import numpy as np
import pytest

from mfn.video.linear_assignment import linear_assignment


def best(gain: np.ndarray) -> float:
    """By trying everything: rows may stay alone."""
    rows, columns = gain.shape
    padded = np.concatenate([np.maximum(gain, 0), np.zeros((rows, rows))], 1)
    return max(
        (padded[np.arange(rows), list(choice)].sum() for choice in permutations(range(rows + columns), rows)), default=0
    )


@pytest.mark.parametrize("seed", range(40))
def test_as_good_as_the_best_of_all(seed):
    random = np.random.default_rng(seed)
    gain = random.normal(0, 1, random.integers(0, 5, 2))
    gain[random.random(gain.shape) < 0.2] = -np.inf
    match = linear_assignment(gain)
    chosen = match >= 0
    assert len(set(match[chosen].tolist())) == chosen.sum()
    assert np.isclose(gain[np.flatnonzero(chosen), match[chosen]].sum(), best(gain))


def test_greedy_would_be_worse():
    assert linear_assignment(np.array([[5.0, 4.0], [4.5, 1.0]])).tolist() == [1, 0]


def test_nan_and_forbidden_pairs_are_never_taken():
    assert linear_assignment(np.array([[np.nan, -np.inf], [-1.0, 2.0]])).tolist() == [-1, 1]
