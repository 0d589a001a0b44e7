"""Triangles to px for meshes of many small triangles, in single precision: quicker than `retarget.render.rasterizer`, which is exact.

Frame: x right, y down in px, z away from the viewer. Letters: V vertices, T triangles, H W of the picture, F drawn px.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
EDGE = 1e-3  # shares of a triangle by which it is drawn too large, so that no crack opens between two


class Corners(NamedTuple):
    """Triangles by their first corner and the two edges that leave it, (3, T) each: x y z, T last is fastest."""

    first: Floats
    second: Floats
    third: Floats


class Drawn(NamedTuple):
    """What is nearest. pixel: (F,) number of each drawn px, row by row; triangle: (F,); share: (F, 3) of its corners; depth: (H, W)"""

    pixel: NDArray[np.intp]
    triangle: NDArray[np.intp]
    share: Floats
    depth: Floats


def corners(points: Floats, triangles: NDArray) -> Corners:
    """points: (V, 3); triangles: (T, 3)."""
    across = np.ascontiguousarray(points.T, np.float32)
    a, b, c = (across.take(k, 1) for k in np.ascontiguousarray(triangles.T))
    return Corners(a, b - a, c - a)


def normals(at: Corners, triangles: NDArray, count: int) -> Floats:
    """Unit normals (V, 3) in the corners' frame, outward; count: V. As `retarget.render.rasterizer.vertex_normals`."""
    (ux, uy, uz), (vx, vy, vz) = at.second, at.third
    corner = triangles.T.ravel()
    total = np.empty((3, count), np.float32)
    for axis, part in enumerate((uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)):
        total[axis] = np.bincount(corner, np.concatenate([part] * 3), minlength=count)
    length = np.sqrt((total * total).sum(0))
    return (total / np.where(length > 0, length, 1)).T


def draw_front(at: Corners, height: int, width: int, backs: bool = False) -> Drawn:
    """The nearest of the triangles that face the viewer at each px's centre. Memory grows with the px covered.

    backs: draw those too that face away.
    """
    (ux, uy, _), (vx, vy, _) = at.second, at.third
    area = ux * vy - vx * uy
    x0, x1 = _bounds(at.first[0], ux, vx, width)
    y0, y1 = _bounds(at.first[1], uy, vy, height)
    chosen = np.flatnonzero(((np.abs(area) if backs else -area) > 1e-9) & (x1 >= x0) & (y1 >= y0))
    x0, y0, across, down = (v[chosen] for v in (x0, y0, x1 - x0 + 1, y1 - y0 + 1))
    fx, fy, fz, ux, uy, uz, vx, vy, vz, area = (v[chosen] for v in (*at.first, *at.second, *at.third, area))
    p, q, r, s = vy / area, -vx / area, -uy / area, ux / area
    x, y = x0 + np.float32(0.5) - fx, y0 + np.float32(0.5) - fy  # of the bounds' first px, from the first corner
    # Every px in every triangle's bounds, one after the other: most bounds hold one px or two.
    count = (across * down).astype(np.intp)
    item = np.repeat(np.arange(len(chosen)), count)
    place = (np.arange(len(item)) - (np.cumsum(count) - count).take(item)).astype(np.float32)
    wide = across.take(item)
    row = np.floor((place + np.float32(0.5)) / wide)
    column = place - row * wide
    second = (x * p + y * q).take(item) + column * p.take(item) + row * q.take(item)
    third = (x * r + y * s).take(item) + column * r.take(item) + row * s.take(item)
    inside = np.flatnonzero((second >= -EDGE) & (third >= -EDGE) & (second + third <= 1 + EDGE))
    item, second, third = item[inside], second[inside], third[inside]
    z = fz.take(item) + second * uz.take(item) + third * vz.take(item)
    start = y0.astype(np.intp) * width + x0.astype(np.intp)
    pixel = start.take(item) + row[inside].astype(np.intp) * width + column[inside].astype(np.intp)
    depth = np.full(height * width, np.inf, np.float32)
    np.minimum.at(depth, pixel, z)
    winner = np.full(height * width, -1, np.intp)
    best = np.flatnonzero(z == depth[pixel])
    winner[pixel[best]] = best
    pixel = np.flatnonzero(winner >= 0)
    best = winner[pixel]
    second, third = second[best], third[best]
    share = np.stack([1 - second - third, second, third], 1)
    return Drawn(pixel, chosen[item[best]], share, depth.reshape(height, width))


def between(values: Floats, corner: NDArray, share: Floats) -> Floats:
    """Values (V, C) between corners (F, 3) by their shares (F, 3) -> (F, C) float32; row by row taken, as gathering all is slow."""
    values = np.ascontiguousarray(values, np.float32)
    out = values.take(corner[:, 0], 0) * share[:, :1]
    for k in (1, 2):
        out += values.take(corner[:, k], 0) * share[:, k : k + 1]
    return out


def _bounds(first: Floats, second: Floats, third: Floats, size: int) -> tuple[Floats, Floats]:
    """First and last px (T,) on one axis whose centres lie within the triangles' bounds and the picture."""
    low = np.ceil(first + np.minimum(np.minimum(second, third), 0) - 0.5)
    high = np.floor(first + np.maximum(np.maximum(second, third), 0) - 0.5)
    return np.maximum(low, 0), np.minimum(high, size - 1)
