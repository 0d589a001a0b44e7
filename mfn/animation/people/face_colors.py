"""Take the colors of skin, hair and eyes from a picture: robust medians in regions that the landmarks give.

Colors are balanced by a part of the picture's own tint, and kept within what people have, so that characters stay handsome in any light.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.animation.people.cielab import lab_to_linear, linear_to_lab
from mfn.animation.people.rig_likeness import ROLES, Colors
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.structures.mediapipe_points import BROWS
from retarget.io.images import Image
from retarget.render.shading import srgb_to_linear

Floats = NDArray[np.floating[Any]]

_CHEEKS_AND_FOREHEAD = (50, 280, 101, 330, 205, 425, 151, 108, 337)
_FOREHEAD_TOP, _CHIN = 10, 152
_IRISES = ((468, (469, 470, 471, 472)), (473, (474, 475, 476, 477)))
_PATCH = 0.045  # half of a skin patch, in face heights
_HAIR_FROM, _HAIR_TO, _HAIR_HALF_WIDTH = 0.04, 0.24, 0.34  # a half ellipse above the top of the forehead, in face heights
_MIN_FACE_PX, _MIN_IRIS_PX = 24.0, 2.5
_MIN_PIXELS = 12
_BALD = 16.0  # CIELAB distance from the skin below which a pixel above the forehead is skin
_HAIR_SHARE = 0.25  # where fewer pixels there are hair, the brows tell its color
_LIGHTNESS = {"skin": (46.0, 87.0), "hair": (12.0, 78.0), "iris": (34.0, 66.0)}
_CHROMA = {"skin": (21.0, 34.0), "hair": (3.0, 38.0), "iris": (10.0, 42.0)}
_GRAY, _ANY_HAIR_HUE_DEG = 10.0, (10.0, 105.0)
_SKIN_HUE_DEG, _HAIR_HUE_DEG = (48.0, 70.0), (30.0, 85.0)
_SKIN_LIGHTNESS, _EXPOSURE_SHARE, _MOST_EXPOSURE = 76.0, 0.5, 8.0
"""Half of the difference between this lightness and that of the people of a picture counts as its light, but no more than the third
number: dark skin stays dark. Characters are drawn in shade."""
_CHROMA_GAIN = {"skin": 1.25, "hair": 1.2, "iris": 1.6}
"""Drawn in soft light, colors look paler than in a picture."""


def face_colors(image: Image, faces: Faces, model: HeadModel) -> list[Colors]:
    """Return the colors of each face of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        faces: N faces in it.
        model: Our head model, for the landmarks.

    Returns:
        N colors. A region that is too small or outside the picture is None.
    """
    gain = _white_balance(image)
    found = [_lab_of(image, gain, points) for points in model.landmarks(faces, "mediapipe478")[..., :2]]
    skins = [lab["skin"][0] for lab in found if "skin" in lab]
    lighter = float(np.clip(_EXPOSURE_SHARE * (_SKIN_LIGHTNESS - np.median(skins)), -_MOST_EXPOSURE, _MOST_EXPOSURE)) if skins else 0.0
    light = {"skin": np.array([lighter, 0, 0])}
    return [Colors(**{role: _handsome(lab + light.get(role, 0.0), role) for role, lab in labs.items()}) for labs in found]


def mean_colors(parts: list[Colors]) -> Colors:
    """Return the median of several pictures of one person, for each color from those that show it."""
    columns = ([value for value in column if value is not None] for column in zip(*parts, strict=True))
    return Colors(*(np.median(column, axis=0) if column else None for column in columns))


def _lab_of(image: Image, gain: Floats, points: Floats) -> dict[str, Floats]:
    """Return the CIELAB color of each role that a face (478, 2) shows."""
    up = points[_FOREHEAD_TOP] - points[_CHIN]
    height = float(np.linalg.norm(up))
    if not height >= _MIN_FACE_PX:
        return {}
    radius = max(1.0, _PATCH * height)
    skin = _median(np.concatenate([_patch(image, points[k], radius) for k in _CHEEKS_AND_FOREHEAD]), gain, (35, 85))
    if skin is None:
        return {}
    hair = _hair(image, points, gain, skin)
    if hair is None:
        hair = _median(np.concatenate([_patch(image, points[k], radius / 2) for k in BROWS]), gain, (5, 35))
    irises = [_iris(image, points, *iris) for iris in _IRISES]
    iris = _median(np.concatenate(irises), gain, (25, 75))
    return {role: lab for role, lab in zip(ROLES, (skin, hair, iris), strict=True) if lab is not None}


def _hair(image: Image, points: Floats, gain: Floats, skin: Floats) -> Floats | None:
    """Return the CIELAB color of what is no skin above the forehead of a face (478, 2); None if that is little."""
    up = points[_FOREHEAD_TOP] - points[_CHIN]
    across = np.array([-up[1], up[0]])
    grid = np.meshgrid(np.linspace(_HAIR_FROM, _HAIR_TO, 20), np.linspace(-_HAIR_HALF_WIDTH, _HAIR_HALF_WIDTH, 30))
    steps = np.stack(grid, -1).reshape(-1, 2)
    steps = steps[((steps / (_HAIR_TO, _HAIR_HALF_WIDTH)) ** 2).sum(1) <= 1]
    pixels = _at(image, points[_FOREHEAD_TOP] + steps[:, :1] * up + steps[:, 1:] * across)
    lab = linear_to_lab(np.clip(srgb_to_linear(pixels / 255.0) * gain, 0, 1))
    chroma, hue_deg = np.hypot(lab[:, 1], lab[:, 2]), np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    may_be_hair = (chroma < _GRAY) | ((hue_deg > _ANY_HAIR_HUE_DEG[0]) & (hue_deg < _ANY_HAIR_HUE_DEG[1]))  # else it is the background
    is_hair = may_be_hair & (np.linalg.norm(lab - skin, axis=1) >= _BALD)
    return _median(pixels[is_hair], gain, (20, 80)) if is_hair.sum() >= _HAIR_SHARE * len(steps) else None


def _iris(image: Image, points: Floats, center: int, ring: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pixels of an iris (P, 3) between pupil and edge, without its upper part, where lashes and lid are."""
    radius = float(np.linalg.norm(points[list(ring)] - points[center], axis=1).max())
    if not radius >= _MIN_IRIS_PX:
        return np.zeros((0, 3), np.uint8)
    angle, share = np.meshgrid(np.linspace(-0.15 * math.pi, 1.15 * math.pi, 24), np.linspace(0.5, 0.85, 4))
    way = np.stack([np.cos(angle), np.sin(angle)], -1) * share[..., None] * radius
    return _at(image, points[center] + way.reshape(-1, 2))


def _patch(image: Image, center: Floats, radius: float) -> NDArray[np.uint8]:
    """Return the pixels (P, 3) of a square patch."""
    along = np.linspace(-radius, radius, 7)
    return _at(image, center + np.stack(np.meshgrid(along, along), -1).reshape(-1, 2))


def _at(image: Image, places: Floats) -> NDArray[np.uint8]:
    """Return the pixels (P, 3) at places (Q, 2) x y; places outside the picture are left out."""
    column, row = np.floor(places).astype(np.int64).T
    inside = (column >= 0) & (row >= 0) & (column < image.shape[1]) & (row < image.shape[0])
    return np.asarray(image[row[inside], column[inside]])


def _median(pixels: NDArray[np.uint8], gain: Floats, percent: tuple[float, float]) -> Floats | None:
    """Return the median CIELAB color (3,) of the pixels whose lightness lies between two percentiles; None if there are few."""
    if len(pixels) < _MIN_PIXELS:
        return None
    lab = linear_to_lab(np.clip(srgb_to_linear(pixels / 255.0) * gain, 0, 1))
    low, high = np.percentile(lab[:, 0], percent)
    return np.asarray(np.median(lab[(lab[:, 0] >= low) & (lab[:, 0] <= high)], axis=0))


def _white_balance(image: Image) -> Floats:
    """Return gains (3,) for linear light that take away a part of the picture's tint, within limits."""
    step = max(1, min(image.shape[:2]) // 128)
    mean = np.maximum(srgb_to_linear(image[::step, ::step] / 255.0).reshape(-1, 3).mean(0), 1e-3)
    return np.asarray(np.clip((mean.mean() / mean) ** 0.35, 0.88, 1.14))


def _handsome(lab: Floats, role: str) -> Floats:
    """Keep a color within what people have, and return it as linear light (3,)."""
    lightness = float(np.clip(lab[0], *_LIGHTNESS[role]))
    hue, chroma = math.atan2(lab[2], lab[1]), float(np.hypot(lab[1], lab[2]))
    if role != "iris":
        hue = math.radians(float(np.clip(math.degrees(hue), *(_SKIN_HUE_DEG if role == "skin" else _HAIR_HUE_DEG))))
    chroma = float(np.clip(chroma * _CHROMA_GAIN[role], *_CHROMA[role]))
    return lab_to_linear(np.array([lightness, chroma * math.cos(hue), chroma * math.sin(hue)]))
