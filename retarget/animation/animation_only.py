"""Take the surfaces off a scene: what remains is the animation, for a character that another program already has."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from retarget.gltf.accessors import VERTEX_ATTRIBUTES, add_accessor
from retarget.gltf.document import Document, Glb, add
from retarget.gltf.references import drop_unused


def without_surfaces(glb: Glb) -> Glb:
    """Return a scene with its nodes, the names of its morph targets and its animations, but nothing to see.

    Args:
        glb: The scene.

    Returns:
        A copy without materials, textures, skins and extensions. A mesh with morph targets keeps their names and has one
        triangle without area, because glTF animates weights of meshes only. Other meshes are gone.
    """
    out = Glb(deepcopy(glb.document), bytearray(glb.binary), [], glb.path)
    document = out.document
    for key in ("extensions", "extensionsUsed", "extensionsRequired"):
        document.pop(key, None)
    points = add_accessor(out, np.zeros((3, 3), np.float32), VERTEX_ATTRIBUTES)
    still = {"componentType": 5126, "count": 3, "type": "VEC3", "min": [0.0] * 3, "max": [0.0] * 3}
    target = add(out, "accessors", still)
    for mesh in document.get("meshes", []):
        count = len(mesh["primitives"][0].get("targets", []))
        targets = [{"POSITION": target} for _ in range(count)]
        mesh["primitives"] = [{"attributes": {"POSITION": points}, **({"targets": targets} if targets else {})}]
    for node in document.get("nodes", []):
        for key in ("skin", "camera", "extensions"):
            node.pop(key, None)
        if "mesh" in node and not _has_targets(document, node):
            del node["mesh"]
    return drop_unused(out)


def _has_targets(document: Document, node: Document) -> bool:
    return "targets" in document["meshes"][node["mesh"]]["primitives"][0]
