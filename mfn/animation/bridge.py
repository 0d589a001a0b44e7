"""Convert faces into a take: the only place where `mfn` hands over to `retarget`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from retarget.geometry.rotations import matrix_to_quaternion
from retarget.geometry.weak_perspective import default_focal_px, place_heads
from retarget.performance.take import Footage, Take


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

    The faces are placed by `place_heads`.
    """
    if len(size) != 2:
        raise ValueError(f"size: expected (width, height), such as image.shape[1::-1], got {len(size)} values")
    focal_px = default_focal_px(*size) if focal_px is None else focal_px
    heads = place_heads(faces.rotation, faces.scale, faces.center, size, focal_px)
    tracked = faces.track >= 0
    own_actor = np.arange(len(faces)) + (faces.track.max(initial=-1) + 1)
    return Take(
        time_s=np.zeros(len(faces)) if time_s is None else np.asarray(time_s, np.float64)[faces.image],
        actor=np.where(tracked, faces.track, own_actor).astype(np.int32),
        coefficients=np.concatenate([faces.expression, np.zeros((len(faces), 1), np.float32)], 1),
        rotation=matrix_to_quaternion(heads.rotation).astype(np.float32),
        translation=heads.translation.astype(np.float32),
        footage=Footage(int(size[0]), int(size[1]), float(focal_px)),
    )
