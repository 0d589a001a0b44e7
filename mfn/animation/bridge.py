"""From faces in pictures to a performance in a scene: the seam between `mfn` and `retarget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.structures import camera
from mfn.structures.faces import Faces

if TYPE_CHECKING:
    from retarget import Take

FOCAL_OF_SIDE = 1.2
"""Focal length over the longer side where it is not known: a phone's or a zoom's middle, 45 degrees across."""


def default_focal_px(width: int, height: int) -> float:
    """A likely focal length for a picture (px) of which nothing is known."""
    return FOCAL_OF_SIDE * max(width, height)


def faces_to_take(
    faces: Faces, size: tuple[int, int], focal_px: float | None = None, time_s: NDArray | None = None
) -> Take:
    """Where everybody stands before a pinhole camera at the origin, with their 52 coefficients (tongueOut is 0).

    faces: N rows; size: (width, height) px of the picture; focal_px: None for a likely one; time_s: (F,) seconds of
    the frames that `faces.image` counts, None for one picture. An actor is a track, or a row where no track is known.
    -> Take in glTF's frame: x right, y up, metres, the camera looks along -z.
    """
    from retarget import Take

    focal_px = default_focal_px(*size) if focal_px is None else focal_px
    place = camera.translation(faces, focal_px, size)
    # A weak-perspective pose is relative to the ray to the face; in the scene a face at the side that looks at the
    # camera is turned towards it.
    rotation = camera.rotation_to_gltf(_turn_to(place) @ faces.rotation)
    known = faces.track >= 0
    rows = np.arange(len(faces)) + (faces.track.max(initial=-1) + 1)
    return Take(
        time_s=np.zeros(len(faces)) if time_s is None else np.asarray(time_s, np.float64)[faces.image],
        actor=np.where(known, faces.track, rows).astype(np.int32),
        coefficients=np.concatenate([faces.expression, np.zeros((len(faces), 1), np.float32)], 1),
        rotation=camera.quaternion_from_rotation(rotation),
        translation=camera.to_gltf(place),
    )


def _turn_to(place: NDArray) -> NDArray[np.float64]:
    """The least rotations (N, 3, 3) that take the optical axis (0, 0, 1) to the directions of places (N, 3)."""
    x, y, z = (place / np.maximum(np.linalg.norm(place, axis=1, keepdims=True), 1e-9)).astype(np.float64).T
    k = 1 / (1 + z)  # z > 0: everybody is before the camera
    rows = [[1 - x * x * k, -x * y * k, x], [-x * y * k, 1 - y * y * k, y], [-x, -y, z]]
    return np.stack([np.stack(row, -1) for row in rows], -2)
