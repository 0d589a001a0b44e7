"""Learn each person's neutral face and subtract it, so that a resting face has weights near 0 and looks ahead.

A network rarely predicts 0 for a face at rest: some people have low brows, others raised mouth corners. Calibration
takes the value that a coefficient has at rest as its offset, and stretches the remaining range so that the strongest
expression of the take keeps its strength. The direction of each eye gets an offset of its own.

Letters: A actors, S samples, K samples of one actor.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.performance.take import Take

MIN_SAMPLES = 15
"""An actor with fewer samples is not calibrated by them."""
MAX_OFFSET = 0.4
"""No offset is larger: a coefficient that is always higher is held on purpose."""
MAX_EYE_OFFSET = 0.25
"""The same for eyeBlink and eyeSquint: a neutral face has open eyes, and a sample may show a blink."""
MAX_SIDE_DIFFERENCE = 0.12
"""Largest difference of the offsets of a left and a right coefficient. More would look like a wink at rest."""
MAX_GAZE_OFFSET = 0.2
"""Largest offset of a gaze: someone who always looks farther aside does so on purpose."""
MAX_GAIN = 2.0
NEUTRAL_WINDOW_S = 0.5
"""How much of a stream a neutral face is taken from, so that no single bad sample decides."""

_QUIET_QUANTILE = 0.3  # the samples with the least total expression that count as rest
_LOW_QUANTILE = 0.1  # a coefficient rests at its low values, although it may be raised in most samples
_LOW_MARGIN = 0.05  # by which the rest may lie above them: noise
_PEAK_QUANTILE = 0.99  # the quantile of a coefficient that counts as its full strength
_MIN_RANGE = 0.1  # a coefficient that varies less keeps gain 1: a gain would amplify noise only
_IS_GAZE = np.array([name.startswith("eyeLook") for name in ARKIT_NAMES])
_LIMIT = np.array([MAX_EYE_OFFSET if name.startswith(("eyeBlink", "eyeSquint")) else MAX_OFFSET for name in ARKIT_NAMES])
_INDEX = {name: i for i, name in enumerate(ARKIT_NAMES)}
_LEFT = np.array([i for name, i in _INDEX.items() if name.endswith("Left") and name not in ("jawLeft", "mouthLeft")])
_RIGHT = np.array([_INDEX[ARKIT_NAMES[i].removesuffix("Left") + "Right"] for i in _LEFT])
_GAZE_AXES = ("OutLeft", "InLeft"), ("UpLeft", "DownLeft"), ("InRight", "OutRight"), ("UpRight", "DownRight")
_GAZE_PLUS = np.array([_INDEX[f"eyeLook{plus}"] for plus, _ in _GAZE_AXES])
_GAZE_MINUS = np.array([_INDEX[f"eyeLook{minus}"] for _, minus in _GAZE_AXES])

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Offset and gain of each coefficient for each actor: `calibrated = clip((raw - offset) * gain, 0, 1)`.

    Attributes:
        actor: (A,) int32, the actors.
        offset: (A, 52) float64, coefficient values at rest, in ARKIT_NAMES order; 0 for the gaze.
        gain: (A, 52) float64, factors from 1 to MAX_GAIN.
        gaze: (A, 4) float64, the gaze at rest: the left eye to the subject's left and up, then the right eye. One axis
            is the difference of two coefficients, such as eyeLookOutLeft - eyeLookInLeft.
    """

    actor: NDArray[np.int32]
    offset: Floats
    gain: Floats
    gaze: Floats


def learn_calibration(take: Take) -> Calibration:
    """Measure the neutral face of every actor of a take.

    Args:
        take: S samples of any number of actors.

    Returns:
        The calibration. Actors with fewer than MIN_SAMPLES samples get offset 0 and gain 1.

    A coefficient's offset is the median over the quietest 30 % of an actor's samples, those whose coefficients add up to the
    least; but it lies not above the coefficient's own low values, so that brows raised for most of the take are no rest.
    The gain restores the range that the offset removes, so that a full smile stays as strong as it was. The gaze at rest is
    the median over all samples.
    """
    actors = take.actors()
    result = _identity(actors)
    for row, actor in enumerate(actors):
        values = take.coefficients[take.actor == actor].astype(np.float64)  # (K, 52)
        if len(values) < MIN_SAMPLES:
            continue
        activity = values[:, ~_IS_GAZE].sum(1)
        quiet = values[activity <= np.quantile(activity, _QUIET_QUANTILE)]
        low = np.quantile(values, _LOW_QUANTILE, axis=0) + _LOW_MARGIN
        rest, peak = _limited(np.minimum(np.median(quiet, axis=0), low)), np.quantile(values, _PEAK_QUANTILE, axis=0)
        result.offset[row], result.gaze[row] = rest, _gaze_at_rest(values)
        stretch = np.where(peak > rest, np.clip(peak / np.maximum(peak - rest, 1e-6), 1, MAX_GAIN), 1.0)
        result.gain[row] = np.where(_IS_GAZE | (peak - rest < _MIN_RANGE), 1.0, stretch)
    return result


def calibration_from_neutral(take: Take) -> Calibration:
    """Take the samples of a take as the neutral face of its actors: a photo of a resting face, or the last moments of a stream.

    Args:
        take: S samples; those of one actor are averaged by their median.

    Returns:
        The calibration. The gains map a weight of 1 to 1.
    """
    actors = take.actors()
    result = _identity(actors)
    for row, actor in enumerate(actors):
        values = take.coefficients[take.actor == actor].astype(np.float64)
        result.offset[row], result.gaze[row] = _limited(np.median(values, axis=0)), _gaze_at_rest(values)
        result.gain[row] = np.minimum(1 / (1 - result.offset[row]), MAX_GAIN)
    return result


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
    shift = calibration.gaze[row]
    gaze = calibrated[:, _GAZE_PLUS] - calibrated[:, _GAZE_MINUS] - shift
    for columns, value in ((_GAZE_PLUS, gaze), (_GAZE_MINUS, -gaze)):
        calibrated[:, columns] = np.where(shift == 0, calibrated[:, columns], value.clip(0, 1))
    return replace(take, coefficients=np.where(is_calibrated, calibrated, take.coefficients).astype(np.float32))


def calibrate(take: Take) -> Take:
    """Calibrate a take by its own samples: `apply_calibration(take, learn_calibration(take))`."""
    return apply_calibration(take, learn_calibration(take))


class StreamCalibration:
    """Calibrate a stream: `set_neutral` makes the faces of the last moments the neutral ones."""

    def __init__(self) -> None:
        """Start without a neutral face: samples stay as they are."""
        self._recent: deque[Take] = deque()
        self._calibration: Calibration | None = None

    def update(self, take: Take) -> Take:
        """Calibrate the samples of the next moment.

        Args:
            take: S samples, later than those of the last call.
        """
        if len(take):
            self._recent.append(take)
            while self._recent[-1].time_s.max() - self._recent[0].time_s.min() > NEUTRAL_WINDOW_S:
                self._recent.popleft()
        return take if self._calibration is None else apply_calibration(take, self._calibration)

    def set_neutral(self) -> int:
        """Make the median of the last half second the neutral face of each person. Returns the number of people.

        People who are away keep their neutral faces.
        """
        recent = Take.concatenate(list(self._recent))
        if len(recent):
            neutral, before = calibration_from_neutral(recent), self._calibration
            self._calibration = neutral if before is None else _updated(before, neutral)
        return len(recent.actors())


def _updated(before: Calibration, after: Calibration) -> Calibration:
    """Return the calibrations of all actors; where both know an actor, that of `after`."""
    other = ~np.isin(before.actor, after.actor)
    pairs = [(getattr(before, name)[other], getattr(after, name)) for name in ("actor", "offset", "gain", "gaze")]
    return Calibration(*(np.concatenate(pair) for pair in pairs))


def _identity(actors: NDArray[np.int32]) -> Calibration:
    """Return a calibration that changes nothing."""
    shape = len(actors), len(ARKIT_NAMES)
    return Calibration(actors.astype(np.int32), np.zeros(shape), np.ones(shape), np.zeros((len(actors), len(_GAZE_AXES))))


def _limited(rest: Floats) -> Floats:
    """Limit the offsets (52,): to plausible values, and to a small difference of left and right."""
    rest = np.where(_IS_GAZE, 0.0, np.minimum(rest, _LIMIT))
    lower = np.minimum(rest[_LEFT], rest[_RIGHT]) + MAX_SIDE_DIFFERENCE
    rest[_LEFT], rest[_RIGHT] = np.minimum(rest[_LEFT], lower), np.minimum(rest[_RIGHT], lower)
    return rest


def _gaze_at_rest(values: Floats) -> Floats:
    """Return the gaze (4,) of an actor's samples (K, 52) at rest; see `Calibration.gaze`."""
    gaze = np.median(values[:, _GAZE_PLUS] - values[:, _GAZE_MINUS], axis=0)
    return np.asarray(gaze.clip(-MAX_GAZE_OFFSET, MAX_GAZE_OFFSET))
