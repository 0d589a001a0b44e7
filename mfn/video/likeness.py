"""Compare faces of a clip by identity, position and size, as log likelihood ratios.

Letters: n faces of one frame, T tracks, I identity coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Standard deviations, as parts of the height of a face: of the prediction at once, and its growth with each unseen second.
_POSITION_SD, _POSITION_SD_PER_S = 0.08, 0.5
_LOG_SIZE_SD, _LOG_SIZE_SD_PER_S = 0.12, 0.3
_MAX_DISTANCE_SD = 4.0  # larger distances rule out the same person
_BIAS_SHARE = 0.15  # share of an identity's error variance that more images do not reduce
_SLOW_SHARE, _SLOW_FRAMES = 0.65, 45  # share that changes slowly, as poses do, and its duration

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

    def identity(self, distance: Floats, count: Floats, other_count: Floats) -> Floats:
        """Compare identities.

        Args:
            distance: (n, T) `_squared_distance` of two mean identities.
            count: Number of images that the first mean is made of; broadcast to (n, T).
            other_count: The same of the second mean.

        Returns:
            (n, T) log likelihood ratio.
        """
        same = _error_share(count) + _error_share(other_count)
        ratio = float(np.mean(self.between / self.error)) if len(self.error) else 0.0
        other = same + 2 * ratio
        return 0.5 * len(self.error) * np.log(other / same) - 0.5 * distance * (1 / same - 1 / other)

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
