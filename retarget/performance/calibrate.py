"""Neutral offset and gain for each person of a clip, from the clip itself: so that a resting face rests.

What a network reads off a face at rest is not 0: brows sit low on one person, mouth corners high on another. Where a
shape spends most of its time is taken for rest, how far it goes beyond for its full reach. Letters: S samples, K
samples of one person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.performance.take import Take

LEAST_SAMPLES = 15  # fewer say nothing about rest: such a person stays as they are
MOST_OFFSET = 0.5  # a shape that is held higher than this all along is meant
MOST_GAIN = 2.0
_RESTING = 0.3  # part of the samples, the quietest as a whole, that are taken for rest
_REACH = 0.99  # quantile that is taken for a shape's reach
_GAZE = tuple(name.startswith("eyeLook") for name in ARKIT_NAMES)


@dataclass(frozen=True)
class Calibration:
    """actor: (A,) int32; offset, gain: (A, 52), `calibrated = clip((raw - offset) * gain, 0, 1)`."""

    actor: NDArray[np.int32]
    offset: NDArray[np.float64]
    gain: NDArray[np.float64]


def learn_calibration(take: Take) -> Calibration:
    """What each person's rest is: the median of their quietest samples, those with the least of all shapes together,
    gaze aside (eyes look where they look: gaze keeps offset 0 and gain 1). The gain gives a shape back the reach that
    the offset takes from it, so that a full smile stays as wide as it was."""
    actors = take.actors()
    offset, gain = np.zeros((len(actors), len(ARKIT_NAMES))), np.ones((len(actors), len(ARKIT_NAMES)))
    moving = ~np.array(_GAZE)
    for row, actor in enumerate(actors):
        mine = take.coefficients[take.actor == actor].astype(np.float64)
        if len(mine) < LEAST_SAMPLES:
            continue
        activity = mine[:, moving].sum(1)
        quiet = mine[activity <= np.quantile(activity, _RESTING)]
        rest, reach = np.median(quiet, axis=0), np.quantile(mine, _REACH, axis=0)
        rest = np.where(moving & (rest < MOST_OFFSET), rest, 0.0)
        offset[row] = rest
        gain[row] = np.where(reach > rest, np.clip(reach / np.maximum(reach - rest, 1e-6), 1, MOST_GAIN), 1.0)
        # A shape that hardly moves would only have its noise made larger.
        gain[row] = np.where(reach - rest < 0.1, 1.0, gain[row])
    return Calibration(actors.astype(np.int32), offset, gain)


def apply_calibration(take: Take, calibration: Calibration) -> Take:
    """The take with each known person's coefficients (S, 52) calibrated; others stay as they are."""
    if not len(take) or not len(calibration.actor):
        return take
    order = np.argsort(calibration.actor)
    at = order[np.searchsorted(calibration.actor, take.actor, sorter=order).clip(0, len(order) - 1)]
    known = (calibration.actor[at] == take.actor)[:, None]
    changed = ((take.coefficients - calibration.offset[at]) * calibration.gain[at]).clip(0, 1)
    coefficients = np.where(known, changed, take.coefficients)
    return Take(take.time_s, take.actor, coefficients, take.rotation, take.translation)


def calibrate(take: Take) -> Take:
    """A take whose people rest where they do."""
    return apply_calibration(take, learn_calibration(take))
