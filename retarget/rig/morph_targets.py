"""Find the morph targets of a character: their nodes, names and stored weights, and which of them move any vertex.

Letters: M morph targets in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.node_tree import Document, root_nodes, subtree
from retarget.rig.skinned_mesh import LEFT_EYE, RIGHT_EYE, SkinnedMesh

_MIN_MOVEMENT = 1e-7  # in the mesh's unit; smaller deltas are numerical noise


@dataclass(frozen=True)
class MorphNode:
    """A node with morph targets.

    Attributes:
        node: Number of the node.
        start: First of its columns in the weights (N, M).
        stop: One after its last column.
        names: Names of its targets, in the order of its columns.
    """

    node: int
    start: int
    stop: int
    names: tuple[str, ...]


def find_morphs(document: Document) -> tuple[MorphNode, ...]:
    """Find the morph nodes of the default scene.

    Returns:
        The nodes in tree order. Targets without a name are called "target_0", "target_1" …
    """
    morphs, start = [], 0
    for number in subtree(document, root_nodes(document)):
        node = document["nodes"][number]
        if "mesh" not in node:
            continue
        mesh = document["meshes"][node["mesh"]]
        count = len(mesh["primitives"][0].get("targets", []))
        extras = mesh.get("extras") if isinstance(mesh.get("extras"), dict) else {}
        names = extras.get("targetNames") or _names_in_primitives(document, mesh, count) or [f"target_{k}" for k in range(count)]
        if count:
            morphs.append(MorphNode(number, start, start + count, tuple(str(name) for name in names)))
            start += count
    return tuple(morphs)


def note_target_names(document: Document) -> None:
    """Write names of targets that stand in primitives or accessors to `mesh.extras.targetNames`, in place.

    Other programs read them there, and so they are kept where the primitives are not. Meshes without names stay without.
    """
    for mesh in document.get("meshes", []):
        extras = mesh["extras"] if isinstance(mesh.get("extras"), dict) else {}
        count = len(mesh["primitives"][0].get("targets", []))
        names = None if extras.get("targetNames") else _names_in_primitives(document, mesh, count)
        if names and count:
            mesh["extras"] = {**extras, "targetNames": [str(name) for name in names]}


def _names_in_primitives(document: Document, mesh: Document, count: int) -> list[str] | None:
    """Target names as VRM 0.x has them, in the extras of a primitive; else those of the accessors, if all have different ones."""
    accessors = document.get("accessors", [])
    for primitive in mesh["primitives"]:
        extras, targets = primitive.get("extras"), primitive.get("targets", [])
        names = extras.get("targetNames") if isinstance(extras, dict) else None
        if isinstance(names, list) and len(names) == count:
            return names
        stored = [str(accessors[t["POSITION"]].get("name", "")) if "POSITION" in t else "" for t in targets]
        if len(set(stored)) == count and all(stored):
            return stored
    return None


def stored_weights(document: Document, morphs: Sequence[MorphNode]) -> NDArray[np.float32]:
    """Return the weights (M,) that the file itself stores. A node's weights take precedence over its mesh's."""
    rows = [np.zeros(0)]
    for morph in morphs:
        node = document["nodes"][morph.node]
        stored = node.get("weights", document["meshes"][node["mesh"]].get("weights"))
        count = morph.stop - morph.start
        rows.append(np.array(stored, np.float64) if stored and len(stored) == count else np.zeros(count))
    return np.concatenate(rows).astype(np.float32)


def moves_vertices(mesh: SkinnedMesh, morphs: Sequence[MorphNode], eyes_only: bool = False) -> NDArray[np.bool_]:
    """Find the morph targets that move something.

    Args:
        mesh: The character's mesh.
        morphs: Its morph nodes.
        eyes_only: Count only vertices that follow an eye joint.

    Returns:
        (M,) whether the target moves at least one vertex.
    """
    on_eye = mesh.group_weights[:, [LEFT_EYE, RIGHT_EYE]].sum(axis=1) > 0.5
    result = np.zeros(morphs[-1].stop if morphs else 0, bool)
    for morph in morphs:
        for part in mesh.parts:
            if part.node == morph.node:
                moves = np.any(np.abs(part.deltas) > _MIN_MOVEMENT, axis=2)  # (M_i, V_i)
                counts = on_eye[part.start : part.stop] if eyes_only else True
                result[morph.start : morph.stop] = (moves & counts).any(axis=1)
    return result
