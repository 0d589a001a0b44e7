"""The weak-perspective camera and head rotations. `retarget.geometry.weak_perspective` places heads in a scene.

This is the only place in `mfn` where signs and axes are written down. The module itself needs NumPy only.

Head frame: x to the subject's left, y up, z out of the face; meters; origin midway between the eyes.
Camera frame: x right, y down, z away from the viewer.
Projection, for each face: `pixel = scale * (R @ vertex)[:2] + center`, R from head to camera.
A face that looks straight into the camera has R = `FRONTAL`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.rotations import OPENCV_TO_GLTF, rotation_about

Floats = NDArray[np.floating[Any]]
Array = Any
"""A NumPy array or a torch tensor."""

FRONTAL: NDArray[np.float32] = OPENCV_TO_GLTF.astype(np.float32)
"""Rotation of a face that looks into the camera. It is also the change from this camera frame to that of glTF."""


def project(vertices: Array, rotation: Array, scale: Array, center: Array) -> Array:
    """Project points of the head into the picture, with depth.

    Args:
        vertices: (..., V, 3) points in meters, head frame. NumPy or torch.
        rotation: (..., 3, 3) head to camera.
        scale: (...) px per meter.
        center: (..., 2) projection of the head's origin, x y in px.

    Returns:
        (..., V, 3): x y in px, and depth on the same scale. The depth of the head's origin is 0; smaller is nearer.
    """
    out = _rotate(vertices, rotation, scale)
    out[..., :2] += center[..., None, :]
    return out


def project_xy(vertices: Array, rotation: Array, scale: Array, center: Array) -> Array:
    """Project points of the head into the picture, without depth: (..., V, 2) px. Arguments as for `project`.

    It writes nothing in place, so that it exports to a short ONNX graph.
    """
    return _rotate(vertices, rotation[..., :2, :], scale) + center[..., None, :]


def _rotate(vertices: Array, rows: Array, scale: Array) -> Array:
    return scale[..., None, None] * (vertices @ rows.swapaxes(-1, -2))


def euler_from_rotation(rotation: Floats) -> Floats:
    """Convert head-to-camera rotations to Euler angles.

    Args:
        rotation: (..., 3, 3) head to camera.

    Returns:
        (..., 3) pitch, yaw, roll in radians. A frontal face has zeros. Positive pitch looks up, positive yaw turns the face towards
        the left of the picture, positive roll tilts the head clockwise as seen.

    FRONTAL @ R = Rx(-pitch) Ry(-yaw) Rz(-roll): order and signs of AFLW2000-3D, checked against its own landmarks and poses.
    """
    head = FRONTAL @ np.asarray(rotation)
    yaw = -np.arcsin(np.clip(head[..., 0, 2], -1.0, 1.0))
    pitch = np.arctan2(head[..., 1, 2], head[..., 2, 2])
    roll = np.arctan2(head[..., 0, 1], head[..., 0, 0])
    return np.stack([pitch, yaw, roll], -1)


def pitch_yaw_roll_deg(rotation: Floats) -> Floats:
    """Convert head-to-camera rotations (..., 3, 3) to pitch, yaw, roll in degrees (..., 3). Signs as in `euler_from_rotation`."""
    return np.rad2deg(euler_from_rotation(rotation))


def rotation_from_euler(angles: Floats) -> Floats:
    """Convert pitch, yaw, roll (..., 3) in radians to head-to-camera rotations (..., 3, 3): the inverse of `euler_from_rotation`."""
    angles = np.asarray(angles)
    pitch, yaw, roll = rotation_about("x", -angles[..., 0]), rotation_about("y", -angles[..., 1]), rotation_about("z", -angles[..., 2])
    return np.asarray(FRONTAL @ pitch @ yaw @ roll)


def mirror_rotation(rotation: Floats) -> Floats:
    """Return the rotations (..., 3, 3) of the faces in the horizontally flipped picture: S R S with S = diag(-1, 1, 1)."""
    sign = np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1]], np.asarray(rotation).dtype)
    return np.asarray(np.asarray(rotation) * sign)


def mirror_center(center: Floats, width: Floats | float) -> Floats:
    """Return the points (..., 2) px in the horizontally flipped picture of `width` px: x becomes width - x."""
    out = np.array(center, copy=True)
    out[..., 0] = width - out[..., 0]
    return out
