"""Lay faces of pictures into frames at a wanted size, and compare the expressions that are read there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.evaluation_sets import EVALUATION_CLIPS, read_clip
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.structures.head_model import face_box
from mfn.training.packs.reader import read_pictures
from retarget.io.images import Image

GRAY = 114
MAX_OFFSET = 0.4  # of the face's size: a prediction farther from the middle is another face


class Source(NamedTuple):
    """Hold one face: a picture (H, W, 3) uint8 RGB and its box (4,) x1 y1 x2 y2 in px."""

    picture: Image
    box: NDArray[Any]


class Follow(NamedTuple):
    """Hold how one signal follows another: correlation and slope of the regression line, NaN if the first is constant."""

    correlation: float
    gain: float


def lay_face(source: Source, size_px: float, width_px: int, height_px: int) -> Image:
    """Lay a picture on gray such that its face has a given size and lies in the middle.

    Args:
        source: The face.
        size_px: Wanted size of the face: the square root of the area of its box.
        width_px, height_px: Size of the result.

    Returns:
        (height_px, width_px, 3) uint8 RGB.
    """
    import cv2

    box, picture = source.box.astype(float), source.picture
    gain = size_px / float(np.sqrt((box[2:] - box[:2]).prod()))
    if gain < 0.7:  # a plain warp would alias
        picture = np.asarray(cv2.resize(picture, None, fx=1.2 * gain, fy=1.2 * gain, interpolation=cv2.INTER_AREA))
        box, gain = box * 1.2 * gain, 1 / 1.2
    shift = np.array([width_px, height_px]) / 2 - gain * (box[:2] + box[2:]) / 2
    matrix = np.array([[gain, 0, shift[0]], [0, gain, shift[1]]])
    warped = cv2.warpAffine(picture, matrix, (width_px, height_px), flags=cv2.INTER_LINEAR, borderValue=(GRAY,) * 3)
    return np.asarray(warped, np.uint8)


def cell_corners(count: int, width_px: int, height_px: int) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """Divide a frame into at least `count` equal cells of about square shape.

    Returns:
        Corners (count, 2) x y of the first cells in px, and the width and height of a cell.
    """
    columns = max(1, round(np.sqrt(count * width_px / height_px)))
    rows = -(-count // columns)
    size = width_px // columns, height_px // rows
    place = np.arange(count)
    return np.stack([place % columns * size[0], place // columns * size[1]], 1), size


def face_nearest(faces: Faces, middle: NDArray[Any], size_px: float) -> Faces:
    """Return the one face whose box lies nearest to a point (2,), or no face if none is within MAX_OFFSET of its size."""
    offset_px = np.abs((faces.box[:, :2] + faces.box[:, 2:]) / 2 - middle).max(1)
    near = bool(len(faces)) and offset_px.min() <= MAX_OFFSET * size_px
    return faces[[int(offset_px.argmin())]] if near else faces[[]]


def follow(reference: NDArray[Any], value: NDArray[Any], min_spread: float = 0.0) -> Follow:
    """Return correlation and gain of `value` (N,) against `reference` (N,).

    Args:
        reference: What is followed.
        value: What follows.
        min_spread: A reference whose standard deviation does not exceed this has no meaningful correlation.
    """
    if len(reference) < 3 or reference.std() <= min_spread:
        return Follow(float("nan"), float("nan"))
    moved = (reference - reference.mean()) @ (value - value.mean()) / len(value)
    spread = reference.std() * value.std()
    return Follow(float(moved / spread) if spread > 0 else 0.0, float(moved / reference.var()))


def pack_faces(folder: Path, name: str, every: int) -> list[Source]:
    """Read the faces with landmarks of one picture in `every` of a pack SOURCE.tar and SOURCE.npz."""
    pictures = read_pictures(folder / f"{name}.tar", every)
    with np.load(folder / f"{name}.npz", allow_pickle=False) as data:
        rows = np.flatnonzero(data["face_picture"] % every == 0)
        boxes = face_box(data["face_landmarks"][rows].astype(np.float32) * data["landmark_scale"])
        number = data["face_picture"][rows] // every
    return [Source(pictures[n], box) for n, box in zip(number, boxes, strict=True)]


def clip_faces(folder: Path, every: int, predictor: Predictor, names: Sequence[str] = EVALUATION_CLIPS) -> list[Source]:
    """Read one frame in `every` of the clips, with the box of the best face that a network finds in it."""
    sources = []
    for name in names:
        for frame in read_clip(folder / f"{name}.mp4", 10000, every):
            faces = predictor(frame)
            sources += [Source(frame, faces.box[0])] if len(faces) else []
    return sources
