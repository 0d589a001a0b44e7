"""Convert faces into a take: the only place where `mfn` hands over to `retarget`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures import camera
from mfn.structures.faces import Faces
from retarget.performance.take import Footage, Take

_FOCAL_PER_SIDE = 1.2
"""Assumed focal length, in units of the longer side of the image: a field of view of 45 degrees, as phones have."""


def default_focal_px(width: int, height: int) -> float:
    """Return the focal length (px) that is assumed for an image of unknown camera."""
    return _FOCAL_PER_SIDE * max(width, height)


def faces_to_take(
    faces: Faces, size: tuple[int, int], focal_px: float | None = None, time_s: NDArray[Any] | None = None
) -> Take:
    """Place faces in front of a pinhole camera and convert them into a performance.

    Args:
        faces: N faces of an image or of a clip.
        size: (width, height) of the image, px.
        focal_px: Focal length of the camera, px. None: see `default_focal_px`.
        time_s: (F,) time of each frame, seconds, indexed by `faces.image`. None: one image, at time 0.

    Returns:
        A take of N samples in the axes of glTF: x right, y up, meters; the camera is at the origin and looks along -z.
        An actor is a track, or a single row where `faces.track` is -1. The 52nd coefficient, tongueOut, is 0. The take
        keeps the size and the focal length.

    Raises:
        ValueError: The size is not (width, height).

    A weak-perspective rotation is relative to the ray from the camera to the face. In the scene it is relative to the
    axis of the camera. So each rotation is multiplied by the rotation from the axis to the ray.
    """
    if len(size) != 2:
        raise ValueError(f"size: expected (width, height), such as image.shape[1::-1], got {len(size)} values")
    focal_px = default_focal_px(*size) if focal_px is None else focal_px
    position = camera.translation(faces, focal_px, size)
    rotation = camera.rotation_to_gltf(_rotation_to_ray(position) @ faces.rotation)
    tracked = faces.track >= 0
    own_actor = np.arange(len(faces)) + (faces.track.max(initial=-1) + 1)
    return Take(
        time_s=np.zeros(len(faces)) if time_s is None else np.asarray(time_s, np.float64)[faces.image],
        actor=np.where(tracked, faces.track, own_actor).astype(np.int32),
        coefficients=np.concatenate([faces.expression, np.zeros((len(faces), 1), np.float32)], 1),
        rotation=camera.quaternion_from_rotation(rotation),
        translation=camera.to_gltf(position),
        footage=Footage(int(size[0]), int(size[1]), float(focal_px)),
    )


def _rotation_to_ray(position: NDArray[Any]) -> NDArray[np.float64]:
    """Return the smallest rotations (N, 3, 3) from the optical axis (0, 0, 1) to the directions of positions (N, 3).

    All positions have z > 0, because everybody stands in front of the camera.
    """
    length = np.maximum(np.linalg.norm(position, axis=1, keepdims=True), 1e-9)
    x, y, z = (position / length).astype(np.float64).T
    k = 1 / (1 + z)
    rows = [[1 - x * x * k, -x * y * k, x], [-x * y * k, 1 - y * y * k, y], [-x, -y, z]]
    return np.stack([np.stack(row, -1) for row in rows], -2)
