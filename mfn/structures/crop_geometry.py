"""The square crops that the networks of one face or eye read: where they lie in the picture, and how they are cut out.

SFN reads crops of CROP_SIZE px around boxes. The face reader reads smaller crops in which the faces stand upright. The eye reader reads
crops of single eyes: the left eye upright, the right one mirrored so that it looks like a left one. `face_tile` is a crop for people.
Letters: N boxes or faces, E = 2 N eyes, left and right of each face, S = `CROP_SIZE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES

if TYPE_CHECKING:
    from mfn.structures.faces import Faces
    from mfn.structures.head_model import HeadModel

CROP_SIZE = 128
"""Side of the crop in px."""
CROP_CELLS = 4.0
"""The network output is read as one cell whose stride is the crop's side divided by this (see `mfn.structures.cells`)."""
CROP_MARGIN = 1.3
"""Side of the crop relative to the longer side of the face's box."""
REACH = 1.1
"""Range of a position map relative to the crop's side: its values 0 to 1 span 0 to 1.1 sides, as in PRNet."""
EYE_CROP_PX = 32
EYE_CROP_M = 0.052  # side of a crop on the head: lids, brow and the folds below
EYE_SHAPES = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
EYE_COLUMNS = np.array([[EXPRESSION_NAMES.index(shape + side) for shape in EYE_SHAPES] for side in ("Left", "Right")])
"""(2, 7) columns of EYE_SHAPES in the 51 weights, for the left and the right eye."""
_CORNERS = ((42, 45), (36, 39))  # of the left and the right eye, among the 68 landmarks
_MIN_GAIN = 0.6  # crops that shrink the picture more than this are shrunk by area first
_OVERSAMPLE = 1.2
_TILE_MARGIN = 0.35  # of the box, on each side of a tile


def crop_windows(boxes: NDArray[Any]) -> NDArray[np.float32]:
    """Return the square windows that are cropped for boxes.

    Args:
        boxes: (N, 4) x1 y1 x2 y2 in px of the picture.

    Returns:
        (N, 3) center x, center y and side, in px of the picture.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    side = CROP_MARGIN * (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, side], 1)


def crop_matrix(window: NDArray[Any]) -> NDArray[np.float64]:
    """Return the affine map (2, 3) from px of the picture to px of the crop, for one window (3,) of `crop_windows`."""
    gain = CROP_SIZE / float(window[2])
    return np.array([[gain, 0, CROP_SIZE / 2 - gain * window[0]], [0, gain, CROP_SIZE / 2 - gain * window[1]]])


def crop_face(picture: NDArray[np.uint8], matrix: NDArray[Any], background: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Cut a crop out of a picture.

    Args:
        picture: (H, W, 3) uint8.
        matrix: (2, 3) affine map from px of the picture to px of the crop. Positions are counted from the edges of pixels.
        background: (S, S, 3) uint8, shown where the crop reaches beyond the picture; it is written into. None for black.

    Returns:
        The crop (S, S, 3) uint8.

    A plain warp aliases when it shrinks, so the visible part of the picture is shrunk by area first.
    """
    import cv2

    size, a, t = CROP_SIZE, matrix[:, :2], matrix[:, 2]
    gain = float(np.sqrt(abs(np.linalg.det(a))))
    if gain < _MIN_GAIN:
        corners = np.linalg.solve(a, np.array([[0, size, 0, size], [0, 0, size, size]]) - t[:, None])
        low = np.clip(np.floor(corners.min(1)), 0, [s - 1 for s in picture.shape[1::-1]]).astype(int)
        high = np.clip(np.ceil(corners.max(1)), low + 1, picture.shape[1::-1]).astype(int)
        part = picture[low[1] : high[1], low[0] : high[0]]
        inner = np.maximum(np.rint((high - low) * gain * _OVERSAMPLE), 1).astype(int)
        picture = cv2.resize(part, inner.tolist(), interpolation=cv2.INTER_AREA)
        t, a = t + a @ low, a * ((high - low) / inner)
    # OpenCV counts from the centers of pixels, we count from their edges.
    warp = np.concatenate([a, (t + a @ [0.5, 0.5] - 0.5)[:, None]], 1)
    if background is not None:
        crop = cv2.warpAffine(picture, warp, (size, size), background, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)
    else:
        crop = cv2.warpAffine(picture, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(crop, np.uint8)


class CropFrames(NamedTuple):
    """Where the upright, square crops of N faces lie in their picture.

    Attributes:
        matrix: (N, 2, 3) affine map from px of the picture to px of the crop. Positions are counted from the edges of pixels.
        turn: (N, 3, 3) rotation in the image plane from the camera frame of the picture to that of the crop.
    """

    matrix: NDArray[np.float64]
    turn: NDArray[np.float64]


def upright_turn(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotations in the image plane (N, 3, 3) after which the y axes of heads (N, 3, 3) point up in the picture."""
    angle = -np.arctan2(rotation[:, 0, 1], -rotation[:, 1, 1])
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.zeros((len(rotation), 3, 3))
    turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1], turn[:, 2, 2] = cos, -sin, sin, cos, 1
    return turn


def upright_frames(faces: Faces, model: HeadModel, size_px: int) -> CropFrames:
    """Choose crops in which faces stand upright.

    Args:
        faces: N faces in px of the picture, with a pose to about 20 degrees.
        model: The head model of their coefficients.
        size_px: Side of a crop.

    The crop is a square of `CROP_MARGIN` times the longer side of the box that the face has after the roll is removed.
    """
    rotation = faces.rotation.astype(np.float64)
    turn = upright_turn(rotation)
    upright = faces.replace(rotation=turn @ rotation, center=np.zeros((len(faces), 2)))
    window = crop_windows(model.boxes(upright)).astype(np.float64)  # around the head's origin, px of the picture
    gain = size_px / np.maximum(window[:, 2], 1e-6)
    linear = gain[:, None, None] * turn[:, :2, :2]
    offset = size_px / 2 - gain[:, None] * window[:, :2] - np.einsum("nij,nj->ni", linear, faces.center)
    return CropFrames(np.concatenate([linear, offset[:, :, None]], 2), turn)


def faces_from_crops(read: Mapping[str, NDArray[Any]], frames: CropFrames) -> dict[str, NDArray[np.float32]]:
    """Convert what was read in upright crops to px of the picture.

    Args:
        read: Output of `read_parameters`, in px of the crops.
        frames: The crops, from `upright_frames`.

    Returns:
        `rotation` (N, 3, 3), `scale` (N,), `center` (N, 2), `identity` (N, I) and `expression` (N, 51).
    """
    linear, offset = frames.matrix[:, :, :2], frames.matrix[:, :, 2]
    gain = np.sqrt(np.linalg.det(linear))
    center = np.linalg.solve(linear, (read["center"] - offset)[:, :, None])[:, :, 0]
    placed = {"rotation": frames.turn.swapaxes(1, 2) @ read["rotation"], "scale": read["scale"] / gain, "center": center}
    return {name: np.asarray(value, np.float32) for name, value in (placed | {n: read[n] for n in ("identity", "expression")}).items()}


def boxes_from_crops(box: NDArray[Any], frames: CropFrames) -> NDArray[np.float32]:
    """Convert boxes that were read in upright crops to px of the picture.

    Args:
        box: (N, 4) x1 y1 x2 y2 in px of the crops. Their sides are those of the box in the picture: they do not turn with the crop.
        frames: The crops, from `upright_frames`.

    Returns:
        (N, 4) x1 y1 x2 y2 in px of the picture.
    """
    linear, offset = frames.matrix[:, :, :2], frames.matrix[:, :, 2]
    half = (box[:, 2:] - box[:, :2]) / 2 / np.sqrt(np.linalg.det(linear))[:, None]
    center = np.linalg.solve(linear, ((box[:, :2] + box[:, 2:]) / 2 - offset)[:, :, None])[:, :, 0]
    return np.asarray(np.concatenate([center - half, center + half], 1), np.float32)


def cut_crops(picture: NDArray[np.uint8], matrices: NDArray[np.float64], size_px: int, of_each: int = 1) -> NDArray[np.uint8]:
    """Cut square crops out of a picture.

    Args:
        picture: (H, W, 3) uint8.
        matrices: (N, 2, 3) affine maps from px of the picture to px of the crop, without shear, as of `upright_frames`. They may mirror.
        size_px: Side of a crop.
        of_each: Number of crops that show nearly the same part of the picture: those of the rows n, n + N / of_each and so on. Such a part
            is made smaller once for all of them.

    Returns:
        (N, size_px, size_px, 3) uint8, black beyond the picture.

    A crop that shrinks the picture is taken from a copy of that part of the picture that was halved by area, once or more often, as in the
    training (`mfn.training.device.picture_bank`): it shows no aliasing, and it takes less time than one exact step.
    """
    import cv2

    crops = np.empty((len(matrices), size_px, size_px, 3), np.uint8)
    if not len(matrices):
        return crops
    linear, offset = matrices[:, :, :2], matrices[:, :, 2]
    gain = np.sqrt(np.abs(np.linalg.det(linear))).reshape(of_each, -1).mean(0)
    halvings = np.maximum(np.ceil(np.log2(_MIN_GAIN / gain)), 0).astype(int)
    corners = np.array([[0, size_px, 0, size_px], [0, 0, size_px, size_px]])
    corners = np.linalg.solve(linear, corners - offset[:, :, None]).reshape(of_each, -1, 2, 4)
    limit, step = np.array(picture.shape[1::-1]), 2 ** halvings[:, None]
    low = np.clip(np.floor(corners.min((0, 3))).astype(int) - step, 0, np.maximum(limit - step, 0))
    high = np.clip(np.ceil(corners.max((0, 3))).astype(int) + step, np.minimum(low + step, limit), limit)
    high = np.minimum(low + np.maximum((high - low) // step, 1) * step, limit)  # a multiple of `step`, except in tiny pictures
    scaled = linear * np.tile(2.0**halvings, of_each)[:, None, None]
    # OpenCV counts from the centers of pixels, we count from their edges.
    start = offset + (linear @ np.tile(low, (of_each, 1))[:, :, None])[:, :, 0] + 0.5 * scaled.sum(2) - 0.5
    warps = np.concatenate([scaled, start[:, :, None]], 2)
    for part_number, (times, (x1, y1), (x2, y2)) in enumerate(zip(halvings.tolist(), low.tolist(), high.tolist(), strict=True)):
        part = picture[y1:y2, x1:x2]
        for _ in range(times):
            part = cv2.resize(part, (max(part.shape[1] // 2, 1), max(part.shape[0] // 2, 1)), interpolation=cv2.INTER_AREA)
        for row in range(part_number, len(crops), len(halvings)):
            cv2.warpAffine(part, warps[row], (size_px, size_px), crops[row], cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    return crops


class EyeFrames(NamedTuple):
    """Where the crops of the eyes lie.

    Attributes:
        matrix: (E, 2, 3) affine map from px of the picture to px of the crop. It mirrors right eyes.
        direction: (E, 3) float32 unit vector in which the face looks, in the frame of the crop: x right, y down, z away.
        side_px: (E,) side of the crop in px of the picture.
    """

    matrix: NDArray[np.float64]
    direction: NDArray[np.float32]
    side_px: NDArray[np.float64]


def eye_frames(faces: Faces, model: HeadModel, size_px: int = EYE_CROP_PX, shown: float = 1.0) -> EyeFrames:
    """Choose the crops of both eyes of faces.

    Args:
        faces: N faces in px of a picture.
        model: The head model of their coefficients.
        size_px: Side of a crop in px.
        shown: Side of a crop relative to EYE_CROP_M, for crops with a margin.
    """
    rotation = faces.rotation.astype(np.float64)
    turn = upright_turn(rotation)[:, :2, :2]
    looks = rotation[:, :, 2].copy()
    looks[:, :2] = np.einsum("nij,nj->ni", turn, looks[:, :2])
    landmarks = model.landmarks(faces, "ibug68")[:, :, :2].astype(np.float64)
    side_px = np.maximum(faces.scale.astype(np.float64) * EYE_CROP_M * shown, 1e-3)
    matrices, directions = [], []
    for corners, mirror in zip(_CORNERS, (1.0, -1.0), strict=True):
        linear = (size_px / side_px)[:, None, None] * np.array([[mirror, 0.0], [0.0, 1.0]]) @ turn
        offset = size_px / 2 - np.einsum("nij,nj->ni", linear, landmarks[:, corners].mean(1))
        matrices.append(np.concatenate([linear, offset[:, :, None]], 2))
        directions.append(looks * [mirror, 1.0, 1.0])
    return EyeFrames(
        np.stack(matrices, 1).reshape(-1, 2, 3), np.stack(directions, 1).reshape(-1, 3).astype(np.float32), np.repeat(side_px, 2)
    )


def face_tile(picture: NDArray[np.uint8], box: NDArray[Any], side_px: int) -> NDArray[np.uint8]:
    """Return a square picture of a face with some space around it, for people to look at.

    Args:
        picture: (H, W, 3) uint8.
        box: (4,) the face's box, px.
        side_px: Side of the square.

    Returns:
        (side_px, side_px, 3). What lies outside the picture is gray, so that a face at its border keeps its form.
    """
    import cv2

    side = float(max(box[2] - box[0], box[3] - box[1], 2)) * (1 + 2 * _TILE_MARGIN)
    corner = (box[:2] + box[2:]) / 2 - side / 2
    factor = side_px / side
    if factor < 0.5:  # a plain warp would alias: the part is scaled down by area first
        low = np.clip(np.floor(corner), 0, None).astype(int)
        high = np.clip(np.ceil(corner + side), 0, None).astype(int)
        part = picture[low[1] : high[1], low[0] : high[0]]
        if part.size:
            inner = np.maximum(np.rint(np.array(part.shape[1::-1]) * 1.5 * factor), 1).astype(int)
            gain = inner / part.shape[1::-1]
            picture = np.asarray(cv2.resize(part, inner.tolist(), interpolation=cv2.INTER_AREA), np.uint8)
            return _warp_tile(picture, (corner - low) * gain, factor / gain, side_px)
    return _warp_tile(picture, corner, np.full(2, factor), side_px)


def _warp_tile(picture: NDArray[np.uint8], corner: NDArray[Any], factor: NDArray[Any], side_px: int) -> NDArray[np.uint8]:
    """Return the square whose upper left corner lies at `corner` (2,) px, scaled by `factor` (2,)."""
    import cv2

    matrix = np.array([[factor[0], 0, -factor[0] * corner[0]], [0, factor[1], -factor[1] * corner[1]]], np.float64)
    return np.asarray(cv2.warpAffine(picture, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128)), np.uint8)
