"""A picture of characters in the places of people: our own renderer, nothing to install.

Camera: at the origin, looks along -z, the middle of the picture is straight ahead. Letters: H rows, W columns, F
drawn pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.animation.pose import assign_rigs, pose_vertices
from retarget.geometry.mesh import vertex_normals
from retarget.geometry.rotations import Floats
from retarget.gltf.materials import Look, sample
from retarget.performance.take import Take
from retarget.render.rasterizer import (
    barycentric_at,
    compose,
    downsample,
    interpolate,
    nearest_triangles,
    shade,
    srgb_to_linear,
)
from retarget.rig.rig import Rig

_SAMPLES = 2  # by side: four a pixel, which _spokesmen counts on
_LAYERS = 4  # transparent surfaces seen behind one another
_NEAREST_M = 0.02
_PIXELS_AT_ONCE = 1 << 18
_MOST_PIXELS = 1 << 21  # of one character; a larger one is drawn coarser
_LIGHT = (-0.35, -0.55, -0.75)


def render_scene(
    take: Take,
    rigs: Sequence[Rig],
    width: int,
    height: int,
    focal_px: float,
    background: NDArray[np.uint8] | None = None,
    whole_body: bool = False,
) -> NDArray[np.uint8]:
    """All samples of the take as characters -> (height, width, 3) RGB uint8. For one moment of a clip give
    `take[mask]`.

    Actors take the rigs in turn. background: (height, width, 3) RGB uint8 to draw over, None for plain ground. Of a
    rig with a body only head and neck are drawn, so that they sit on the people's own shoulders, unless whole_body.
    """
    if width < 1 or height < 1 or not focal_px > 0:
        raise ValueError(
            f"expected a picture of at least 1 x 1 px and focal_px > 0, got {width} x {height}, {focal_px}"
        )
    if background is not None and (background.shape != (height, width, 3) or background.dtype != np.uint8):
        raise ValueError(f"background: expected {(height, width, 3)} uint8, got {background.shape} {background.dtype}")
    picture = _plain_ground(width, height) if background is None else background.copy()
    rig_of = assign_rigs(take.actor, rigs)
    for sample_number in np.argsort(take.translation[:, 2], kind="stable"):  # the farthest first
        one = take[[sample_number]]
        rig = rigs[rig_of[int(one.actor[0])]]
        vertices = pose_vertices(rig, one.coefficients, one.rotation, one.translation)[0]
        _draw(picture, rig, vertices, focal_px, whole_body)
    return picture


def _plain_ground(width: int, height: int) -> NDArray[np.uint8]:
    """A soft gray that gets darker downwards."""
    column = np.linspace(236, 186, height)[:, None, None] + np.array([-2.0, 0.0, 3.0])
    return np.repeat(np.round(column), width, axis=1).astype(np.uint8)


def _draw(picture: NDArray[np.uint8], rig: Rig, vertices: Floats, focal_px: float, whole_body: bool) -> None:
    """One character into the picture, in bands of rows so that memory stays bounded."""
    height, width = picture.shape[:2]
    character = rig.mesh
    depth = np.where(-vertices[:, 2] > _NEAREST_M, -vertices[:, 2], np.nan)
    points = np.stack(
        [width / 2 + focal_px * vertices[:, 0] / depth, height / 2 - focal_px * vertices[:, 1] / depth, -1 / depth], 1
    )
    chosen = _chosen(rig, points, whole_body)
    corners = points[character.triangles[chosen]]
    corners = corners[np.isfinite(corners).all(axis=(1, 2))]
    if not len(corners):
        return
    low = np.floor(corners[:, :, :2].min(axis=(0, 1))).clip(0, (width, height)).astype(int)
    high = np.ceil(corners[:, :, :2].max(axis=(0, 1))).clip(0, (width, height)).astype(int)
    if (high <= low).any():
        return
    # Normals in the picture's axes: y and z point the other way there.
    welded = vertex_normals(vertices, character.weld[character.triangles])[character.weld] * (1, -1, -1)
    values = np.concatenate([welded, character.uv, character.colors], axis=1).astype(np.float32)  # (V, 3 + 2 + 4)
    coarse = math.ceil(math.sqrt((high - low).prod() / _MOST_PIXELS))
    rows = max(1, _PIXELS_AT_ONCE * coarse**2 // int(high[0] - low[0]))
    for top in range(low[1], high[1], rows):
        place = picture[top : min(top + rows, high[1]), low[0] : high[0]]
        size = tuple(-(-side // coarse) for side in place.shape[:2])
        window = (points - (low[0], top, 0)) * (_SAMPLES / coarse, _SAMPLES / coarse, 1)
        layer = downsample(_layers(rig, window, values, chosen, (size[0] * _SAMPLES, size[1] * _SAMPLES)), _SAMPLES)
        layer = layer.repeat(coarse, axis=0).repeat(coarse, axis=1)[: place.shape[0], : place.shape[1]]
        place[:] = compose(layer, place)


def _chosen(rig: Rig, points: Floats, whole_body: bool) -> NDArray[np.int64]:
    """Numbers of the triangles to draw: of the head and neck or all, without one-sided ones seen from behind."""
    character = rig.mesh
    two_sided = np.array([look.two_sided for look in rig.materials])[character.material]
    keep = ~_seen_from_behind(points, character.triangles) | two_sided
    if rig.has_body and not whole_body:
        keep &= rig.head_triangles
    return np.flatnonzero(keep)


def _seen_from_behind(points: Floats, triangles: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(T,) whether a triangle's corners go round clockwise on the screen."""
    (ax, ay), (bx, by), (cx, cy) = (points[triangles[:, k], :2].T for k in range(3))
    return (bx - ax) * (cy - ay) - (cx - ax) * (by - ay) >= 0


def _layers(
    rig: Rig, points: Floats, values: Floats, chosen: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Surfaces from front to back until nothing shows through, at size samples -> (H, W, 4) linear light times
    coverage, and coverage."""
    triangles, material = rig.mesh.triangles[chosen], rig.mesh.material[chosen]
    result = np.zeros((size[0] * size[1], 4), np.float32)
    levels, from_behind = _levels(rig, points, chosen), _seen_from_behind(points, triangles)
    behind: NDArray[np.float64] | None = None
    see_through = any(rig.materials[m].alpha != "OPAQUE" for m in np.unique(material))
    for _ in range(_LAYERS if see_through else 1):
        triangle, depth = nearest_triangles(points, triangles, *size, behind=behind)
        drawn = np.flatnonzero(triangle >= 0)
        if not len(drawn):
            break
        shaded, slot = _spokesmen(triangle, drawn)
        owner = triangle.ravel()[shaded]
        weight = barycentric_at(points, triangles, owner, shaded, size[1])
        corner = points[triangles[owner], 2]  # (F, 3) of -1 / depth, which is straight on the screen
        weight *= corner / np.einsum("fk,fk->f", corner, weight)[:, None]  # now straight in the scene
        pixel = interpolate(values, triangles, owner, weight)
        pixel[:, :3] *= np.where(from_behind[owner], -1, 1)[:, None]  # inner sides have a front too
        colour = _colours(rig.materials, material[owner], pixel, levels)[slot]
        result[drawn] += (1 - result[drawn, 3:]) * colour if see_through else colour
        if see_through:
            behind = np.full(len(result), np.inf)
            behind[drawn] = np.where(result[drawn, 3] < 0.98, depth.ravel()[drawn], np.inf)
            behind = behind.reshape(size)
    return result.reshape(*size, 4)


def _spokesmen(triangle: NDArray[np.int32], drawn: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples of one pixel that see one triangle are coloured once. triangle: (H, W) samples, two by two to a pixel;
    drawn: (D,) those with a triangle. Returns the samples to colour (F,), and for each drawn one which of these it
    equals (D,)."""
    height, width = triangle.shape
    seen = triangle.reshape(height // 2, 2, width // 2, 2)
    number = np.arange(triangle.size).reshape(seen.shape)
    first = number.copy()
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for later in range(1, 4):
        for earlier in range(later - 1, -1, -1):
            (i, j), (k, m) = places[later], places[earlier]
            first[:, i, :, j] = np.where(seen[:, i, :, j] == seen[:, k, :, m], number[:, k, :, m], first[:, i, :, j])
    speaker = first.ravel()[drawn]
    shaded = drawn[speaker == drawn]
    slot = np.empty(triangle.size, np.int64)
    slot[shaded] = np.arange(len(shaded))
    return shaded, slot[speaker]


def _levels(rig: Rig, points: Floats, chosen: NDArray[np.int64]) -> dict[int, int]:
    """For each textured material the halving of its texture at which a texel is about as large as a sample."""
    levels = {}
    material = rig.mesh.material[chosen]
    for number in np.unique(material):
        if not rig.materials[number].mips:
            continue
        triangles = rig.mesh.triangles[chosen[material == number]]
        height, width = rig.materials[number].mips[0].shape[:2]
        texels = np.nansum(_areas(rig.mesh.uv[triangles] * (width, height)))
        pixels = np.nansum(_areas(points[triangles][:, :, :2]))
        levels[int(number)] = round(0.5 * np.log2((texels + 1e-9) / (pixels + 1e-9)))
    return levels


def _areas(corners: Floats) -> Floats:
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def _colours(
    looks: Sequence[Look], material: NDArray[np.int64], values: NDArray[np.float32], levels: dict[int, int]
) -> NDArray[np.float32]:
    """Lit colour of F pixels: material (F,), values (F, 9) normal, uv, vertex colour -> (F, 4) premultiplied linear
    light."""
    colour = np.empty((len(material), 4), np.float32)
    normal = values[:, :3] / np.maximum(np.linalg.norm(values[:, :3], axis=1, keepdims=True), 1e-6)
    normal[:, 2] = -np.abs(normal[:, 2])  # smoothed ones at the rim may point away, what is seen does not
    half = np.array(_LIGHT) / np.linalg.norm(_LIGHT) + (0, 0, -1)
    half /= np.linalg.norm(half)
    for number in np.unique(material):
        here = np.flatnonzero(material == number)
        look = looks[number]
        base = look.colour * values[here, 5:]
        if look.mips:
            texel = sample(look, values[here, 3:5], levels.get(int(number), 0))
            base[:, :3] *= srgb_to_linear(texel[:, :3])
            base[:, 3] *= texel[:, 3]
        if look.lit:
            shine = 0.5 * look.gloss * np.clip(normal[here] @ half, 0, 1) ** (8 + 60 * look.gloss)
            base[:, :3] = shade(base[:, :3], normal[here], _LIGHT) + shine[:, None] + look.glow
        cover = {"OPAQUE": 1.0, "MASK": base[:, 3] >= look.cutoff}.get(look.alpha, np.clip(base[:, 3], 0, 1))
        base[:, 3] = cover
        base[:, :3] *= base[:, 3:]
        colour[here] = base
    return colour
