"""Track and smooth faces frame by frame, for live images, where the future is not known.

Letters: n faces of one frame, S slots for people. A slot is used again once its person has been away for long. With `reuse`
the number of the slot is that of the track.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.video.one_euro import OneEuro, faces_to_signals, signals_to_faces

MAX_GAP_S = 0.6  # a person who is away for longer gets a new track; until then nobody else gets the number
RETURN_S = 5.0
"""With `reuse`: who comes back to the same place within this time gets the same number, seconds."""
_MIN_IOU = 0.3
_FIRST_SLOTS = 256  # there are twice as many as soon as a frame holds more faces


class Tracker:
    """Give each person a stable number, and smooth their motion, one frame after another.

        tracker, memory = Tracker(), FrameMemory()
        for time_s, image in frames:
            faces = tracker.update(predictor(image, video=True, memory=memory), time_s)

    Faces are matched to the people of the last frames by the overlap (IoU) of their boxes, the largest first. This is
    the fast tracker for live images. `mfn.video.tracking.clip_tracker` tracks whole clips better: it also uses identity and
    motion, and knows what comes later. Call `cut` where another shot begins.
    """

    def __init__(self, smooth: bool = True, *, reuse: bool = False) -> None:
        """Start without people.

        Args:
            smooth: Also smooth pose, position and expression, by the same filter as `mfn.video.one_euro.smooth_faces`.
            reuse: Give a new face the lowest number whose person has been away for longer than MAX_GAP_S, for programs that wait
                for number 0: a person who was lost and comes back elsewhere goes on as the same number. Who moves by up to a
                face from frame to frame keeps the number too. False: no number is given twice.
        """
        self._smooth, self._reuse = smooth, reuse
        self._filter: OneEuro | None = None
        self._track, self._next_track = np.full(_FIRST_SLOTS, -1), 0
        self._time_s, self._box = np.full(_FIRST_SLOTS, -np.inf), np.zeros((_FIRST_SLOTS, 4), np.float32)

    def update(self, faces: Faces, time_s: float) -> Faces:
        """Process the next frame.

        Args:
            faces: n faces of one frame.
            time_s: Time of the frame, seconds. It has to rise from call to call.

        Returns:
            The same n faces, in the same order, with `track` set, and smoothed if asked for.
        """
        slot = self._assign_slots(faces, time_s)
        self._time_s[slot], self._box[slot] = time_s, faces.box
        if self._smooth:
            values, unit = faces_to_signals(faces)
            if self._filter is None:
                self._filter = OneEuro(len(self._track), values.shape[1])
            values, rotation = self._filter(slot, values, unit, faces.rotation.astype(np.float64), time_s)
            faces = signals_to_faces(faces, values, rotation)
        return faces.replace(track=self._track[slot].astype(np.int32))

    def cut(self) -> None:
        """Take everybody for a new person from the next frame on: another shot begins, and other people stand at the same places.

        With `reuse` the numbers begin at 0 again.
        """
        self._time_s[:] = -np.inf
        if self._filter is not None:
            self._filter.reset()

    def _assign_slots(self, faces: Faces, time_s: float) -> NDArray[np.int64]:
        """Return the slot (n,) of each face: that of the person at its place; for a new face a free one, and its track is set."""
        while len(faces) > len(self._track):
            self._add_slots()
        slot, away_s = np.full(len(faces), -1), time_s - self._time_s
        match = box_iou(faces.box, self._box)
        match *= match > _MIN_IOU
        if self._reuse:
            match = np.where(match > 0, match, _MIN_IOU * _nearness(faces.box, self._box))
        _pair(match * (away_s <= MAX_GAP_S), slot)  # before those who left longer ago, perhaps at the place that others have reached
        if self._reuse:
            _pair(match * ((away_s > MAX_GAP_S) & (away_s <= RETURN_S)), slot)
        new = np.flatnonzero(slot < 0)
        if not len(new):
            return slot
        taken = np.isin(np.arange(len(self._track)), slot)
        if self._reuse:
            free = slot[new] = self._lowest_free(faces.box[new], taken | (away_s <= MAX_GAP_S))
            self._track[free] = free
        else:
            free = slot[new] = np.lexsort((self._time_s, taken))[: len(new)]
            self._track[free] = self._next_track + np.arange(len(new))
            self._next_track += len(new)
        if self._filter is not None:
            self._filter.reset(free)
        return slot

    def _lowest_free(self, box: NDArray[np.float32], busy: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the lowest slots that are not `busy` (S,) for new faces (n, 4), so that each gets the one that was last near it."""
        while len(busy) - busy.sum() < len(box):
            self._add_slots()
            busy = np.pad(busy, (0, len(self._track) - len(busy)))
        free, order = np.flatnonzero(~busy)[: len(box)], np.full(len(box), -1)
        _pair(np.isfinite(self._time_s[free]) / (1 + _distance(box, self._box[free])), order)
        order[order < 0] = np.setdiff1d(np.arange(len(box)), order)
        return np.asarray(free[order])

    def _add_slots(self) -> None:
        """Double the number of slots."""
        count = len(self._track)
        self._track = np.concatenate([self._track, np.full(count, -1)])
        self._time_s = np.concatenate([self._time_s, np.full(count, -np.inf)])
        self._box = np.concatenate([self._box, np.zeros((count, 4), np.float32)])
        if self._filter is not None:
            self._filter.grow(2 * count)


def _pair(match: NDArray[np.floating], slot: NDArray[np.int64]) -> None:
    """Set the slot (n,) of faces that have none, -1, by how well they match the slots (n, S), the best first. 0 is no match."""
    match = match * (slot < 0)[:, None]
    while match.size and match.max() > 0:
        row, person = np.unravel_index(match.argmax(), match.shape)
        slot[row] = person
        match[row], match[:, person] = 0, 0


def _nearness(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how near boxes (K, 4) and (M, 4) are, (K, M): 1 at the same center, 0 from the side of the smaller box on."""
    side = np.minimum((a[:, 2:] - a[:, :2]).max(axis=1)[:, None], (b[:, 2:] - b[:, :2]).max(axis=1))
    return np.asarray((1 - _distance(a, b) / np.maximum(side, 1e-6)).clip(0))


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the distances (K, M) of the centers of boxes (K, 4) and (M, 4)."""
    centers = [(box[:, :2] + box[:, 2:]) / 2 for box in (a, b)]
    return np.asarray(np.linalg.norm(centers[0][:, None] - centers[1], axis=2))
