"""Give a photographed face one eye of another photo, so that one lid is shut and the other open.

Photos of people hold hardly any winks, and lids that are painted on a face do not look like skin. An eye of another photo does: it is
warped to the place of the old one and blended in the gradient domain (Perez, Gangnet and Blake, SIGGRAPH 2003), which takes over the light.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.structures.mediapipe_points import BROWS, EYELIDS
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

Side = Literal["Left", "Right"]
SIDES: tuple[Side, ...] = get_args(Side)

LID_COUNT = 16  # points of one eye in EYELIDS, the subject's right eye first
BROW_COUNT = 10  # points of one brow in BROWS, the subject's right brow first
CHEEKS: dict[Side, tuple[int, ...]] = {"Right": (111, 117, 118, 119, 120, 128), "Left": (340, 346, 347, 348, 349, 357)}  # below the eye
UPPER_SHARE = 0.55  # the patch reaches so far from the eye to the brow
LOWER_SHARE = 0.75  # and so far to the points below the eye
SIDE_SHARE = 0.35  # widths of the eye that the patch reaches beyond its corners
MAX_ENLARGEMENT = 3.0  # of the other eye; it would be blurred


class SwappedEye(NamedTuple):
    """Hold the new photo (H, W, 3) uint8 RGB and its face, one row."""

    picture: Image
    face: Faces


def eye_shapes(side: Side) -> NDArray[np.int64]:
    """Return the indices of the shapes that belong to one eye."""
    starts = ("eyeBlink", "eyeLook", "eyeSquint", "eyeWide")
    return np.array([i for i, name in enumerate(EXPRESSION_NAMES) if name.startswith(starts) and name.endswith(side)])


def swap_eye(picture: Image, face: Faces, donor_picture: Image, donor: Faces, side: Side, model: HeadModel) -> SwappedEye | None:
    """Replace one eye of a face.

    Args:
        picture: Photo of the face, (H, W, 3) uint8 RGB.
        face: The face, one row.
        donor_picture: Photo of the other face.
        donor: The other face, one row.
        side: The eye, of the subject.
        model: The head model of both faces.

    Returns:
        None if the patch does not lie in both photos, or if the other eye is much smaller.
    """
    import cv2

    target, source = (_landmarks(f, model) for f in (face, donor))
    first = SIDES.index(side)  # EYELIDS and BROWS begin with the right side
    lids = np.array(EYELIDS[(1 - first) * LID_COUNT :][:LID_COUNT])
    brow = np.array(BROWS[(1 - first) * BROW_COUNT :][:BROW_COUNT])
    cheek = np.array(CHEEKS[side])
    corners = lids[[int(target[lids, 0].argmin()), int(target[lids, 0].argmax())]]
    still = np.concatenate([corners, corners, brow, cheek])
    matrix, _ = cv2.estimateAffine2D(source[still], target[still], method=cv2.LMEDS)
    if matrix is None or not 0 < np.linalg.det(matrix[:, :2]) < MAX_ENLARGEMENT**2:
        return None
    eye = target[lids].mean(0)
    width = target[corners[1]] - target[corners[0]]
    outline = np.concatenate(
        [
            eye + (target[brow] - eye) * UPPER_SHARE,
            eye + (target[cheek] - eye) * LOWER_SHARE,
            [target[corners[0]] - SIDE_SHARE * width, target[corners[1]] + SIDE_SHARE * width],
        ]
    )
    hull = cv2.convexHull(np.rint(outline).astype(np.int32))[:, 0]
    back = (hull - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    if not (_inside(hull, picture, 2) and _inside(back, donor_picture, 1)):
        return None
    height, across = picture.shape[:2]
    warped = cv2.warpAffine(donor_picture, matrix, (across, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((height, across), np.uint8)
    cv2.fillConvexPoly(mask, hull, 255)
    warped = _in_colors_of(picture, warped, mask > 0)
    x, y, w, h = cv2.boundingRect(hull)
    out = cv2.seamlessClone(warped, picture, mask, (x + w // 2, y + h // 2), cv2.NORMAL_CLONE)
    expression = face.expression.copy()
    expression[:, eye_shapes(side)] = donor.expression[:, eye_shapes(side)]
    return SwappedEye(np.asarray(out, np.uint8), face.replace(expression=expression))


def _in_colors_of(picture: Image, patch: Image, inside: NDArray[np.bool_]) -> Image:
    """Return a patch with its own brightness and the mean color that the picture has inside: a gray photo stays gray."""
    color = picture[inside].mean(0) + 1e-3
    gray = patch.astype(np.float32).mean(2, keepdims=True)
    return np.asarray(np.clip(gray * color / color.mean(), 0, 255), np.uint8)


def _landmarks(face: Faces, model: HeadModel) -> NDArray[np.float32]:
    """Return MediaPipe's landmarks (478, 2) of a face, px."""
    return np.asarray(model.landmarks(face, "mediapipe478")[0, :, :2], np.float32)


def _inside(points: NDArray[np.floating | np.integer], picture: Image, margin_px: float) -> bool:
    """Return whether points (N, 2) lie in a picture."""
    limit = np.array(picture.shape[1::-1]) - margin_px
    return bool((points >= margin_px).all() and (points < limit).all())
