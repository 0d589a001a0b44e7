"""Choose the scene of a file that holds the face, by the names of its morph targets."""

from __future__ import annotations

import numpy as np

from retarget.gltf.node_tree import Document, parent_indices
from retarget.rig.morph_targets import find_morphs
from retarget.rig.names.target_names import match_targets


def choose_scene(document: Document) -> list[str]:
    """Make the scene with the face the default scene of a document, in place.

    Returns:
        A remark if this changed the scene.

    The default scene stays unless another one has more of ARKit's shapes. Some files begin with a scene of a camera, or with
    an empty one. Nodes of no scene count as a scene of their own.
    """
    scenes = document.get("scenes", [])
    if not scenes:
        return []
    default = document.get("scene", 0)
    outside = _roots_outside(document)
    candidates = [*scenes, {"name": "nodes of no scene", "nodes": outside}] if outside else list(scenes)
    if len(candidates) == 1:
        return []
    counts = [_count_shapes({**document, "scenes": [scene], "scene": 0}) for scene in candidates]
    best = int(np.argmax(counts))
    if counts[best] <= counts[default]:
        return []
    document["scenes"], document["scene"] = candidates, best
    name = str(candidates[best].get("name") or best)[:40]
    return [f"the face is not in the default scene but in another one ({name}), which is used"]


def _roots_outside(document: Document) -> list[int]:
    """Roots of the node tree that no scene shows."""
    shown = {root for scene in document["scenes"] for root in scene.get("nodes", [])}
    return [int(root) for root in np.flatnonzero(parent_indices(document) < 0) if int(root) not in shown]


def _count_shapes(document: Document) -> int:
    """For how many of ARKit's shapes the default scene has a target."""
    shares = match_targets([morph.names for morph in find_morphs(document)])
    return len({name for row in shares for name in row})
