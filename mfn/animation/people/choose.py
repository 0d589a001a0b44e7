"""The people of a clip or photo: who was found, whom to keep, and a contact sheet to tell them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.animation.bridge import faces_to_take
from mfn.inference.predictor import Predictor
from mfn.structures.crop_geometry import face_tile
from mfn.structures.faces import Faces
from mfn.video.reader import read_frames
from mfn.video.tracking.linear_assignment import linear_assignment
from retarget.io.images import Image, read_image, write_image
from retarget.performance.calibrate import Calibration, calibration_from_neutral

_TILE_PX, _TILES = 112, 6
_LABEL_PX = 64


@dataclass(frozen=True)
class Person:
    """One person of a clip or photo."""

    number: int
    """The number that `--drop` takes: from 0, in the order of appearance."""
    first_s: float
    """When the person appears first, seconds."""
    last_s: float
    """When the person appears last, seconds."""
    frames: int
    """Number of frames with the person."""
    height_px: float
    """Median height of the face, px."""
    score: float
    """Mean score."""

    def __str__(self) -> str:
        return (
            f"person {self.number}: {self.first_s:.1f} to {self.last_s:.1f} s, {self.frames} frames, "
            f"face {self.height_px:.0f} px high, score {self.score:.2f}"
        )


def people_of(faces: Faces, time_s: NDArray[Any]) -> list[Person]:
    """Describe everybody, in the order of their numbers.

    Args:
        faces: N faces with tracks; `image` is the frame.
        time_s: (F,) time of each frame, seconds.
    """
    found = []
    for track in np.unique(faces.track):
        own = faces[faces.track == track]
        times, height = np.asarray(time_s)[own.image], own.box[:, 3] - own.box[:, 1]
        person = Person(int(track), float(times.min()), float(times.max()), len(own), float(np.median(height)), float(own.score.mean()))
        found.append(person)
    return found


def choose_people(faces: Faces, count: int | None, drop: Sequence[int]) -> Faces:
    """Keep the people whom the user wants. Their numbers stay.

    Args:
        faces: N faces with tracks.
        count: Keep so many people, those whose faces are largest and longest in the picture. None: keep everybody.
        drop: Numbers of people to leave out.

    Raises:
        ValueError: There is nobody of a number, or nobody remains.
    """
    numbers = np.unique(faces.track)
    unknown = [number for number in drop if number not in numbers]
    if unknown and len(numbers):
        last = f" to {numbers[-1]}" if len(numbers) > 1 else ""
        raise ValueError(f"--drop {unknown[0]}: expected the number of a person, {numbers[0]}{last}")
    faces = faces[~np.isin(faces.track, drop)]
    if len(numbers) and not len(faces):
        raise ValueError("--drop: nobody remains; keep at least one person")
    if count is None:
        return faces
    numbers, which = np.unique(faces.track, return_inverse=True)
    presence = np.bincount(which, faces.box[:, 3] - faces.box[:, 1], minlength=len(numbers))
    return faces[np.isin(faces.track, numbers[np.argsort(-presence, kind="stable")[:count]])]


def read_neutral(predictor: Predictor, photo: Path | None) -> Faces | None:
    """Detect the faces of a photo of people at rest. None stays None.

    Raises:
        ValueError: There is no face in the photo.
    """
    if photo is None:
        return None
    faces = predictor(read_image(photo))
    if not len(faces):
        raise ValueError(f"--neutral {photo}: no face found (expected a photo of the same people with resting faces)")
    return faces


def neutral_calibration(neutral: Faces, faces: Faces) -> Calibration:
    """Return the calibration of the people in `faces` by their resting faces.

    Args:
        neutral: M faces of a photo. A single face is that of everybody if there is one person; else each person gets
            the face that is most like theirs, and no face belongs to two.
        faces: N faces; `track` is the person.
    """
    tracks = np.unique(faces.track)
    identity = np.array([faces.identity[faces.track == track].mean(0) for track in tracks]).reshape(len(tracks), -1)
    distance = ((identity[:, None] - neutral.identity[None]) ** 2).sum(2)
    match = linear_assignment(1 + distance.max(initial=0) - distance)
    matched = match >= 0
    resting = neutral[match[matched]].replace(track=tracks[matched])
    return calibration_from_neutral(faces_to_take(resting, (1, 1)))


def write_people_sheet(path: Path, frames: dict[int, Image], faces: Faces) -> None:
    """Draw a row of pictures for each person, with the number in front.

    Args:
        path: Image file to write.
        frames: Images (H, W, 3) uint8 RGB by frame; see `sheet_frames`.
        faces: N faces with tracks.
    """
    import cv2

    rows = []
    for track in np.unique(faces.track):
        own = faces[faces.track == track]
        label = np.full((_TILE_PX, _LABEL_PX, 3), 255, np.uint8)
        cv2.putText(label, str(track), (8, _TILE_PX // 2 + 12), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2, cv2.LINE_AA)
        tiles = [face_tile(frames[int(own.image[i])], own.box[i], _TILE_PX) for i in _spread(len(own)) if int(own.image[i]) in frames]
        blank = [np.full((_TILE_PX, _TILE_PX, 3), 255, np.uint8)] * (_TILES - len(tiles))
        rows.append(np.concatenate([label, *tiles, *blank], 1))
    write_image(path, np.concatenate(rows))


def sheet_frames(source: str, faces: Faces, start_s: float, end_s: float | None) -> dict[int, Image]:
    """Read the frames that a contact sheet shows: for each person a few, evenly spread.

    Args:
        source: The clip.
        faces: N faces with tracks.
        start_s: Where frame 0 lies, seconds.
        end_s: Where the part of the clip ends, seconds. None: its end.
    """
    wanted = set[int]()
    for track in np.unique(faces.track):
        own = faces.image[faces.track == track]
        wanted |= {int(own[i]) for i in _spread(len(own))}
    return _read_numbered(source, wanted, start_s, end_s)


def portraits(source: str, faces: Faces, start_s: float, end_s: float | None) -> dict[int, Image]:
    """Return one small square picture of each person of a clip, by their number: from the frame in which the face is largest.

    Args:
        source, faces, start_s, end_s: See `sheet_frames`.
    """
    best = {int(track): int(np.argmax(np.where(faces.track == track, faces.scale, 0))) for track in np.unique(faces.track)}
    frames = _read_numbered(source, {int(faces.image[row]) for row in best.values()}, start_s, end_s)
    rows = {track: row for track, row in best.items() if int(faces.image[row]) in frames}
    return {track: face_tile(frames[int(faces.image[row])], faces.box[row], _TILE_PX) for track, row in rows.items()}


def _read_numbered(source: str, wanted: set[int], start_s: float, end_s: float | None) -> dict[int, Image]:
    """Read the frames of these numbers."""
    frames = dict[int, Image]()
    for number, (_, image) in enumerate(read_frames(source, start_s, end_s)):
        if number in wanted:
            frames[number] = image
        if len(frames) == len(wanted):
            break
    return frames


def _spread(count: int) -> list[int]:
    """Return up to `_TILES` numbers below `count`, evenly spread."""
    return sorted({int(i) for i in (np.arange(_TILES) + 0.5) * count / _TILES})
