"""Plan the forward passes over a picture: at which scales a network reads it, and in which tiles.

A network finds the faces of a range of sizes in its input (`FaceRange`). The first scale is chosen so that the smallest wanted face just
reaches this range. A picture that is too large at this scale is read in overlapping tiles, so that memory is bounded. Faces that are too
large for the range, or for the overlap of the tiles, are found in a smaller copy of the picture: a second scale, seldom a third, which
together cost an eighth of the first or less. The time depends on the size of the picture and on the smallest wanted face only.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.input.letterbox import MAX_ENLARGEMENT
from mfn.structures.network_metadata import FaceRange, Size

MAX_TILE_AREA_PX = 2 << 20  # of the network input: at most 0.5 GB of feature maps
OVERLAP_FACES = 3.6  # overlap of tiles, in heights of the smallest face that the network finds
MARGIN_PX = 16  # between a face and an inner border of its tile, px of the network input
SHARED_SIZES = 1.2  # a scale reports faces up to this times the smallest face of the next scale
FILLED = 1.65  # in the smallest copy of the picture, its shorter side is this times the largest face of the network's range
MIN_REPORTED = 0.85  # a scale that is not the first reports faces from this times the smallest face that the network finds
MIN_FACES_ACROSS = 4.0  # the shorter side of a picture is at least this times the smallest wanted face


class Tile(NamedTuple):
    """A part of a picture: x and y of its first px, width and height, px of the picture."""

    x: int
    y: int
    width: int
    height: int


class Pass(NamedTuple):
    """The tiles of one scale.

    Attributes:
        factor: px of the network input for one px of the picture.
        tiles: Parts of the picture; all have the same size. One for the whole picture.
        reported_px: Smallest and largest face that is reported, in px of the network input.
    """

    factor: float
    tiles: tuple[Tile, ...]
    reported_px: tuple[float, float]


class InputLimits(NamedTuple):
    """What a network takes and finds.

    Attributes:
        multiple: Both sides of the input are multiples of this, in px.
        fixed_size: The only input size, or None.
        face_range: Faces that it finds, px of the input.
    """

    multiple: int
    fixed_size: Size | None
    face_range: FaceRange


def plan_passes(height: int, width: int, min_face_px: float, limits: InputLimits) -> list[Pass]:
    """Choose the scales and tiles at which a picture is read.

    Args:
        height, width: Size of the picture in px.
        min_face_px: Height of the smallest wanted face in px of the picture.
        limits: What the network takes and finds.

    Returns:
        The passes, the finest first. A picture is enlarged `MAX_ENLARGEMENT` times at most.
    """
    low, high = limits.face_range
    shorter = min(height, width)
    min_face_px = min(min_face_px, shorter / MIN_FACES_ACROSS)
    factor = min(low / min_face_px, MAX_ENLARGEMENT)
    smallest = min(factor, FILLED * high / shorter, _whole_factor(height, width, limits))
    passes: list[Pass] = []
    while True:
        whole = _fits(height * factor, width * factor, limits)
        largest = high if whole else min(high, OVERLAP_FACES * low)
        last = factor <= smallest * 1.001
        if last:
            largest = math.inf
        tiles = (Tile(0, 0, width, height),) if whole else _cover(height, width, factor, limits)
        passes.append(Pass(factor, tiles, (MIN_REPORTED * low if passes else 0.0, largest)))
        if last:
            return passes
        factor = max(smallest, factor * SHARED_SIZES * low / largest)


def _whole_factor(height: int, width: int, limits: InputLimits) -> float:
    """Return the largest scale at which a picture of this size in px is read at once."""
    if limits.fixed_size is not None:
        return min(limits.fixed_size.height / height, limits.fixed_size.width / width)
    return math.sqrt(MAX_TILE_AREA_PX / (height * width))


def _fits(height: float, width: float, limits: InputLimits) -> bool:
    """Return whether an input of this size in px is read at once."""
    if limits.fixed_size is not None:
        return height <= limits.fixed_size.height + 0.5 and width <= limits.fixed_size.width + 0.5
    return height * width <= MAX_TILE_AREA_PX + 0.5


def _cover(height: int, width: int, factor: float, limits: InputLimits) -> tuple[Tile, ...]:
    """Cover a picture with tiles that overlap: of all numbers of columns and rows, those that read the fewest px in total."""
    overlap = (OVERLAP_FACES * limits.face_range.min_px + 2 * MARGIN_PX) / factor + 1  # px of the picture
    if limits.fixed_size is not None:
        overlap = min(overlap, min(limits.fixed_size) / 2 / factor)
    best: tuple[float, int, int] = (math.inf, 0, 0)
    for columns in range(1, math.ceil(width / overlap) + 1):
        tile_width = _side(width, columns, overlap)
        for rows in range(1, math.ceil(height / overlap) + 1):
            tile_height = _side(height, rows, overlap)
            if _fits(tile_height * factor, tile_width * factor, limits):
                best = min(best, (columns * rows * tile_width * tile_height, columns, rows))
                break  # more rows read more px
    _, columns, rows = best
    tile_width, tile_height = _side(width, columns, overlap), _side(height, rows, overlap)
    x = np.round(np.linspace(0, width - tile_width, columns)).astype(int)
    y = np.round(np.linspace(0, height - tile_height, rows)).astype(int)
    return tuple(Tile(left, top, tile_width, tile_height) for top in y.tolist() for left in x.tolist())


def _side(length: int, count: int, overlap: float) -> int:
    """Return the side of `count` tiles along `length` px that overlap by `overlap` px."""
    return min(length, math.ceil((length + (count - 1) * overlap) / count))


def is_reported(box: NDArray[Any], tile: Tile, part: Pass, height: int, width: int) -> NDArray[np.bool_]:
    """Mark the faces that have the right size and lie whole within their tile, away from its inner borders.

    Args:
        box: (N, 4) x1 y1 x2 y2 in px of the picture.
        tile: The tile that they were found in.
        part: The pass of the tile.
        height, width: Size of the picture in px.

    Returns:
        (N,) mask.
    """
    margin, low, high = MARGIN_PX / part.factor, part.reported_px[0], part.reported_px[1]
    inside = (box[:, 0] >= tile.x + margin) | (tile.x <= 0)
    inside &= (box[:, 1] >= tile.y + margin) | (tile.y <= 0)
    inside &= (box[:, 2] <= tile.x + tile.width - margin) | (tile.x + tile.width >= width)
    inside &= (box[:, 3] <= tile.y + tile.height - margin) | (tile.y + tile.height >= height)
    size = longer_side(box) * part.factor
    return np.asarray(inside & (size >= low) & (size <= high))


def longer_side(box: NDArray[Any]) -> NDArray[Any]:
    """Return the longer side (N,) of boxes (N, 4)."""
    return np.asarray((box[:, 2:] - box[:, :2]).max(1))
