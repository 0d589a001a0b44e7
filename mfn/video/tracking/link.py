"""Link faces from frame to frame: all faces of a frame are assigned to the people seen last, as likely as possible.

Letters: F frames, N faces of all frames together, n faces of one frame, T tracklets, I identity coefficients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.tracking.likeness import Likeness
from mfn.video.tracking.linear_assignment import linear_assignment

MAX_GAP_S = 1.5
"""How long motion alone may bridge a gap."""
MISREAD_SHARE = 0.02
"""Share of a person's faces whose identity is read wrongly, for example in a yawn. The identity of such a face counts for nothing."""
MAX_MISREAD_S = 0.25
"""How long a face in the same place may have another identity. After that it is another person."""

_SPEED_DECAY_S = 2.0  # time constant with which the speed of an unseen face decays
_SPEED_LEARN_S = 0.12  # time constant with which the speed follows the boxes, which tremble

Floats = NDArray[np.float64]


class FrameTimes(NamedTuple):
    """When the frames of a clip were taken."""

    time_s: Floats  # (F,)
    shot: NDArray[Any]  # (F,) number of the shot of each frame


class Links(NamedTuple):
    """The tracklets of N faces."""

    tracklet: NDArray[np.int64]  # (N,)
    speed: Floats  # (N, 2) px/s

    def select(self, rows: NDArray[Any]) -> Links:
        """Return the links of some of the faces."""
        return Links(self.tracklet[rows], self.speed[rows])


class _Known(NamedTuple):
    """The people who may return, T rows: tracklet, number of faces (seen), last face, speed (px/s), mean identity, and for how long (s) the
    identity was another one."""

    tracklet: NDArray[Any]
    seen: Floats
    last: NDArray[Any]
    speed: Floats
    mean: Floats
    misread_s: Floats


def link_frames(faces: Faces, times: FrameTimes, likeness: Likeness, use_identity: bool) -> Links:
    """Link faces from frame to frame.

    Args:
        faces: N faces, ordered by frame.
        times: When the frames were taken.
        likeness: Compares faces.
        use_identity: Whether to compare identities too, and not position and size alone.
    """
    time_s, shot = times
    position, size = position_and_size(faces.box.astype(np.float64))
    tracklet, velocity, total = np.full(len(faces), -1), np.zeros((len(faces), 2)), 0
    width = faces.identity.shape[1]
    known = _Known(np.zeros(0, int), np.zeros(0), np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, width)), np.zeros(0))
    for rows in np.split(np.arange(len(faces)), np.flatnonzero(np.diff(faces.image)) + 1):
        frame = faces.image[rows[0]]
        last_frame = faces.image[known.last]
        stay = (time_s[frame] - time_s[last_frame] <= MAX_GAP_S) & (shot[last_frame] == shot[frame])
        known = _Known(*(state[stay] for state in known))
        unseen_s = time_s[frame] - time_s[faces.image[known.last]]
        predicted = position[known.last] + known.speed * coasting_s(unseen_s)[:, None]
        distance = np.linalg.norm(position[rows, None] - predicted, axis=2)
        log_growth = np.log(size[rows, None] / size[known.last])
        ratio = likeness.position(distance, log_growth, size[known.last], unseen_s)
        same = np.zeros_like(ratio)
        if use_identity:
            squared = likeness.squared_distance(faces.identity[rows], known.mean)
            same = likeness.identity(squared, np.ones(1), known.seen[None])
            maybe_misread = np.logaddexp(same + np.log1p(-MISREAD_SHARE), np.log(MISREAD_SHARE))
            ratio = ratio + np.where(known.misread_s + unseen_s <= MAX_MISREAD_S, maybe_misread, same)
        match = linear_assignment(ratio)
        old, new = match >= 0, match < 0
        rows_old, at = rows[old], match[old]
        step = np.maximum(unseen_s[at], 1e-3)[:, None]
        moved = (position[rows_old] - position[known.last[at]]) / step
        known.speed[at] += (1 - np.exp(-step / _SPEED_LEARN_S)) * (moved - known.speed[at])
        known.misread_s[at] = np.where(same[old, at] < np.log(MISREAD_SHARE), known.misread_s[at] + unseen_s[at], 0)
        known.seen[at] += 1
        known.mean[at] += (faces.identity[rows_old] - known.mean[at]) / known.seen[at, None]
        known.last[at], tracklet[rows_old], velocity[rows_old] = rows_old, known.tracklet[at], known.speed[at]
        tracklet[rows[new]] = total + np.arange(new.sum())
        total += int(new.sum())
        known = _with_new_people(known, tracklet[rows[new]], rows[new], faces.identity)
    return Links(tracklet, velocity)


def _with_new_people(known: _Known, tracklet: NDArray[Any], rows: NDArray[Any], identity: NDArray[Any]) -> _Known:
    """Append people who were seen for the first time, in these rows."""
    new = _Known(tracklet, np.ones(len(rows)), rows, np.zeros((len(rows), 2)), identity[rows].astype(np.float64), np.zeros(len(rows)))
    return _Known(*(np.concatenate(pair) for pair in zip(known, new)))


def coasting_s(unseen_s: Floats) -> Floats:
    """Return the time (s) for which an unseen face would have moved at its last speed. The speed decays."""
    return _SPEED_DECAY_S * (1 - np.exp(-unseen_s / _SPEED_DECAY_S))


class PositionAndSize(NamedTuple):
    """Centers (N, 2) and sizes (N,) of boxes, px."""

    position: Floats
    size: Floats


def position_and_size(box: Floats) -> PositionAndSize:
    """Return the centers of boxes (N, 4) and their sizes: the square root of the area."""
    size = np.sqrt(np.prod((box[:, 2:] - box[:, :2]).clip(1), axis=1))
    return PositionAndSize((box[:, :2] + box[:, 2:]) / 2, size)
