"""Pictures of painted heads, quickly: one z-buffer of the triangles that face the camera, light by spherical harmonics at the vertices.

Letters: V vertices, H W of the picture, F drawn px.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import Appearance
from mfn.synthesis.atlas import EYEBALL, MOUTH_PART, harmonics
from mfn.synthesis.fast_rasterizer import between, corners, draw_front, normals
from mfn.synthesis.texture import Canvas, hair_height

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
    """A painted head. atlas: (H, W, 3) linear light; rest: (V, 3) metres, its form without expression, with hair and hat; identity: (I,)"""

    look: Appearance
    atlas: Floats
    rest: Floats
    identity: Floats

    def vertices(self, model: HeadModel, expression: Floats) -> Floats:
        """Its form (V, 3), metres, with an expression (51,)."""
        return self.rest + (expression @ model.expression_basis.reshape(len(expression), -1)).reshape(-1, 3)


def random_light(rng: np.random.Generator) -> Light:
    """A key light from anywhere in front, often a second one, and the sky."""
    count = int(rng.integers(1, 4))
    turn, up = rng.uniform(-1.9, 1.9, count), np.radians(rng.uniform(-15, 75, count))
    towards = np.stack([np.sin(turn) * np.cos(up), -np.sin(up), -np.cos(turn) * np.cos(up)], 1)
    warm = rng.normal(0, 0.1, (count + 1, 1)) * np.array([1.0, 0.1, -1.0]) + 1
    strength = np.exp(rng.normal(-0.5, 0.5, (count, 1))) * np.array([[1.0], [0.5], [0.5]])[:count]
    ambient = np.exp(rng.normal(-0.85, 0.45)) * warm[-1]
    return Light(*(a.astype(np.float32) for a in (towards, strength * warm[:-1], ambient)))


def make_person(canvas: Canvas, look: Appearance, identity: Floats, rng: np.random.Generator) -> Person:
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
    rest = model.vertices(identity[None], np.zeros((1, len(model.expression_basis)), np.float32))[0] + offset
    return Person(look, canvas.paint(look, rng), rest.astype(np.float32), identity)


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
    near = np.maximum(normal @ half.T, 0) ** 2
    sharp = ((near**2) ** 2) ** 2 * near  # to the power of 18 in all, which NumPy is slow to take at once
    gloss = sharp @ light.colour.mean(1, keepdims=True) * open_to
    return diffuse, gloss


def draw_head(
    canvas: Canvas, person: Person, points: Floats, rotation: Floats, light: Light, shape: tuple[int, int]
) -> tuple[Floats, NDArray[np.intp], Floats]:
    """A lit head. points: (V, 3) px of the picture of `shape` (H, W), `project`ed from the person's vertices; rotation: (3, 3).

    -> linear colours of the drawn px (F, 3), their numbers (F,) row by row, and all depths (H, W)
    """
    import cv2

    triangles, surface = canvas.model.triangles, canvas.surface
    at = corners(points, triangles)
    pixel, triangle, share, depth = draw_front(at, *shape)
    diffuse, gloss = arrive(canvas, normals(at, triangles, len(points)) @ rotation, rotation, light)
    corner = triangles[triangle]
    lit = between(np.concatenate([diffuse, gloss], 1), corner, share)
    place = between(surface.corner.reshape(-1, 2), triangle[:, None] * 3 + np.arange(3), share) - 0.5
    rows = -(-len(place) // 4096)
    padded = np.zeros((rows, 4096, 2), np.float32)
    padded.reshape(-1, 2)[: len(place)] = place
    albedo = cv2.remap(person.atlas, padded, None, cv2.INTER_LINEAR).reshape(-1, 3)[: len(place)]  # type: ignore[call-overload]
    kind = surface.kind[triangle]
    _shade_openings(lit, kind, pixel, points, shape)
    eye = np.flatnonzero(kind == EYEBALL)
    shine = lit[:, 3] * (0.012 + SHINE * albedo[:, 0])
    shine[eye] = 0
    colour = albedo * lit[:, :3] + shine[:, None]
    if len(eye):
        outward = between(points, corner[eye], share[eye])
        left = canvas.model.mean[corner[eye, 0], :1] > 0
        outward -= np.where(left, *(points[part].mean(0) for part in canvas.eyes))
        colour[eye] += _catchlight(outward, light)
    return colour, pixel, depth


def _shade_openings(lit: Floats, kind: NDArray, pixel: NDArray, points: Floats, shape: tuple[int, int]) -> None:
    """Eyes lie in the shade of their lids, and a mouth grows dark inwards. Changes `lit` (F, 4)."""
    import cv2

    head = float(np.ptp(points[:, 1])) or 1.0
    for part, size, floor in ((EYEBALL, 0.03, 0.45), (MOUTH_PART, 0.05, 0.12)):
        there = kind == part
        if not there.any():
            continue
        field = np.zeros(shape, np.float32)
        field.ravel()[pixel[there]] = 1
        k = max(int(size * head) | 1, 3)
        open_to = cv2.blur(field, (k, k), anchor=(k // 2, min(k // 2 + k // 4, k - 1)))
        lit[there] *= (floor + (1 - floor) * np.clip(open_to.ravel()[pixel[there]] * 1.25, 0, 1))[:, None]


def _catchlight(outward: Floats, light: Light) -> Floats:
    """A small mirror image of the lamps (E, 3) on the eyes, whose surface lies `outward` (E, 3) of their middles, camera frame."""
    unit = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    half = light.towards - np.array([0, 0, 1.0], np.float32)
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    return np.minimum(np.clip((unit @ half.T - 0.991) / 0.004, 0, 1) @ light.colour, 0.8)
