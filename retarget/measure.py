"""How large a rig's head is and where it looks from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES
from retarget.character import HEAD, LEFT_EYE, RIGHT_EYE, Character
from retarget.targets import Morph

_HEAD_HEIGHT_M = (0.12, 0.45)  # of a head in metres; a rig outside of it is in other units
_PEOPLE_HEAD_M = 0.24
_BLINKS = (ARKIT_NAMES.index("eyeBlinkLeft"), ARKIT_NAMES.index("eyeBlinkRight"))


def measure(
    character: Character, morphs: Sequence[Morph], reach: NDArray[np.bool_], eyes: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], float]:
    """The middle between the eyes (3,), scene units at rest; and the factor that makes the head as large as
    people's. reach: (52, M) which of ARKit's move which target; eyes: (2, 3) where the eye joints are."""
    rest = character.rest()
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
        return np.mean([lid.mean(axis=0) for lid in lids], axis=0), scale
    return np.array([(low[0] + high[0]) / 2, low[1] + 0.55 * height, low[2] + 0.8 * (high[2] - low[2])]), scale
