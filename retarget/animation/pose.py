"""Where a rig's body, head and eyes go so that its head is where a person's head is.

Frame: glTF's scene axes, x right, y up, z towards the camera, metres. Letters: N people, V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.node_tree import Floats, affine, part_of_turn, quaternion_to_matrix, rotation_about, turn_about
from retarget.rig.rig import Rig
from retarget.rig.skinned_mesh import GROUPS, HEAD, LEFT_EYE, NECK, RIGHT_EYE

_BODY_FOLLOWS = 0.5  # share of the head's turn to the side that a standing body makes with it
_NECK_FOLLOWS = 0.4  # share of the head's turn on its body that the neck makes


class Placed(NamedTuple):
    """root: (N, 4, 4) rig scene to scene. neck, head: (N, 3, 3) turns of these joints in the rig's scene; the head's
    comes on top of the neck's, and the neck's is none if the rig has no such joint."""

    root: NDArray[np.float64]
    neck: NDArray[np.float64]
    head: NDArray[np.float64]


def place(rig: Rig, rotation: Floats, translation: Floats) -> Placed:
    """Where the character of each of N people stands, and how far its neck and head are turned.

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
    head = rig.faces.T @ base.transpose(0, 2, 1) @ turn @ rig.faces
    neck = np.tile(np.eye(3), (len(turn), 1, 1)) if rig.neck is None else part_of_turn(head, _NECK_FOLLOWS)
    head = neck.transpose(0, 2, 1) @ head
    linear = base @ rig.faces * rig.scale
    eyes = (_moved_neck(rig, neck) @ turn_about(_joint(rig, rig.head), head) @ np.append(rig.eye_centre, 1))[:, :3]
    where = np.asarray(translation, np.float64).reshape(-1, 3) - np.einsum("nij,nj->ni", linear, eyes)
    return Placed(affine(linear, where), neck, head)


def pose(rig: Rig, coefficients: Floats, rotation: Floats, translation: Floats) -> NDArray[np.float64]:
    """The character's vertices (N, V, 3) in the scene, metres, for N people at once. Arguments as in `Take`."""
    placed = place(rig, rotation, translation)
    count = len(placed.root)
    neck = placed.root @ _moved_neck(rig, placed.neck)
    movement = np.repeat(placed.root[:, None], len(GROUPS), axis=1)
    movement[:, NECK] = neck
    movement[:, [HEAD, LEFT_EYE, RIGHT_EYE]] = (neck @ turn_about(_joint(rig, rig.head), placed.head))[:, None]
    if rig.eyes is not None:
        eye_turns = rig.faces.T @ rig.eye_turns(coefficients) @ rig.faces
        for side, joint in enumerate(rig.eyes):
            group = (LEFT_EYE, RIGHT_EYE)[side]
            movement[:, group] = movement[:, group] @ turn_about(_joint(rig, joint), eye_turns[:, side])
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


def _moved_neck(rig: Rig, turn: Floats) -> NDArray[np.float64]:
    """Turns (N, 3, 3) about the neck -> (N, 4, 4); all none without one."""
    return turn_about(np.zeros(3) if rig.neck is None else rig.world[rig.neck, :3, 3], turn)


def _joint(rig: Rig, joint: int | None) -> NDArray[np.float64]:
    """(3,) where a joint is at rest, rig scene; the middle between the eyes if there is none."""
    return rig.eye_centre if joint is None else rig.world[joint, :3, 3]
