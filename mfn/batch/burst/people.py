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
_AT_ONCE = 64  # shifts that are compared in one step, which bounds the memory

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
    face, before = np.nonzero((ratio < _SAME_SIZE) & (ratio > 1 / _SAME_SIZE))  # pairs of faces of about one size, sorted by face
    shifts = np.concatenate([np.zeros((1, 2)), place[before] - other[face]])
    counts = _faces_laid(shifts, face, other[face], place[before], _NEAR * height[before])
    best = shifts[counts == counts.max()]
    return np.asarray(best[np.argmin(np.linalg.norm(best, axis=1))], np.float64)


def _faces_laid(shifts: Floats, face: NDArray[np.int64], own: Floats, place: Floats, reach: Floats) -> NDArray[np.int64]:
    """Count, for each shift, the faces that it moves onto a face of the shot before.

    Args:
        shifts: (k + 1, 2) 0 and the shift of each pair, px.
        face: (k,) number of the face of each pair, sorted.
        own: (k, 2) its center, px.
        place: (k, 2) center of the face of the shot before, px.
        reach: (k,) how near it must come, px.

    Returns:
        (k + 1,) The counts. Shifts that cannot be the best ones are not looked at; they have 0.

    Pairs that agree with a shift have about the same shift. So the shifts are put into cells that are as wide as the largest reach, and
    each is compared with the pairs of its cell and of the eight around it. Cells come in the order of how many pairs these have.
    """
    counts = np.zeros(len(shifts), np.int64)
    if not len(face):
        return counts
    width = reach.max() * (1 + 1e-6)  # a little more, for rounding
    members: dict[tuple[int, int], list[int]] = {}
    for number, (x, y) in enumerate(np.floor(shifts / width).astype(int).tolist()):
        members.setdefault((x, y), []).append(number)
    around = {(x, y): [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (x + i, y + j) in members] for x, y in members}
    most = {cell: sum(len(members[other]) for other in cells) for cell, cells in around.items()}
    highest = 0
    for cell in sorted(members, key=lambda cell: -most[cell]):
        if most[cell] < highest:
            break
        near = [number - 1 for other in around[cell] for number in members[other] if number]  # shift 0 belongs to no pair
        pairs = np.sort(np.array(near, np.int64))
        first = np.flatnonzero(np.diff(face[pairs], prepend=-1))
        for start in range(0, len(members[cell]) if near else 0, _AT_ONCE):
            chosen = members[cell][start : start + _AT_ONCE]
            distance = np.abs(own[pairs] + shifts[chosen][:, None] - place[pairs]).max(-1)
            counts[chosen] = np.logical_or.reduceat(distance < reach[pairs], first, axis=1).sum(1)
            highest = max(highest, int(counts[chosen].max()))
    return counts


def _place_and_height(box: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return the centers (n, 2) and heights (n,) of boxes in px."""
    wide = box.astype(np.float64)
    return (wide[:, :2] + wide[:, 2:]) / 2, np.maximum(wide[:, 3] - wide[:, 1], 1)
