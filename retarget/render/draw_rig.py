"""Draw one posed rig into a picture: projection, transparent layers, textures, light.

Letters: V vertices, T triangles, H rows, W columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.mesh import vertex_normals
from retarget.geometry.rotations import OPENCV_TO_GLTF
from retarget.render.rasterizer import nearest_triangles
from retarget.render.shading import compose
from retarget.render.surface_samples import SAMPLES, Surface, color_samples, share_samples
from retarget.rig.rig import Rig

Floats = NDArray[np.floating]

MAX_LAYERS = 4  # transparent surfaces behind one another
MIN_DEPTH_M = 0.02
_PIXELS_AT_ONCE = 1 << 20  # limits the working memory to about 200 MB
_MAX_PIXELS = 1 << 21  # of one character; a larger one is drawn at a lower resolution
OPAQUE_COVERAGE = 0.98


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
    points = project(vertices, focal_px, width, height)
    chosen = visible_triangles(rig, points, whole_body)
    bounds = _pixel_bounds(points[mesh.triangles[chosen]], width, height)
    if bounds is None:
        return
    low, high = bounds
    normals = vertex_normals(vertices, mesh.weld[mesh.triangles])[mesh.weld] @ OPENCV_TO_GLTF
    values = np.concatenate([normals, mesh.uv, mesh.colors], axis=1).astype(np.float32)  # (V, 3 + 2 + 4)
    triangles, material = mesh.triangles[chosen], mesh.material[chosen]
    shows_back = _shows_back(points, triangles)
    step = pixel_step(high - low)
    rows = max(1, _PIXELS_AT_ONCE * step**2 // int(high[0] - low[0]))
    for top in range(low[1], high[1], rows):
        band = picture[top : min(top + rows, high[1]), low[0] : high[0]]
        window = (points - (low[0], top, 0)) * (SAMPLES / step, SAMPLES / step, 1)
        levels = texture_levels(rig, window, chosen)
        surface = Surface(rig.materials, window, values, triangles, material, shows_back, levels)
        layer = _draw_layers(surface, (-(-band.shape[0] // step), -(-band.shape[1] // step)))
        layer = layer.repeat(step, axis=0).repeat(step, axis=1)[: band.shape[0], : band.shape[1]]
        band[:] = compose(layer, band)


def pixel_step(size: NDArray[np.int64]) -> int:
    """Return how many pixels one drawn pixel covers on each axis, so that a very large character takes no more memory."""
    return math.ceil(math.sqrt(size.prod() / _MAX_PIXELS))


def project(vertices: Floats, focal_px: float, width: int, height: int) -> Floats:
    """Return x and y in pixels and -1 / depth (V, 3), NaN for vertices that are too near or behind the camera."""
    depth = np.where(-vertices[:, 2] > MIN_DEPTH_M, -vertices[:, 2], np.nan)
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


def visible_triangles(rig: Rig, points: Floats, whole_body: bool) -> NDArray[np.int64]:
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


def _draw_layers(surface: Surface, size: tuple[int, int]) -> NDArray[np.float32]:
    """Draw surfaces from front to back until nothing is transparent.

    Args:
        surface: What is drawn.
        size: H and W in pixels.

    Returns:
        (H, W, 4) linear light times coverage, and coverage.
    """
    height, width = size
    is_transparent = any(surface.materials[m].alpha != "OPAQUE" for m in np.unique(surface.material))
    layer = np.zeros((height * width, 4), np.float32)
    parts = np.zeros((4, height * width, 4), np.float32) if is_transparent else None  # the four samples of each pixel
    behind: NDArray[np.float32] | None = None
    for _ in range(MAX_LAYERS if is_transparent else 1):
        seen, depth = nearest_triangles(surface.points, surface.triangles, height * SAMPLES, width * SAMPLES, behind=behind)
        samples = share_samples(seen, surface)
        if not len(samples.pixel):
            break
        colors = color_samples(surface, samples)
        same, mixed = samples.pixel[: samples.uniform], samples.pixel[samples.uniform :]
        if parts is None:
            layer[same] = colors[: samples.uniform]
            layer[mixed] = sum(colors.take(slot, 0) for slot in samples.slot) / np.float32(4)
            break
        for part, slot in zip(parts, samples.slot, strict=True):
            part[same] += (1 - part[same, 3:]) * colors[: samples.uniform]
            part[mixed] += (1 - part[mixed, 3:]) * colors.take(slot, 0)
        behind = np.where(_to_samples(parts[..., 3], size) < OPAQUE_COVERAGE, depth, np.float32(np.inf))
    return (layer if parts is None else parts.mean(axis=0)).reshape(height, width, 4)


def _to_samples(parts: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Lay the four samples of each pixel (4, H W) side by side (2 H, 2 W)."""
    blocks = parts.reshape(SAMPLES, SAMPLES, *size).transpose(2, 0, 3, 1)
    return np.asarray(blocks.reshape(size[0] * SAMPLES, size[1] * SAMPLES), np.float32)


def texture_levels(rig: Rig, points: Floats, chosen: NDArray[np.int64]) -> dict[int, int]:
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
