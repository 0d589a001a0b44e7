"""Rasterize triangles exactly, in plain NumPy: which triangle is nearest at each pixel, and where in it.

Frame of every array: x right, y down in pixels, z away from the viewer in any unit (smaller is nearer). Pixel (row i,
column j) covers [j, j+1) x [i, i+1) and is sampled at its center (j + 0.5, i + 0.5), as OpenGL does. Letters: V vertices,
T triangles, H rows, W columns, F fragments: pixels of triangles.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

_ROWS_AT_ONCE = 1 << 18  # these two keep the working memory in the cache of the processor
_FRAGMENTS_AT_ONCE = 1 << 16
_NOTHING = np.int64(np.iinfo(np.int64).max)
_LOW_BITS = np.int64(0xFFFFFFFF)


def rasterize(
    points: Floats, triangles: Ints, height: int, width: int, cull: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the nearest triangle at each pixel and the place in it.

    Args:
        points: (V, 3)
        triangles: (T, 3) vertex numbers.
        height: H.
        width: W.
        cull: Leave out triangles that are seen from behind.

    Returns:
        The triangle (H, W), -1 where there is none, and the barycentric weights (H, W, 3) of its corners, linear on the
        screen, zeros where there is none.
    """
    triangle, _ = nearest_triangles(points, triangles, height, width, cull)
    barycentric = np.zeros((height * width, 3), np.float32)
    pixel = np.flatnonzero(triangle >= 0)
    barycentric[pixel] = barycentric_at(points, triangles, triangle.ravel()[pixel], pixel, width)
    return triangle, barycentric.reshape(height, width, 3)


def nearest_triangles(
    points: Floats, triangles: Ints, height: int, width: int, cull: bool = False, behind: Floats | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the nearest triangle at each pixel.

    Args:
        points: (V, 3). Triangles with a corner that is not finite are not drawn.
        triangles: (T, 3) vertex numbers. Several meshes may be concatenated.
        height: H.
        width: W.
        cull: Leave out triangles that are seen from behind. The front is counter-clockwise as seen.
        behind: (H, W) z; only fragments with a larger z are drawn; +inf draws nothing. This peels transparent layers.

    Returns:
        The triangle (H, W), -1 where there is none, and its z (H, W), +inf where there is none. Of triangles at the
        same z in single precision, the first one is drawn.

    Raises:
        ValueError: The arrays have a wrong shape, or a vertex number is out of range.
    """
    _check_mesh(points, triangles)
    corners = np.asarray(points, np.float64).T[:, np.asarray(triangles).T]  # (x y z, 3 corners, T): T last is fastest
    best = np.full(height * width, _NOTHING)
    limit = None if behind is None else np.asarray(behind, np.float32).ravel()
    for pixel, triangle, z in _fragments(corners, height, width, cull):
        if limit is not None:
            keep = z > limit[pixel]
            pixel, triangle, z = pixel[keep], triangle[keep], z[keep]
        np.minimum.at(best, pixel, _keys(z, triangle))
    is_drawn = best != _NOTHING
    winner = np.where(is_drawn, best & _LOW_BITS, -1).astype(np.int32)
    depth = np.where(is_drawn, _ordered(best >> 32).view(np.float32), np.float32(np.inf))
    return winner.reshape(height, width), depth.reshape(height, width)


def barycentric_at(points: Floats, triangles: Ints, triangle: Ints, pixel: Ints, width: int) -> NDArray[np.float32]:
    """Return barycentric weights at the centers of pixels.

    Args:
        points: (V, 3)
        triangles: (T, 3)
        triangle: (F,) the triangle at each pixel.
        pixel: (F,) pixel numbers, row by row.
        width: W.

    Returns:
        (F, 3) weights of the corners.
    """
    corner = np.asarray(triangles).T[:, triangle]  # (3 corners, F)
    row = pixel // width
    # Relative to the center of the pixel, each weight is the area of the triangle that the other two corners make with it.
    x = np.asarray(points, np.float64)[:, 0][corner] - (pixel - row * width + 0.5)
    y = np.asarray(points, np.float64)[:, 1][corner] - (row + 0.5)
    area = _double_area(x, y)
    second, third = (x[2] * y[0] - x[0] * y[2]) / area, (x[0] * y[1] - x[1] * y[0]) / area
    return np.stack([1 - second - third, second, third], axis=1).astype(np.float32)


def _check_mesh(points: Floats, triangles: Ints) -> None:
    if np.ndim(points) != 2 or np.shape(points)[1] != 3:
        raise ValueError(f"points: expected shape (V, 3), got {np.shape(points)}")
    if np.ndim(triangles) != 2 or np.shape(triangles)[1] != 3:
        raise ValueError(f"triangles: expected shape (T, 3), got {np.shape(triangles)}")
    if np.size(triangles) and (np.min(triangles) < 0 or np.max(triangles) >= len(points)):
        raise ValueError(
            f"triangles: expected vertex numbers in 0..{len(points) - 1}, got {np.min(triangles)}..{np.max(triangles)}"
        )


def _keys(z: NDArray[np.float32], triangle: Ints) -> NDArray[np.int64]:
    """Return (F,) integers that are ordered by z and then by triangle, so that one minimum finds the nearest triangle."""
    return (_ordered(z.view(np.int32)).astype(np.int64) << 32) | triangle


def _ordered(bits: Ints) -> NDArray[np.int32]:
    """Turn the bits of single-precision numbers into integers of the same order, and back: negative ones are reversed."""
    bits = bits.astype(np.int32, copy=False)
    result: NDArray[np.int32] = bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
    return result


def _fragments(corners: Floats, height: int, width: int, cull: bool) -> Iterator[tuple[Ints, Ints, NDArray[np.float32]]]:
    """Yield all fragments in portions of limited size: pixel number (F,), triangle (F,), z (F,).

    Triangles are split into rows, and rows into pixels, so that the time depends on the area that is covered. Each
    step copies a value of a row to its pixels with `repeat`, which is much faster than to look it up by number.
    """
    chosen = _visible(corners, height, width, cull)
    if not len(chosen):
        return
    corners = corners[:, :, chosen]
    first, rows = _row_range(corners[1], height)
    left, right, plane = _edges(corners)
    for start, stop in _portions(rows, _ROWS_AT_ONCE):
        count = rows[start:stop]
        y = _ranges(first[start:stop], count)
        center = y + 0.5
        low, high = np.zeros(len(y)), np.full(len(y), float(width))
        for k in range(3):
            np.maximum(low, np.repeat(left[0, k, start:stop], count) * center + np.repeat(left[1, k, start:stop], count), out=low)
            np.minimum(high, np.repeat(right[0, k, start:stop], count) * center + np.repeat(right[1, k, start:stop], count), out=high)
        x0 = np.ceil(np.minimum(low, width) - 0.5).astype(np.int64)
        columns = np.maximum(np.floor(np.maximum(high, 0) - 0.5).astype(np.int64) - x0 + 1, 0)
        step = np.repeat(plane[0, start:stop], count)
        z = np.repeat(plane[1, start:stop], count) * center + np.repeat(plane[2, start:stop], count) + step * (x0 + 0.5)
        z = z.astype(np.float32)
        owner, pixel, step = np.repeat(chosen[start:stop], count), y * width + x0, step.astype(np.float32)
        for a, b in _portions(columns, _FRAGMENTS_AT_ONCE):
            wide = columns[a:b]
            column = _ranges(np.zeros(b - a, np.int64), wide)
            here = np.repeat(z[a:b], wide) + np.repeat(step[a:b], wide) * column.astype(np.float32)
            yield np.repeat(pixel[a:b], wide) + column, np.repeat(owner[a:b], wide), here.astype(np.float32, copy=False)


def _visible(corners: Floats, height: int, width: int, cull: bool) -> Ints:
    """Return the numbers of the triangles that are finite, have an area and may touch the image."""
    x, y, _ = corners
    with np.errstate(invalid="ignore", over="ignore"):
        area = _double_area(x, y)
        keep = np.isfinite(corners.sum(axis=(0, 1))) & np.isfinite(area) & (area < 0 if cull else area != 0)
        keep &= (x.max(axis=0) > 0) & (y.max(axis=0) > 0) & (x.min(axis=0) < width) & (y.min(axis=0) < height)
    return np.flatnonzero(keep)


def _double_area(x: Floats, y: Floats) -> Floats:
    """Return twice the signed area (T,) of corners (3, T); negative if counter-clockwise as seen, because y is down."""
    result: Floats = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    return result


def _row_range(y: Floats, height: int) -> tuple[Ints, Ints]:
    """Return the first row (T,) and the number of rows (T,) with centers within the triangle and the image."""
    inside = np.clip(y, 0, height)
    first = np.ceil(inside.min(axis=0) - 0.5).astype(np.int64)
    last = np.floor(inside.max(axis=0) - 0.5).astype(np.int64)
    return first, np.maximum(last - first + 1, 0)


def _edges(corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Return left and right edges of triangles as lines x = slope y + offset, and their planes z = p x + q y + r.

    Returns:
        Left (2, 3, T), right (2, 3, T) and plane (3, T). An edge that does not bound a side is at infinity.

    A shared edge gives exactly the same line for both triangles, and both bounds are inclusive. So no gap can open
    between neighbors.
    """
    x, y, z = corners
    area = _double_area(x, y)
    after = [1, 2, 0]
    rise = y[after] - y
    safe = np.where(rise == 0, 1, rise)
    slope, offset = (x[after] - x) / safe, (x * y[after] - x[after] * y) / safe
    inward = np.sign(area) * rise
    left = np.stack([np.where(inward < 0, slope, 0), np.where(inward < 0, offset, -np.inf)])
    right = np.stack([np.where(inward > 0, slope, 0), np.where(inward > 0, offset, np.inf)])
    (ux, uy, uz), (vx, vy, vz) = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p, q = (uz * vy - vz * uy) / area, (vz * ux - uz * vx) / area
    return left, right, np.stack([p, q, z[0] - p * x[0] - q * y[0]])


def _ranges(first: Ints, counts: Ints) -> Ints:
    """List ranges: for counts (2, 3) and first (5, 9) the values (5, 6, 9, 10, 11)."""
    result: Ints = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    return result


def _portions(counts: Ints, limit: int) -> Iterator[tuple[int, int]]:
    """Yield ranges [start, stop) of counts whose sum is about `limit`; a single item may exceed it."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + limit, side="right")))
        yield start, stop
        start = stop
