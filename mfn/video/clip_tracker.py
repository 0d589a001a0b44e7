"""Track the people of a whole clip, by position, size, motion and identity.

Step 1 links faces from frame to frame: all faces of a frame are assigned to the people seen last, such that the whole
assignment is as likely as possible. The result is tracklets. Step 2 joins tracklets of one person, before and after a
gap or a cut, by their mean identity. Every comparison is a log likelihood ratio: the same person against any other.

Letters: F frames, N faces of all frames together, n faces of one frame, T tracks, I identity coefficients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.likeness import Likeness
from mfn.video.linear_assignment import linear_assignment

MAX_GAP_S = 1.5  # how long motion alone may bridge a gap
MIN_LENGTH_S = 0.25  # shorter tracks are taken for false detections

_SPEED_DECAY_S = 2.0  # time constant with which the speed of an unseen face decays
_SPEED_LEARN_S = 0.12  # time constant with which the speed follows the boxes, which tremble
_RETURN_PROBABILITY = 0.7  # that a person who returns is near the predicted position
_IDENTITY_SD, _IDENTITY_PRIOR_FACES = 0.2, 30  # prior of one coefficient's error, and its weight in faces
_FRAME_WEIGHT, _JOIN_WEIGHT = 0.25, 0.35  # of one coefficient: the errors of coefficients are correlated
_JOIN_THRESHOLD = -2.0  # log likelihood ratio: someone who appears is rather a known person than a new one
_MIN_TRACKLET_FACES = 10  # shorter tracklets do not show how much people differ

Floats = NDArray[np.float64]


def track_clip(faces: Faces, time_s: NDArray[Any], cuts: NDArray[np.bool_] | None = None) -> Faces:
    """Give the faces of each person the same number.

    Args:
        faces: N faces of a clip; `image` is the frame.
        time_s: (F,) time of each frame, seconds.
        cuts: (F,) True where a new shot begins. Motion does not link faces across a cut.

    Returns:
        The same faces, ordered by frame, with `track` set: 0, 1, ... in the order of appearance.
    """
    faces = faces[np.argsort(faces.image, kind="stable")]
    if not len(faces):
        return faces
    time_s = np.asarray(time_s, np.float64)
    shot = np.zeros(len(time_s), int) if cuts is None else np.cumsum(cuts)
    variance = np.full(faces.identity.shape[1], _IDENTITY_SD**2)
    prior = Likeness(variance, variance, _area(faces))
    tracklet, _ = _link_frames(faces, time_s, shot, prior, 0.0)
    likeness = _estimate_variances(faces, tracklet, prior)
    tracklet, speed = _link_frames(faces, time_s, shot, likeness, _FRAME_WEIGHT)
    return faces.replace(track=_join_tracklets(faces, tracklet, speed, (time_s, shot), likeness))


def drop_short(faces: Faces, time_s: NDArray[Any], min_length_s: float = MIN_LENGTH_S) -> Faces:
    """Remove short tracks, which are mostly false detections.

    Args:
        faces: N faces with tracks.
        time_s: (F,) time of each frame, seconds.
        min_length_s: Shortest track that is kept, but at most half of the clip.

    Returns:
        The faces of the other tracks, which are numbered again from 0 in the order of appearance.
    """
    if not len(faces):
        return faces
    tracks, which = np.unique(faces.track, return_inverse=True)
    first, last = np.full(len(tracks), np.inf), np.full(len(tracks), -np.inf)
    np.minimum.at(first, which, time_s[faces.image])
    np.maximum.at(last, which, time_s[faces.image])
    long_enough = last - first >= min(min_length_s, float(np.ptp(time_s)) * 0.5)
    number = np.full(len(tracks), -1)
    order = np.flatnonzero(long_enough)[np.argsort(first[long_enough], kind="stable")]
    number[order] = np.arange(len(order))
    return faces.replace(track=number[which])[long_enough[which]]


def _area(faces: Faces) -> float:
    """Return the area (px^2) of the rectangle that holds all faces, at least 4 x 4 of the largest face."""
    low, high = faces.box[:, :2].min(0), faces.box[:, 2:].max(0)
    largest = float((faces.box[:, 3] - faces.box[:, 1]).max())
    return float(np.prod(np.maximum(high - low, 4 * max(largest, 1.0))))


def _estimate_variances(faces: Faces, tracklet: NDArray[Any], prior: Likeness) -> Likeness:
    """Measure how much identities differ within a tracklet, and between people who are visible at the same time.

    The prior counts as `_IDENTITY_PRIOR_FACES` faces, because a short clip has little information.
    """
    _, which, count = np.unique(tracklet, return_inverse=True, return_counts=True)
    mean = _means(faces.identity, which, count)
    rest = ((faces.identity - mean[which]) ** 2).sum(0)
    error = (rest + _IDENTITY_PRIOR_FACES * prior.error) / (len(faces) - len(count) + _IDENTITY_PRIOR_FACES)
    first, last = _spans(faces.image, which, len(count))
    overlap, long = (first[:, None] <= last) & (first <= last[:, None]), count >= _MIN_TRACKLET_FACES
    together = overlap & long & long[:, None]
    one, other = np.nonzero(np.triu(together, 1))
    between = ((mean[one] - mean[other]) ** 2 / 2).sum(0)
    between = np.maximum((between + 3 * error) / (len(one) + 3), 0.3 * error)
    return Likeness(error, between, prior.area)


def _link_frames(
    faces: Faces, time_s: Floats, shot: NDArray[Any], likeness: Likeness, identity_weight: float
) -> tuple[NDArray[np.int64], Floats]:
    """Link faces from frame to frame.

    Args:
        faces: N faces, ordered by frame.
        time_s: (F,) time of each frame, seconds.
        shot: (F,) number of the shot of each frame.
        likeness: Compares faces.
        identity_weight: Weight of an identity coefficient; 0 uses position and size only.

    Returns:
        (N,) number of the tracklet of each face, and (N, 2) speed of each face, px/s.
    """
    position, size = _position_and_size(faces.box.astype(np.float64))
    tracklet, velocity = np.full(len(faces), -1), np.zeros((len(faces), 2))
    tracklet_of, count = np.zeros(0, int), np.zeros(0)  # (T,) of people who may return: tracklet, number of images
    last, speed, mean = np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, faces.identity.shape[1]))
    total = 0
    for rows in np.split(np.arange(len(faces)), np.flatnonzero(np.diff(faces.image)) + 1):
        frame = faces.image[rows[0]]
        now = time_s[frame]
        stay = (now - time_s[faces.image[last]] <= MAX_GAP_S) & (shot[faces.image[last]] == shot[frame])
        tracklet_of, count, last, speed, mean = (state[stay] for state in (tracklet_of, count, last, speed, mean))
        unseen_s = now - time_s[faces.image[last]]
        predicted = position[last] + speed * _coasting_s(unseen_s)[:, None]
        distance = np.linalg.norm(position[rows, None] - predicted, axis=2)
        log_growth = np.log(size[rows, None] / size[last])
        ratio = likeness.position(distance, log_growth, size[last], unseen_s)
        if identity_weight:
            identity_ratio = likeness.identity(_squared_distance(faces.identity[rows], mean, likeness), np.ones(1), count[None])
            ratio = ratio + identity_weight * identity_ratio
        match = linear_assignment(ratio)
        old, new = match >= 0, match < 0
        rows_old, at = rows[old], match[old]
        step = np.maximum(unseen_s[at], 1e-3)[:, None]
        speed[at] += (1 - np.exp(-step / _SPEED_LEARN_S)) * ((position[rows_old] - position[last[at]]) / step - speed[at])
        count[at] += 1
        mean[at] += (faces.identity[rows_old] - mean[at]) / count[at, None]
        last[at], tracklet[rows_old], velocity[rows_old] = rows_old, tracklet_of[at], speed[at]
        tracklet[rows[new]] = total + np.arange(new.sum())
        total += int(new.sum())
        tracklet_of, last = np.concatenate([tracklet_of, tracklet[rows[new]]]), np.concatenate([last, rows[new]])
        count = np.concatenate([count, np.ones(new.sum())])
        speed = np.concatenate([speed, np.zeros((new.sum(), 2))])
        mean = np.concatenate([mean, faces.identity[rows[new]]])
    return tracklet, velocity


def _coasting_s(unseen_s: Floats) -> Floats:
    """Return the time (s) for which an unseen face would have moved at its last speed. The speed decays."""
    return _SPEED_DECAY_S * (1 - np.exp(-unseen_s / _SPEED_DECAY_S))


def _join_tracklets(
    faces: Faces, tracklet: NDArray[Any], speed: Floats, when: tuple[Floats, NDArray[Any]], likeness: Likeness
) -> NDArray[np.int64]:
    """Join the tracklets of one person, the most likely pair first. Tracklets that overlap in time are never joined.

    Args:
        faces: N faces, ordered by frame.
        tracklet: (N,) tracklet of each face.
        speed: (N, 2) speed of each face, px/s.
        when: Times (F,) in seconds and shot numbers (F,) of the frames.
        likeness: Compares identities. The means of joined tracklets are merged.

    Returns:
        (N,) number of the person of each face, in the order of appearance.
    """
    _, which, faces_in = np.unique(tracklet, return_inverse=True, return_counts=True)
    tracklets = len(faces_in)
    mean, count = _means(faces.identity, which, faces_in), faces_in.astype(np.float64)
    first, last = _spans(faces.image, which, tracklets)
    disjoint = (first[:, None] > last) | (first > last[:, None])
    gap = _gap_likelihood(faces, which, speed, when, likeness)
    owner = np.arange(tracklets)

    def score(rows: NDArray[Any]) -> Floats:
        identity_ratio = likeness.identity(_squared_distance(mean[rows], mean, likeness), count[rows, None], count[None])
        return np.where(disjoint[rows], _JOIN_WEIGHT * identity_ratio + gap[rows], -np.inf)

    table = score(np.arange(tracklets))
    while table.max(initial=-np.inf) > _JOIN_THRESHOLD:
        one, other = sorted(np.unravel_index(table.argmax(), table.shape))
        owner[owner == other] = one
        mean[one] = (mean[one] * count[one] + mean[other] * count[other]) / (count[one] + count[other])
        count[one] += count[other]
        disjoint[one] &= disjoint[other]
        disjoint[:, one] = disjoint[one]
        disjoint[other], disjoint[:, other] = False, False
        gap[one] = np.maximum(gap[one], gap[other])
        gap[:, one] = gap[one]
        table[other], table[:, other] = -np.inf, -np.inf
        table[one] = score(np.array([one]))[0]
        table[:, one] = table[one]
    person = owner[which]
    _, begins, back = np.unique(person, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(begins))[back]


def _gap_likelihood(
    faces: Faces, which: NDArray[Any], speed: Floats, when: tuple[Floats, NDArray[Any]], likeness: Likeness
) -> Floats:
    """Compare the positions where tracklets end with those where others begin: (T, T) log likelihood ratio, 0 across a cut."""
    time_s, shot = when
    order = np.argsort(which, kind="stable")  # rows are by frame, so a tracklet's come in time
    count = np.bincount(which)
    head, tail = order[np.cumsum(count) - count], order[np.cumsum(count) - 1]
    first, last = faces.image[head], faces.image[tail]
    box = faces.box.astype(np.float64)
    position, size = _position_and_size(box)
    unseen_s = np.maximum(time_s[first][None] - time_s[last][:, None], 0)
    predicted = position[tail][:, None] + speed[tail][:, None] * _coasting_s(unseen_s)[..., None]
    distance = np.linalg.norm(predicted - position[head][None], axis=2)
    position_ratio = likeness.position(distance, np.log(size[head][None] / size[tail][:, None]), size[tail][:, None], unseen_s)
    ratio = np.log(_RETURN_PROBABILITY * np.exp(np.minimum(position_ratio, 50)) + 1 - _RETURN_PROBABILITY)
    ratio = np.where(shot[first][None] == shot[last][:, None], ratio, 0.0)
    return np.where(first[None] > last[:, None], ratio, ratio.T)


def _position_and_size(box: Floats) -> tuple[Floats, Floats]:
    """Return the centers (N, 2) of boxes and their sizes (N,), px."""
    return (box[:, :2] + box[:, 2:]) / 2, np.sqrt(np.prod((box[:, 2:] - box[:, :2]).clip(1), axis=1))


def _means(identity: NDArray[Any], which: NDArray[Any], count: NDArray[Any]) -> Floats:
    """Return the mean identity (T, I) of each tracklet."""
    total = np.zeros((len(count), identity.shape[1]))
    np.add.at(total, which, identity)
    return np.asarray(total / count[:, None])


def _spans(frame: NDArray[Any], which: NDArray[Any], tracklets: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the first and the last frame (T,) of each tracklet."""
    first, last = np.full(tracklets, np.iinfo(np.int64).max), np.full(tracklets, -1)
    np.minimum.at(first, which, frame)
    np.maximum.at(last, which, frame)
    return first, last


def _squared_distance(one: NDArray[Any], other: NDArray[Any], likeness: Likeness) -> Floats:
    """Return the sums of squared differences (n, T), in units of the error's variance."""
    a, b = one / np.sqrt(likeness.error), other / np.sqrt(likeness.error)
    return np.asarray(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0))
