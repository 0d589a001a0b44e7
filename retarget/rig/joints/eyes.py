"""Where eyes turn: at their joint if it lies in the eye or behind it, else in the middle of the eye."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retarget.rig.skinned_mesh import LEFT_EYE, RIGHT_EYE, SkinnedMesh

_MAX_BESIDE = 1.0  # distance of a joint from the axis of sight, in radii of the eye
_MAX_BEHIND = 5.0  # and along it: the flat eyes of drawn characters slide about a joint far behind them
_MAX_RADIUS = 0.2  # of a head's height; what is larger is no eye


def eye_pivots(
    mesh: SkinnedMesh, joints: NDArray[np.float64], front: NDArray[np.float64], head_height: float
) -> NDArray[np.float64]:
    """Find the points about which the eyes turn.

    Args:
        mesh: The character's mesh.
        joints: (2, 3) places of the left and right eye joint in the rig's scene, at rest.
        front: (3, 3) rotation that turns the character to face +z.
        head_height: Height of the head in the rig's unit.

    Returns:
        (2, 3) the joints' places, or the middle of what hangs on them where a joint lies elsewhere. Exporters leave joints at
        the origin or in the neck.
    """
    rest = mesh.rest_positions()
    pivots: NDArray[np.float64] = joints.copy()
    for side, group in enumerate((LEFT_EYE, RIGHT_EYE)):
        points = rest[mesh.group_weights[:, group] > 0.5]
        if not len(points):
            continue
        center = (points.min(axis=0) + points.max(axis=0)) / 2
        radius = float(np.linalg.norm(points - center, axis=1).max())
        beside_x, beside_y, ahead = front @ (joints[side] - center)
        is_inside = np.hypot(beside_x, beside_y) <= _MAX_BESIDE * radius and -_MAX_BEHIND * radius <= ahead <= radius
        if not is_inside and 0 < radius < _MAX_RADIUS * head_height:
            pivots[side] = center
    return pivots
