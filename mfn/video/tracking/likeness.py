"""Compare faces of a clip by identity, position and size, as log likelihood ratios.

Letters: n faces of one frame, T tracks, I identity coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces

# Standard deviations, as parts of the height of a face: of the prediction at once, and its growth with each unseen second.
_POSITION_SD, _POSITION_SD_PER_S = 0.08, 0.5
_LOG_SIZE_SD, _LOG_SIZE_SD_PER_S = 0.12, 0.3
_MAX_DISTANCE_SD = 4.0  # larger distances rule out the same person
_BIAS_SHARE = 0.15  # share of an identity's error variance that more images do not reduce
_SLOW_SHARE, _SLOW_FRAMES = 0.65, 45  # share that changes slowly, as poses do, and its duration
# About what experiments/video/identity.py measures on people in several videos:
_ERROR_SD = 0.05  # of a coefficient of one person in one video
_BETWEEN_RATIO = 4.0  # variance of a coefficient between people, in units of that error's variance
_SHOT_BIAS = 1.0  # error variance that another shot adds to each side, as a share of the error: angle and light change
_INDEPENDENT_SHARE = 0.07  # share of the coefficients that would carry the same information if they were independent
_PRIOR_FACES, _PRIOR_PAIRS = 30, 3  # weight of these priors, in faces and in pairs of people
_MIN_BETWEEN_SHARE = 0.3  # people differ at least by this share of the error
_MIN_TRACKLET_FACES = 10  # shorter tracklets do not show how much people differ

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """Log likelihood ratios: two observations show the same person, against two different ones."""

    error: Floats
    """(I,) variance of each identity coefficient over the images of one person."""
    between: Floats
    """(I,) variance of each identity coefficient over people."""
    area: float
    """Area in which people appear, px^2."""

    def squared_distance(self, one: NDArray[Any], other: NDArray[Any]) -> Floats:
        """Return the sums of squared differences (n, T) of identities (n, I) and (T, I), in units of the error's variance."""
        a, b = one / np.sqrt(self.error), other / np.sqrt(self.error)
        return np.asarray(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0))

    def identity(self, distance: Floats, count: Floats, other_count: Floats, shot_share: Floats | float = 0.0) -> Floats:
        """Compare identities.

        Args:
            distance: (n, T) `squared_distance` of two mean identities.
            count: Number of images that the first mean is made of; broadcast to (n, T).
            other_count: The same of the second mean.
            shot_share: (n, T) what different shots add to the variance of a difference, in units of what one adds; 0 in one shot.

        Returns:
            (n, T) log likelihood ratio.

        The coefficients of a face are correlated: their errors and differences lie in about four dimensions. So the ratio
        for independent coefficients is scaled down.
        """
        same = _error_share(count) + _error_share(other_count) + _SHOT_BIAS * np.asarray(shot_share, np.float64)
        ratio = float(np.median(self.between / self.error)) if len(self.error) else 0.0
        other = same + 2 * ratio
        independent = 0.5 * len(self.error) * np.log(other / same) - 0.5 * distance * (1 / same - 1 / other)
        return np.asarray(_INDEPENDENT_SHARE * independent)

    def position(self, distance: Floats, log_growth: Floats, size: Floats, unseen_s: Floats) -> Floats:
        """Compare positions and sizes.

        Args:
            distance: (n, T) distance from the predicted position, px.
            log_growth: (n, T) logarithm of the ratio of the sizes.
            size: Size of the known face, px; broadcast to (n, T).
            unseen_s: Time since it was seen, seconds; broadcast to (n, T).

        Returns:
            (n, T) log likelihood ratio; -inf beyond `_MAX_DISTANCE_SD`.
        """
        spread = size * (_POSITION_SD + _POSITION_SD_PER_S * unseen_s)
        growth = _LOG_SIZE_SD + _LOG_SIZE_SD_PER_S * unseen_s
        ratio = -0.5 * (distance / spread) ** 2 - 0.5 * (log_growth / growth) ** 2 + np.log(self.area / (2 * np.pi * spread**2))
        return np.where(distance < _MAX_DISTANCE_SD * spread, ratio, -np.inf)


def _error_share(count: Floats) -> Floats:
    """Return the share of an identity's error variance that remains in the mean of `count` successive images."""
    return _BIAS_SHARE + _SLOW_SHARE / (1 + count / _SLOW_FRAMES) + (1 - _BIAS_SHARE - _SLOW_SHARE) / count


def prior_likeness(faces: Faces) -> Likeness:
    """Return the likeness that is assumed before a clip's own faces are compared."""
    coefficients = faces.identity.shape[1]
    return Likeness(np.full(coefficients, _ERROR_SD**2), np.full(coefficients, _BETWEEN_RATIO * _ERROR_SD**2), _area(faces))


def estimate_likeness(faces: Faces, tracklet: NDArray[Any], prior: Likeness) -> Likeness:
    """Measure how much identities differ within a tracklet, and between people who are visible at the same time.

    Args:
        faces: N faces, ordered by frame.
        tracklet: (N,) tracklet of each face.
        prior: Counts as `_PRIOR_FACES` faces and `_PRIOR_PAIRS` pairs, because a short clip has little information.
    """
    _, which, count = np.unique(tracklet, return_inverse=True, return_counts=True)
    mean = mean_identities(faces.identity, which, count)
    rest = ((faces.identity - mean[which]) ** 2).sum(0)
    error = (rest + _PRIOR_FACES * prior.error) / (len(faces) - len(count) + _PRIOR_FACES)
    first, last = spans(faces.image, which, len(count))
    overlap, long = (first[:, None] <= last) & (first <= last[:, None]), count >= _MIN_TRACKLET_FACES
    together = overlap & long & long[:, None]
    one, other = np.nonzero(np.triu(together, 1))
    between = ((mean[one] - mean[other]) ** 2 / 2).sum(0)
    between = (between + _PRIOR_PAIRS * _BETWEEN_RATIO * error) / (len(one) + _PRIOR_PAIRS)
    return Likeness(error, np.maximum(between, _MIN_BETWEEN_SHARE * error), prior.area)


def mean_identities(identity: NDArray[Any], which: NDArray[Any], count: NDArray[Any]) -> Floats:
    """Return the mean identity (T, I) of each tracklet."""
    total = np.zeros((len(count), identity.shape[1]))
    np.add.at(total, which, identity)
    return np.asarray(total / count[:, None])


class Spans(NamedTuple):
    """The first and the last frame (T,) of each tracklet or piece."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]


def spans(frame: NDArray[Any], which: NDArray[Any], tracklets: int) -> Spans:
    """Return the first and the last frame of each tracklet.

    Args:
        frame: (N,) frame of each face.
        which: (N,) tracklet of each face, from 0.
        tracklets: T.
    """
    first, last = np.full(tracklets, np.iinfo(np.int64).max), np.full(tracklets, -1)
    np.minimum.at(first, which, frame)
    np.maximum.at(last, which, frame)
    return Spans(first, last)


def _area(faces: Faces) -> float:
    """Return the area (px^2) of the rectangle that holds all faces, at least 4 x 4 of the largest face."""
    low, high = faces.box[:, :2].min(0), faces.box[:, 2:].max(0)
    largest = float((faces.box[:, 3] - faces.box[:, 1]).max())
    return float(np.prod(np.maximum(high - low, 4 * max(largest, 1.0))))
