"""The camera and every change of axes: the only place where signs and axes are written down. NumPy only.

Head: x to the subject's left, y up, z out of the face, metres, origin between the eyes.
Camera: x right, y down, z away from the viewer. Weak perspective per face: `pixel = scale * (R @ vertex)[:2] + center`.
A face that looks straight into the camera has R = FRONTAL = diag(1, -1, -1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.node_tree import matrix_to_quaternion

if TYPE_CHECKING:
    from mfn.structures.faces import Faces

Array = NDArray[np.floating]

FRONTAL = np.diag(np.array([1.0, -1.0, -1.0], np.float32))
"""Rotation of a face that looks into the camera. Also the change between this camera and glTF's (y up, looks along -z)."""

MIRROR = np.diag(np.array([-1.0, 1.0, 1.0], np.float32))


def project(vertices: Array, rotation: Array, scale: Array, center: Array) -> Array:
    """Head points to picture pixels.

    vertices: (..., V, 3) metres, head frame; rotation: (..., 3, 3) head to camera; scale: (...) px per metre; center: (..., 2) px.
    Returns (..., V, 3): x, y in pixels and z on the same scale, 0 at the head's origin, smaller is nearer.
    """
    turned = vertices @ np.swapaxes(rotation, -1, -2)
    out = turned * np.asarray(scale)[..., None, None]
    out[..., :2] += np.asarray(center)[..., None, :]
    return out


def rotation_from_6d(rows: Array) -> Array:
    """(..., 6) the first two rows of R, any length and angle -> (..., 3, 3) rotation (Zhou et al., CVPR 2019)."""
    rows = np.asarray(rows)
    first = _unit(rows[..., :3], (1.0, 0.0, 0.0))
    second = rows[..., 3:6]
    second = second - (first * second).sum(-1, keepdims=True) * first
    spare = np.where(np.abs(first[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    size = np.linalg.norm(rows[..., 3:6], axis=-1, keepdims=True)
    lost = np.linalg.norm(second, axis=-1, keepdims=True) < 1e-6 * np.maximum(size, 1e-6)
    second = np.where(lost, np.cross(first, spare), second)
    second = _unit(second, (0.0, 1.0, 0.0))
    return np.stack([first, second, np.cross(first, second)], -2).astype(rows.dtype)


def rotation_to_6d(rotation: Array) -> Array:
    """(..., 3, 3) -> (..., 6): the first two rows."""
    rotation = np.asarray(rotation)
    return rotation[..., :2, :].reshape(*rotation.shape[:-2], 6)


def euler_from_rotation(rotation: Array) -> Array:
    """Rotation (..., 3, 3) head to camera -> (..., 3) pitch, yaw, roll in radians, order and signs as AFLW2000-3D publishes them.

    FRONTAL @ R = Rx(-pitch) Ry(-yaw) Rz(-roll); a frontal face has zeros. Positive pitch looks up, positive yaw turns the face towards
    the picture's left, positive roll tilts the head clockwise as seen. Checked against AFLW2000's own landmarks and poses.
    """
    head = FRONTAL @ np.asarray(rotation)
    yaw = -np.arcsin(np.clip(head[..., 0, 2], -1.0, 1.0))
    pitch = np.arctan2(head[..., 1, 2], head[..., 2, 2])
    roll = np.arctan2(head[..., 0, 1], head[..., 0, 0])
    return np.stack([pitch, yaw, roll], -1)


def rotation_from_euler(angles: Array) -> Array:
    """(..., 3) pitch, yaw, roll in radians -> (..., 3, 3) head to camera; the inverse of `euler_from_rotation`."""
    angles = np.asarray(angles)
    pitch, yaw, roll = (rotation_about(axis, -angles[..., k]) for k, axis in enumerate("xyz"))
    return FRONTAL @ pitch @ yaw @ roll


def rotation_about(axis: str, angle: Array) -> Array:
    """Right-handed rotation (..., 3, 3) about "x", "y" or "z" by `angle (...)` radians.

    `rotation_about("z", a) @ R` turns a face by `a` in the picture, clockwise as seen (camera x right, y down).
    """
    angle = np.asarray(angle)
    k = "xyz".index(axis)
    i, j = (k + 1) % 3, (k + 2) % 3
    out = np.zeros((*angle.shape, 3, 3), np.result_type(angle.dtype, np.float32))
    out[..., k, k] = 1.0
    out[..., i, i] = out[..., j, j] = np.cos(angle)
    out[..., j, i] = np.sin(angle)
    out[..., i, j] = -np.sin(angle)
    return out


def mirror_rotation(rotation: Array) -> Array:
    """Rotation of the face in the picture mirrored left to right: S R S with S = diag(-1, 1, 1). Its own inverse."""
    sign = np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]], np.asarray(rotation).dtype)
    return np.asarray(rotation) * sign


def mirror_center(center: Array, width: Array | float) -> Array:
    """(..., 2) px in the mirrored picture of `width` px: x -> width - x."""
    out = np.array(center, copy=True)
    out[..., 0] = width - out[..., 0]
    return out


def translation(faces: Faces, focal_px: float, size: tuple[float, float] | None = None) -> Array:
    """Where the heads' origins stand for a pinhole camera of `focal_px`: (N, 3) float32 metres, camera frame, depth = focal_px / scale.

    size: (width, height) px of the picture whose middle the camera's axis meets; without it the axis meets pixel (0, 0).
    """
    depth = focal_px / np.maximum(faces.scale, 1e-6)
    middle = np.zeros(2, np.float32) if size is None else np.asarray(size, np.float32) / 2
    offset = (faces.center - middle) / focal_px
    return np.concatenate([offset * depth[:, None], depth[:, None]], 1).astype(np.float32)


def to_gltf(vectors: Array) -> Array:
    """(..., 3) camera frame -> glTF frame (x right, y up, z towards the viewer), and back."""
    return np.asarray(vectors) * np.array([1.0, -1.0, -1.0], np.float32)


def rotation_to_gltf(rotation: Array) -> Array:
    """Head to camera (..., 3, 3) -> head to glTF scene: a frontal face becomes the identity."""
    return FRONTAL @ np.asarray(rotation)


def quaternion_from_rotation(rotation: Array) -> Array:
    """(..., 3, 3) -> unit quaternion (..., 4) float32, x y z w with w >= 0."""
    return matrix_to_quaternion(rotation).astype(np.float32)


def _unit(vector: Array, spare: tuple[float, float, float]) -> Array:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.where(length > 1e-8, vector / np.maximum(length, 1e-8), np.array(spare))
