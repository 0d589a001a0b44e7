"""Learn each person's neutral face from their own take and subtract it, so that a resting face has weights near 0.

A network rarely predicts 0 for a face at rest: some people have low brows, others raised mouth corners. Calibration
takes the value that a coefficient has at rest as its offset, and stretches the remaining range so that the strongest
expression of the take keeps its strength.

Letters: A actors, S samples, K samples of one actor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.performance.take import Take

MIN_SAMPLES = 15
"""An actor with fewer samples is not calibrated."""
MAX_OFFSET = 0.5
"""A coefficient whose resting value is higher is held on purpose and is not calibrated."""
MAX_GAIN = 2.0

_QUIET_QUANTILE = 0.3  # the samples with the least total expression that count as rest
_PEAK_QUANTILE = 0.99  # the quantile of a coefficient that counts as its full strength
_MIN_RANGE = 0.1  # a coefficient that varies less keeps gain 1: a gain would amplify noise only
_IS_GAZE = np.array([name.startswith("eyeLook") for name in ARKIT_NAMES])


@dataclass(frozen=True)
class Calibration:
    """Offset and gain of each coefficient for each actor: `calibrated = clip((raw - offset) * gain, 0, 1)`.

    Attributes:
        actor: (A,) int32, the actors.
        offset: (A, 52) float64, coefficient values at rest, in ARKIT_NAMES order.
        gain: (A, 52) float64, factors from 1 to MAX_GAIN.
    """

    actor: NDArray[np.int32]
    offset: NDArray[np.float64]
    gain: NDArray[np.float64]


def learn_calibration(take: Take) -> Calibration:
    """Measure the neutral face of every actor of a take.

    Args:
        take: S samples of any number of actors.

    Returns:
        The calibration. Actors with fewer than MIN_SAMPLES samples get offset 0 and gain 1, and so do the gaze
        coefficients (eyeLook*) of everybody, because a gaze has no resting value.

    The offset is the median of the quietest 30 % of an actor's samples: those whose coefficients add up to the least.
    The gain restores the range that the offset removes, so that a full smile stays as strong as it was.
    """
    actors = take.actors()
    offset, gain = np.zeros((len(actors), len(ARKIT_NAMES))), np.ones((len(actors), len(ARKIT_NAMES)))
    for row, actor in enumerate(actors):
        values = take.coefficients[take.actor == actor].astype(np.float64)  # (K, 52)
        if len(values) < MIN_SAMPLES:
            continue
        activity = values[:, ~_IS_GAZE].sum(1)
        quiet = values[activity <= np.quantile(activity, _QUIET_QUANTILE)]
        rest, peak = np.median(quiet, axis=0), np.quantile(values, _PEAK_QUANTILE, axis=0)
        rest = np.where(~_IS_GAZE & (rest < MAX_OFFSET), rest, 0.0)
        offset[row] = rest
        stretch = np.where(peak > rest, np.clip(peak / np.maximum(peak - rest, 1e-6), 1, MAX_GAIN), 1.0)
        gain[row] = np.where(peak - rest < _MIN_RANGE, 1.0, stretch)
    return Calibration(actors.astype(np.int32), offset, gain)


def apply_calibration(take: Take, calibration: Calibration) -> Take:
    """Calibrate the coefficients of a take.

    Args:
        take: S samples.
        calibration: Offsets and gains by actor. Actors that it does not contain stay unchanged.

    Returns:
        A take with the same samples and calibrated coefficients (S, 52).
    """
    if not len(take) or not len(calibration.actor):
        return take
    order = np.argsort(calibration.actor)
    row = order[np.searchsorted(calibration.actor, take.actor, sorter=order).clip(0, len(order) - 1)]
    is_calibrated = (calibration.actor[row] == take.actor)[:, None]
    calibrated = ((take.coefficients - calibration.offset[row]) * calibration.gain[row]).clip(0, 1)
    coefficients = np.where(is_calibrated, calibrated, take.coefficients).astype(np.float32)
    return replace(take, coefficients=coefficients)


def calibrate(take: Take) -> Take:
    """Calibrate a take by its own samples: `apply_calibration(take, learn_calibration(take))`."""
    return apply_calibration(take, learn_calibration(take))
