"""From visible triangles to colors: which samples share one color, where they lie on the surface, and their light.

A pixel has 2 x 2 samples. Samples of one pixel that see the same piece of a surface get one color, because the color
costs more than all else.

Letters: V vertices, T triangles, H rows and W columns of pixels, P pixels with a triangle, F samples with a color of
their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.materials import Material, sample_emission, sample_texture
from retarget.render.fast_rasterizer import interpolate_corners
from retarget.render.shading import LIGHT_DIRECTION, shade, srgb_to_linear

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

SAMPLES = 2
"""Samples of a pixel on each axis."""

_MAX_DIFFERENCE = 0.04  # of normals and vertex colors of triangles that share a color; less than one gray level
_MIN_SHINE = 0.4  # cosine; farther from its center a highlight is below a thousandth
_AT_ONCE = 1 << 14  # samples whose arrays fit into the cache of the processor
ALPHA_KINDS = {"OPAQUE": 0, "MASK": 1, "BLEND": 2}


class Surface(NamedTuple):
    """What is drawn.

    Attributes:
        materials: All materials.
        points: (V, 3) x right and y down in samples, and -1 / depth.
        values: (V, 9) normal (x right, y down, z away from the viewer), texture coordinates, vertex color.
        triangles: (T, 3)
        material: (T,)
        shows_back: (T,) whether it is seen from behind.
        levels: The mip level of each textured material.
    """

    materials: Sequence[Material]
    points: Floats
    values: NDArray[np.float32]
    triangles: NDArray[np.int64]
    material: NDArray[np.int64]
    shows_back: NDArray[np.bool_]
    levels: Mapping[int, int]


class SharedSamples(NamedTuple):
    """Samples in groups that share a color. Pixels that see one triangle come first; they have one color each.

    Attributes:
        pixel: (P,) numbers of the pixels with a triangle.
        uniform: How many of them, from the first on, see one triangle. Their colors are the first ones.
        slot: (4, P - uniform) for each sample of the other pixels the number of its color, F for one without a triangle.
        triangle: (F,) the triangle of each color.
        x: (F,) where it is computed, in samples.
        y: (F,)
    """

    pixel: NDArray[np.intp]
    uniform: int
    slot: NDArray[np.intp]
    triangle: NDArray[np.int32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]


def share_samples(triangle: NDArray[np.int32], surface: Surface) -> SharedSamples:
    """Group the samples of each pixel.

    Args:
        triangle: (2 H, 2 W) the triangle at each sample, -1 for none.
        surface: What is drawn. Triangles with a common vertex are pieces of one smooth surface: at creases and seams
            vertices are doubled. Where the surface bends or changes its color fast, each triangle has its own color.
    """
    width = triangle.shape[1] // SAMPLES
    planes = [triangle[i::2, j::2].ravel() for i in range(SAMPLES) for j in range(SAMPLES)]
    is_same = (planes[0] == planes[1]) & (planes[0] == planes[2]) & (planes[0] == planes[3])
    same = np.flatnonzero(is_same & (planes[0] >= 0))
    mixed = np.flatnonzero(~is_same)
    seen = np.stack([plane.take(mixed) for plane in planes])  # (4, M)
    count, group = len(mixed), _groups(seen, surface)
    first = np.flatnonzero((group == np.arange(4)[:, None]) & (seen >= 0))
    number = np.empty(seen.size, np.intp)
    number[first] = np.arange(len(same), len(same) + len(first))
    slot = np.where(seen >= 0, number[group * count + np.arange(count)], len(same) + len(first))
    place = np.concatenate([same, mixed[first % count] if count else first])
    at = np.concatenate([np.zeros(len(same), np.intp), first // max(count, 1)])
    return SharedSamples(
        pixel=np.concatenate([same, mixed]),
        uniform=len(same),
        slot=slot,
        triangle=np.concatenate([planes[0].take(same), seen.ravel()[first]]),
        x=(place % width * SAMPLES + at % SAMPLES + 0.5).astype(np.float32),
        y=(place // width * SAMPLES + at // SAMPLES + 0.5).astype(np.float32),
    )


def _groups(seen: NDArray[np.int32], surface: Surface) -> NDArray[np.intp]:
    """Return for each sample (4, P) the first sample of its pixel that sees the same surface, itself if none does."""
    corner = surface.triangles.T.astype(np.int32).take(seen, 1)  # (3, 4, P); -1 takes any triangle
    look = surface.values[:, [0, 1, 2, 5, 6, 7, 8]].T
    mean = (sum(look.take(number, 1) for number in surface.triangles.T) / 3).take(seen, 1)  # (7, 4, P)
    group = np.repeat(np.arange(4)[:, None], seen.shape[1], axis=1)
    for later in range(1, 4):
        for earlier in range(later - 1, -1, -1):
            joined = (corner[:, None, later] == corner[None, :, earlier]).any(axis=(0, 1))
            joined &= np.abs(mean[:, later] - mean[:, earlier]).max(axis=0, initial=0) < _MAX_DIFFERENCE
            joined &= (seen[later] >= 0) & (seen[earlier] >= 0)
            group[later] = np.where(joined, group[earlier], group[later])
    return group


def color_samples(surface: Surface, samples: SharedSamples) -> NDArray[np.float32]:
    """Compute the colors of samples.

    Returns:
        (F + 1, 4) linear light times coverage, and coverage; the last row is for samples without a triangle.
    """
    colors = np.zeros((len(samples.triangle) + 1, 4), np.float32)
    table = _weight_table(surface)
    for start in range(0, len(samples.triangle), _AT_ONCE):
        part = slice(start, min(start + _AT_ONCE, len(samples.triangle)))
        triangle = samples.triangle[part]
        weights = _weights(table, triangle, samples.x[part], samples.y[part])
        values = interpolate_corners(surface.values, surface.triangles[triangle], weights)
        values[:, :3] *= np.where(surface.shows_back[triangle], np.float32(-1), np.float32(1))[:, None]
        colors[part] = _lit_colors(surface, surface.material[triangle], values)
    return colors


def _weight_table(surface: Surface) -> NDArray[np.float32]:
    """Return (9, T): first corner x y, factors of the weights of the other two corners, and -1 / depth of the corners."""
    first, second, third = (surface.points[surface.triangles[:, k]].T for k in range(3))  # (3, T)
    (ux, uy, _), (vx, vy, _) = second - first, third - first
    with np.errstate(divide="ignore", invalid="ignore"):  # triangles without an area are never seen
        area = ux * vy - uy * vx
        factors = vy / area, -vx / area, -uy / area, ux / area
    return np.stack([first[0], first[1], *factors, first[2], second[2], third[2]]).astype(np.float32)


def _weights(table: NDArray[np.float32], triangle: Ints, x: Floats, y: Floats) -> NDArray[np.float32]:
    """Return barycentric weights (F, 3) of the corners at places x and y (F,), linear in the scene, not on the screen."""
    x0, y0, a, b, c, d, *depths = (row.take(triangle) for row in table)
    x, y = x - x0, y - y0
    on_second, on_third = x * a + y * b, x * c + y * d
    weights = np.stack([(1 - on_second - on_third) * depths[0], on_second * depths[1], on_third * depths[2]], axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(weights, np.float32)


def _lit_colors(surface: Surface, material: Ints, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return lit colors (F, 4) of samples with a material (F,) and values (F, 9)."""
    materials = surface.materials
    gloss = np.array([m.gloss for m in materials], np.float32)
    emission = np.array([np.broadcast_to(m.emission, 3) for m in materials], np.float32)
    color = np.array([m.color for m in materials], np.float32)[material] * values[:, 5:]
    for number, level in surface.levels.items():
        rows = np.flatnonzero(material == number)
        texel = sample_texture(materials[number], values[rows, 3:5], level)
        texel[:, :3] = srgb_to_linear(texel[:, :3])
        color[rows] *= texel
    normal = values[:, :3] / np.maximum(np.sqrt(np.einsum("fk,fk->f", values[:, :3], values[:, :3])), 1e-6)[:, None]
    normal[:, 2] = -np.abs(normal[:, 2])  # at the outline smoothed normals may point away from the viewer
    half = np.array(LIGHT_DIRECTION) / np.linalg.norm(LIGHT_DIRECTION) + (0, 0, -1)
    toward_half = normal @ (half / np.linalg.norm(half)).astype(np.float32)
    glossy, shine = np.flatnonzero((gloss[material] > 0) & (toward_half > _MIN_SHINE)), np.zeros(len(material), np.float32)
    of_glossy = gloss[material[glossy]]
    shine[glossy] = 0.5 * of_glossy * np.power(toward_half[glossy].clip(0, 1), 8 + 60 * of_glossy)
    emitted = emission[material]
    for number in (k for k, m in enumerate(materials) if m.emission_mips):
        rows = np.flatnonzero(material == number)
        emitted[rows] *= srgb_to_linear(sample_emission(materials[number], values[rows, 3:5], surface.levels.get(number, 0)))
    light = shade(color[:, :3], normal) + shine[:, None] + emitted
    is_lit = np.array([m.lit for m in materials])
    color[:, :3] = light if is_lit.all() else np.where(is_lit[material][:, None], light, color[:, :3])
    color[:, 3] = _coverage(materials, material, color[:, 3])
    color[:, :3] *= color[:, 3:]
    return color


def _coverage(materials: Sequence[Material], material: Ints, alpha: NDArray[np.float32]) -> Floats:
    """Return the coverage (F,) that the materials make of alpha (F,)."""
    kind = np.array([ALPHA_KINDS[m.alpha] for m in materials])[material]
    cutoff = np.array([m.cutoff for m in materials], np.float32)[material]
    return np.where(kind == 0, np.float32(1), np.where(kind == 1, (alpha >= cutoff).astype(np.float32), alpha.clip(0, 1)))
