"""Join the tracklets of one person, before and after a gap or a cut, by identity, position and motion.

Letters: N faces, T tracklets, I identity coefficients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.tracking.likeness import Likeness, mean_identities, spans
from mfn.video.tracking.link import FrameTimes, Links, coasting_s, position_and_size

JOIN_THRESHOLD = 0.0
"""Log likelihood ratio above which two tracklets are joined."""
READY_THRESHOLD = -6.0
"""The same as long as there are more tracks than people, if their number is known."""

_RETURN_PROBABILITY = 0.7  # that a person who returns is near the predicted position

Floats = NDArray[np.float64]


def join_tracklets(
    faces: Faces, links: Links, times: FrameTimes, likeness: Likeness, people: int | None = None
) -> NDArray[np.int64]:
    """Join the tracklets of one person, the most likely pair first. Tracklets that overlap in time are never joined.

    Args:
        faces: N faces, ordered by frame.
        links: Their tracklets.
        times: When the frames were taken.
        likeness: Compares identities. The means of joined tracklets are merged.
        people: How many people there are. None: unknown.

    Returns:
        (N,) number of the person of each face, in the order of appearance.
    """
    _, which, faces_in = np.unique(links.tracklet, return_inverse=True, return_counts=True)
    tracklets = remaining = len(faces_in)
    mean, count = mean_identities(faces.identity, which, faces_in), faces_in.astype(np.float64)
    first, last = spans(faces.image, which, tracklets)
    disjoint = (first[:, None] > last) | (first > last[:, None])
    gap = _gap_likelihood(faces, which, links.speed, times, likeness)
    apart = times.shot[last][:, None] != times.shot[first][None]
    apart = np.where(first[None] > last[:, None], apart, apart.T)
    owner = np.arange(tracklets)

    def score(rows: NDArray[np.int64]) -> Floats:
        squared = likeness.squared_distance(mean[rows], mean)
        ratio = likeness.identity(squared, count[rows, None], count[None], apart[rows])
        return np.where(disjoint[rows], ratio + gap[rows], -np.inf)

    table = score(np.arange(tracklets))
    while (best := table.max(initial=-np.inf)) > READY_THRESHOLD:
        if best <= JOIN_THRESHOLD and (people is None or remaining <= people):
            break
        one, other = sorted(np.unravel_index(table.argmax(), table.shape))
        owner[owner == other] = one
        mean[one] = (mean[one] * count[one] + mean[other] * count[other]) / (count[one] + count[other])
        count[one] += count[other]
        disjoint[one] &= disjoint[other]
        disjoint[:, one] = disjoint[one]
        disjoint[other], disjoint[:, other] = False, False
        gap[one] = np.maximum(gap[one], gap[other])
        gap[:, one] = gap[one]
        apart[one] &= apart[other]
        apart[:, one] = apart[one]
        table[other], table[:, other] = -np.inf, -np.inf
        table[one] = score(np.array([one]))[0]
        table[:, one] = table[one]
        remaining -= 1
    person = owner[which]
    _, begins, back = np.unique(person, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(begins))[back], np.int64)


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
