"""A character as one mesh on one node, where nothing but its root and its morph targets moves.

A crowd of such characters is one object and one shape-key list for each person in Blender, not five.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import Glb
from retarget.gltf.join_meshes import join_meshes, joint_target_names
from retarget.rig.rig import Rig


class OneMesh(NamedTuple):
    """A character whose only node draws everything.

    Attributes:
        glb: The file.
        columns: (M',) for each morph target its column in the weights (N, M) of the rig.
    """

    glb: Glb
    columns: NDArray[np.int64]


def as_one_mesh(rig: Rig) -> OneMesh | None:
    """Join the meshes of a character.

    Args:
        rig: The character.

    Returns:
        The joint character, or None if its file has a skeleton, animations or extensions such as VRM, if joints turn, or
        if targets of one name may differ: then the character stays as its maker built it.
    """
    document = rig.glb.document
    drawn = [node for node in document.get("nodes", []) if "mesh" in node]
    has_more = any(document.get(key) for key in ("skins", "animations", "extensions", "cameras"))
    has_more |= any(node.get("extensions") for node in document.get("nodes", []))
    if has_more or len(drawn) < 2 or rig.eyes_turn or rig.has_body or rig.jaw is not None:
        return None
    if (np.linalg.det(rig.world[:, :3, :3]) <= 1e-12).any() or rig.expressions is not None:
        return None
    names = [name for morph in rig.morphs for name in morph.names]
    target_names = {morph.node: morph.names for morph in rig.morphs}
    columns = np.array([names.index(name) for name in joint_target_names(target_names)], np.int64)
    first = np.array([names.index(name) for name in names], np.int64)
    same = np.array_equal(rig.matrix, rig.matrix[:, first]) and np.array_equal(rig.rest_weights, rig.rest_weights[first])
    repeated = any(len(set(morph.names)) < len(morph.names) for morph in rig.morphs)
    if not same or repeated:
        return None
    return OneMesh(join_meshes(rig.glb, target_names, rig.name), columns)
