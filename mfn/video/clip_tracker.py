"""Who is who along a clip: by motion, overlap in place and size, and identity coefficients.

Two steps. Frame by frame, faces go to the people seen last, all at once by the assignment that is likeliest as a whole.
Then pieces of one person's way, before and after a time out of sight or a cut, are joined by their mean identity.
Every comparison is a log likelihood ratio: the same person against any other.

Letters: F frames, N faces of all frames together, n faces of one frame, T tracks, I identity coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.linear_assignment import assign

PATIENCE_S = 1.5  # how long motion alone may carry somebody who is hidden
LEAST_S = 0.25  # shorter appearances are taken for mistakes

# Of a face's height: how far it may be from where it was foreseen, at once and for each second unseen.
_SPREAD, _SPREAD_PER_S = 0.08, 0.5
_GROWTH, _GROWTH_PER_S = 0.12, 0.3  # the same of the logarithm of its size
_COASTING_S = 2.0  # a speed lasts so long
_FARTHEST = 4.0  # times the spread: beyond it nobody is the same by motion
_IN_PLACE = 0.7  # how likely somebody who comes back is near where they went
_ERROR_SD, _ERROR_WEIGHT = 0.2, 30  # of one identity coefficient, worth so many faces, until the clip says more
_LASTING = 0.15  # part of an identity's error that more pictures do not lessen
_SLOW, _SLOW_FRAMES = 0.65, 45  # part that lasts so long, as poses do
_COUNTS_FRAME, _COUNTS_JOIN = 0.25, 0.35  # the coefficients' errors go together: each is worth so much of its own
_JOIN_ABOVE = -2.0  # who appears is rather somebody known

Floats = NDArray[np.float64]


def track_clip(faces: Faces, time_s: NDArray, cuts: NDArray[np.bool_] | None = None) -> Faces:
    """The same faces, ordered by frame, with `track` set, numbered in the order of appearance.

    faces: N rows whose `image` is the frame; time_s: (F,) of the frames; cuts: (F,) whether a new shot begins there.
    """
    faces = faces[np.argsort(faces.image, kind="stable")]
    if not len(faces):
        return faces
    time_s = np.asarray(time_s, np.float64)
    shot = np.zeros(len(time_s), int) if cuts is None else np.cumsum(cuts)
    variance = np.full(faces.identity.shape[1], _ERROR_SD**2)
    unknown = Likeness(variance, variance, _area(faces))
    piece, _ = _follow(faces, time_s, shot, unknown, 0.0)
    likeness = _learn(faces, piece, unknown)
    piece, speed = _follow(faces, time_s, shot, likeness, _COUNTS_FRAME)
    return faces.replace(track=_join(faces, piece, speed, (time_s, shot), likeness))


def drop_short(faces: Faces, time_s: NDArray, least_s: float = LEAST_S) -> Faces:
    """Without the tracks that last less than `least_s`, the others renumbered from 0 in the order they appear."""
    if not len(faces):
        return faces
    names, which = np.unique(faces.track, return_inverse=True)
    first, last = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    np.minimum.at(first, which, time_s[faces.image])
    np.maximum.at(last, which, time_s[faces.image])
    lasting = last - first >= min(least_s, float(np.ptp(time_s)) * 0.5)
    number = np.full(len(names), -1)
    order = np.flatnonzero(lasting)[np.argsort(first[lasting], kind="stable")]
    number[order] = np.arange(len(order))
    return faces.replace(track=number[which])[lasting[which]]


@dataclass(frozen=True)
class Likeness:
    """error, between: (I,) variances of a coefficient, of one person's pictures and of people; area: px^2 in which
    people are anywhere."""

    error: Floats
    between: Floats
    area: float

    def identity(self, distance: Floats, seen: Floats, other_seen: Floats) -> Floats:
        """Log likelihood ratio of identities (n, T) apart by `_distance`, means of so many pictures each."""
        same = _unsure(seen) + _unsure(other_seen)
        ratio = float(np.mean(self.between / self.error)) if len(self.error) else 0.0
        other = same + 2 * ratio
        return 0.5 * len(self.error) * np.log(other / same) - 0.5 * distance * (1 / same - 1 / other)

    def place(self, miss: Floats, grown: Floats, size: Floats, unseen_s: Floats) -> Floats:
        """The same of being `miss` px (n, T) from where one was foreseen and `grown` (log) in size (px) after so
        long."""
        spread = size * (_SPREAD + _SPREAD_PER_S * unseen_s)
        growth = _GROWTH + _GROWTH_PER_S * unseen_s
        ratio = -0.5 * (miss / spread) ** 2 - 0.5 * (grown / growth) ** 2 + np.log(self.area / (2 * np.pi * spread**2))
        return np.where(miss < _FARTHEST * spread, ratio, -np.inf)


def _unsure(seen: Floats) -> Floats:
    """What is left of an identity's error variance in the mean of so many successive pictures."""
    return _LASTING + _SLOW / (1 + seen / _SLOW_FRAMES) + (1 - _LASTING - _SLOW) / seen


def _area(faces: Faces) -> float:
    low, high = faces.box[:, :2].min(0), faces.box[:, 2:].max(0)
    largest = float((faces.box[:, 3] - faces.box[:, 1]).max())
    return float(np.prod(np.maximum(high - low, 4 * max(largest, 1.0))))


def _learn(faces: Faces, piece: NDArray, prior: Likeness) -> Likeness:
    """How much identities differ within pieces of a way and, where two are seen at once, between people."""
    _, which, count = np.unique(piece, return_inverse=True, return_counts=True)
    mean = _means(faces.identity, which, count)
    rest = ((faces.identity - mean[which]) ** 2).sum(0)
    error = (rest + _ERROR_WEIGHT * prior.error) / (len(faces) - len(count) + _ERROR_WEIGHT)
    first, last = _spans(faces.image, which, len(count))
    together = (first[:, None] <= last) & (first <= last[:, None]) & (count >= 10) & (count[:, None] >= 10)
    one, other = np.nonzero(np.triu(together, 1))
    between = ((mean[one] - mean[other]) ** 2 / 2).sum(0)
    between = np.maximum((between + 3 * error) / (len(one) + 3), 0.3 * error)
    return Likeness(error, between, prior.area)


def _follow(
    faces: Faces, time_s: Floats, shot: NDArray, likeness: Likeness, counts: float
) -> tuple[NDArray[np.int64], Floats]:
    """(N,) which piece of a way each face is of, frame by frame, and speeds (N, 2) px/s there. counts: what an
    identity coefficient is worth."""
    place, size = _place_and_size(faces.box.astype(np.float64))
    piece, pace = np.full(len(faces), -1), np.zeros((len(faces), 2))
    who, seen = np.zeros(0, int), np.zeros(0)  # (T,) of those who may come again: piece, how many pictures
    last, speed, mean = np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, faces.identity.shape[1]))
    total = 0
    for rows in np.split(np.arange(len(faces)), np.flatnonzero(np.diff(faces.image)) + 1):
        frame = faces.image[rows[0]]
        now = time_s[frame]
        stay = (now - time_s[faces.image[last]] <= PATIENCE_S) & (shot[faces.image[last]] == shot[frame])
        who, seen, last, speed, mean = (state[stay] for state in (who, seen, last, speed, mean))
        unseen_s = now - time_s[faces.image[last]]
        foreseen = place[last] + speed * _coasting(unseen_s)[:, None]
        miss = np.linalg.norm(place[rows, None] - foreseen, axis=2)
        grown = np.log(size[rows, None] / size[last])
        ratio = likeness.place(miss, grown, size[last], unseen_s)
        if counts:
            alike = likeness.identity(_distance(faces.identity[rows], mean, likeness), np.ones(1), seen[None])
            ratio = ratio + counts * alike
        match = assign(ratio)
        old, new = match >= 0, match < 0
        mine, at = rows[old], match[old]
        step = np.maximum(unseen_s[at], 1e-3)[:, None]
        # A speed is believed slowly: boxes shake.
        speed[at] += (1 - np.exp(-step / 0.12)) * ((place[mine] - place[last[at]]) / step - speed[at])
        seen[at] += 1
        mean[at] += (faces.identity[mine] - mean[at]) / seen[at, None]
        last[at], piece[mine], pace[mine] = mine, who[at], speed[at]
        piece[rows[new]] = total + np.arange(new.sum())
        total += int(new.sum())
        who, last = np.concatenate([who, piece[rows[new]]]), np.concatenate([last, rows[new]])
        seen = np.concatenate([seen, np.ones(new.sum())])
        speed = np.concatenate([speed, np.zeros((new.sum(), 2))])
        mean = np.concatenate([mean, faces.identity[rows[new]]])
    return piece, pace


def _coasting(unseen_s: Floats) -> Floats:
    """Seconds at its last speed that a face goes in so many unseen."""
    return _COASTING_S * (1 - np.exp(-unseen_s / _COASTING_S))


def _join(
    faces: Faces, piece: NDArray, speed: Floats, when: tuple[Floats, NDArray], likeness: Likeness
) -> NDArray[np.int64]:
    """(N,) persons: pieces that are likely one person's are joined, the likeliest two first, their identities' means
    together from then on, never two that are seen at once. when: (F,) times and shots."""
    _, which, count = np.unique(piece, return_inverse=True, return_counts=True)
    pieces = len(count)
    mean, seen = _means(faces.identity, which, count), count.astype(float)
    first, last = _spans(faces.image, which, pieces)
    apart = (first[:, None] > last) | (first > last[:, None])
    gap = _gap_ratio(faces, which, speed, when, likeness)
    owner = np.arange(pieces)

    def score(rows: NDArray) -> Floats:
        alike = likeness.identity(_distance(mean[rows], mean, likeness), seen[rows, None], seen[None])
        return np.where(apart[rows], _COUNTS_JOIN * alike + gap[rows], -np.inf)

    table = score(np.arange(pieces))
    while table.max(initial=-np.inf) > _JOIN_ABOVE:
        one, other = sorted(np.unravel_index(table.argmax(), table.shape))
        owner[owner == other] = one
        mean[one] = (mean[one] * seen[one] + mean[other] * seen[other]) / (seen[one] + seen[other])
        seen[one] += seen[other]
        apart[one] &= apart[other]
        apart[:, one] = apart[one]
        apart[other], apart[:, other] = False, False
        gap[one] = np.maximum(gap[one], gap[other])
        gap[:, one] = gap[one]
        table[other], table[:, other] = -np.inf, -np.inf
        table[one] = score(np.array([one]))[0]
        table[:, one] = table[one]
    person = owner[which]
    # Numbers in the order of appearance.
    _, begins, back = np.unique(person, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(begins))[back]


def _gap_ratio(
    faces: Faces, which: NDArray, speed: Floats, when: tuple[Floats, NDArray], likeness: Likeness
) -> Floats:
    """(T, T) log likelihood ratio of the places where pieces end and others begin; 0 across a cut."""
    time_s, shot = when
    order = np.argsort(which, kind="stable")  # rows are by frame, so a piece's come in time
    count = np.bincount(which)
    head, tail = order[np.cumsum(count) - count], order[np.cumsum(count) - 1]
    first, last = faces.image[head], faces.image[tail]
    box = faces.box.astype(np.float64)
    place, size = _place_and_size(box)
    unseen_s = np.maximum(time_s[first][None] - time_s[last][:, None], 0)
    foreseen = place[tail][:, None] + speed[tail][:, None] * _coasting(unseen_s)[..., None]
    miss = np.linalg.norm(foreseen - place[head][None], axis=2)
    near = likeness.place(miss, np.log(size[head][None] / size[tail][:, None]), size[tail][:, None], unseen_s)
    ratio = np.log(_IN_PLACE * np.exp(np.minimum(near, 50)) + 1 - _IN_PLACE)
    ratio = np.where(shot[first][None] == shot[last][:, None], ratio, 0.0)
    return np.where(first[None] > last[:, None], ratio, ratio.T)


def _place_and_size(box: Floats) -> tuple[Floats, Floats]:
    return (box[:, :2] + box[:, 2:]) / 2, np.sqrt(np.prod((box[:, 2:] - box[:, :2]).clip(1), axis=1))


def _means(identity: NDArray, which: NDArray, count: NDArray) -> Floats:
    total = np.zeros((len(count), identity.shape[1]))
    np.add.at(total, which, identity)
    return total / count[:, None]


def _spans(frame: NDArray, which: NDArray, pieces: int) -> tuple[NDArray, NDArray]:
    """First and last frame of each piece."""
    first, last = np.full(pieces, np.iinfo(np.int64).max), np.full(pieces, -1)
    np.minimum.at(first, which, frame)
    np.maximum.at(last, which, frame)
    return first, last


def _distance(one: NDArray, other: NDArray, likeness: Likeness) -> Floats:
    """(n, T) sums of squared differences over the error's variance."""
    a, b = one / np.sqrt(likeness.error), other / np.sqrt(likeness.error)
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)
