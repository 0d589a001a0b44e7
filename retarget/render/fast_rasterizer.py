"""Rasterize meshes of many small triangles in single precision.

This is faster than `retarget.render.rasterizer`, which is exact. Frame: x right and y down in pixels, z away from the
viewer. Letters: V vertices, T triangles, H rows, W columns, F drawn pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Floats32 = NDArray[np.float32]

_MARGIN = 1e-3  # barycentric; triangles are drawn larger by this, so that no gap opens between two
_MIN_DOUBLED_AREA_PX2 = 1e-9


class TriangleCorners(NamedTuple):
    """Triangles by their first corner and the two edges that leave it.

    Attributes:
        first: (3, T) x y z of the first corner.
        second: (3, T) second corner minus first corner.
        third: (3, T) third corner minus first corner.

    NumPy is fastest if T is the last axis.
    """

    first: Floats32
    second: Floats32
    third: Floats32


class Fragments(NamedTuple):
    """The nearest triangle at each pixel.

    Attributes:
        pixel: (F,) number of each drawn pixel, row by row.
        triangle: (F,) the triangle drawn there.
        weight: (F, 3) barycentric weights of its corners.
        depth: (H, W) z, +inf where nothing is drawn.
    """

    pixel: NDArray[np.intp]
    triangle: NDArray[np.intp]
    weight: Floats32
    depth: Floats32


def gather_corners(points: Floats, triangles: NDArray[np.integer]) -> TriangleCorners:
    """Collect the corners of triangles (T, 3) from points (V, 3)."""
    columns = np.ascontiguousarray(points.T, np.float32)
    a, b, c = (columns.take(k, 1) for k in np.ascontiguousarray(triangles.T))
    return TriangleCorners(a, b - a, c - a)


def rasterize_fast(corners: TriangleCorners, height: int, width: int, cull: bool = True) -> Fragments:
    """Find the nearest triangle at the center of each pixel.

    Args:
        corners: The triangles, from `gather_corners`.
        height: H.
        width: W.
        cull: Leave out triangles that are seen from behind. The front is counter-clockwise as seen.

    Memory grows with the area of the bounding boxes of all triangles.
    """
    (ux, uy, _), (vx, vy, _) = corners.second, corners.third
    area = ux * vy - vx * uy
    x0, x1 = _pixel_bounds(corners.first[0], ux, vx, width)
    y0, y1 = _pixel_bounds(corners.first[1], uy, vy, height)
    visible = -area if cull else np.abs(area)
    chosen = np.flatnonzero((visible > _MIN_DOUBLED_AREA_PX2) & (x1 >= x0) & (y1 >= y0))
    x0, y0, columns, rows = (v[chosen] for v in (x0, y0, x1 - x0 + 1, y1 - y0 + 1))
    item, column, row = _pixels_of_boxes(columns, rows)
    weight, z = _weights_and_depths(_take(corners, chosen), area[chosen], (x0, y0), (item, column, row))
    inside = np.flatnonzero((weight[0] >= -_MARGIN) & (weight[1] >= -_MARGIN) & (weight.sum(0) <= 1 + _MARGIN))
    item, weight, z = item[inside], weight[:, inside], z[inside]
    start = y0.astype(np.intp) * width + x0.astype(np.intp)
    pixel = start.take(item) + row[inside].astype(np.intp) * width + column[inside].astype(np.intp)
    depth = np.full(height * width, np.inf, np.float32)
    np.minimum.at(depth, pixel, z)
    winner = np.full(height * width, -1, np.intp)
    nearest = np.flatnonzero(z == depth[pixel])
    winner[pixel[nearest]] = nearest
    drawn = np.flatnonzero(winner >= 0)
    second, third = weight[:, winner[drawn]]
    barycentric = np.stack([1 - second - third, second, third], 1)
    return Fragments(drawn, chosen[item[winner[drawn]]], barycentric, depth.reshape(height, width))


def interpolate_corners(values: NDArray[Any], corner: NDArray[np.integer], weight: Floats) -> Floats32:
    """Interpolate values between the corners of triangles.

    Args:
        values: (V, C) values at vertices.
        corner: (F, 3) vertex numbers.
        weight: (F, 3) barycentric weights.

    Returns:
        (F, C)

    The corners are added one after the other, because gathering all three at once is slow.
    """
    values = np.ascontiguousarray(values, np.float32)
    result = values.take(corner[:, 0], 0) * weight[:, :1]
    for k in (1, 2):
        result += values.take(corner[:, k], 0) * weight[:, k : k + 1]
    return np.asarray(result)


def _pixel_bounds(first: Floats, second: Floats, third: Floats, size: int) -> tuple[Floats, Floats]:
    """Return the first and last pixel (T,) on one axis whose centers lie within the triangles' bounds and the image."""
    low = np.ceil(first + np.minimum(np.minimum(second, third), 0) - 0.5)
    high = np.floor(first + np.maximum(np.maximum(second, third), 0) - 0.5)
    return np.maximum(low, 0), np.minimum(high, size - 1)


class _BoxPixels(NamedTuple):
    """Pixels of bounding boxes, one box after the other: the box, and column and row within it."""

    item: NDArray[np.intp]
    column: Floats32
    row: Floats32


def _pixels_of_boxes(columns: Floats, rows: Floats) -> _BoxPixels:
    """List every pixel in boxes of a number of columns (T,) and rows (T,). Most boxes hold one or two pixels."""
    count = (columns * rows).astype(np.intp)
    item = np.repeat(np.arange(len(count)), count)
    place = (np.arange(len(item)) - (np.cumsum(count) - count).take(item)).astype(np.float32)
    wide = columns.take(item)
    row = np.floor((place + np.float32(0.5)) / wide)
    return _BoxPixels(item, np.asarray(place - row * wide, np.float32), np.asarray(row, np.float32))


def _take(corners: TriangleCorners, chosen: NDArray[np.intp]) -> TriangleCorners:
    return TriangleCorners(*(part[:, chosen] for part in corners))


def _weights_and_depths(
    corners: TriangleCorners, area: Floats, origin: tuple[Floats, Floats], pixels: _BoxPixels | tuple[Any, Any, Any]
) -> tuple[Floats32, Floats32]:
    """Return weights of the second and third corner (2, P) and z (P,) at the centers of pixels of bounding boxes.

    origin: column and row (T,) of the first pixel of each box.
    """
    item, column, row = pixels
    (fx, fy, fz), (ux, uy, uz), (vx, vy, vz) = corners
    x, y = origin[0] + np.float32(0.5) - fx, origin[1] + np.float32(0.5) - fy
    p, q, r, s = vy / area, -vx / area, -uy / area, ux / area
    second = (x * p + y * q).take(item) + column * p.take(item) + row * q.take(item)
    third = (x * r + y * s).take(item) + column * r.take(item) + row * s.take(item)
    return np.stack([second, third]), fz.take(item) + second * uz.take(item) + third * vz.take(item)
