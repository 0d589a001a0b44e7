"""Similarity transforms of pictures and of the faces in them.

Coordinates are continuous pixels: the left edge of the first column is at 0, its center at 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import mirror_rotation
from mfn.structures.faces import Faces
from mfn.structures.flip import hflip_expression

Array = NDArray[np.floating]

BoxFunction = Callable[[Faces], NDArray[np.float32]]
"""Computes the boxes (N, 4) of faces from their pose, identity and expression, such as `HeadModel.boxes`."""

WHOLE_PICTURE_SHARE = 0.35  # how often a large face is pasted with its whole picture
MARGIN_LOG_RANGE = (-1.4, 0.25)  # logarithm of the margin of a patch around the face, relative to the face's size
MAX_COVERED = 0.05  # a patch may cover this share of a face that was pasted before


def similarity_matrix(scale: float, angle: float, pivot: Array, target: Array, mirror: bool, width: float) -> NDArray[np.float64]:
    """Build the transform that mirrors, rotates, scales and moves a picture.

    Args:
        scale: Factor on lengths.
        angle: Rotation in radians, clockwise as seen.
        pivot: (2,) x y in px, in the mirrored picture if `mirror`.
        target: (2,) x y in px where the pivot moves to.
        mirror: Whether to mirror first: x -> width - x.
        width: Width of the picture in px; used only if `mirror`.

    Returns:
        (2, 3) affine matrix.
    """
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    a = np.array([[c, -s], [s, c]])
    t = target - a @ pivot
    if mirror:
        t = t + a @ np.array([width, 0.0])
        a = a @ np.diag([-1.0, 1.0])
    return np.concatenate([a, t[:, None]], 1)


def warp_faces(faces: Faces, matrix: Array, identity_mirror: Array, has_labels: NDArray[np.bool_], box_of: BoxFunction) -> Faces:
    """Transform faces together with their picture.

    Args:
        faces: N faces in px of the picture.
        matrix: (2, 3) from `similarity_matrix`.
        identity_mirror: (I,) +1 or -1, `HeadModel.identity_mirror`.
        has_labels: (N,) True for faces with pose, identity and expression. Their box is computed from these; that of
            another face from the ellipse in its box.
        box_of: Computes boxes.
    """
    a, t = matrix[:, :2], matrix[:, 2]
    scale = np.sqrt(abs(np.linalg.det(a)))
    mirror = np.linalg.det(a) < 0
    turn = np.eye(3, dtype=np.float32)
    turn[:2, :2] = (a @ np.diag([-1.0, 1.0]) if mirror else a) / scale
    rotation = mirror_rotation(faces.rotation) if mirror else faces.rotation
    half = (faces.box[:, 2:] - faces.box[:, :2]) / 2
    middle = (faces.box[:, 2:] + faces.box[:, :2]) / 2 @ a.T + t
    half = np.sqrt(half**2 @ (a**2).T)
    warped = faces.replace(
        box=np.concatenate([middle - half, middle + half], 1),
        rotation=(turn @ rotation).astype(np.float32),
        scale=faces.scale * scale,
        center=faces.center @ a.T + t,
        identity=faces.identity * identity_mirror if mirror else faces.identity,
        expression=hflip_expression(faces.expression) if mirror else faces.expression,
    )
    if not has_labels.any():
        return warped
    box = warped.box.copy()
    box[has_labels] = box_of(warped[has_labels])
    return warped.replace(box=box)


def warp_boxes(box: Array, matrix: Array) -> NDArray[np.float32]:
    """Return the bounds (N, 4) of transformed boxes (N, 4)."""
    return np.array([warped_bounds(b, matrix) for b in box], np.float32).reshape(-1, 4)


def warped_bounds(box: Array, matrix: Array) -> Array:
    """Return the bounds (4,) of a transformed box (4,)."""
    corners = np.array([[box[i], box[j]] for i in (0, 2) for j in (1, 3)]) @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([corners.min(0), corners.max(0)])


def box_sizes(box: Array) -> Array:
    """Return the square roots (N,) of the areas of boxes (N, 4)."""
    return np.asarray(np.sqrt(np.maximum((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]), 1e-6)))


def choose_window(box: Array, shape: Sequence[int], may_be_whole: bool, rng: np.random.Generator) -> NDArray[np.float32]:
    """Choose the part of a picture that is pasted: a face with some of its surroundings, or the whole picture.

    Args:
        box: (4,) of the face, px.
        shape: (H, W, ...) of the picture.
        may_be_whole: Whether the whole picture may be chosen.
        rng: Source of randomness.

    Returns:
        (4,) x1 y1 x2 y2 px.
    """
    whole = np.array([0, 0, shape[1], shape[0]], np.float32)
    if may_be_whole and rng.random() < WHOLE_PICTURE_SHARE:
        return whole
    size = (box[2:] - box[:2]).max()
    margin = np.exp(rng.uniform(*MARGIN_LOG_RANGE, 4)) * size
    window = box + margin * np.array([-1, -1, 1, 1])
    return np.array([*np.maximum(window[:2], whole[:2]), *np.minimum(window[2:], whole[2:])], np.float32)


def share_inside(box: Array, window: Array) -> Array:
    """Return the share (N,) of the area of each box (N, 4) that lies inside a window (4,)."""
    low, high = np.maximum(box[:, :2], window[:2]), np.minimum(box[:, 2:], window[2:])
    return np.asarray(np.maximum(high - low, 0).prod(1) / np.maximum((box[:, 2:] - box[:, :2]).prod(1), 1e-6))


def covers_face(patch: Array, boxes: Array) -> bool:
    """Return whether a patch (4,) would cover more than a little of one of the faces with boxes (N, 4)."""
    return bool((share_inside(boxes, patch) > MAX_COVERED).any())
