"""Draw a picture of characters in the places of people. No GPU is needed.

The camera is at the origin and looks along -z; the center of the picture is straight ahead.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.animation.pose import assign_rigs, check_rigs, pose_vertices
from retarget.performance.take import Take
from retarget.render.draw_rig import draw_rig
from retarget.render.opengl import shared_drawer
from retarget.rig.rig import Rig


def render_scene(
    take: Take,
    rigs: Sequence[Rig],
    width: int,
    height: int,
    focal_px: float,
    background: NDArray[np.uint8] | None = None,
    whole_body: bool = False,
) -> NDArray[np.uint8]:
    """Draw all samples of a take as characters.

    Args:
        take: One moment of a performance. Of a clip, give `take[mask]`.
        rigs: The characters. The actors take them in turn.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        focal_px: Focal length of the camera in pixels.
        background: (height, width, 3) uint8 RGB to draw over; None for a gray one.
        whole_body: Draw the whole body of a rig that has one. Otherwise only its head and neck are drawn, on the
            shoulders of the people in the background.

    Returns:
        (height, width, 3) uint8 RGB. It is drawn by OpenGL if the extra `gl` is installed and OpenGL works; the
        environment variable RETARGET_OPENGL=0 forbids it.

    Raises:
        TypeError: A rig is not a `Rig`, but a file name, for example.
        ValueError: A size is not positive, or the background has another shape or type.
    """
    if width < 1 or height < 1 or not focal_px > 0:
        raise ValueError(f"expected a picture of at least 1 x 1 px and focal_px > 0, got {width} x {height}, {focal_px}")
    if background is not None and (background.shape != (height, width, 3) or background.dtype != np.uint8):
        raise ValueError(f"background: expected {(height, width, 3)} uint8, got {background.shape} {background.dtype}")
    picture = _gray_background(width, height) if background is None else background.copy()
    check_rigs(rigs)
    rig_of_actor = assign_rigs(take.actor, rigs)
    draw = shared_drawer() or draw_rig
    for row in np.argsort(take.translation[:, 2], kind="stable"):  # from far to near
        sample = take[[row]]
        rig = rigs[rig_of_actor[int(sample.actor[0])]]
        vertices = pose_vertices(rig, sample.coefficients, sample.rotation, sample.translation)[0]
        draw(picture, rig, vertices, focal_px, whole_body)
    return picture


def _gray_background(width: int, height: int) -> NDArray[np.uint8]:
    """Return a light gray picture that gets darker downwards."""
    column = np.linspace(236, 186, height)[:, None, None] + np.array([-2.0, 0.0, 3.0])
    return np.repeat(np.round(column), width, axis=1).astype(np.uint8)
