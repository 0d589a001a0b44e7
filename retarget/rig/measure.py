"""Measure a character's head: its size, which way it faces, and where its eyes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.rig.morph_targets import MorphNode
from retarget.rig.skinned_mesh import HEAD, LEFT_EYE, RIGHT_EYE, SkinnedMesh

_HEAD_HEIGHT_RANGE_M = (0.12, 0.45)  # a head of another height is not stored in meters
_HUMAN_HEAD_HEIGHT_M = 0.24
_BLINKS = (ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("eyeBlinkRight"))
_LIP_NAMES = ("mouthSmile", "mouthFrown", "mouthPucker", "mouthFunnel")
_LIP_ROWS = [row for row, name in enumerate(ARKIT_NAMES) if name.startswith(_LIP_NAMES)]
_MIN_RELATIVE_MOVEMENT = 0.3  # a vertex counts as moved from this part of the target's largest movement on
_MIN_AXIS_COSINE = 0.75  # between a measured direction and the axis that it is taken for
_EYE_HEIGHT = 0.55  # of the head's height, where neither eye joints nor eyelids are known
_EYE_DEPTH = 0.8  # of the head's depth, in the same way


class HeadMeasure(NamedTuple):
    """eye_center: (3,) the point between the eyes in the rig's scene, at rest. scale: factor that makes the head as
    large as a person's (1 if it already is)."""

    eye_center: NDArray[np.float64]
    scale: float


def front_rotation(mesh: SkinnedMesh, morphs: Sequence[MorphNode], drives: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Find the rotation that turns a character to face +z with its eyes above its mouth.

    Args:
        mesh: The character's mesh.
        morphs: Its morph nodes.
        drives: (52, M) which coefficient drives which target.

    Returns:
        (3, 3) a rotation by quarter turns. The identity unless three observations agree: the direction from the right
        to the left eyelids, the direction from the mouth to the eyes, and the mean normal of the skin there.
    """
    rest = mesh.rest_positions()
    eyes = [_moved_vertices(mesh, morphs, drives[row]) for row in _BLINKS]
    mouth = _moved_vertices(mesh, morphs, np.any(drives[_LIP_ROWS], axis=0))
    if not (eyes[0].any() and eyes[1].any() and mouth.any()):
        return np.eye(3)
    left, right = (rest[eye].mean(axis=0) for eye in eyes)
    corners = rest[mesh.triangles[(eyes[0] | eyes[1] | mouth)[mesh.triangles].all(axis=1)]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
    axes = np.stack([left - right, (left + right) / 2 - rest[mouth].mean(axis=0), normal])
    axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    rotation = np.where(np.abs(axes) > _MIN_AXIS_COSINE, np.sign(axes), 0.0)
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3)) and np.linalg.det(rotation) > 0
    return rotation if is_rotation else np.eye(3)


def _moved_vertices(
    mesh: SkinnedMesh, morphs: Sequence[MorphNode], chosen: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(V,) vertices that one of the chosen targets (M,) moves clearly."""
    result = np.zeros(len(mesh.positions), bool)
    columns = {morph.node: np.flatnonzero(chosen[morph.start : morph.stop]) for morph in morphs}
    for part in mesh.parts:
        for column in columns.get(part.node, ()):
            movement = np.linalg.norm(part.deltas[column], axis=1)
            threshold = max(_MIN_RELATIVE_MOVEMENT * movement.max(initial=0), 1e-9)
            result[part.start : part.stop] |= movement > threshold
    return result


def measure_head(
    mesh: SkinnedMesh,
    morphs: Sequence[MorphNode],
    drives: NDArray[np.bool_],
    eyes: NDArray[np.float64] | None,
    front: NDArray[np.float64],
) -> HeadMeasure:
    """Measure where the eyes of a character are, and how large its head is.

    Args:
        mesh: The character's mesh.
        morphs: Its morph nodes.
        drives: (52, M) which coefficient drives which target.
        eyes: (2, 3) places of the eye joints in the rig's scene, or None.
        front: (3, 3) the rotation of `front_rotation`.

    Returns:
        The measures. The eyes are where the eye joints are; without these, between the eyelids; without eyelids, at
        the usual place in the bounding box of the head.
    """
    rest = mesh.rest_positions() @ front.T
    part_of = {part.node: part for part in mesh.parts}
    # The face is the mesh with the most driven targets; of two, the larger one.
    sizes = [
        (int(drives[:, m.start : m.stop].any(axis=0).sum()), part_of[m.node].stop - part_of[m.node].start)
        if m.node in part_of
        else (-1, 0)
        for m in morphs
    ]
    face_morph = morphs[sizes.index(max(sizes))]
    face = part_of.get(face_morph.node, mesh.parts[0])
    vertices = np.arange(face.start, face.stop)
    on_head = mesh.group_weights[vertices][:, [HEAD, LEFT_EYE, RIGHT_EYE]].sum(axis=1) > 0.5
    points = rest[vertices[on_head]] if on_head.any() else rest[vertices]
    low, high = points.min(axis=0), points.max(axis=0)
    height = float(high[1] - low[1])
    is_metres = _HEAD_HEIGHT_RANGE_M[0] <= height <= _HEAD_HEIGHT_RANGE_M[1] or height == 0
    scale = 1.0 if is_metres else _HUMAN_HEAD_HEIGHT_M / height
    if eyes is not None:
        return HeadMeasure(eyes.mean(axis=0), scale)
    eyelids = []
    for row in _BLINKS:
        columns = np.flatnonzero(drives[row, face_morph.start : face_morph.stop])
        moved = np.zeros(len(vertices), bool)
        if len(face.deltas):
            moved = np.abs(face.deltas[columns]).sum(axis=(0, 2)) > 0
        eyelids.append(rest[vertices[moved]])
    if all(len(eyelid) for eyelid in eyelids):
        return HeadMeasure(np.mean([eyelid.mean(axis=0) for eyelid in eyelids], axis=0) @ front, scale)
    center = [(low[0] + high[0]) / 2, low[1] + _EYE_HEIGHT * height, low[2] + _EYE_DEPTH * (high[2] - low[2])]
    return HeadMeasure(np.array(center) @ front, scale)
