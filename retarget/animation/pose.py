"""Place a rig so that its head is where a person's head is, and pose its vertices.

Frame: glTF's scene axes, x right, y up, z towards the camera, in meters. Letters: N people, V vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.rotations import (
    Floats,
    affine_matrix,
    quaternion_to_matrix,
    rotation_about,
    rotation_about_point,
    scale_rotation,
)
from retarget.gltf.node_tree import parent_indices
from retarget.rig.rig import Rig
from retarget.rig.skinned_mesh import GROUPS, JAW, LEFT_EYE, NECK, ON_HEAD, RIGHT_EYE

_BODY_SHARE = 0.5  # part of the head's turn to the side that a standing body makes
NECK_SHARE = 0.4
"""Part of the head's turn relative to the body that the neck makes."""
_NO_RIGS = "rigs: expected at least one character, got none"


class Placement(NamedTuple):
    """Where the characters of N people stand.

    Attributes:
        root: (N, 4, 4) rig scene to scene.
        neck: (N, 3, 3) rotation of the neck joint in the rig's scene; the identity without a neck joint.
        head: (N, 3, 3) rotation of the head joint in the rig's scene, relative to the turned neck.
    """

    root: NDArray[np.float64]
    neck: NDArray[np.float64]
    head: NDArray[np.float64]


def place_rig(rig: Rig, rotation: NDArray[Any], translation: NDArray[Any]) -> Placement:
    """Find where a character stands for each of N people, and how far its neck and head turn.

    Args:
        rig: The character.
        rotation: (N, 4) quaternions x y z w, head to scene, as in `Take`.
        translation: (N, 3) the point between the eyes in meters, as in `Take`.

    Returns:
        The placement. A character with a body stays upright, makes half of the head's turn to the side, and stands so
        that its eyes are where the person's are. A character that is only a head turns as a whole.
    """
    turn = quaternion_to_matrix(np.asarray(rotation, np.float64).reshape(-1, 4))
    if rig.has_body:
        yaw = np.arctan2(turn[:, 0, 2], turn[:, 2, 2])
        base = rotation_about("y", yaw * _BODY_SHARE)
    else:
        base = turn
    front = rig.front_rotation
    head = front.T @ base.transpose(0, 2, 1) @ turn @ front
    neck = np.tile(np.eye(3), (len(turn), 1, 1)) if rig.neck is None else scale_rotation(head, NECK_SHARE)
    head = neck.transpose(0, 2, 1) @ head
    linear = base @ front * rig.scale
    head_turn = rotation_about_point(_joint_position(rig, rig.head), head)
    eyes = (_neck_movement(rig, neck) @ head_turn @ np.append(rig.eye_center, 1))[:, :3]
    offset = np.asarray(translation, np.float64).reshape(-1, 3) - np.einsum("nij,nj->ni", linear, eyes)
    return Placement(affine_matrix(linear, offset), neck, head)


def turn_in_place(rig: Rig, rotation: NDArray[Any]) -> Placement:
    """Find how far a character's neck and head turn while it stays at its own origin, in its own size.

    Args:
        rig: The character.
        rotation: (N, 4) quaternions x y z w, head to scene, as in `Take`.

    Returns:
        The placement. A character with a body stands still, and its neck and head make the whole turn. A character that is
        only a head turns about its head joint, or about its origin without one.
    """
    front = rig.front_rotation
    turn = front.T @ quaternion_to_matrix(np.asarray(rotation, np.float64).reshape(-1, 4)) @ front
    still = np.tile(np.eye(3), (len(turn), 1, 1))
    if rig.has_body:
        neck = still if rig.neck is None else scale_rotation(turn, NECK_SHARE)
        return Placement(affine_matrix(still, np.zeros((len(turn), 3))), neck, neck.transpose(0, 2, 1) @ turn)
    pivot = np.zeros(3) if rig.head is None else rig.world[rig.head, :3, 3]
    return Placement(rotation_about_point(pivot, turn), still, still)


def movement_with_head(rig: Rig, placement: Placement, joint: int) -> NDArray[np.float64]:
    """Compute how a joint of the head must move by itself, so that it moves with the head.

    Args:
        rig: The character.
        placement: Where it stands for each of N people.
        joint: Number of an eye or jaw joint.

    Returns:
        (N, 4, 4) in the rig's scene, relative to rest. The identity for a joint below the head joint, which moves with it anyway.
        Some files have eyes beside the head instead.
    """
    above, parents = [joint], parent_indices(rig.glb.document)
    while parents[above[-1]] >= 0:
        above.append(int(parents[above[-1]]))
    if not rig.has_body or rig.head in above:
        return np.tile(np.eye(4), (len(placement.root), 1, 1))
    head = rotation_about_point(_joint_position(rig, rig.head), placement.head)
    return head if rig.neck in above else _neck_movement(rig, placement.neck) @ head


def pose_vertices(
    rig: Rig, coefficients: NDArray[Any], rotation: NDArray[Any], translation: NDArray[Any]
) -> NDArray[np.float64]:
    """Pose a character for N people at once.

    Args:
        rig: The character.
        coefficients: (N, 52), as in `Take`.
        rotation: (N, 4), as in `Take`.
        translation: (N, 3), as in `Take`.

    Returns:
        (N, V, 3) its vertices in the scene, in meters.
    """
    placement = place_rig(rig, rotation, translation)
    count = len(placement.root)
    neck = placement.root @ _neck_movement(rig, placement.neck)
    movement = np.repeat(placement.root[:, None], len(GROUPS), axis=1)
    movement[:, NECK] = neck
    head = neck @ rotation_about_point(_joint_position(rig, rig.head), placement.head)
    movement[:, ON_HEAD] = head[:, None]
    movement[:, JAW] = head @ rig.jaw_movement(coefficients)
    if rig.eye_pivots is not None:
        eye_rotations = rig.front_rotation.T @ rig.eye_rotations(coefficients) @ rig.front_rotation
        for side, pivot in enumerate(rig.eye_pivots):
            group = (LEFT_EYE, RIGHT_EYE)[side]
            movement[:, group] = movement[:, group] @ rotation_about_point(pivot, eye_rotations[:, side])
    weights = rig.weights(coefficients)
    columns = {morph.node: slice(morph.start, morph.stop) for morph in rig.morphs}
    no_weights = np.zeros((count, 0), np.float32)
    by_part = [weights[:, columns[part.node]] if part.node in columns else no_weights for part in rig.mesh.parts]
    return rig.mesh.apply_skinning(rig.mesh.apply_morphs(by_part), movement)


def assign_rigs(actors: NDArray[np.integer[Any]], rigs: Sequence[Rig]) -> dict[int, int]:
    """Assign rigs to actors: the different actors in ascending order take the rigs in turn.

    Args:
        actors: (S,) actors, as in `Take`.
        rigs: At least one rig.

    Returns:
        Actor -> number of the rig.

    Raises:
        ValueError: There are no rigs.
    """
    if not rigs:
        raise ValueError(_NO_RIGS)
    return {int(actor): k % len(rigs) for k, actor in enumerate(np.unique(actors))}


def check_rigs(rigs: Sequence[Rig]) -> None:
    """Raise TypeError unless `rigs` is a list of characters, and ValueError if it is empty."""
    wrong = rigs if isinstance(rigs, (Rig, str)) else next((rig for rig in rigs if not isinstance(rig, Rig)), None)
    if wrong is not None:
        raise TypeError(f"rigs: expected a list of characters, such as [load_rig('robot')], got {wrong!r:.80}")
    if not len(rigs):
        raise ValueError(_NO_RIGS)


def _neck_movement(rig: Rig, rotation: Floats) -> NDArray[np.float64]:
    """Movements (N, 4, 4) of the rotations (N, 3, 3) about the neck joint. Without one the rotations are the identity."""
    return rotation_about_point(np.zeros(3) if rig.neck is None else rig.world[rig.neck, :3, 3], rotation)


def _joint_position(rig: Rig, joint: int | None) -> NDArray[np.float64]:
    """(3,) a joint's position at rest in the rig's scene; without a joint the point between the eyes."""
    position: NDArray[np.float64] = rig.eye_center if joint is None else rig.world[joint, :3, 3]
    return position
