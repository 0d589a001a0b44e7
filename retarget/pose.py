"""Where a rig's body, head and eyes go so that its head is where a person's head is.

Frame: glTF's scene axes, x right, y up, z towards the camera, metres. Letters: N people, V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.nodes import Floats, affine, quaternion_to_matrix, rotation_about, turn_about
from retarget.rig import Rig

_BODY_FOLLOWS = 0.5  # share of the head's turn to the side that a standing body makes with it


def place(rig: Rig, rotation: Floats, translation: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Root transforms (N, 4, 4), rig scene to scene, and turns of the head joint (N, 3, 3) in the rig's scene.

    rotation: (N, 4) x y z w head to scene, translation: (N, 3) metres, the middle between the eyes, as in `Take`. A
    rig with a body stays upright, goes half way with the head's turn to the side, and stands so that its eyes are
    where the person's are. A rig that is all head turns as a whole.
    """
    turn = quaternion_to_matrix(np.asarray(rotation, np.float64).reshape(-1, 4))
    if rig.stands:
        to_side = np.arctan2(turn[:, 0, 2], turn[:, 2, 2])
        base = rotation_about(1, to_side * _BODY_FOLLOWS)
    else:
        base = turn
    head_turn = rig.faces.T @ base.transpose(0, 2, 1) @ turn @ rig.faces
    linear = base @ rig.faces * rig.scale
    joint = _joint(rig, rig.head)
    eyes = joint + head_turn @ (rig.eye_centre - joint)
    root = affine(linear, np.asarray(translation, np.float64).reshape(-1, 3) - np.einsum("nij,nj->ni", linear, eyes))
    return root, head_turn


def pose(rig: Rig, coefficients: Floats, rotation: Floats, translation: Floats) -> NDArray[np.float64]:
    """The character's vertices (N, V, 3) in the scene, metres, for N people at once. Arguments as in `Take`."""
    root, head_turn = place(rig, rotation, translation)
    count = len(root)
    movement = np.tile(np.eye(4), (count, 4, 1, 1))
    movement[:, 1:] = turn_about(_joint(rig, rig.head), head_turn)[:, None]
    if rig.eyes is not None:
        eye_turns = rig.faces.T @ rig.eye_turns(coefficients) @ rig.faces
        for side, joint in enumerate(rig.eyes):
            movement[:, 2 + side] = movement[:, 2 + side] @ turn_about(_joint(rig, joint), eye_turns[:, side])
    movement = root[:, None] @ movement
    weights = rig.weights(coefficients)
    columns = {morph.node: slice(morph.start, morph.stop) for morph in rig.morphs}
    none = np.zeros((count, 0), np.float32)
    each = [weights[:, columns[s.node]] if s.node in columns else none for s in rig.character.surfaces]
    return rig.character.skinned(rig.character.morphed(each), movement)


def rig_of_actor(actors: NDArray[np.integer], rigs: Sequence[Rig]) -> dict[int, int]:
    """Which rig plays which actor: the different actors in ascending order take the rigs in turn."""
    if not rigs:
        raise ValueError("rigs: expected at least one character, got none")
    return {int(actor): k % len(rigs) for k, actor in enumerate(np.unique(actors))}


def _joint(rig: Rig, joint: int | None) -> NDArray[np.float64]:
    """(3,) where a joint is at rest, rig scene; the middle between the eyes if there is none."""
    return rig.eye_centre if joint is None else rig.world[joint, :3, 3]
