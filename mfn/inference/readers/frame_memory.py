"""`FrameMemory`: lets the readers take turns in the crowds of a video.

The readers read K faces of a frame, so that the time is fixed. In a frame with more faces, each of them is read once in a few frames.
Meanwhile it keeps the score, the identity and the expression that were read last. Its box and its pose are always those of the frame.

Letters: N candidates of a frame, K faces that are read.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.readers.face_reader import choose_to_refine
from mfn.structures.boxes import box_iou
from mfn.structures.faces import Faces

TURNS = 4
"""A face is read once in this many frames. Of more than TURNS * K faces only the surest take turns."""
LIKELY_SCORE = 0.3  # probability from which a candidate takes turns
_SAME_FACE_IOU = 0.4
_NEVER = 10**6  # frames since a reading that did not happen


class _Frame(NamedTuple):
    """The candidates of a frame.

    Attributes:
        faces: N candidates. Those that were read hold what was read.
        waited: (N,) frames since each was read: 0 for this frame.
    """

    faces: Faces
    waited: NDArray[np.int64]


class FrameMemory:
    """Remembers what was read in the last frames of one video. `Predictor` changes it with every frame.

        memory = FrameMemory()
        for image in frames:
            faces = predictor(image, video=True, memory=memory)
    """

    def __init__(self) -> None:
        """Start without frames."""
        self._last: _Frame | None = None

    def choose(self, faces: Faces, count: int) -> NDArray[np.int64]:
        """Choose the candidates of the next frame to read: those that waited longest, and of these the surest.

        Args:
            faces: N candidates as the multi-face network found them.
            count: K.

        Returns:
            At most K rows, rising. If no more than K candidates are likely faces, nothing is remembered, and the rows are those of
            `choose_to_refine`.
        """
        known = self._follow(faces)
        score = np.maximum(faces.score, np.where(_holds(known.waited), known.faces.score, 0))
        likely = np.flatnonzero(score >= LIKELY_SCORE)
        if len(likely) <= count:
            self._last = None
            return choose_to_refine(faces, count)
        self._last = known
        pool = likely[choose_to_refine(faces[likely].replace(score=score[likely]), TURNS * count)]
        return np.sort(pool[np.lexsort((-score[pool], -known.waited[pool]))][:count])

    def recall(self, faces: Faces) -> Faces:
        """Return the candidates that `choose` got after some were read; others have what was read in the last frames.

        Args:
            faces: The N candidates, in the same order. `refined` marks those that were read.
        """
        if self._last is None:
            return faces
        known, waited = self._last.faces, np.where(faces.refined, 0, self._last.waited)
        holds = _holds(waited)
        row = holds[:, None]
        faces = faces.replace(
            score=np.where(holds, known.score, faces.score),
            identity=np.where(row, known.identity, faces.identity),
            expression=np.where(row, known.expression, faces.expression),
        )
        self._last = _Frame(faces, waited)
        return faces

    def finish(self, faces: Faces) -> Faces:
        """Remember the faces that are reported, whose eyes were read since, and set `refined` for those that were read before.

        Args:
            faces: Some of the candidates that `recall` returned.
        """
        if self._last is None or not len(faces):
            return faces
        row = box_iou(faces.box, self._last.faces.box).argmax(1)  # the boxes are still the same
        expression = self._last.faces.expression.copy()
        expression[row] = faces.expression
        self._last = self._last._replace(faces=self._last.faces.replace(expression=expression))
        return faces.replace(refined=faces.refined | _holds(self._last.waited[row]))

    def _follow(self, faces: Faces) -> _Frame:
        """Return for each of N candidates what is known of it from the last frame, or the candidate itself."""
        if self._last is None or not len(faces) or not len(self._last.faces):
            return _Frame(faces, np.full(len(faces), _NEVER))
        overlap = box_iou(faces.box, self._last.faces.box)
        row, found = overlap.argmax(1), overlap.max(1) >= _SAME_FACE_IOU
        rows = np.where(found, len(faces) + row, np.arange(len(faces)))
        return _Frame(Faces.concatenate([faces, self._last.faces])[rows], np.where(found, self._last.waited[row] + 1, _NEVER))


def _holds(waited: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether what was read so many frames ago still holds. It is False for this frame, which has its own reading."""
    return np.asarray((waited > 0) & (waited <= TURNS))
