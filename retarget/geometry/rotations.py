"""Rotations and rigid transforms: matrices, quaternions, rotation vectors, similarity transforms.

Matrices multiply column vectors from the left. Quaternions are x y z w. Angles are in radians. Every function accepts any
number of leading dimensions, also zero rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating]
Axis = Literal["x", "y", "z"]

# Change of axes between a camera with x right, y down, z away (OpenCV) and one with x right, y up, z back (glTF).
# It is its own inverse.
OPENCV_TO_GLTF: NDArray[np.float64] = np.diag([1.0, -1.0, -1.0])

_SMALL_ANGLE = 1e-9


def quaternion_to_matrix(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Convert quaternions (..., 4), of any length but zero, to rotation matrices (..., 3, 3)."""
    q = np.asarray(quaternion, np.float64)
    x, y, z, w = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def matrix_to_quaternion(matrix: ArrayLike) -> NDArray[np.float64]:
    """Convert rotation matrices (..., 3, 3) to unit quaternions (..., 4) with w >= 0.

    The products of any two components follow from the matrix. The row of the largest component is normalized, so that
    no division is by a small number.
    """
    m = np.asarray(matrix, np.float64)
    diagonal = np.moveaxis(np.diagonal(m, axis1=-2, axis2=-1), -1, 0)
    trace = diagonal.sum(axis=0)
    squares = np.stack([1 + 2 * diagonal[k] - trace for k in range(3)] + [1 + trace], -1)
    products = {
        (0, 1): m[..., 0, 1] + m[..., 1, 0],
        (0, 2): m[..., 0, 2] + m[..., 2, 0],
        (1, 2): m[..., 1, 2] + m[..., 2, 1],
        (0, 3): m[..., 2, 1] - m[..., 1, 2],
        (1, 3): m[..., 0, 2] - m[..., 2, 0],
        (2, 3): m[..., 1, 0] - m[..., 0, 1],
    }
    outer = np.empty((*m.shape[:-2], 4, 4))  # four times the outer product of the quaternion with itself
    for k in range(4):
        outer[..., k, k] = squares[..., k]
    for (a, b), value in products.items():
        outer[..., a, b] = outer[..., b, a] = value
    largest = squares.argmax(axis=-1)
    quaternion: NDArray[np.float64] = np.take_along_axis(outer, largest[..., None, None], axis=-2)[..., 0, :]
    quaternion = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return quaternion * np.where(quaternion[..., 3:] < 0, -1, 1)


def relative_quaternion(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the unit quaternions (..., 4) of the rotations from `first` to `second`, both (..., 4) unit."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    vector = a[..., 3:] * b[..., :3] - b[..., 3:] * a[..., :3] - np.cross(a[..., :3], b[..., :3])
    return np.concatenate([vector, (a * b).sum(-1, keepdims=True)], axis=-1)


def quaternion_to_rotation_vector(quaternion: ArrayLike) -> NDArray[np.float64]:
    """Convert unit quaternions (..., 4) to rotation vectors (..., 3): axis times angle, the angle at most pi."""
    q = np.asarray(quaternion, np.float64)
    vector = q[..., :3] * np.where(q[..., 3:] < 0, -1.0, 1.0)
    sine = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, np.abs(q[..., 3:]))
    return np.asarray(vector * np.where(sine > _SMALL_ANGLE, angle / np.maximum(sine, _SMALL_ANGLE), 2.0), np.float64)


def matrix_to_rotation_vector(matrix: ArrayLike) -> NDArray[np.float64]:
    """Convert rotation matrices (..., 3, 3) to rotation vectors (..., 3): axis times angle, the angle at most pi."""
    return quaternion_to_rotation_vector(matrix_to_quaternion(matrix))


def rotation_vector_to_matrix(vector: ArrayLike) -> NDArray[np.float64]:
    """Convert rotation vectors (..., 3), axis times angle, to rotation matrices (..., 3, 3)."""
    v = np.asarray(vector, np.float64)
    angle = np.linalg.norm(v, axis=-1, keepdims=True)
    sine_over_angle = np.where(angle > _SMALL_ANGLE, np.sin(angle / 2) / np.maximum(angle, _SMALL_ANGLE), 0.5)
    return quaternion_to_matrix(np.concatenate([v * sine_over_angle, np.cos(angle / 2)], axis=-1))


def rotation_about(axis: Axis, angle: ArrayLike) -> Floats:
    """Return right-handed rotations about a coordinate axis.

    Args:
        axis: "x", "y" or "z".
        angle: (...) radians.

    Returns:
        (..., 3, 3), in the precision of `angle`, float32 or float64.
    """
    angle = np.asarray(angle)
    k = "xyz".index(axis)
    i, j = (k + 1) % 3, (k + 2) % 3
    rotation = np.zeros((*angle.shape, 3, 3), np.result_type(angle.dtype, np.float32))
    rotation[..., k, k] = 1.0
    rotation[..., i, i] = rotation[..., j, j] = np.cos(angle)
    rotation[..., j, i] = np.sin(angle)
    rotation[..., i, j] = -np.sin(angle)
    return rotation


def rotation_between(start: Floats, end: Floats) -> NDArray[np.float64]:
    """Return the shortest rotations (..., 3, 3) from unit vectors (..., 3) to others, which are not their opposites."""
    cosine = np.asarray((start * end).sum(-1), np.float64)
    x, y, z = np.moveaxis(np.cross(start, end).astype(np.float64), -1, 0)
    zero = np.zeros_like(x)
    skew = np.stack([np.stack(row, -1) for row in ([zero, -z, y], [z, zero, -x], [-y, x, zero])], -2)
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine)[..., None, None], np.float64)


def scale_rotation(rotation: ArrayLike, fraction: float) -> NDArray[np.float64]:
    """Return rotations (..., 3, 3) about the same axes by a fraction of their angles."""
    return rotation_vector_to_matrix(fraction * matrix_to_rotation_vector(rotation))


def nearest_rotation(matrix: ArrayLike) -> NDArray[np.float64]:
    """Return the rotations (..., 3, 3) nearest to the linear parts of transforms (..., 3, 3) or (..., 4, 4).

    Scale and shear are removed (orthogonal Procrustes problem).
    """
    u, _, vt = np.linalg.svd(np.asarray(matrix, np.float64)[..., :3, :3])
    return np.asarray((u * _proper_signs(u, vt)[..., None, :]) @ vt, np.float64)


def nearest_orthogonal(matrix: ArrayLike) -> NDArray[np.float64]:
    """Return the rotations or reflections (..., 3, 3) nearest to the linear parts of (..., 3, 3) or (..., 4, 4).

    As `nearest_rotation`, but what mirrors stays a reflection.
    """
    u, _, vt = np.linalg.svd(np.asarray(matrix, np.float64)[..., :3, :3])
    return np.asarray(u @ vt, np.float64)


class RotationAndScale(NamedTuple):
    """A linear map without shear: point -> rotation @ (scale * point).

    Attributes:
        rotation: (..., 3, 3)
        scale: (..., 3), the first one negative where the map mirrors.
    """

    rotation: NDArray[np.float64]
    scale: NDArray[np.float64]


def split_scale(matrix: ArrayLike) -> RotationAndScale:
    """Split the linear parts of transforms (..., 3, 3) or (..., 4, 4) into rotations and scales along the axes.

    Shear is removed. The rotation nearest to a reflection is not unique where scales are equal, so of a mirroring map
    the first axis is negated first.
    """
    linear = np.asarray(matrix, np.float64)[..., :3, :3]
    signs = np.ones(linear.shape[:-1])
    signs[..., 0] = np.where(np.linalg.det(linear) < 0, -1.0, 1.0)
    proper = linear * signs[..., None, :]
    rotation = nearest_rotation(proper)
    return RotationAndScale(rotation, np.einsum("...ij,...ij->...j", rotation, proper) * signs)


class Similarity(NamedTuple):
    """A similarity transform: point -> scale * rotation @ point + translation.

    Attributes:
        scale: (...)
        rotation: (..., 3, 3)
        translation: (..., 3)
    """

    scale: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


def fit_similarity(source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> Similarity:
    """Find the similarity transform that brings points nearest to other points.

    Args:
        source: (..., L, 3) points.
        target: (..., L, 3) points; the leading dimensions broadcast with those of `source`.
        weights: (L,) weight of each point; None: equal weights.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    w = np.ones(source.shape[-2]) if weights is None else np.asarray(weights, np.float64)
    w = (w / w.sum())[:, None]
    source_mean, target_mean = (w * source).sum(-2), (w * target).sum(-2)
    centered, moved = source - source_mean[..., None, :], target - target_mean[..., None, :]
    u, singular, vt = np.linalg.svd(np.swapaxes(moved, -1, -2) @ (w * centered))
    signs = _proper_signs(u, vt)
    rotation = (u * signs[..., None, :]) @ vt
    scale = (singular * signs).sum(-1) / np.maximum((w * centered**2).sum((-2, -1)), 1e-300)
    return Similarity(scale, rotation, target_mean - scale[..., None] * (rotation @ source_mean[..., None])[..., 0])


def affine_matrix(linear: ArrayLike, translation: ArrayLike) -> NDArray[np.float64]:
    """Return matrices (..., 4, 4) from linear parts (..., 3, 3) and translations (..., 3)."""
    linear, translation = np.asarray(linear, np.float64), np.asarray(translation, np.float64)
    matrix = np.zeros((*linear.shape[:-2], 4, 4))
    matrix[..., :3, :3], matrix[..., :3, 3], matrix[..., 3, 3] = linear, translation, 1
    return matrix


def rotation_about_point(point: Floats, rotation: Floats) -> NDArray[np.float64]:
    """Return matrices (..., 4, 4) of rotations (..., 3, 3) about a point (3,)."""
    return affine_matrix(rotation, point - rotation @ point)


def shortest_path_signs(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return quaternions (K, 4) with signs such that neighbors are on the same side, as players that mix them expect."""
    side = np.sign(np.einsum("ki,ki->k", quaternion[1:], quaternion[:-1]))
    signs = np.concatenate([[1.0], np.cumprod(np.where(side < 0, -1.0, 1.0))])
    continuous: NDArray[np.float64] = quaternion * signs[:, None]
    return continuous


def _proper_signs(u: Floats, vt: Floats) -> NDArray[np.float64]:
    """Return signs (..., 3) of the singular values that make u @ diag(signs) @ vt a rotation, not a reflection."""
    signs = np.ones(u.shape[:-1])
    signs[..., 2] = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    return signs
