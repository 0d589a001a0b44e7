"""The fewest keys of an animation that stay within a tolerance.

A player draws straight lines between keys (arcs between rotations). A line from key i to key j is allowed if it
passes every sample between them within the tolerance: for each channel its slope must lie in the cone that the
samples' tolerances leave open, seen from i. The fewest keys are then the shortest way from the first sample to the
last. Letters: K samples, C channels that share one list of times (all weights of a node do, in glTF).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

LONGEST = 256  # samples that one line may span: work and memory grow with K * LONGEST, not with K * K
_NLERP = 0.016  # half the angle between two rotations, cubed, times this: how far mixed numbers leave the arc


def reduce_linear(time_s: Floats, values: Floats, tolerance: float | Floats) -> NDArray[np.int64]:
    """Samples to keep so that values (K, C) between them, on straight lines, are off by no more than the tolerance.

    time_s: (K,) rising; tolerance: one number or (C,). No other choice of samples, with lines of at most LONGEST,
    does with fewer. The first and last are always kept. -> rising row numbers
    """
    table = np.asarray(values, np.float64).reshape(len(time_s), int(np.prod(np.shape(values)[1:])))
    # A player computes in single precision: leave it what it needs.
    allowed = np.maximum(np.asarray(tolerance, np.float64) - 1e-6 * np.abs(table).max(axis=0, initial=0), 0)
    moving = np.ptp(table, axis=0) > allowed if len(table) else np.ones(table.shape[1], bool)
    table, allowed = table[:, moving], np.broadcast_to(allowed, moving.shape)[moving]
    return _fewest(np.asarray(time_s, np.float64), lambda i, stop: table[i + 1 : stop] - table[i], allowed)


def reduce_rotations(time_s: Floats, quaternions: Floats, tolerance_rad: float) -> NDArray[np.int64]:
    """The same for unit quaternions (K, 4) x y z w: between kept ones they are off by no more than the tolerance.

    Seen from one rotation, the arc to another is a straight line of rotation vectors, so the cones are those of
    `reduce_linear`; distances of such vectors are never less than the angle. Rotations far apart are not joined:
    there players that mix the four numbers (Blender) would leave the arc. -> rising row numbers
    """
    q = np.asarray(quaternions, np.float64)
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    farthest = 2 * (0.25 * tolerance_rad / 2 / _NLERP) ** (1 / 3)
    if len(q) and _turns(q[0], q).max() <= 0.5 * tolerance_rad:
        return np.unique([0, len(q) - 1])
    allowed = np.full(3, max(0.75 * tolerance_rad / np.sqrt(3) - 1e-6, 0))

    def seen_from(i: int, stop: int) -> NDArray[np.float64]:
        vectors = _rotation_vectors(q[i], q[i + 1 : stop])
        far = np.linalg.norm(vectors, axis=1) > farthest
        far[0] = False  # the next sample can always be reached
        vectors[far] = np.nan
        return vectors

    return _fewest(np.asarray(time_s, np.float64), seen_from, allowed)


def _fewest(
    time_s: NDArray[np.float64], seen_from: Callable[[int, int], NDArray[np.float64]], allowed: NDArray[np.float64]
) -> NDArray[np.int64]:
    """seen_from(i, stop): (stop - i - 1, C) the samples after i as differences to it; allowed: (C,)."""
    count = len(time_s)
    if count < 3:
        return np.arange(count)
    keys, before = np.full(count, count + 1), np.zeros(count, np.int64)
    keys[0] = 1
    for i in range(count - 1):
        reached = i + 1 + _reached(time_s, i, seen_from, allowed)
        better = reached[keys[reached] > keys[i] + 1]
        keys[better], before[better] = keys[i] + 1, i
    path = [count - 1]
    while path[-1]:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1])


def _reached(
    time_s: NDArray[np.float64],
    i: int,
    seen_from: Callable[[int, int], NDArray[np.float64]],
    allowed: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Which samples after i (0 is the next) a line from i may go to."""
    for span in (16, 64, LONGEST):  # most cones close soon
        stop = min(i + 1 + span, len(time_s))
        apart = (time_s[i + 1 : stop] - time_s[i])[:, None]
        rise = seen_from(i, stop) / apart  # (L, C) slopes of the lines from i
        slack = allowed / apart
        # The cone that all samples up to j leave open; NaN closes it for good.
        least = np.maximum.accumulate(rise - slack)
        most = np.minimum.accumulate(rise + slack)
        if stop == len(time_s) or not (least[-1] <= most[-1]).all():
            break
    fits = np.ones(len(rise), bool)
    fits[1:] = ((rise[1:] >= least[:-1]) & (rise[1:] <= most[:-1])).all(axis=1)
    return np.flatnonzero(fits)


def _turns(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L,) angles in radians between one unit quaternion (4,) and others (L, 4)."""
    return np.linalg.norm(_rotation_vectors(one, others), axis=1)


def _rotation_vectors(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L, 3) axis times angle of the turns from one unit quaternion (4,) to others (L, 4), the short way."""
    axis = one[3] * others[:, :3] - others[:, 3:] * one[:3] - np.cross(one[:3], others[:, :3])
    real = others @ one
    axis *= np.where(real < 0, -1.0, 1.0)[:, None]
    sine = np.linalg.norm(axis, axis=1)
    angle = 2 * np.arctan2(sine, np.abs(real))
    return axis * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)[:, None]
