"""The animated values of one character: which node property takes which value at each sample of a performance.

Letters: K samples of one actor.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.animation.keyframes import reduce_linear, reduce_rotations
from retarget.animation.pose import movement_with_head, place_rig, turn_in_place
from retarget.geometry.rotations import (
    matrix_to_quaternion,
    nearest_orthogonal,
    quaternion_to_matrix,
    rotation_about_point,
    shortest_path_signs,
    split_scale,
)
from retarget.gltf.node_tree import local_matrix
from retarget.performance.take import Take
from retarget.rig.rig import Rig

_MIN_TRANSLATION = 1e-5  # part of a joint's distance; less is rounding
_TRANSLATION_M = 0.25  # tolerance of a translation at tolerance 1: what a turn of one radian moves at a head's size

TrackPath = Literal["translation", "rotation", "weights"]


class Track(NamedTuple):
    """Values of one property over time.

    Attributes:
        node: The rig's node, or None for the character's root.
        path: The animated property, as glTF names it.
        values: (K, ...) float32.
    """

    node: int | None
    path: TrackPath
    values: NDArray[np.float32]


def make_tracks(rig: Rig, performance: Take, in_place: bool = False) -> list[Track]:
    """Compute all tracks of one character: root, head, neck, eyes and morph weights.

    Args:
        rig: The character.
        performance: K samples of one actor.
        in_place: The character stays at its own origin, in its own size.
    """
    if in_place:
        placement, scale = turn_in_place(rig, performance.rotation), 1.0
    else:
        placement, scale = place_rig(rig, performance.rotation, performance.translation), rig.scale
    turn = matrix_to_quaternion(placement.root[:, :3, :3] / scale)
    tracks = [
        _track(None, "translation", placement.root[:, :3, 3]),
        _track(None, "rotation", shortest_path_signs(turn)),
    ]
    if rig.has_body and rig.head is not None:
        tracks.append(_track(rig.head, "rotation", _joint_rotation(rig, rig.head, placement.head)))
        if rig.neck is not None:
            tracks.append(_track(rig.neck, "rotation", _joint_rotation(rig, rig.neck, placement.neck)))
    if rig.eyes is not None and rig.eye_pivots is not None:
        eye_rotations = rig.front_rotation.T @ rig.eye_rotations(performance.coefficients) @ rig.front_rotation
        for side, joint in enumerate(rig.eyes):
            with_head = movement_with_head(rig, placement, joint)
            if rig.eyes_turn or (with_head != np.eye(4)).any():
                tracks += _joint_tracks(rig, joint, with_head @ rotation_about_point(rig.eye_pivots[side], eye_rotations[:, side]))
    if rig.jaw is not None:
        movement = movement_with_head(rig, placement, rig.jaw.joint) @ rig.jaw_movement(performance.coefficients)
        tracks += _joint_tracks(rig, rig.jaw.joint, movement)
    weights = rig.weights(performance.coefficients)
    tracks += [_track(morph.node, "weights", weights[:, morph.start : morph.stop]) for morph in rig.morphs]
    return tracks


def is_constant(track: Track, tolerance: float) -> bool:
    """Return whether all values are within the tolerance of the first one, which can then stand for all.

    Args:
        track: The track.
        tolerance: As in `choose_keyframes`.
    """
    change = np.abs(track.values - track.values[:1]).max(initial=0)
    if track.path == "rotation":
        change *= 2  # a quaternion changes by half the angle
    return bool(change <= tolerance * (_TRANSLATION_M if track.path == "translation" else 1.0))


def choose_keyframes(track: Track, time_s: NDArray[Any], tolerance: float) -> NDArray[np.int64]:
    """Choose the samples of a track that become keyframes.

    Args:
        track: The track.
        time_s: (K,) increasing times in seconds.
        tolerance: The largest error: of weights, in radians of rotations, in quarters of a meter of translations.
            0 keeps every sample.

    Returns:
        Ascending sample numbers.
    """
    if tolerance == 0:
        return np.arange(len(time_s))
    if track.path == "rotation":
        return reduce_rotations(time_s, track.values, tolerance)
    return reduce_linear(time_s, track.values, tolerance * (_TRANSLATION_M if track.path == "translation" else 1.0))


def _track(node: int | None, path: TrackPath, values: NDArray[Any]) -> Track:
    return Track(node, path, np.ascontiguousarray(values, np.float32))


def _joint_tracks(rig: Rig, joint: int, movement: NDArray[np.float64]) -> list[Track]:
    """The rotation of a joint that moves by (K, 4, 4) in the rig's scene, and its translation if that changes."""
    parent = rig.world[_parent(rig, joint)] if _parent(rig, joint) >= 0 else np.eye(4)
    local = np.linalg.inv(parent) @ movement @ rig.world[joint]
    tracks = [_track(joint, "rotation", _joint_rotation(rig, joint, movement[:, :3, :3]))]
    rest = local_matrix(rig.glb.document["nodes"][joint])[:3, 3]
    tolerance = _MIN_TRANSLATION * float(np.linalg.norm(rest) + np.linalg.norm(local[:, :3, 3], axis=1).max(initial=0))
    if (np.abs(local[:, :3, 3] - rest) > tolerance).any():
        tracks.append(_track(joint, "translation", local[:, :3, 3]))
    return tracks


def _joint_rotation(rig: Rig, joint: int, turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Local rotations (K, 4) of a joint that turn it by (K, 3, 3) in the rig's scene, relative to rest."""
    node = rig.glb.document["nodes"][joint]
    parent = nearest_orthogonal(rig.world[_parent(rig, joint)]) if _parent(rig, joint) >= 0 else np.eye(3)
    own = split_scale(local_matrix(node)).rotation if "matrix" in node else quaternion_to_matrix(node.get("rotation", (0, 0, 0, 1)))
    return shortest_path_signs(matrix_to_quaternion(parent.T @ turn @ parent @ own))


def _parent(rig: Rig, joint: int) -> int:
    """The node above a joint, -1 for none."""
    return next((number for number, node in enumerate(rig.glb.document["nodes"]) if joint in node.get("children", [])), -1)
