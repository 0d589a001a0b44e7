"""Who is who and calm values, one frame after another: what a live picture needs, where the future is not known.

Letters: n faces of this frame, T seats for people, taken again when someone has been away for long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces
from mfn.video.one_euro import OneEuro, from_values, to_values

PATIENCE_S = 0.6  # how long a person may be hidden and is still the same
_OVERLAP = 0.3
_SEATS = 256  # as many as a picture can have faces


class OnlineTracker:
    """Call it with each frame's faces and time: the same faces with `track` set and filtered as `smooth_faces` does
    (the same filter, as it never looks ahead)."""

    def __init__(self) -> None:
        self._filter: OneEuro | None = None
        self._track, self._next = np.full(_SEATS, -1), 0
        self._time_s, self._box = np.full(_SEATS, -np.inf), np.zeros((_SEATS, 4), np.float32)

    def __call__(self, faces: Faces, time_s: float) -> Faces:
        """faces: of one frame; time_s: rises from call to call."""
        values, unit = to_values(faces)
        if self._filter is None:
            self._filter = OneEuro(_SEATS, values.shape[1])
        seat = self._seats(faces, time_s)
        self._time_s[seat], self._box[seat] = time_s, faces.box
        values, rotation = self._filter(seat, values, unit, faces.rotation.astype(np.float64), time_s)
        return from_values(faces, values, rotation).replace(track=self._track[seat])

    def _seats(self, faces: Faces, time_s: float) -> NDArray[np.int64]:
        """(n,) where each face sits: with whom it box_iou best, or on the seat that was empty for longest."""
        seat = np.full(len(faces), -1)
        there = time_s - self._time_s <= PATIENCE_S
        overlap = box_iou(faces.box, self._box) * there
        while overlap.size and overlap.max() > _OVERLAP:
            row, person = np.unravel_index(overlap.argmax(), overlap.shape)
            seat[row] = person
            overlap[row], overlap[:, person] = 0, 0
        new = np.flatnonzero(seat < 0)
        taken = np.isin(np.arange(_SEATS), seat)
        free = np.lexsort((self._time_s, taken))[: len(new)]
        if len(free) < len(new) or taken[free].any():
            raise ValueError(f"{len(faces)} faces in a frame (expected at most {_SEATS})")
        seat[new] = free
        self._track[free] = self._next + np.arange(len(new))
        self._next += len(new)
        return seat
