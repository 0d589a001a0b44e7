"""What hangs on the joints of a character. From it follow joints whose names say nothing.

Letters: K nodes, V vertices of the skinned mesh.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import Glb
from retarget.gltf.mesh_reader import read_influences
from retarget.gltf.node_tree import Document, root_nodes, subtree

_MIN_FACE_SHARE = 0.8  # part of the face that hangs on the head


def carried_weights(glb: Glb, counted: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Return how many vertices hang on each node, without those on the nodes below it.

    Args:
        glb: The glTF file.
        counted: (V,) vertices to count, in the order of `load_skinned_mesh`. None: all.

    Returns:
        (K,) sums of weights.
    """
    document = glb.document
    result, start = np.zeros(len(document.get("nodes", []))), 0
    for node in subtree(document, root_nodes(document)):
        influences = read_influences(glb, node) if "mesh" in document["nodes"][node] else None
        if influences is None:
            continue
        stop = start + len(influences.nodes)
        rows = slice(None) if counted is None else counted[start:stop]
        np.add.at(result, influences.nodes[rows], influences.weights[rows])
        start = stop
    return result


def find_head_by_face(document: Document, face: NDArray[np.float64]) -> int | None:
    """Find the joint that the face hangs on.

    Args:
        document: The glTF document.
        face: (K,) how much of the face hangs on each node.

    Returns:
        The lowest joint on which, with the joints below it, most of the face hangs. None if this is no joint of a skin.
    """
    joints = {joint for skin in document.get("skins", []) for joint in skin["joints"]}
    total, chosen = face.sum(), None
    level: Sequence[int] = root_nodes(document)
    while level and total:
        share = [face[subtree(document, [number])].sum() / total for number in level]
        best = int(np.argmax(share))
        if share[best] < _MIN_FACE_SHARE:
            break
        chosen = level[best] if level[best] in joints else chosen
        level = document["nodes"][level[best]].get("children", [])
    return chosen
