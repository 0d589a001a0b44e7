"""Tell people from false detections, by how long, how often and how surely a face was detected.

A network takes a hand, a throat or a pattern for a face now and then. Such a face comes for a few frames, flickers, and has
a lower score than the people around it. A tracklet is judged in pieces: its parts without a long gap.

Letters: F frames, N faces, P pieces.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.inference.decode import SCORE
from mfn.structures.faces import Faces
from mfn.video.tracking.likeness import Spans, spans

MIN_SEEN_S = 0.25
"""A person is detected for at least this time, summed over the frames, but at most for half of the clip."""
MIN_SHARE = 0.5
"""A person is detected in at least this share of the frames between the first and the last one of a piece."""

_MAX_GAP_S = 0.5  # a longer gap ends a piece
_DOUBTFUL = 0.5  # a piece is doubtful if its mean score is below this share of the way from the lowest score to the usual one
_DOUBTFUL_FACTOR = 4.0  # how much longer a doubtful face has to be detected
_MAX_FRAME_S = 0.5  # a frame counts for no longer: the clip may have a gap

Floats = NDArray[np.float64]


def is_person(faces: Faces, tracklet: NDArray[Any], time_s: Floats) -> NDArray[np.bool_]:
    """Judge every face by the piece of the tracklet that it belongs to.

    Args:
        faces: N faces, ordered by frame.
        tracklet: (N,) tracklet of each face.
        time_s: (F,) time of each frame, seconds.

    Returns:
        (N,) False for false detections.
    """
    length_s = _frame_lengths_s(time_s)
    piece = _pieces(faces.image, tracklet, time_s)
    seen_s = np.bincount(piece, length_s[faces.image])
    span = spans(faces.image, piece, len(seen_s))
    until_s = np.cumsum(length_s)
    span_s = until_s[span.last] - until_s[span.first] + length_s[span.first]
    share = seen_s / np.maximum(span_s, 1e-9)
    score = np.bincount(piece, faces.score) / np.bincount(piece)
    required_s = min(MIN_SEEN_S, 0.5 * float(length_s.sum()))
    doubtful = score < _doubtful_score(faces, piece, seen_s >= required_s, span)
    long_enough = seen_s >= required_s * np.where(doubtful, _DOUBTFUL_FACTOR, 1.0) - 1e-6
    return np.asarray((long_enough & (share >= MIN_SHARE))[piece])


def _doubtful_score(faces: Faces, piece: NDArray[Any], counts: NDArray[np.bool_], span: Spans) -> Floats:
    """Return the score (P,) below which a piece is doubtful, from the people around it.

    Args:
        faces: N faces.
        piece: (N,) piece of each face.
        counts: (P,) whether a piece is long enough to be compared with.
        span: First and last frame of each piece.

    The people around are those of the same frames; where there is nobody else, those of the whole clip.
    """
    lowest = min(SCORE, float(faces.score.min()))
    total, number = np.bincount(piece, faces.score), np.bincount(piece).astype(np.float64)
    first, last = span
    together = (first[:, None] <= last) & (first <= last[:, None]) & counts
    np.fill_diagonal(together, False)
    alone = ~together.any(1)
    together[alone] = counts
    weight = together @ number
    usual = np.where(weight > 0, together @ total / np.maximum(weight, 1e-9), lowest)
    return np.asarray(lowest + _DOUBTFUL * (usual - lowest))


def _pieces(frame: NDArray[Any], tracklet: NDArray[Any], time_s: Floats) -> NDArray[np.int64]:
    """Return the number (N,) of the piece of each face."""
    order = np.lexsort((frame, tracklet))
    gap_s = np.diff(time_s[frame[order]], prepend=-np.inf)
    begins = (np.diff(tracklet[order], prepend=-1) != 0) | (gap_s > _MAX_GAP_S + np.median(_frame_lengths_s(time_s)))
    piece = np.empty(len(frame), np.int64)
    piece[order] = np.cumsum(begins) - 1
    return piece


def _frame_lengths_s(time_s: Floats) -> Floats:
    """Return how long each frame is shown, seconds."""
    if len(time_s) < 2:
        return np.full(len(time_s), _MAX_FRAME_S)
    step = np.diff(time_s)
    return np.asarray(np.append(step, np.median(step)).clip(0, _MAX_FRAME_S))
