"""`FrameMemory`: lets the readers take turns in the crowds of a video.

The readers read K faces of a frame, so that the time is fixed. In a frame with more faces, each face is read once in a few frames.
Meanwhile it keeps the score, the identity and the expression that were read last, and the same correction of its box and its pose.

Letters: N candidates of a frame, K faces that are read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.readers.face_reader import LIKELY_SCORE, choose_to_refine
from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces

TURNS = 4
"""Up to TURNS * K faces take turns, so that each is read once in this many frames. Of more faces, the surest ones take turns."""
_SAME_FACE_IOU = 0.4
_NEVER = 10**6  # frames since a reading that did not happen


class _Known(NamedTuple):
    """What is known of the N candidates of a frame.

    Attributes:
        box: (N, 4) px of the frame, as the multi-face network found them.
        found: How that network described each candidate in the frame in which it was read.
        read: The same candidates after they were read.
        waited: (N,) frames since then: 0 for this frame, _NEVER for candidates that were not read.
    """

    box: NDArray[np.float32]
    found: Faces
    read: Faces
    waited: NDArray[np.int64]


class FrameMemory:
    """Remembers what was read in the last frames of one video. `Predictor` changes it with every frame.

        memory = FrameMemory()
        for image in frames:
            faces = predictor(image, video=True, memory=memory)

    It is for one video and one thread. Begin a new one where another shot begins.
    """

    def __init__(self) -> None:
        """Start without frames."""
        self._known: _Known | None = None
        self._size: tuple[int, ...] = ()

    @property
    def takes_turns(self) -> bool:
        """Whether the faces of the frame of the last `choose` take turns."""
        return self._known is not None

    def choose(self, faces: Faces, count: int, size: tuple[int, ...]) -> NDArray[np.int64]:
        """Choose the candidates of the next frame to read: those that waited longest, and of these the surest.

        Args:
            faces: N candidates as the multi-face network found them.
            count: K.
            size: Height and width of the frame in px. If it changes, nothing of the last frames counts.

        Returns:
            At most K rows, rising. If no more than K candidates are likely faces, nothing is remembered, and the rows are those of
            `choose_to_refine`.
        """
        if size != self._size:
            self._known, self._size = None, size
        known = self._follow(faces)
        score = np.maximum(faces.score, np.where(_holds(known.waited), known.read.score, 0))
        likely = np.flatnonzero(score >= LIKELY_SCORE)
        if len(likely) <= count:
            self._known = None
            return choose_to_refine(faces, count)
        self._known = known
        pool = likely[choose_to_refine(faces[likely].replace(score=score[likely]), TURNS * count)]
        return np.sort(pool[np.lexsort((-score[pool], -known.waited[pool]))][:count])

    def recall(self, found: Faces, faces: Faces) -> Faces:
        """Return the candidates of `choose` after some were read; the others are as they were read in the last frames.

        Args:
            found: The N candidates as the multi-face network found them.
            faces: The same after reading. `refined` marks those that were read.
        """
        if self._known is None:
            return faces
        known, now = self._known, faces.refined
        rows = np.where(now, len(faces) + np.arange(len(faces)), np.arange(len(faces)))
        read = Faces.concatenate([known.read, faces])[rows]
        self._known = _Known(found.box, Faces.concatenate([known.found, found])[rows], read, np.where(now, 0, known.waited))
        held = np.where(_holds(self._known.waited), len(faces), 0) + np.arange(len(faces))
        return Faces.concatenate([faces, _as_read(found, known)])[held]

    def finish(self, faces: Faces, rows: NDArray[np.int64], sure: NDArray[np.int64]) -> Faces:
        """Remember the faces that are reported, whose eyes were read since, and set `refined` for those that were read before.

        Args:
            faces: The reported ones of the candidates that `recall` returned.
            rows: Their places among the candidates.
            sure: The places of all that are sure enough to be reported. Those that are not in `rows` show a face once more; they are
                forgotten.
        """
        if self._known is None:
            return faces
        read, waited = self._known.read, self._known.waited.copy()
        expression = read.expression.copy()
        expression[rows] = faces.expression
        holds = _holds(waited[rows])
        waited[np.setdiff1d(sure, rows)] = _NEVER
        self._known = self._known._replace(read=read.replace(expression=expression), waited=waited)
        return faces.replace(refined=faces.refined | holds)

    def _follow(self, faces: Faces) -> _Known:
        """Return for each of N candidates what is known of it from the last frame, each former candidate once."""
        nothing = _Known(faces.box, faces, faces, np.full(len(faces), _NEVER))
        if self._known is None or not len(faces) or not len(self._known.box):
            return nothing
        row = _pairs(box_iou(faces.box, self._known.box))
        rows = np.where(row >= 0, len(faces) + row, np.arange(len(faces)))
        found, read = (Faces.concatenate([faces, known])[rows] for known in (self._known.found, self._known.read))
        return _Known(faces.box, found, read, np.where(row >= 0, self._known.waited[row] + 1, _NEVER))


def _pairs(overlap: NDArray[np.float32]) -> NDArray[np.int64]:
    """Pair rows and columns of an IoU (N, M), the largest first: the column (N,) of each row, or -1."""
    column, taken = np.full(len(overlap), -1), np.zeros(overlap.shape[1], np.bool_)
    first, second = np.nonzero(overlap >= _SAME_FACE_IOU)
    for pair in np.argsort(-overlap[first, second], kind="stable").tolist():
        if column[first[pair]] < 0 and not taken[second[pair]]:
            column[first[pair]], taken[second[pair]] = second[pair], True
    return column


def _as_read(found: Faces, known: _Known) -> Faces:
    """Correct N candidates as the reader corrected each of them in the frame in which it was read.

    With their own box and pose, faces would jump to and fro between what both networks say and what one of them says.
    """
    before, read = known.found, known.read
    ratio = found.scale / before.scale
    return read.replace(
        box=found.box + ratio[:, None] * (read.box - before.box),
        rotation=read.rotation @ before.rotation.swapaxes(1, 2) @ found.rotation,
        scale=read.scale * ratio,
        center=found.center + ratio[:, None] * (read.center - before.center),
        refined=np.zeros(len(found), np.bool_),
        image=found.image,
    )


def _holds(waited: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether what was read so many frames ago still holds. It is False for this frame, which has its own reading."""
    return np.asarray((waited > 0) & (waited <= TURNS))
