"""Triangles to pixels in plain numpy: a z-buffer, smooth normals, a small light, anti-aliasing. No GPU, no compiled
extension.

Frame of every array here: x right, y down in pixels, z away from the viewer in any unit (smaller is nearer). Pixel
(row i, column j) covers [j, j+1) x [i, i+1) and is sampled at its centre (j + 0.5, i + 0.5), as OpenGL does. Letters:
V vertices, T triangles, H rows, W columns, R triangle rows, F fragments.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

_ROWS_AT_ONCE = 1 << 20  # bounds on working memory: about 100 MB whatever the picture and mesh
_FRAGMENTS_AT_ONCE = 1 << 20


def rasterize(
    points: Floats, triangles: Ints, height: int, width: int, cull: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Which triangle is nearest in each pixel, and where in it: `nearest_triangles`, then `barycentric_at` in all drawn pixels.

    Returns triangle (H, W) int32, -1 where none, and barycentric (H, W, 3) float32 weights of its corners, linear on
    the screen, zeros where none.
    """
    triangle, _ = nearest_triangles(points, triangles, height, width, cull)
    barycentric = np.zeros((height * width, 3), np.float32)
    pixel = np.flatnonzero(triangle >= 0)
    barycentric[pixel] = barycentric_at(points, triangles, triangle.ravel()[pixel], pixel, width)
    return triangle, barycentric.reshape(height, width, 3)


def nearest_triangles(
    points: Floats, triangles: Ints, height: int, width: int, cull: bool = False, behind: Floats | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The nearest triangle (H, W) int32 at each pixel's centre, -1 where none, and its z (H, W), +inf where none.

    points: (V, 3) px, z smaller is nearer. triangles: (T, 3) vertex numbers, N meshes laid end to end are one call.
    cull: drop triangles seen from behind (front: counter-clockwise as seen). behind: (H, W) z; only what lies
    strictly farther is drawn, which peels transparent layers off one by one (+inf: draw nothing there). Where two
    triangles lie at the same z, the first one wins. Triangles with a corner that is not finite are not drawn.
    """
    _check_mesh(points, triangles)
    corners = np.asarray(points, np.float64).T[:, np.asarray(triangles).T]  # (x y z, 3 corners, T): T last is fastest
    depth = np.full(height * width, np.inf)
    winner = np.full(height * width, -1, np.int32)
    limit = None if behind is None else np.asarray(behind, np.float64).ravel()
    for pixel, triangle, z in _fragments(corners, height, width, cull):
        if limit is not None:
            keep = z > limit[pixel]
            pixel, triangle, z = pixel[keep], triangle[keep], z[keep]
        _keep_nearest(depth, winner, pixel, triangle, z)
    return winner.reshape(height, width), depth.reshape(height, width)


def barycentric_at(points: Floats, triangles: Ints, triangle: Ints, pixel: Ints, width: int) -> NDArray[np.float32]:
    """Corner weights (F, 3) of triangles (F,) at the centres of pixels (F,), counted row by row in rows of
    `width`."""
    corner = np.asarray(triangles).T[:, triangle]  # (3 corners, F)
    row = pixel // width
    # Relative to the pixel's centre, each weight is the area of the triangle that the other two corners make with it.
    x = np.asarray(points, np.float64)[:, 0][corner] - (pixel - row * width + 0.5)
    y = np.asarray(points, np.float64)[:, 1][corner] - (row + 0.5)
    area = _double_area(x, y)
    second, third = (x[2] * y[0] - x[0] * y[2]) / area, (x[0] * y[1] - x[1] * y[0]) / area
    return np.stack([1 - second - third, second, third], axis=1).astype(np.float32)


def interpolate(values: Floats, triangles: Ints, triangle: Ints, barycentric: Floats) -> NDArray[np.float32]:
    """Vertex values (V, C) at drawn pixels: triangle (F,) and barycentric (F, 3) of the pixels where triangle >= 0 ->
    (F, C)."""
    corner = np.asarray(values, np.float32)[np.asarray(triangles)[triangle]]  # (F, 3, C)
    return np.einsum("fkc,fk->fc", corner, barycentric.astype(np.float32))


def shade(
    colour: Floats, normal: Floats, light: tuple[float, float, float] = (-0.35, -0.55, -0.75), ambient: float = 0.35
) -> NDArray[np.float32]:
    """Linear-light colour (..., 3) under one distant lamp, soft ambient light from above and a slight rim.

    normal: (..., 3) unit, picture frame (towards the viewer is -z). light: direction towards the lamp, same frame.
    The lamp wraps a little around the form, so that a face's shadow side keeps its shape.
    """
    to_lamp = np.asarray(light, np.float32) / np.linalg.norm(light)
    unit = np.asarray(normal, np.float32)
    lambert = np.clip((unit @ to_lamp + 0.2) / 1.2, 0, 1)
    sky = ambient * (0.8 - 0.2 * unit[..., 1])
    rim = 0.4 * np.clip(1 - np.abs(unit[..., 2]), 0, 1) ** 3
    linear = np.asarray(colour, np.float32)
    lit = linear * (sky + (1 - ambient) * 1.15 * lambert)[..., None] + (linear + 0.05) * rim[..., None]
    return lit.astype(np.float32)


def srgb_to_linear(colour: Floats) -> NDArray[np.float32]:
    """sRGB in [0, 1] to linear light, any shape."""
    value = np.asarray(colour, np.float32)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(light: Floats) -> NDArray[np.float32]:
    """Linear light to sRGB in [0, 1] (clipped), any shape."""
    value = np.clip(np.asarray(light, np.float32), 0, 1)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055).astype(np.float32)


def downsample(picture: Floats, samples: int) -> NDArray[np.float32]:
    """Mean over samples x samples blocks: (H s, W s, C) -> (H, W, C) float32. For linear light and coverage, not for
    sRGB."""
    height, width, channels = picture.shape
    blocks = picture.reshape(height // samples, samples, width // samples, samples, channels)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def compose(layer: Floats, background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A `render` layer (H, W, 4) over an RGB picture (H, W, 3) uint8, mixed in linear light -> (H, W, 3) uint8.

    Pixels that the layer does not touch keep their exact bytes.
    """
    result = background.copy()
    touched = layer[..., 3] > 0
    below = srgb_to_linear(background[touched].astype(np.float32) / 255)
    mixed = layer[touched, :3] + below * (1 - layer[touched, 3:])
    result[touched] = np.round(linear_to_srgb(mixed) * 255).astype(np.uint8)
    return result


def _check_mesh(points: Floats, triangles: Ints) -> None:
    if np.ndim(points) != 2 or np.shape(points)[1] != 3:
        raise ValueError(f"points: expected shape (V, 3), got {np.shape(points)}")
    if np.ndim(triangles) != 2 or np.shape(triangles)[1] != 3:
        raise ValueError(f"triangles: expected shape (T, 3), got {np.shape(triangles)}")
    if np.size(triangles) and (np.min(triangles) < 0 or np.max(triangles) >= len(points)):
        raise ValueError(
            f"triangles: expected vertex numbers in 0..{len(points) - 1}, got {np.min(triangles)}..{np.max(triangles)}"
        )


def _keep_nearest(depth: Floats, winner: Ints, pixel: Ints, triangle: Ints, z: Floats) -> None:
    """Z-test all fragments at once: per pixel the smallest z, among equals the first triangle."""
    before = depth[pixel]
    nearer = z < before
    pixel, triangle, z = pixel[nearer], triangle[nearer], z[nearer]
    np.minimum.at(depth, pixel, z)
    best = z == depth[pixel]
    # Assigned in reverse, as of several writes to one place numpy keeps the last.
    winner[pixel[best][::-1]] = triangle[best][::-1]


def _fragments(corners: Floats, height: int, width: int, cull: bool) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Every pixel centre inside every triangle, in bounded portions: flat pixel (F,), triangle (F,), z (F,).

    Triangles -> their rows -> the span of each row, each step one enumeration of all; so large and small triangles
    cost what they cover.
    """
    chosen = _visible(corners, height, width, cull)
    if not len(chosen):
        return
    corners = corners[:, :, chosen]
    first, rows = _row_range(corners[1], height)
    left, right, plane = _edges(corners)
    for start, stop in _portions(rows, _ROWS_AT_ONCE):
        item, y = _enumerate(first[start:stop], rows[start:stop])
        item += start
        centre = y + 0.5
        low, high = np.zeros(len(y)), np.full(len(y), float(width))
        for k in range(3):
            np.maximum(low, left[0, k, item] * centre + left[1, k, item], out=low)
            np.minimum(high, right[0, k, item] * centre + right[1, k, item], out=high)
        x0 = np.ceil(np.minimum(low, width) - 0.5).astype(np.int64)
        x1 = np.floor(np.maximum(high, 0) - 0.5).astype(np.int64)
        columns = np.maximum(x1 - x0 + 1, 0)
        row_z = plane[1, item] * centre + plane[2, item]
        for a, b in _portions(columns, _FRAGMENTS_AT_ONCE):
            row, x = _enumerate(x0[a:b], columns[a:b])
            row += a
            owner = item[row]
            yield y[row] * width + x, chosen[owner], row_z[row] + plane[0, owner] * (x + 0.5)


def _visible(corners: Floats, height: int, width: int, cull: bool) -> Ints:
    """Numbers of the triangles that are finite, have an area and may touch the picture."""
    x, y, _ = corners
    with np.errstate(invalid="ignore", over="ignore"):
        area = _double_area(x, y)
        keep = np.isfinite(corners.sum(axis=(0, 1))) & np.isfinite(area) & (area < 0 if cull else area != 0)
        keep &= (x.max(axis=0) > 0) & (y.max(axis=0) > 0) & (x.min(axis=0) < width) & (y.min(axis=0) < height)
    return np.flatnonzero(keep)


def _double_area(x: Floats, y: Floats) -> Floats:
    """Twice the signed area (T,), px squared, of corners (3, T); negative if counter-clockwise as seen (y is
    down)."""
    return (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])


def _row_range(y: Floats, height: int) -> tuple[Ints, Ints]:
    """First row (T,) and number of rows (T,) whose centres lie within each triangle's height and the picture."""
    inside = np.clip(y, 0, height)
    first = np.ceil(inside.min(axis=0) - 0.5).astype(np.int64)
    last = np.floor(inside.max(axis=0) - 0.5).astype(np.int64)
    return first, np.maximum(last - first + 1, 0)


def _edges(corners: Floats) -> tuple[Floats, Floats, Floats]:
    """Left and right bounds of each triangle as lines x = slope y + offset, (2, 3, T), and its plane z = p x + q y +
    r, (3, T).

    A shared edge gives bit-equal lines from both its triangles (both terms below are exact under swapping its ends),
    so with both bounds inclusive no crack can open between neighbours. An edge that does not bound a side is at
    infinity.
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


def _enumerate(first: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """For counts (2, 3) and first (5, 9): item (0, 0, 1, 1, 1) and value (5, 6, 9, 10, 11)."""
    item = np.repeat(np.arange(len(counts)), counts)
    return item, np.arange(len(item)) + np.repeat(first - (np.cumsum(counts) - counts), counts)


def _portions(counts: Ints, limit: int) -> Iterator[tuple[int, int]]:
    """Cut a row of counts into runs [start, stop) of about `limit` in sum (one item may exceed it)."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + limit, side="right")))
        yield start, stop
        start = stop
