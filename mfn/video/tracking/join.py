"""Join the tracklets of one person, before and after a gap or a cut, by identity, looks, position and motion.

Letters: N faces, T tracklets, I identity coefficients, K numbers that describe looks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.tracking.likeness import Likeness, mean_identities, spans
from mfn.video.tracking.link import FrameTimes, Links, coasting_s, position_and_size
from mfn.video.tracking.looks import Looks, mean_looks

JOIN_THRESHOLD = 0.0
"""Log likelihood ratio above which two tracklets are joined."""
READY_THRESHOLD = -6.0
"""The same as long as there are more tracks than people, if their number is known."""

_RETURN_PROBABILITY = 0.7  # that a person who returns is near the predicted position

Floats = NDArray[np.floating[Any]]


class SeenLooks(NamedTuple):
    """How each face looks (N, K), NaN where it was not looked at, and what compares looks."""

    numbers: NDArray[np.float32]
    compare: Looks


def join_tracklets(
    faces: Faces, links: Links, times: FrameTimes, likeness: Likeness, people: int | None = None, looks: SeenLooks | None = None
) -> NDArray[np.int64]:
    """Join the tracklets of one person, the most likely pair first. Tracklets that overlap in time are never joined.

    Args:
        faces: N faces, ordered by frame.
        links: Their tracklets.
        times: When the frames were taken.
        likeness: Compares identities. The means of joined tracklets are merged.
        people: How many people there are. None: unknown.
        looks: Compares people of different shots too. None: identities alone do.

    Returns:
        (N,) number of the person of each face, in the order of appearance.
    """
    _, which = np.unique(links.tracklet, return_inverse=True)
    table = _Table(faces, which, times, likeness, looks, _gap_likelihood(faces, which, links.speed, times, likeness))
    owner, remaining = np.arange(len(table.count)), len(table.count)
    while (best := table.score.max(initial=-np.inf)) > READY_THRESHOLD:
        if best <= JOIN_THRESHOLD and (people is None or remaining <= people):
            break
        one, other = sorted(np.unravel_index(table.score.argmax(), table.score.shape))
        owner[owner == other] = one
        table.merge(int(one), int(other))
        remaining -= 1
    person = owner[which]
    _, begins, back = np.unique(person, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(begins))[back], np.int64)


class _Table:
    """Scores of all pairs of tracklets, and what they are made of.

    What different shots add to the variance of a person's mean becomes less with each further shot that the mean is made of.
    """

    def __init__(
        self, faces: Faces, which: NDArray[Any], times: FrameTimes, likeness: Likeness, looks: SeenLooks | None, gap: Floats
    ) -> None:
        faces_in = np.bincount(which)
        tracklets = len(faces_in)
        self.likeness, self.gap = likeness, gap
        self.mean, self.count = mean_identities(faces.identity, which, faces_in), faces_in.astype(np.float64)
        self.shots = np.ones(tracklets)
        self.compare = None if looks is None else looks.compare
        self.looks = np.zeros((tracklets, 0)) if looks is None else mean_looks(looks.numbers, which, tracklets)
        first, last = spans(faces.image, which, tracklets)
        self.disjoint = (first[:, None] > last) | (first > last[:, None])
        apart = times.shot[last][:, None] != times.shot[first][None]
        self.apart = np.where(first[None] > last[:, None], apart, apart.T)
        self.score = self._scores(np.arange(tracklets))

    def merge(self, one: int, other: int) -> None:
        """Make one tracklet of two."""
        weight = self.count[[one, other]]
        self.mean[one] = weight @ self.mean[[one, other]] / weight.sum()
        self.looks[one] = _mean_of_known(self.looks[[one, other]], weight)
        self.count[one] += self.count[other]
        if self.apart[one, other]:
            self.shots[one] += self.shots[other]
        self.disjoint[one] &= self.disjoint[other]
        self.disjoint[:, one] = self.disjoint[one]
        self.disjoint[other], self.disjoint[:, other] = False, False
        self.gap[one] = np.maximum(self.gap[one], self.gap[other])
        self.gap[:, one] = self.gap[one]
        self.apart[one] &= self.apart[other]
        self.apart[:, one] = self.apart[one]
        self.score[other], self.score[:, other] = -np.inf, -np.inf
        self.score[one] = self._scores(np.array([one]))[0]
        self.score[:, one] = self.score[one]

    def _scores(self, rows: NDArray[np.int64]) -> Floats:
        """Compare some tracklets (n,) with all: (n, T) log likelihood ratio, -inf where both are seen at once."""
        squared = self.likeness.squared_distance(self.mean[rows], self.mean)
        shots, other_shots = self.shots[rows, None], self.shots[None]
        shot_share = np.where(self.apart[rows], 1 / shots + 1 / other_shots, 0.0)
        ratio = self.likeness.identity(squared, self.count[rows, None], self.count[None], shot_share) + self.gap[rows]
        if self.compare is not None:
            ratio += np.where(self.apart[rows], self.compare.ratio(self.looks[rows, None], self.looks[None], shots, other_shots), 0.0)
        return np.where(self.disjoint[rows], ratio, -np.inf)


def _mean_of_known(values: Floats, weight: Floats) -> Floats:
    """Return the weighted mean of those of two rows (2, K) that are known."""
    known = np.isfinite(values).all(1)
    return np.asarray(weight[known] @ values[known] / weight[known].sum() if known.any() else values[0])


def _gap_likelihood(faces: Faces, which: NDArray[np.int64], speed: Floats, times: FrameTimes, likeness: Likeness) -> Floats:
    """Compare the positions where tracklets end with those where others begin: (T, T) log likelihood ratio, 0 across a cut."""
    time_s, shot = times
    order = np.argsort(which, kind="stable")  # rows are by frame, so a tracklet's come in time
    count = np.bincount(which)
    head, tail = order[np.cumsum(count) - count], order[np.cumsum(count) - 1]
    first, last = faces.image[head], faces.image[tail]
    position, size = position_and_size(faces.box.astype(np.float64))
    unseen_s = np.maximum(time_s[first][None] - time_s[last][:, None], 0)
    predicted = position[tail][:, None] + speed[tail][:, None] * coasting_s(unseen_s)[..., None]
    distance = np.linalg.norm(predicted - position[head][None], axis=2)
    position_ratio = likeness.position(distance, np.log(size[head][None] / size[tail][:, None]), size[tail][:, None], unseen_s)
    ratio = np.log(_RETURN_PROBABILITY * np.exp(np.minimum(position_ratio, 50)) + 1 - _RETURN_PROBABILITY)
    ratio = np.where(shot[first][None] == shot[last][:, None], ratio, 0.0)
    return np.asarray(np.where(first[None] > last[:, None], ratio, ratio.T))
