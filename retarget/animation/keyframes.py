"""Reduce an animation to the fewest keyframes that stay within a tolerance.

A player draws straight lines between keyframes (arcs between rotations). A line from keyframe i to keyframe j is valid
if it passes every sample between them within the tolerance: for each channel its slope must lie in the cone that the
tolerances of these samples leave open, seen from i. The fewest keyframes are then the shortest path from the first
sample to the last.

Letters: K samples, L samples that a line may reach, C channels that share one list of times (in glTF all weights of a
node do).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.rotations import quaternion_to_rotation_vector, relative_quaternion

MAX_SEGMENT_SAMPLES = 256
"""Samples that one line may span. Time and memory grow with K * MAX_SEGMENT_SAMPLES, not with K * K."""
_SEGMENT_STEPS = (16, 64, MAX_SEGMENT_SAMPLES)  # tried in turn, because most cones close early
_NLERP_ERROR = 0.016  # nlerp leaves the arc by this factor times the cube of half the angle between two rotations
_NLERP_SHARE = 0.25  # of the tolerance, for players that mix quaternions linearly
_ARC_SHARE = 0.75  # of the tolerance, for the deviation from the arc
_SINGLE_PRECISION = 1e-6  # relative error of the player's arithmetic

_Differences = Callable[[int, int], NDArray[np.float64]]


def reduce_linear(
    time_s: NDArray[Any], values: NDArray[Any], tolerance: float | NDArray[Any]
) -> NDArray[np.int64]:
    """Choose the fewest samples from which linear interpolation restores the others.

    Args:
        time_s: (K,) increasing times in seconds.
        values: (K, C) or (K, ...) values.
        tolerance: The largest error allowed: one number or (C,).

    Returns:
        Ascending sample numbers. The first and the last sample are always among them. No other choice with lines of at
        most MAX_SEGMENT_SAMPLES samples needs fewer.
    """
    table = np.asarray(values, np.float64).reshape(len(time_s), int(np.prod(np.shape(values)[1:])))
    rounding = _SINGLE_PRECISION * np.abs(table).max(axis=0, initial=0)
    allowed = np.maximum(np.asarray(tolerance, np.float64) - rounding, 0)
    varies = np.ptp(table, axis=0) > allowed if len(table) else np.ones(table.shape[1], bool)
    table, allowed = table[:, varies], np.broadcast_to(allowed, varies.shape)[varies]
    return _shortest_path(np.asarray(time_s, np.float64), lambda i, stop: table[i + 1 : stop] - table[i], allowed)


def reduce_rotations(time_s: NDArray[Any], quaternions: NDArray[Any], tolerance_rad: float) -> NDArray[np.int64]:
    """Choose the fewest samples from which spherical interpolation restores the other rotations.

    Args:
        time_s: (K,) increasing times in seconds.
        quaternions: (K, 4) unit quaternions x y z w.
        tolerance_rad: The largest error allowed, an angle in radians.

    Returns:
        Ascending sample numbers.

    Seen from one rotation, the arc to another one is a straight line of rotation vectors, so the cones of
    `reduce_linear` apply; the distance of two such vectors is never less than the angle between the rotations.
    Rotations far apart are not joined, because players that mix quaternions linearly (Blender) would leave the arc.
    """
    q = np.asarray(quaternions, np.float64)
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    max_angle = 2 * (_NLERP_SHARE * tolerance_rad / 2 / _NLERP_ERROR) ** (1 / 3)
    if len(q) and _angles(q[0], q).max() <= 0.5 * tolerance_rad:
        return np.unique([0, len(q) - 1])
    allowed = np.full(3, max(_ARC_SHARE * tolerance_rad / np.sqrt(3) - _SINGLE_PRECISION, 0))

    def differences(i: int, stop: int) -> NDArray[np.float64]:
        vectors = quaternion_to_rotation_vector(relative_quaternion(q[i], q[i + 1 : stop]))
        is_far = np.linalg.norm(vectors, axis=1) > max_angle
        is_far[0] = False  # the next sample can always be reached
        vectors[is_far] = np.nan
        return vectors

    return _shortest_path(np.asarray(time_s, np.float64), differences, allowed)


def _shortest_path(
    time_s: NDArray[np.float64], differences: _Differences, allowed: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The fewest samples from the first to the last.

    Args:
        time_s: (K,).
        differences: A function (i, stop) -> (stop - i - 1, C), the samples after i minus sample i.
        allowed: (C,) tolerances.
    """
    count = len(time_s)
    if count < 3:
        return np.arange(count)
    keyframes, previous = np.full(count, count + 1), np.zeros(count, np.int64)
    keyframes[0] = 1
    for i in range(count - 1):
        reached = i + 1 + _reachable(time_s, i, differences, allowed)
        better = reached[keyframes[reached] > keyframes[i] + 1]
        keyframes[better], previous[better] = keyframes[i] + 1, i
    path = [count - 1]
    while path[-1]:
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])


def _reachable(
    time_s: NDArray[np.float64], i: int, differences: _Differences, allowed: NDArray[np.float64]
) -> NDArray[np.int64]:
    """The samples after i (0 is the next one) that a line from i may end at."""
    for span in _SEGMENT_STEPS:
        stop = min(i + 1 + span, len(time_s))
        elapsed = (time_s[i + 1 : stop] - time_s[i])[:, None]
        slope = differences(i, stop) / elapsed  # (L, C) of the lines from i
        slack = allowed / elapsed
        # The cone that all samples up to each one leave open. NaN closes it for all later ones.
        low = np.maximum.accumulate(slope - slack)
        high = np.minimum.accumulate(slope + slack)
        if stop == len(time_s) or not (low[-1] <= high[-1]).all():
            break
    is_valid = np.ones(len(slope), bool)
    is_valid[1:] = ((slope[1:] >= low[:-1]) & (slope[1:] <= high[:-1])).all(axis=1)
    return np.flatnonzero(is_valid)


def _angles(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """(L,) angles in radians between one unit quaternion (4,) and others (L, 4)."""
    angles: NDArray[np.float64] = np.linalg.norm(quaternion_to_rotation_vector(relative_quaternion(one, others)), axis=1)
    return angles
