"""Draw one posed rig into a picture: projection, transparent layers, textures, light.

Letters: V vertices, T triangles, H rows, W columns, F samples that are shaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.mesh import vertex_normals
from retarget.geometry.rotations import OPENCV_TO_GLTF
from retarget.gltf.materials import Material, sample_texture
from retarget.render.rasterizer import barycentric_at, interpolate, nearest_triangles
from retarget.render.shading import LIGHT_DIRECTION, compose, downsample, shade, srgb_to_linear
from retarget.rig.rig import Rig

Floats = NDArray[np.floating]

_SAMPLES = 2  # samples per pixel and axis; _shared_samples relies on 2
_MAX_LAYERS = 4  # transparent surfaces behind one another
_MIN_DEPTH_M = 0.02
_PIXELS_AT_ONCE = 1 << 18
_MAX_PIXELS = 1 << 21  # of one character; a larger one is drawn at a lower resolution
_OPAQUE_COVERAGE = 0.98


class _Bounds(NamedTuple):
    """First (left, top) and last (right, bottom) pixel of a character, the last one not included."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]


def draw_rig(picture: NDArray[np.uint8], rig: Rig, vertices: Floats, focal_px: float, whole_body: bool) -> None:
    """Draw one character into a picture, in bands of rows so that memory stays limited.

    Args:
        picture: (H, W, 3) uint8 RGB; changed in place.
        rig: The character.
        vertices: (V, 3) its posed vertices in meters; the camera looks along -z.
        focal_px: Focal length of the camera in pixels.
        whole_body: Draw the body too, not only head and neck.
    """
    height, width = picture.shape[:2]
    mesh = rig.mesh
    points = _project(vertices, focal_px, width, height)
    chosen = _visible_triangles(rig, points, whole_body)
    bounds = _pixel_bounds(points[mesh.triangles[chosen]], width, height)
    if bounds is None:
        return
    low, high = bounds
    normals = vertex_normals(vertices, mesh.weld[mesh.triangles])[mesh.weld] @ OPENCV_TO_GLTF
    values = np.concatenate([normals, mesh.uv, mesh.colors], axis=1).astype(np.float32)  # (V, 3 + 2 + 4)
    step = math.ceil(math.sqrt((high - low).prod() / _MAX_PIXELS))
    rows = max(1, _PIXELS_AT_ONCE * step**2 // int(high[0] - low[0]))
    for top in range(low[1], high[1], rows):
        band = picture[top : min(top + rows, high[1]), low[0] : high[0]]
        size = -(-band.shape[0] // step) * _SAMPLES, -(-band.shape[1] // step) * _SAMPLES
        window = (points - (low[0], top, 0)) * (_SAMPLES / step, _SAMPLES / step, 1)
        layer = downsample(_draw_layers(rig, window, values, chosen, size), _SAMPLES)
        layer = layer.repeat(step, axis=0).repeat(step, axis=1)[: band.shape[0], : band.shape[1]]
        band[:] = compose(layer, band)


def _project(vertices: Floats, focal_px: float, width: int, height: int) -> Floats:
    """Return x and y in pixels and -1 / depth (V, 3), NaN for vertices that are too near or behind the camera."""
    depth = np.where(-vertices[:, 2] > _MIN_DEPTH_M, -vertices[:, 2], np.nan)
    x = width / 2 + focal_px * vertices[:, 0] / depth
    y = height / 2 - focal_px * vertices[:, 1] / depth
    return np.stack([x, y, -1 / depth], 1)


def _pixel_bounds(corners: Floats, width: int, height: int) -> _Bounds | None:
    """Return the part of the picture that triangles with corners (T, 3, 3) may cover, None if there is none."""
    corners = corners[np.isfinite(corners).all(axis=(1, 2))]
    if not len(corners):
        return None
    low = np.floor(corners[:, :, :2].min(axis=(0, 1))).clip(0, (width, height)).astype(int)
    high = np.ceil(corners[:, :, :2].max(axis=(0, 1))).clip(0, (width, height)).astype(int)
    return None if (high <= low).any() else _Bounds(low, high)


def _visible_triangles(rig: Rig, points: Floats, whole_body: bool) -> NDArray[np.int64]:
    """Return the numbers of the triangles to draw: without backs of one-sided materials, of the head or of all."""
    two_sided = np.array([material.two_sided for material in rig.materials])[rig.mesh.material]
    keep = ~_shows_back(points, rig.mesh.triangles) | two_sided
    if rig.has_body and not whole_body:
        keep &= rig.head_triangles
    return np.flatnonzero(keep)


def _shows_back(points: Floats, triangles: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each triangle (T,) whether its corners run clockwise on the screen."""
    (ax, ay), (bx, by), (cx, cy) = (points[triangles[:, k], :2].T for k in range(3))
    return np.asarray((bx - ax) * (cy - ay) - (cx - ax) * (by - ay) >= 0)


def _draw_layers(
    rig: Rig, points: Floats, values: Floats, chosen: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Draw surfaces from front to back until nothing is transparent.

    Returns:
        (H, W, 4) linear light times coverage, and coverage; `size` is (H, W) samples.
    """
    triangles, material = rig.mesh.triangles[chosen], rig.mesh.material[chosen]
    result = np.zeros((size[0] * size[1], 4), np.float32)
    levels, shows_back = _texture_levels(rig, points, chosen), _shows_back(points, triangles)
    behind: NDArray[np.float64] | None = None
    transparent = any(rig.materials[m].alpha != "OPAQUE" for m in np.unique(material))
    for _ in range(_MAX_LAYERS if transparent else 1):
        triangle, depth = nearest_triangles(points, triangles, *size, behind=behind)
        drawn = np.flatnonzero(triangle >= 0)
        if not len(drawn):
            break
        shaded, slot = _shared_samples(triangle, drawn)
        owner = triangle.ravel()[shaded]
        weight = barycentric_at(points, triangles, owner, shaded, size[1])
        corner_depth = points[triangles[owner], 2]  # (F, 3) of -1 / depth, which is linear on the screen
        weight *= corner_depth / np.einsum("fk,fk->f", corner_depth, weight)[:, None]  # now linear in the scene
        sample = interpolate(values, triangles, owner, weight)
        sample[:, :3] *= np.where(shows_back[owner], -1, 1)[:, None]
        color = _shade_samples(rig.materials, material[owner], sample, levels)[slot]
        result[drawn] += (1 - result[drawn, 3:]) * color if transparent else color
        if transparent:
            next_behind = np.full(len(result), np.inf)
            next_behind[drawn] = np.where(result[drawn, 3] < _OPAQUE_COVERAGE, depth.ravel()[drawn], np.inf)
            behind = next_behind.reshape(size)
    return result.reshape(*size, 4)


def _shared_samples(
    triangle: NDArray[np.int32], drawn: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the samples to shade: samples of one pixel that show the same triangle are shaded once.

    Args:
        triangle: (H, W) the triangle at each sample, 2 x 2 samples a pixel.
        drawn: (D,) the samples with a triangle.

    Returns:
        The samples to shade (F,), and for each drawn sample (D,) which of them has its color.
    """
    height, width = triangle.shape
    blocks = triangle.reshape(height // 2, 2, width // 2, 2)
    number = np.arange(triangle.size).reshape(blocks.shape)
    first = number.copy()
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for later in range(1, 4):
        for earlier in range(later - 1, -1, -1):
            (i, j), (k, m) = places[later], places[earlier]
            same = blocks[:, i, :, j] == blocks[:, k, :, m]
            first[:, i, :, j] = np.where(same, number[:, k, :, m], first[:, i, :, j])
    representative = first.ravel()[drawn]
    shaded = drawn[representative == drawn]
    slot = np.empty(triangle.size, np.int64)
    slot[shaded] = np.arange(len(shaded))
    return shaded, slot[representative]


def _texture_levels(rig: Rig, points: Floats, chosen: NDArray[np.int64]) -> dict[int, int]:
    """Return for each textured material the mip level at which a texel is about as large as a sample."""
    levels = {}
    material = rig.mesh.material[chosen]
    for number in np.unique(material):
        if not rig.materials[number].mips:
            continue
        triangles = rig.mesh.triangles[chosen[material == number]]
        height, width = rig.materials[number].mips[0].shape[:2]
        texels = np.nansum(_doubled_areas(rig.mesh.uv[triangles] * (width, height)))
        samples = np.nansum(_doubled_areas(points[triangles][:, :, :2]))
        levels[int(number)] = round(0.5 * np.log2((texels + 1e-9) / (samples + 1e-9)))
    return levels


def _doubled_areas(corners: Floats) -> Floats:
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def _shade_samples(
    materials: Sequence[Material], material: NDArray[np.int64], values: NDArray[np.float32], levels: dict[int, int]
) -> NDArray[np.float32]:
    """Return the lit colors of samples.

    Args:
        materials: All materials.
        material: (F,) number of each sample's material.
        values: (F, 9) normal, texture coordinates, vertex color.
        levels: The mip level of each textured material.

    Returns:
        (F, 4) linear light times coverage, and coverage.
    """
    color = np.empty((len(material), 4), np.float32)
    normal = values[:, :3] / np.maximum(np.linalg.norm(values[:, :3], axis=1, keepdims=True), 1e-6)
    normal[:, 2] = -np.abs(normal[:, 2])  # at the outline smoothed normals may point away from the viewer
    half = np.array(LIGHT_DIRECTION) / np.linalg.norm(LIGHT_DIRECTION) + (0, 0, -1)
    half /= np.linalg.norm(half)
    for number in np.unique(material):
        rows = np.flatnonzero(material == number)
        surface = materials[number]
        base = surface.color * values[rows, 5:]
        if surface.mips:
            texel = sample_texture(surface, values[rows, 3:5], levels.get(int(number), 0))
            base[:, :3] *= srgb_to_linear(texel[:, :3])
            base[:, 3] *= texel[:, 3]
        if surface.lit:
            highlight = 0.5 * surface.gloss * np.clip(normal[rows] @ half, 0, 1) ** (8 + 60 * surface.gloss)
            base[:, :3] = shade(base[:, :3], normal[rows]) + highlight[:, None] + surface.emission
        base[:, 3] = _coverage(surface, base[:, 3])
        base[:, :3] *= base[:, 3:]
        color[rows] = base
    return color


def _coverage(material: Material, alpha: Floats) -> Floats | float:
    if material.alpha == "OPAQUE":
        return 1.0
    return (alpha >= material.cutoff).astype(np.float32) if material.alpha == "MASK" else np.clip(alpha, 0, 1)
