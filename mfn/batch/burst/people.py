"""Find the same people in all shots of a group.

The shots are laid over each other first, because the camera moves between them. Then they are tracked like the frames of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.video.tracking.clip_tracker import track_clip

BETWEEN_SHOTS_S = 0.5
"""Seconds that the tracker assumes between two shots: people may move by about half a face."""
_NEAR = 0.6  # a face at less than this distance, in heights of a face, may be the same person
_SAME_SIZE = 1.5  # ratio of heights

Floats = NDArray[np.float64]


def track_people(shots: Sequence[Faces]) -> Faces:
    """Give the faces of each person the same number.

    Args:
        shots: The faces of each shot, in the order in which they were taken.

    Returns:
        The faces of all shots in px of their own pictures: `image` is the number of the shot, `track` that of the person.
    """
    aligned: list[Faces] = []
    shift = np.zeros(2)
    for number, faces in enumerate(shots):
        if number and len(faces) and len(aligned[-1]):
            shift = camera_shift(aligned[-1].box, faces.box)
        moved = faces.box + np.tile(shift, 2)
        aligned.append(faces.replace(box=moved, image=np.full(len(faces), number)))
    together = Faces.concatenate(aligned) if aligned else Faces.empty()
    order = np.argsort(together.image, kind="stable")
    tracked = track_clip(together[order], np.arange(len(shots)) * BETWEEN_SHOTS_S, drop_false=False)
    boxes = np.concatenate([faces.box for faces in shots])[order] if len(shots) else tracked.box
    return tracked.replace(box=boxes)


def camera_shift(known: NDArray[np.float32], box: NDArray[np.float32]) -> Floats:
    """Return the shift (2,) in px that lays the boxes (n, 4) of a shot over those (m, 4) of the shot before.

    Of all shifts that lay one face over another, it is the one that lays most faces over a face of their size; of several, the
    smallest.
    """
    (place, height), (other, tall) = _place_and_height(known), _place_and_height(box)
    ratio = tall[:, None] / height
    alike = (ratio < _SAME_SIZE) & (ratio > 1 / _SAME_SIZE)  # (n, m)
    shifts = np.concatenate([np.zeros((1, 2)), (place - other[:, None])[alike]])
    counts = [int((alike & (np.abs(other[:, None] + s - place).max(-1) < _NEAR * height)).any(1).sum()) for s in shifts]
    best = shifts[np.array(counts) == max(counts)]
    return np.asarray(best[np.argmin(np.linalg.norm(best, axis=1))], np.float64)


def _place_and_height(box: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return the centers (n, 2) and heights (n,) of boxes in px."""
    wide = box.astype(np.float64)
    return (wide[:, :2] + wide[:, 2:]) / 2, np.maximum(wide[:, 3] - wide[:, 1], 1)
