"""Pictures of painted heads, quickly: one z-buffer of the triangles that face the camera, light by spherical harmonics at the vertices.

Letters: V vertices, H W of the picture, F drawn px.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.data.head_look import Look
from mfn.data.head_paint import Canvas, hair_height
from mfn.data.head_surface import EYEBALL, MOUTH_PART, harmonics
from mfn.head_model import HeadModel
from retarget.raster import nearest, vertex_normals

Floats = NDArray[np.floating]
SHINE = 0.09  # of the gloss, by how light the surface is: dark hair has little


class Light(NamedTuple):
    """Lamps far away: directions towards them (L, 3) unit, camera frame, their colours (L, 3), and the light from all around (3,)."""

    towards: Floats
    colour: Floats
    ambient: Floats


LIGHT_FROM_ABOVE = Light(
    *(np.array(v, np.float32) for v in ([[0.2, -0.5, -0.84]], [[0.25, 0.25, 0.25]], [0.8, 0.8, 0.8]))
)
"""Nearly even: for painting into photos, whose own light is put on afterwards."""


class Person(NamedTuple):
    """A painted head. atlas: (H, W, 3) linear light; offset: (V, 3) metres, hair and clothes over the skin; identity: (I,)"""

    look: Look
    atlas: Floats
    offset: Floats
    identity: Floats


def random_light(rng: np.random.Generator) -> Light:
    """A key light from anywhere in front, often a second one, and the sky."""
    count = int(rng.integers(1, 4))
    turn, up = rng.uniform(-1.9, 1.9, count), np.radians(rng.uniform(-15, 75, count))
    towards = np.stack([np.sin(turn) * np.cos(up), -np.sin(up), -np.cos(turn) * np.cos(up)], 1)
    warm = rng.normal(0, 0.1, (count + 1, 1)) * np.array([1.0, 0.1, -1.0]) + 1
    strength = np.exp(rng.normal(-0.5, 0.5, (count, 1))) * np.array([[1.0], [0.5], [0.5]])[:count]
    ambient = np.exp(rng.normal(-0.85, 0.45)) * warm[-1]
    return Light(*(a.astype(np.float32) for a in (towards, strength * warm[:-1], ambient)))


def make_person(canvas: Canvas, look: Look, identity: Floats, rng: np.random.Generator) -> Person:
    """Paints a head and gives it hair of some volume, or a hat, or a mask."""
    model = canvas.model
    height = hair_height(model.mean)
    height[model.region_mask("ears", "neck")] = -1
    line = 0.0 if look.cover else look.hairline
    rise = np.clip((height - line) / 0.03, 0, 1)
    volume = 0.004 + 0.5 * look.volume if look.cover else look.volume * (0.6 + 0.5 * np.clip(height / 0.08, 0, 1))
    outward = canvas.normal
    lumps = 1 + 0.3 * np.sin(model.mean @ rng.normal(0, 60, 3) + rng.uniform(0, 6)) * (look.cover == 0)
    offset = (rise * rise * (3 - 2 * rise) * volume * lumps)[:, None] * outward
    if look.mask:
        offset = offset + _mask_rise(model)[:, None] * np.array([0, 0, 1.0])
    return Person(look, canvas.paint(look, rng), offset.astype(np.float32), identity)


def _mask_rise(model: HeadModel) -> Floats:
    """Metres that a worn mask stands off each vertex (V,)."""
    x, y, z = model.mean.T
    low = np.clip((0.0 - y - 1.6 * x**2 - 0.012) / 0.012, 0, 1) * np.clip((z + 0.03) / 0.03, 0, 1)
    return 0.006 * low * ~model.region_mask("mouth_inside", "teeth", "gums", "tongue", "neck")


def arrive(canvas: Canvas, normal: Floats, rotation: Floats, light: Light) -> tuple[Floats, Floats]:
    """Light at each vertex under normals (V, 3), head frame: diffuse (V, 3) and gloss (V, 1)."""
    towards = light.towards @ rotation  # into the head's frame
    transfer = canvas.surface.transfer
    spread = np.pi * harmonics(towards)  # (L, 9)
    diffuse = transfer @ (spread.T @ light.colour) + transfer[:, :1] * 3.545 * light.ambient
    usual = np.maximum(canvas.normal @ towards.T, 0)
    change = np.maximum(normal @ towards.T, 0) - usual  # what expression and identity do to the form
    open_to = np.clip(transfer[:, :1] * 3.545, 0, 1)
    diffuse = np.maximum(diffuse + (change * open_to) @ light.colour, 0.02 * light.ambient)
    half = towards + rotation[2] * -1  # the viewer lies along -z of the camera
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    gloss = np.maximum(normal @ half.T, 0) ** 18 @ light.colour.mean(1, keepdims=True) * open_to
    return diffuse, gloss.astype(np.float32)


def draw_head(
    canvas: Canvas,
    person: Person,
    vertices: Floats,
    points: Floats,
    rotation: Floats,
    light: Light,
    shape: tuple[int, int],
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """A lit head. vertices: (V, 3) metres, head frame; points: (V, 3) the same in px of the picture of `shape` (H, W).

    -> linear colours of the drawn px (F, 3), which px are drawn (H, W), and all depths (H, W)
    """
    import cv2

    model, surface = canvas.model, canvas.surface
    height, width = shape
    number, depth = nearest(points, model.triangles, height, width, True)
    drawn = number >= 0
    pixel = np.flatnonzero(drawn)
    triangle = number.ravel()[pixel]
    share = shares(points, model.triangles, triangle, pixel, width)
    diffuse, gloss = arrive(canvas, vertex_normals(vertices, model.triangles), rotation, light)
    lit = between(np.concatenate([diffuse, gloss], 1), model.triangles[triangle], share)
    at = between(surface.corner.reshape(-1, 2), triangle[:, None] * 3 + np.arange(3), share) - 0.5
    rows = -(-len(at) // 4096)
    padded = np.zeros((rows, 4096, 2), np.float32)
    padded.reshape(-1, 2)[: len(at)] = at
    albedo = cv2.remap(person.atlas, padded, None, cv2.INTER_LINEAR).reshape(-1, 3)[: len(at)]  # type: ignore[call-overload]
    kind = surface.kind[triangle]
    _shade_openings(lit, kind, drawn, pixel, points, depth)
    colour = albedo * lit[:, :3] + lit[:, 3:] * np.where(kind == EYEBALL, 0.0, 0.012 + SHINE * albedo[:, 0])[:, None]
    eye = kind == EYEBALL
    if eye.any():
        point, shine = between(vertices, model.triangles[triangle[eye]], share[eye]), colour[eye]
        _catchlight(shine, point, (vertices[canvas.eyes[0]].mean(0), vertices[canvas.eyes[1]].mean(0)), rotation, light)
        colour[eye] = shine
    return colour.astype(np.float32), drawn, depth


def shares(points: Floats, triangles: NDArray, triangle: NDArray, pixel: NDArray, width: int) -> Floats:
    """`retarget.raster.barycentric_at` in single precision and quicker: corner shares (F, 3) of px (F,) in triangles (F,)."""
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    u, v = b - a, c - a
    area = u[:, 0] * v[:, 1] - v[:, 0] * u[:, 1]
    safe = np.where(np.abs(area) < 1e-9, 1, area)
    plane = np.stack([a[:, 0], a[:, 1], v[:, 1] / safe, -v[:, 0] / safe, -u[:, 1] / safe, u[:, 0] / safe], 1)
    x0, y0, p, q, r, s = plane.astype(np.float32).take(triangle, 0).T
    row = pixel // width
    x, y = (
        (pixel - row * width).astype(np.float32) + np.float32(0.5) - x0,
        row.astype(np.float32) + np.float32(0.5) - y0,
    )
    out = np.empty((len(pixel), 3), np.float32)
    out[:, 1], out[:, 2] = x * p + y * q, x * r + y * s
    out[:, 0] = 1 - out[:, 1] - out[:, 2]
    return out


def between(values: Floats, corner: NDArray, share: Floats) -> Floats:
    """Values (V, C) between corners (F, 3) by their shares (F, 3) -> (F, C) float32; row by row taken, as gathering all is slow."""
    values = np.ascontiguousarray(values, np.float32)
    out = values.take(corner[:, 0], 0) * share[:, :1]
    for k in (1, 2):
        out += values.take(corner[:, k], 0) * share[:, k : k + 1]
    return out


def _shade_openings(lit: Floats, kind: NDArray, drawn: NDArray, pixel: NDArray, points: Floats, depth: Floats) -> None:
    """Eyes lie in the shade of their lids, and a mouth grows dark inwards. Changes `lit` (F, 4)."""
    import cv2

    head = float(np.ptp(points[:, 1])) or 1.0
    for part, size, floor in ((EYEBALL, 0.03, 0.45), (MOUTH_PART, 0.05, 0.12)):
        there = kind == part
        if not there.any():
            continue
        field = np.zeros(drawn.shape, np.float32)
        field.ravel()[pixel[there]] = 1
        k = max(int(size * head) | 1, 3)
        open_to = cv2.blur(field, (k, k), anchor=(k // 2, min(k // 2 + k // 4, k - 1)))
        lit[there] *= (floor + (1 - floor) * np.clip(open_to.ravel()[pixel[there]] * 1.25, 0, 1))[:, None]


def _catchlight(colour: Floats, point: Floats, eyes: tuple[Floats, Floats], rotation: Floats, light: Light) -> None:
    """A small mirror image of the lamps on the eyes' points (E, 3), head frame; eyes: their middles. Adds to `colour` (E, 3)."""
    unit = point - np.where(point[:, :1] > 0, eyes[0], eyes[1])
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
    half = light.towards - np.array([0, 0, 1.0], np.float32)
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    glint = np.clip(((unit @ rotation.T) @ half.T - 0.991) / 0.004, 0, 1) @ light.colour
    colour += np.minimum(glint, 0.8)
