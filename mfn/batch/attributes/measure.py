"""Measure faces in their picture: sharpness, what is visible, gaze, and the flags that follow from thresholds.

Letters: N faces, L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from retarget.arkit import EXPRESSION_NAMES, PHONE_EYE_TURN_RAD, eye_angles
from retarget.io.images import Image

SHARPNESS_PX = 96
"""Larger faces are scaled down to this height before their sharpness is measured, so that it does not depend on the size."""
_BLUR_TAPS = 9  # of the Crete filter
_OUTLINE = 0.5  # half axes of the ellipse that stands for a face, relative to its box

Floats = NDArray[np.float32]
_SHAPES: dict[str, dict[str, float]] = {
    "eyes_closed": {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5},
    "smile": {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5},
}


@dataclass(frozen=True)
class Attributes:
    """Measures of N faces: (N,) each, as `mfn.batch.tables.columns` describes them."""

    face_px: Floats
    network_px: Floats
    sharpness: Floats
    visible: Floats
    gaze_deg: Floats
    eyes_closed: Floats
    """Mean weight of eyeBlink: the value that the threshold of the flag is compared with."""
    smile: Floats
    """Mean weight of mouthSmile."""


def measure(picture: Image, faces: Faces, network_scale: float) -> Attributes:
    """Measure all faces of one picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        faces: N faces in px of the picture.
        network_scale: Scale at which the network saw the picture, 1 where it saw its own px.
    """
    height, width = picture.shape[:2]
    face_px = faces.box[:, 3] - faces.box[:, 1]
    return Attributes(
        face_px=face_px,
        network_px=np.asarray(face_px * np.float32(network_scale), np.float32),
        sharpness=np.array([sharpness(crop_box(picture, box)) for box in faces.box], np.float32).reshape(len(faces)),
        visible=visible_share(faces, width, height),
        gaze_deg=gaze_deg(faces),
        eyes_closed=weighted(faces.expression, "eyes_closed"),
        smile=weighted(faces.expression, "smile"),
    )


def weighted(expression: NDArray[Any], name: str) -> Floats:
    """Return a weighted sum (N,) of the shapes of expressions (N, 51); `name` is a key of the table of this module."""
    return np.asarray(sum(w * expression[:, EXPRESSION_NAMES.index(shape)] for shape, w in _SHAPES[name].items()), np.float32)


def gaze_deg(faces: Faces) -> Floats:
    """Return the angle (N,) in degrees between the gaze of both eyes and the line from the head to the camera.

    The camera is weak perspective: that line is parallel to the optical axis for every face.
    Eyes turn as far as phones report it at these weights.
    """
    left, down = eye_angles(faces.expression, PHONE_EYE_TURN_RAD).mean(1).T  # (N,) each, of both eyes
    head = np.stack([np.sin(left) * np.cos(down), -np.sin(down), np.cos(left) * np.cos(down)], 1)
    towards = -np.einsum("nj,nj->n", faces.rotation[:, 2], head)
    return np.asarray(np.degrees(np.arccos(np.clip(towards, -1, 1))), np.float32)


def visible_share(faces: Faces, width: int, height: int) -> Floats:
    """Return the share (N,) of each face's 68 landmarks that are inside the picture and not behind a nearer face.

    A nearer face is one of larger scale; it covers the ellipse in its box. Hands, hair and masks are not noticed.
    """
    points = default_head_model().landmarks(faces, "ibug68")[..., :2]  # (N, L, 2)
    seen = np.asarray(((points >= 0) & (points < (width, height))).all(-1))
    middle, half = (faces.box[:, :2] + faces.box[:, 2:]) / 2, (faces.box[:, 2:] - faces.box[:, :2]).clip(1) * _OUTLINE
    for i in range(len(faces)):
        nearer = np.flatnonzero((faces.scale > faces.scale[i]) & (np.abs(middle - middle[i]) < half + half[i] * 1.5).all(1))
        if len(nearer):
            inside = (((points[i, :, None] - middle[nearer]) / half[nearer]) ** 2).sum(-1) < 1  # (L, nearer)
            seen[i] &= ~inside.any(1)
    return np.asarray(seen.mean(1), np.float32).reshape(len(faces))


def crop_box(picture: Image, box: NDArray[Any]) -> Image:
    """Return the part of a picture in a box x1 y1 x2 y2 px; it may be empty."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = np.clip(np.round(np.nan_to_num(box)), 0, (width, height, width, height)).astype(int).tolist()
    return picture[y1:y2, x1:x2]


def sharpness(crop: Image) -> float:
    """Return the sharpness of a crop, 0 to 1: 1 minus the blur measure of Crete et al. 2007 ("The blur effect").

    A blur changes a sharp picture much and a blurred one little. The measure is the share of the differences between
    neighboring px that a strong blur removes, in the direction that is more blurred.

    Args:
        crop: (h, w, 3) uint8 RGB. Larger ones are scaled down to SHARPNESS_PX of height.
    """
    import cv2

    if min(crop.shape[:2]) < 3:
        return 0.0
    gray = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
    if len(gray) > SHARPNESS_PX:
        gray = cv2.resize(gray, (max(3, round(gray.shape[1] * SHARPNESS_PX / len(gray))), SHARPNESS_PX), interpolation=cv2.INTER_AREA)
    gray = np.asarray(gray, np.float32)
    shares = []
    for axis in (0, 1):
        blurred = cv2.blur(gray, (1, _BLUR_TAPS) if axis == 0 else (_BLUR_TAPS, 1))
        own, left = np.abs(np.diff(gray, axis=axis)), np.abs(np.diff(blurred, axis=axis))
        total = float(own.sum())
        shares.append(float(np.maximum(own - left, 0).sum()) / total if total else 0.0)
    return min(shares)
