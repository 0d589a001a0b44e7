"""Light on the head model: random lamps, the shadows that the head throws on itself, and the light that arrives at each vertex.

Letters: V vertices, L lamps, T triangles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model import HeadModel
from mfn.synthesis.expressions import expression_from_weights
from retarget.geometry.mesh import vertex_normals
from retarget.render.fast_rasterizer import gather_corners, rasterize_fast
from retarget.render.spherical_harmonics import HARMONIC_COUNT, spherical_harmonics

Floats = NDArray[np.floating]

_SHADOW_MAP_PX = 150
_SHADOW_MAP_M = 0.5  # what the shadow map's side shows
_SHADOW_BIAS_M = 0.004
_DIRECTIONS = 48  # sampled directions of incoming light
_FULL_SKY = 3.545  # 1 / (first harmonic): an unshadowed vertex has transfer[0] * _FULL_SKY = 1
_MOUTH_OPEN = {"jawOpen": 0.8, "mouthUpperUpLeft": 0.5, "mouthUpperUpRight": 0.5}
_EYES_CLOSED = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}


class Light(NamedTuple):
    """Distant lamps and ambient light, linear.

    Attributes:
        direction: (L, 3) unit vectors towards the lamps, camera frame.
        color: (L, 3) color and strength of the lamps.
        ambient: (3,) light from all directions.
    """

    direction: Floats
    color: Floats
    ambient: Floats


#: Almost even light. For painting into photos, whose own light is applied afterwards.
EVEN_LIGHT = Light(
    direction=np.array([[0.2, -0.5, -0.84]], np.float32),
    color=np.array([[0.25, 0.25, 0.25]], np.float32),
    ambient=np.array([0.8, 0.8, 0.8], np.float32),
)


class VertexLight(NamedTuple):
    """Light that leaves each vertex towards the viewer.

    Attributes:
        diffuse: (V, 3) light to multiply with the surface's color.
        gloss: (V, 1) light to add as a highlight.
    """

    diffuse: Floats
    gloss: Floats


def random_light(rng: np.random.Generator) -> Light:
    """Draw one to three lamps in front of the head, and ambient light."""
    count = int(rng.integers(1, 4))
    azimuth, elevation = rng.uniform(-1.9, 1.9, count), np.radians(rng.uniform(-15, 75, count))
    direction = np.stack(
        [np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), -np.cos(azimuth) * np.cos(elevation)], 1
    )
    tint = rng.normal(0, 0.1, (count + 1, 1)) * np.array([1.0, 0.1, -1.0]) + 1
    strength = np.exp(rng.normal(-0.5, 0.5, (count, 1))) * np.array([[1.0], [0.5], [0.5]])[:count]
    ambient = np.exp(rng.normal(-0.85, 0.45)) * tint[-1]
    return Light(*(a.astype(np.float32) for a in (direction, strength * tint[:-1], ambient)))


def light_transfer(model: HeadModel) -> Floats:
    """Measure how the mean head shadows itself.

    Vertices inside the mouth are measured with an open mouth, the lids partly with closed eyes, because they are hidden on the neutral
    head.

    Returns:
        (V, 9) float32 share of the light of each spherical harmonic that arrives at each vertex.
    """
    mouth = model.region_mask("mouth_inside", "teeth", "gums", "tongue")
    lids = model.region_mask("lids")
    transfer = _expression_transfer(model, {})
    transfer[mouth] = _expression_transfer(model, _MOUTH_OPEN)[mouth]
    transfer[lids] = 0.4 * transfer[lids] + 0.6 * _expression_transfer(model, _EYES_CLOSED)[lids]
    return transfer


def light_vertices(
    transfer: Floats, mean_normal: Floats, normal: Floats, rotation: Floats, light: Light
) -> VertexLight:
    """Light a head.

    The shadows are those of the mean head; the difference between its normals and the given ones is added to them.

    Args:
        transfer: (V, 9) from `light_transfer`.
        mean_normal: (V, 3) unit normals of the mean head, head frame.
        normal: (V, 3) unit normals of this head with its expression, head frame.
        rotation: (3, 3) head to camera.
        light: the lamps, camera frame.
    """
    towards = light.direction @ rotation  # in the head's frame
    lamp_harmonics = np.pi * spherical_harmonics(towards)  # (L, 9)
    diffuse = transfer @ (lamp_harmonics.T @ light.color) + transfer[:, :1] * _FULL_SKY * light.ambient
    change = np.maximum(normal @ towards.T, 0) - np.maximum(mean_normal @ towards.T, 0)
    openness = np.clip(transfer[:, :1] * _FULL_SKY, 0, 1)
    diffuse = np.maximum(diffuse + (change * openness) @ light.color, 0.02 * light.ambient)
    half = towards + rotation[2] * -1  # the viewer lies along -z of the camera
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    squared = np.maximum(normal @ half.T, 0) ** 2
    highlight = ((squared**2) ** 2) ** 2 * squared  # power of 18 by multiplications: NumPy's ** 18 is slow
    return VertexLight(diffuse, highlight @ light.color.mean(1, keepdims=True) * openness)


def eye_reflections(normal: Floats, light: Light) -> Floats:
    """Compute the reflections of the lamps on the eyes.

    Args:
        normal: (E, 3) directions out of the eyeball, any length, camera frame.
        light: the lamps, camera frame.

    Returns:
        (E, 3) linear light to add.
    """
    unit = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    half = light.direction - np.array([0, 0, 1.0], np.float32)
    half /= np.maximum(np.linalg.norm(half, axis=1, keepdims=True), 1e-6)
    return np.asarray(np.minimum(np.clip((unit @ half.T - 0.991) / 0.004, 0, 1) @ light.color, 0.8))


def _expression_transfer(model: HeadModel, weights: Mapping[str, float]) -> Floats:
    """Measure the light transfer (V, 9) of the mean head with an expression, by shadow maps from all around."""
    expression = expression_from_weights(weights)[None]
    head = model.vertices(np.zeros((1, model.identity_size), np.float32), expression)[0]
    normal = vertex_normals(head, model.triangles)
    step = np.arange(_DIRECTIONS) + 0.5
    height, azimuth = 1 - 2 * step / _DIRECTIONS, step * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    sphere = np.stack([ring * np.cos(azimuth), height, ring * np.sin(azimuth)], 1).astype(np.float32)
    total = np.zeros((len(head), HARMONIC_COUNT), np.float32)
    for towards in sphere:
        lit = np.clip(normal @ towards, 0, None) * _is_lit(head, model.triangles, towards)
        total += lit[:, None] * spherical_harmonics(towards)
    result: Floats = total * np.float32(4 * np.pi / _DIRECTIONS / np.pi)
    return result


def _is_lit(head: Floats, triangles: NDArray[np.int32], towards: Floats) -> NDArray[np.bool_]:
    """Return True (V,) for vertices without a part of the head between them and a distant lamp in the direction `towards` (3,)."""
    size = _SHADOW_MAP_PX
    side = np.cross(towards, [0.0, 0.0, 1.0] if abs(towards[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(towards, side), -towards])
    scale = size / _SHADOW_MAP_M
    points = (head - head.mean(0)) @ axes.T * scale + [size / 2, size / 2, 0]
    depth = rasterize_fast(gather_corners(points, triangles), size, size, cull=False).depth
    x, y = (points[:, k].astype(int).clip(0, size - 1) for k in range(2))
    return np.asarray(points[:, 2] < depth[y, x] + _SHADOW_BIAS_M * scale)
