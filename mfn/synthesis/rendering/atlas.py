"""Texture atlas of the head model: one image that holds the whole surface.

The atlas has four pages side by side: the face (the model's own uv chart), the scalp and neck (unrolled), an eyeball (seen from the
front) and the inside of the mouth. Letters: V vertices, T triangles, H and W height and width of the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model import HeadModel
from retarget.render.rasterizer import rasterize

Floats = NDArray[np.floating]

PAGE_PX = 256  # side of the face's page and of the scalp's page
EYE_PX = 64  # side of the eye's page
MOUTH_PX = 64  # side of the mouth's page
WIDTH_PX = 2 * PAGE_PX + EYE_PX + MOUTH_PX
EYE_SPAN_M = 0.034  # width of what the eye's page shows
#: Place of each part across the mouth's page, share of its width.
MOUTH_COLUMNS = {"tongue": 0.08, "mouth_inside": 0.36, "lips": 0.64, "gums": 0.64, "teeth": 0.92}
EYE_REGIONS = ("eyeball_left", "eyeball_right", "iris", "pupil")
MOUTH_REGIONS = ("mouth_inside", "teeth", "gums", "tongue")

_MOUTH_SPAN_M = 0.08  # width of what the mouth's page shows
_SKULL_CENTER_M = np.array([0.0, 0.0, -0.07], np.float32)  # center of the unrolled page
_NECK_TOP_M = -0.06  # below this height the unrolled page shows height, not elevation
_FAR_PX = 99  # distance to an opening for places that are far from it


class Page(IntEnum):
    """Pages of the atlas."""

    FACE = 0
    SCALP = 1
    EYE = 2
    MOUTH = 3


@dataclass(frozen=True)
class HeadAtlas:
    """Places of all triangles in the atlas, and what lies at each of its pixels.

    Attributes:
        corner: (T, 3, 2) px, where the corners of each triangle lie in the atlas.
        page: (T,) uint8, `Page` of each triangle.
        point: (H, W, 3) meters, head frame: place on the mean head, continued beyond the pages' edges.
        region: (H, W) uint8, index into the model's `region_names`, continued beyond the edges.
        opening_px: (H, W) px, distance to the openings of eyes and mouth on the face's page.
    """

    corner: Floats
    page: NDArray[np.uint8]
    point: Floats
    region: NDArray[np.uint8]
    opening_px: Floats


def build_atlas(model: HeadModel) -> HeadAtlas:
    """Lay out the head model's surface. Takes about a second."""
    page, corner = _layout(model)
    number, share = rasterize(_with_depth(corner), np.arange(corner.shape[0] * 3).reshape(-1, 3), PAGE_PX, WIDTH_PX)
    covered, triangle = number >= 0, np.maximum(number, 0)
    point = (model.mean[model.triangles[triangle]] * share[..., None]).sum(2)
    nearest = np.take_along_axis(model.triangles[triangle], share.argmax(-1)[..., None], -1)[..., 0]
    source = _nearest_covered(covered)
    point, region = point.reshape(-1, 3)[source], model.region[nearest].ravel()[source]
    return HeadAtlas(corner, page, point.astype(np.float32), region.astype(np.uint8), _distance_to_openings(covered))


def _layout(model: HeadModel) -> tuple[NDArray[np.uint8], Floats]:
    """Choose a page for each triangle (T,) and place its corners (T, 3, 2) px."""
    names = np.array(model.region_names)[model.region]
    eye_part, mouth_part = np.isin(names, EYE_REGIONS), np.isin(names, MOUTH_REGIONS)
    triangles = model.triangles
    page = np.full(len(triangles), Page.SCALP, np.uint8)
    page[(model.uv[triangles] >= 0).all((1, 2))] = Page.FACE
    page[eye_part[triangles].all(1)] = Page.EYE
    page[mouth_part[triangles].any(1)] = Page.MOUTH
    place = np.zeros((len(triangles), 3, 2), np.float32)
    place[:] = (model.uv * PAGE_PX)[triangles]
    scalp, eyes, mouth = (page == kind for kind in (Page.SCALP, Page.EYE, Page.MOUTH))
    place[scalp] = _unrolled(model.mean, triangles[scalp])
    side = np.sign(model.mean[:, 0])
    center = np.array([np.abs(model.mean[eye_part, 0]).mean(), 0.0])
    eye = (model.mean[:, :2] * np.stack([side, np.ones_like(side)], 1) - center) / EYE_SPAN_M * [1, -1] + 0.5
    place[eyes] = (eye.clip(0.01, 0.99) * EYE_PX)[triangles[eyes]] + (2 * PAGE_PX, 0)
    across = np.array([MOUTH_COLUMNS.get(name, MOUTH_COLUMNS["lips"]) for name in names])
    inside = np.stack([across, (model.mean[:, 0] / _MOUTH_SPAN_M + 0.5).clip(0.01, 0.99)], 1) * MOUTH_PX
    place[mouth] = inside[triangles[mouth]] + (2 * PAGE_PX + EYE_PX, 0)
    return page, place.astype(np.float32)


def _unrolled(points: Floats, triangles: NDArray[np.int32]) -> Floats:
    """Unroll scalp and neck: azimuth runs across, elevation down. Returns (T, 3, 2) px of the atlas."""
    x, y, z = (points - _SKULL_CENTER_M).T
    azimuth = np.arctan2(x, z)[triangles]
    wraps = np.ptp(azimuth, axis=1) > np.pi
    azimuth = np.where(wraps[:, None] & (azimuth < 0), azimuth + 2 * np.pi, azimuth)
    # On the neck, height replaces elevation: by elevation the shoulders would lie over the neck.
    neck = np.arctan2(_NECK_TOP_M, 0.06) - 3.6 * (_NECK_TOP_M - y)
    elevation = np.where(y > _NECK_TOP_M, np.arctan2(y, np.hypot(x, z)), neck)[triangles]
    across = ((azimuth + np.pi) / (2 * np.pi + 0.9)).clip(0, 1)
    down = (np.pi / 2 - elevation) / np.pi
    return np.stack([PAGE_PX + 2 + across * (PAGE_PX - 4), 2 + down * (PAGE_PX - 4)], -1)


def _with_depth(corner: Floats) -> Floats:
    """Turn corners (T, 3, 2) into separate points (3 T, 3) at depth 0."""
    return np.concatenate([corner.reshape(-1, 2), np.zeros((corner.shape[0] * 3, 1), np.float32)], 1)


def _nearest_covered(covered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find for each pixel (H, W) the number of the nearest covered pixel, counted row by row."""
    import cv2

    _, label = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    source = np.zeros(label.max() + 1, np.int64)
    source[label[covered]] = np.flatnonzero(covered)
    return np.asarray(source[label])


def _distance_to_openings(covered: NDArray[np.bool_]) -> Floats:
    """Measure the distance (H, W) px of each pixel of the face's page to the openings of eyes and mouth."""
    import cv2

    inner = np.zeros((PAGE_PX, PAGE_PX), bool)
    inner[40:-40, 60:-60] = True  # the page's own border is no opening
    opening = ~covered[:, :PAGE_PX] & inner
    distance = np.full((PAGE_PX, WIDTH_PX), _FAR_PX, np.float32)
    distance[:, :PAGE_PX] = cv2.distanceTransform((~opening).astype(np.uint8), cv2.DIST_L2, 5)
    return distance
