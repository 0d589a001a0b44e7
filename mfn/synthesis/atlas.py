"""The head model's surface made ready for painting and lighting: one atlas of all its parts, and how light reaches every vertex.

Made once, in half a second, by `make_surface`. The atlas has four pages side by side: the face's own chart, the scalp and neck
unrolled, an eyeball seen from the front, and the inside of the mouth. Letters: V vertices, T triangles, H W of the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model import HeadModel
from mfn.synthesis.fast_rasterizer import corners, draw_front
from retarget.arkit import EXPRESSION_NAMES
from retarget.render.rasterizer import rasterise, vertex_normals

Floats = NDArray[np.floating]

PAGE = 256  # px, side of the face's page and of the unrolled page
EYE = 64
MOUTH = 64
WIDTH = 2 * PAGE + EYE + MOUTH
EYE_SPAN_M = 0.034  # what the eye's page shows
SKIN, WRAP, EYEBALL, MOUTH_PART = range(4)
STRIP = {"tongue": 0.08, "mouth_inside": 0.36, "lips": 0.64, "gums": 0.64, "teeth": 0.92}  # across the mouth's page
_CENTRE = np.array([0.0, 0.0, -0.07], np.float32)  # of the skull, about which scalp and neck are unrolled
_NECK_M = -0.06


@dataclass(frozen=True)
class Surface:
    """What rendering needs beside the head model.

    corner: (T, 3, 2) px of the atlas; kind: (T,) page of each triangle; point: (H, W, 3) metres on the mean head, filled beyond the
    pages' edges; region: (H, W) of the nearest triangle; hole: (H, W) px from the openings of eyes and mouth on the face's page
    transfer: (V, 9) share of the light in each spherical harmonic that arrives, shadowed by the head itself
    eye_part, mouth_part: (V,) bool
    """

    corner: Floats
    kind: NDArray[np.uint8]
    point: Floats
    region: NDArray[np.uint8]
    hole: Floats
    transfer: Floats
    eye_part: NDArray[np.bool_]
    mouth_part: NDArray[np.bool_]


def make_surface(model: HeadModel) -> Surface:
    """Lays out the atlas and measures the light."""
    kind, corner = _pages(model)
    point, region, hole = _atlas(model, corner)
    eye = model.region_mask("eyeball_left", "eyeball_right", "iris", "pupil")
    mouth = model.region_mask("mouth_inside", "teeth", "gums", "tongue")
    transfer = _transfer(model, {})
    opened = _transfer(model, {"jawOpen": 0.8, "mouthUpperUpLeft": 0.5, "mouthUpperUpRight": 0.5})
    shut = _transfer(model, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    lids = model.region_mask("lids")
    transfer[mouth] = opened[mouth]
    transfer[lids] = 0.4 * transfer[lids] + 0.6 * shut[lids]
    return Surface(corner, kind, point, region, hole, transfer, eye, mouth)


def harmonics(direction: Floats) -> Floats:
    """Unit directions (..., 3) -> the nine real spherical harmonics up to order 2, (..., 9)."""
    x, y, z = np.moveaxis(np.asarray(direction, np.float32), -1, 0)
    one = np.ones_like(x)
    parts = [0.2821 * one, 0.4886 * y, 0.4886 * z, 0.4886 * x, 1.0925 * x * y, 1.0925 * y * z]
    parts += [0.3154 * (3 * z * z - 1), 1.0925 * x * z, 0.5463 * (x * x - y * y)]
    return np.stack(parts, -1).astype(np.float32)


def _pages(model: HeadModel) -> tuple[NDArray[np.uint8], Floats]:
    """Which page each triangle lies on (T,), and where its corners lie in the atlas (T, 3, 2) px."""
    names = np.array(model.region_names)[model.region]
    eye_part = np.isin(names, ["eyeball_left", "eyeball_right", "iris", "pupil"])
    mouth_part = np.isin(names, ["mouth_inside", "teeth", "gums", "tongue"])
    triangles = model.triangles
    kind = np.full(len(triangles), WRAP, np.uint8)
    kind[(model.uv[triangles] >= 0).all((1, 2))] = SKIN
    kind[eye_part[triangles].all(1)] = EYEBALL
    kind[mouth_part[triangles].any(1)] = MOUTH_PART
    place = np.zeros((len(triangles), 3, 2), np.float32)
    place[:] = (model.uv * PAGE)[triangles]
    place[kind == WRAP] = _unrolled(model.mean, triangles[kind == WRAP])
    side = np.sign(model.mean[:, 0])
    centre = np.array([np.abs(model.mean[eye_part, 0]).mean(), 0.0])
    eye = (model.mean[:, :2] * np.stack([side, np.ones_like(side)], 1) - centre) / EYE_SPAN_M * [1, -1] + 0.5
    place[kind == EYEBALL] = (eye.clip(0.01, 0.99) * EYE)[triangles[kind == EYEBALL]] + (2 * PAGE, 0)
    across = np.array([STRIP.get(name, STRIP["lips"]) for name in names])
    mouth = np.stack([across, (model.mean[:, 0] / 0.08 + 0.5).clip(0.01, 0.99)], 1) * MOUTH
    place[kind == MOUTH_PART] = mouth[triangles[kind == MOUTH_PART]] + (2 * PAGE + EYE, 0)
    return kind, place.astype(np.float32)


def _unrolled(points: Floats, triangles: NDArray[np.int32]) -> Floats:
    """Scalp and neck: angle about the vertical across, elevation down. (T, 3, 2) px of the atlas."""
    x, y, z = (points - _CENTRE).T
    turn = np.arctan2(x, z)[triangles]
    wraps = np.ptp(turn, axis=1) > np.pi
    turn = np.where(wraps[:, None] & (turn < 0), turn + 2 * np.pi, turn)
    # Below the ears down the neck by height alone: by elevation, shoulders would lie over the neck.
    up = np.where(y > _NECK_M, np.arctan2(y, np.hypot(x, z)), np.arctan2(_NECK_M, 0.06) - 3.6 * (_NECK_M - y))[
        triangles
    ]
    across = ((turn + np.pi) / (2 * np.pi + 0.9)).clip(0, 1)
    down = (np.pi / 2 - up) / np.pi
    return np.stack([PAGE + 2 + across * (PAGE - 4), 2 + down * (PAGE - 4)], -1)


def _atlas(model: HeadModel, corner: Floats) -> tuple[Floats, NDArray[np.uint8], Floats]:
    """For each px of the atlas the point (H, W, 3) and region (H, W), drawn beyond the edges; on the face the px from its openings."""
    import cv2

    soup = np.concatenate([corner.reshape(-1, 2), np.zeros((corner.shape[0] * 3, 1), np.float32)], 1)
    number, share = rasterise(soup, np.arange(len(soup)).reshape(-1, 3), PAGE, WIDTH)
    inside = number >= 0
    at = np.maximum(number, 0)
    point = (model.mean[model.triangles[at]] * share[..., None]).sum(2)
    main = np.take_along_axis(model.triangles[at], share.argmax(-1)[..., None], -1)[..., 0]
    region = model.region[main]
    _, label = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    source = np.zeros(label.max() + 1, np.int64)
    source[label[inside]] = np.flatnonzero(inside)
    point, region = point.reshape(-1, 3)[source[label]], region.ravel()[source[label]]
    gap = ~inside[:, :PAGE]
    middle = np.zeros_like(gap)
    middle[40:-40, 60:-60] = True  # the openings, not the page's border
    hole = np.full((PAGE, WIDTH), 99, np.float32)
    hole[:, :PAGE] = cv2.distanceTransform((~(gap & middle)).astype(np.uint8), cv2.DIST_L2, 5)
    return point.astype(np.float32), region.astype(np.uint8), hole


def _transfer(model: HeadModel, weights: dict[str, float], directions: int = 48) -> Floats:
    """(V, 9): the lit share of a hemisphere about each normal, in spherical harmonics, for a mean head with these expression weights."""
    expression = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    for name, weight in weights.items():
        expression[0, EXPRESSION_NAMES.index(name)] = weight
    head = model.vertices(np.zeros((1, model.identity_size), np.float32), expression)[0]
    normal = vertex_normals(head, model.triangles)
    step = np.arange(directions) + 0.5
    height, turn = 1 - 2 * step / directions, step * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    sky = np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], 1).astype(np.float32)
    total = np.zeros((len(head), 9), np.float32)
    for towards in sky:
        lit = np.clip(normal @ towards, 0, None) * _seen(head, model.triangles, towards)
        total += lit[:, None] * harmonics(towards)
    return total * np.float32(4 * np.pi / directions / np.pi)


def _seen(head: Floats, triangles: NDArray[np.int32], towards: Floats, size: int = 150) -> NDArray[np.bool_]:
    """(V,) whether nothing of the head lies between a vertex and what is far away in a direction."""
    side = np.cross(towards, [0.0, 0.0, 1.0] if abs(towards[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(towards, side), -towards])
    scale = size / 0.5
    points = (head - head.mean(0)) @ axes.T * scale + [size / 2, size / 2, 0]
    depth = draw_front(corners(points, triangles), size, size, backs=True).depth
    x, y = (points[:, k].astype(int).clip(0, size - 1) for k in range(2))
    return points[:, 2] < depth[y, x] + 0.004 * scale
