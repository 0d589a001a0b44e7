"""Measure a character's head: its size, which way it faces, and where its eyes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.rig.joints.eyes import eye_pivots
from retarget.rig.morph_targets import MorphNode
from retarget.rig.skinned_mesh import LEFT_EYE, ON_HEAD, RIGHT_EYE, MeshPart, SkinnedMesh

_HEAD_HEIGHT_RANGE_M = (0.12, 0.45)  # a head of another height is not stored in meters
_HUMAN_HEAD_HEIGHT_M = 0.24
_HUMAN_LID_DISTANCE_M = 0.07  # between the middles of the vertices that the two lids move
_LID_DISTANCE_RANGE_M = (0.05, 0.09)  # of people; where it is, the file is in meters, whatever else its mesh contains
_MIN_BUST = 1.3  # what is higher than a head with such lids by this factor shows more than the head
_BLINKS = (ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("eyeBlinkRight"))
_LIP_NAMES = ("mouthSmile", "mouthFrown", "mouthPucker", "mouthFunnel")
_LIP_ROWS = [row for row, name in enumerate(ARKIT_NAMES) if name.startswith(_LIP_NAMES)]
_JAW_ROWS = [ARKIT_NAMES.index("mouthClose")], [ARKIT_NAMES.index("jawOpen")]  # where no target moves the lips
_MIN_OUTWARDS = 0.2  # part of the normals of a chin, which point down too, that must point out of the face
_MIN_RELATIVE_MOVEMENT = 0.3  # a vertex counts as moved from this part of the target's largest movement on
_MIN_AXIS_COSINE = 0.75  # between a measured direction and the axis that it is taken for
_MAX_EYELID_DISTANCE = 0.25  # of eye joints that carry nothing, in heights of the head
_EYE_HEIGHT = 0.55  # of the head's height, where neither eye joints nor eyelids are known
_EYE_DEPTH = 0.8  # of the head's depth, in the same way


class HeadMeasure(NamedTuple):
    """Measures of a head, in the rig's scene at rest.

    Attributes:
        eye_center: (3,) the point between the eyes.
        eye_pivots: (2, 3) the points about which the eyes turn, or None.
        height: In the rig's unit.
        scale: Factor that makes the head as large as a person's (1 if it already is).
    """

    eye_center: NDArray[np.float64]
    eye_pivots: NDArray[np.float64] | None
    height: float
    scale: float


class Facing(NamedTuple):
    """rotation: (3, 3) turns a character to face +z. is_measured: it follows from the face; else it is the identity.
    is_mirrored: what is called left lies on its right side. is_unclear: it has lids, but not all observations agree."""

    rotation: NDArray[np.float64]
    is_measured: bool = False
    is_mirrored: bool = False
    is_unclear: bool = False


def find_facing(mesh: SkinnedMesh, morphs: Sequence[MorphNode], drives: NDArray[np.bool_]) -> Facing:
    """Find the rotation that turns a character to face +z with its eyes above its mouth.

    Args:
        mesh: The character's mesh.
        morphs: Its morph nodes.
        drives: (52, M) which coefficient drives which target.

    Returns:
        A rotation by quarter turns. The identity unless three observations agree: the direction from the right to the left
        eyelids, the direction from the mouth (or the jaw) to the eyes, and the mean normal of the skin there. If its nodes mirror
        it, the eyelids may have changed sides.
    """
    rest = mesh.rest_positions()
    eyes = [_moved_vertices(mesh, morphs, drives[row]) for row in _BLINKS]
    mouths = (_moved_vertices(mesh, morphs, np.any(drives[rows], axis=0)) for rows in (_LIP_ROWS, *_JAW_ROWS))
    mouth = next((moved for moved in mouths if moved.any()), None)
    if not (eyes[0].any() and eyes[1].any()):
        return Facing(np.eye(3))
    if mouth is None:
        return Facing(np.eye(3), is_unclear=True)
    left, right = (rest[eye].mean(axis=0) for eye in eyes)
    corners = rest[mesh.triangles[(eyes[0] | eyes[1] | mouth)[mesh.triangles].all(axis=1)]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
    axes = np.stack([left - right, (left + right) / 2 - rest[mouth].mean(axis=0), normal])
    axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-12)
    if not drives[_LIP_ROWS].any():
        axes[2] = _without_upwards(axes)
    rotation = np.where(np.abs(axes) > _MIN_AXIS_COSINE, np.sign(axes), 0.0)
    if not np.allclose(rotation @ rotation.T, np.eye(3)):
        return Facing(np.eye(3), is_unclear=True)
    if np.linalg.det(rotation) > 0:
        return Facing(rotation, is_measured=True)
    turned = rotation * np.array([[-1], [1], [1]])
    return Facing(turned, is_measured=True, is_mirrored=True) if _is_mirrored(mesh) else Facing(np.eye(3), is_unclear=True)


def _without_upwards(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The third of three directions (3, 3), a normal, at a right angle to the second one. Zero if little of it remains."""
    outwards = axes[2] - (axes[2] @ axes[1]) * axes[1]
    length = np.linalg.norm(outwards)
    return np.asarray(outwards / length if length > _MIN_OUTWARDS else np.zeros(3), np.float64)


def _is_mirrored(mesh: SkinnedMesh) -> bool:
    """Whether the nodes of the head mirror it."""
    matrices = next((mesh.groups[group].matrices for group in ON_HEAD if len(mesh.groups[group].vertices)), None)
    return matrices is not None and bool(np.linalg.det(matrices[0][:, :3]) < 0)


def moved_by_face(mesh: SkinnedMesh, morphs: Sequence[MorphNode], drives: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the vertices (V,) that a driven target moves clearly. Arguments as in `find_facing`."""
    return _moved_vertices(mesh, morphs, np.any(drives, axis=0))


def movement_at(mesh: SkinnedMesh, morphs: Sequence[MorphNode], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how targets move the vertices.

    Args:
        mesh: The character's mesh.
        morphs: Its morph nodes.
        weights: (N, M) weights of all targets.

    Returns:
        (N, V, 3) in the rig's scene.
    """
    columns = {morph.node: slice(morph.start, morph.stop) for morph in morphs}
    none = np.zeros((len(weights), 0), np.float32)
    by_part = [weights[:, columns[part.node]] if part.node in columns else none for part in mesh.parts]
    no_movement = np.tile(np.eye(4), (len(weights), len(mesh.groups), 1, 1))
    return np.asarray(mesh.apply_skinning(mesh.apply_morphs(by_part), no_movement) - mesh.rest_positions())


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
        front: (3, 3) the rotation of `find_facing`.

    Returns:
        The measures. A head of an unlikely height, such as a bust, is measured by the distance of its lids, if they are known.
        The eyes are where they turn; without eye joints, or with joints that carry nothing and lie elsewhere,
        between the eyelids; without eyelids, at the usual place in the bounding box of the head.
    """
    rest = mesh.rest_positions() @ front.T
    face, morph = _face_part(mesh, morphs, drives)
    vertices = np.arange(face.start, face.stop)
    on_head = mesh.group_weights[vertices][:, ON_HEAD].sum(axis=1) > 0.5
    points = rest[vertices[on_head]] if on_head.any() else rest[vertices]
    low, high = points.min(axis=0), points.max(axis=0)
    height = float(high[1] - low[1])
    is_metres = _HEAD_HEIGHT_RANGE_M[0] <= height <= _HEAD_HEIGHT_RANGE_M[1] or height == 0
    if not is_metres and (lids := _lid_distance(rest, mesh, morphs, drives)):
        is_metres = _LID_DISTANCE_RANGE_M[0] <= lids <= _LID_DISTANCE_RANGE_M[1]
        by_lids = _HUMAN_HEAD_HEIGHT_M * lids / _HUMAN_LID_DISTANCE_M
        height = by_lids if height > _MIN_BUST * by_lids else height
    scale = 1.0 if is_metres else _HUMAN_HEAD_HEIGHT_M / height
    height = height or _HUMAN_HEAD_HEIGHT_M
    eyelids = _eyelid_center(rest[vertices], face, drives[:, morph.start : morph.stop] if morph else drives[:, :0])
    pivots = None if eyes is None else eye_pivots(mesh, eyes, front, height)
    if pivots is not None:
        center = pivots.mean(axis=0)
        carries = bool(mesh.group_weights[:, [LEFT_EYE, RIGHT_EYE]].any())
        is_near = eyelids is None or np.linalg.norm(front @ center - eyelids) < _MAX_EYELID_DISTANCE * height
        if carries or is_near:
            return HeadMeasure(center, pivots, height, scale)
    usual = [(low[0] + high[0]) / 2, high[1] - (1 - _EYE_HEIGHT) * height, low[2] + _EYE_DEPTH * (high[2] - low[2])]
    return HeadMeasure((np.array(usual) if eyelids is None else eyelids) @ front, pivots, height, scale)


def _lid_distance(
    rest: NDArray[np.float64], mesh: SkinnedMesh, morphs: Sequence[MorphNode], drives: NDArray[np.bool_]
) -> float:
    """The distance between the vertices that the left and the right lids move; 0 where it is not known.

    A mesh without a skeleton may show more than the head, so that its height says nothing.
    """
    left, right = (_moved_vertices(mesh, morphs, drives[row]) for row in _BLINKS)
    sides = rest[left & ~right], rest[right & ~left]
    return float(np.linalg.norm(sides[0].mean(axis=0) - sides[1].mean(axis=0))) if all(map(len, sides)) else 0.0


def _face_part(
    mesh: SkinnedMesh, morphs: Sequence[MorphNode], drives: NDArray[np.bool_]
) -> tuple[MeshPart, MorphNode | None]:
    """The mesh with the most driven targets, of two the larger one; without targets the one with the most on the head."""
    part_of = {part.node: part for part in mesh.parts}
    drawn = [morph for morph in morphs if morph.node in part_of]
    if not drawn:
        on_head = mesh.group_weights[:, ON_HEAD].sum(axis=1)
        return max(mesh.parts, key=lambda part: float(on_head[part.start : part.stop].sum())), None
    sizes = [
        (int(drives[:, m.start : m.stop].any(axis=0).sum()), part_of[m.node].stop - part_of[m.node].start) for m in drawn
    ]
    chosen = drawn[sizes.index(max(sizes))]
    return part_of[chosen.node], chosen


def _eyelid_center(
    rest: NDArray[np.float64], face: MeshPart, drives: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """The point (3,) between the eyelids of the face, whose vertices (V_i, 3) and drives (52, M_i) are given; None without."""
    eyelids = []
    for row in _BLINKS:
        columns = np.flatnonzero(drives[row])
        moved = np.zeros(len(rest), bool)
        if len(columns) and len(face.deltas):
            moved = np.abs(face.deltas[columns]).sum(axis=(0, 2)) > 0
        eyelids.append(rest[moved])
    if not all(len(eyelid) for eyelid in eyelids):
        return None
    return np.asarray(np.mean([eyelid.mean(axis=0) for eyelid in eyelids], axis=0))
