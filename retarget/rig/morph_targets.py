"""The morph targets of a rig's scene: where they are, what they rest at, which of them move anything.

Letters: M morph targets in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.node_tree import Document, below, roots_of
from retarget.rig.skinned_mesh import LEFT_EYE, RIGHT_EYE, Character

_NOTHING_M = 1e-7


@dataclass(frozen=True)
class Morph:
    """A node with morph targets: columns start..stop of the weights are its names, in its own order."""

    node: int
    start: int
    stop: int
    names: tuple[str, ...]


def find_morphs(document: Document) -> tuple[Morph, ...]:
    """Morph nodes of the default scene in tree order; targets without names get "target_0", "target_1" …"""
    morphs, start = [], 0
    for number in below(document, roots_of(document)):
        node = document["nodes"][number]
        if "mesh" not in node:
            continue
        mesh = document["meshes"][node["mesh"]]
        count = len(mesh["primitives"][0].get("targets", []))
        extras = mesh.get("extras") if isinstance(mesh.get("extras"), dict) else {}
        names = extras.get("targetNames") or _names_of_targets(mesh) or [f"target_{k}" for k in range(count)]
        if count:
            morphs.append(Morph(number, start, start + count, tuple(str(name) for name in names)))
            start += count
    return tuple(morphs)


def _names_of_targets(mesh: Document) -> list[str] | None:
    """VRM 0.x has them in the first primitive, or in each of its targets."""
    primitive = mesh["primitives"][0]
    extras, targets = primitive.get("extras"), primitive.get("targets", [])
    names = extras.get("targetNames") if isinstance(extras, dict) else None
    return names if isinstance(names, list) and len(names) == len(targets) else None


def stored_weights(document: Document, morphs: Sequence[Morph]) -> NDArray[np.float32]:
    """(M,) the weights that the file itself gives, node before mesh."""
    rows = [np.zeros(0)]
    for morph in morphs:
        node = document["nodes"][morph.node]
        stored = node.get("weights", document["meshes"][node["mesh"]].get("weights"))
        count = morph.stop - morph.start
        rows.append(np.array(stored, np.float64) if stored and len(stored) == count else np.zeros(count))
    return np.concatenate(rows).astype(np.float32)


def moving(character: Character, morphs: Sequence[Morph], eyes_only: bool = False) -> NDArray[np.bool_]:
    """(M,) which targets move a vertex by more than nothing; eyes_only: one that follows an eye joint."""
    on_eye = character.share[:, [LEFT_EYE, RIGHT_EYE]].sum(axis=1) > 0.5
    result = np.zeros(morphs[-1].stop if morphs else 0, bool)
    for morph in morphs:
        for surface in character.surfaces:
            if surface.node == morph.node:
                moves = np.any(np.abs(surface.deltas) > _NOTHING_M, axis=2)  # (M_i, V_i)
                counts = on_eye[surface.start : surface.stop] if eyes_only else True
                result[morph.start : morph.stop] = (moves & counts).any(axis=1)
    return result
