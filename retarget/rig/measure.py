"""How large a rig's head is, which way it looks and from where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.rig.morph_targets import Morph
from retarget.rig.skinned_mesh import HEAD, LEFT_EYE, RIGHT_EYE, Character

_HEAD_HEIGHT_M = (0.12, 0.45)  # of a head in metres; a rig outside of it is in other units
_PEOPLE_HEAD_M = 0.24
_BLINKS = (ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("eyeBlinkRight"))
_LIPS = ("mouthSmile", "mouthFrown", "mouthPucker", "mouthFunnel")
_MOUTH = [row for row, name in enumerate(ARKIT_NAMES) if name.startswith(_LIPS)]
_CLEARLY = 0.3  # of the farthest way that a target moves a vertex
_SURE = 0.75  # cosine between what eyes, mouth and skin say of a direction and the axis that is taken for it


def facing(character: Character, morphs: Sequence[Morph], reach: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(3, 3) the turn by quarters that brings a face to look to +z with its eyes above its mouth. None unless the skin
    there, the mouth below the eyes, and left and right all say so. reach: (52, M) which of ARKit's move which target."""
    rest = character.rest()
    eyes = [_moved(character, morphs, reach[row]) for row in _BLINKS]
    mouth = _moved(character, morphs, np.any(reach[_MOUTH], axis=0))
    if not (eyes[0].any() and eyes[1].any() and mouth.any()):
        return np.eye(3)
    left, right = (rest[eye].mean(axis=0) for eye in eyes)
    corners = rest[character.triangles[(eyes[0] | eyes[1] | mouth)[character.triangles].all(axis=1)]]
    ahead = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).sum(axis=0)
    found = np.stack([left - right, (left + right) / 2 - rest[mouth].mean(axis=0), ahead])
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    turn = np.where(np.abs(found) > _SURE, np.sign(found), 0.0)
    is_turn = np.allclose(turn @ turn.T, np.eye(3)) and np.linalg.det(turn) > 0
    return turn if is_turn else np.eye(3)


def _moved(character: Character, morphs: Sequence[Morph], chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(V,) vertices that one of the chosen targets (M,) moves clearly."""
    result = np.zeros(len(character.positions), bool)
    columns = {morph.node: np.flatnonzero(chosen[morph.start : morph.stop]) for morph in morphs}
    for surface in character.surfaces:
        for column in columns.get(surface.node, ()):
            way = np.linalg.norm(surface.deltas[column], axis=1)
            result[surface.start : surface.stop] |= way > max(_CLEARLY * way.max(initial=0), 1e-9)
    return result


def measure(
    character: Character,
    morphs: Sequence[Morph],
    reach: NDArray[np.bool_],
    eyes: NDArray[np.float64] | None,
    faces: NDArray[np.float64],
) -> tuple[NDArray[np.float64], float]:
    """The middle between the eyes (3,), scene units at rest; and the factor that makes the head as large as
    people's. reach: (52, M) which of ARKit's move which target; eyes: (2, 3) where the eye joints are; faces: (3, 3)
    turns the way it looks to +z."""
    rest = character.rest() @ faces.T
    surface_of = {surface.node: surface for surface in character.surfaces}
    # The face is the mesh with the most driven targets, the larger of two.
    driven = [
        (int(reach[:, m.start : m.stop].any(axis=0).sum()), surface_of[m.node].stop - surface_of[m.node].start)
        if m.node in surface_of
        else (-1, 0)
        for m in morphs
    ]
    best = morphs[driven.index(max(driven))]
    surface = surface_of.get(best.node, character.surfaces[0])
    face = np.arange(surface.start, surface.stop)
    on_head = character.share[face][:, [HEAD, LEFT_EYE, RIGHT_EYE]].sum(axis=1) > 0.5
    points = rest[face[on_head]] if on_head.any() else rest[face]
    low, high = points.min(axis=0), points.max(axis=0)
    height = float(high[1] - low[1])
    scale = 1.0 if _HEAD_HEIGHT_M[0] <= height <= _HEAD_HEIGHT_M[1] or height == 0 else _PEOPLE_HEAD_M / height
    if eyes is not None:
        return eyes.mean(axis=0), scale
    lids = []
    for row in _BLINKS:
        columns = np.flatnonzero(reach[row, best.start : best.stop])
        moved = np.abs(surface.deltas[columns]).sum(axis=(0, 2)) > 0 if len(surface.deltas) else np.zeros(len(face), bool)
        lids.append(rest[face[moved]])
    if all(len(lid) for lid in lids):
        return np.mean([lid.mean(axis=0) for lid in lids], axis=0) @ faces, scale
    return np.array([(low[0] + high[0]) / 2, low[1] + 0.55 * height, low[2] + 0.8 * (high[2] - low[2])]) @ faces, scale
