"""Join all meshes of a still scene into one mesh on one node: what a program lists as one object."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.accessors import VERTEX_ATTRIBUTES, add_accessor, add_sparse_accessor, read_accessor
from retarget.gltf.document import Document, Glb, add
from retarget.gltf.node_tree import root_nodes, subtree, world_matrices
from retarget.gltf.references import drop_unused

_VECTORS = ("POSITION", "NORMAL", "TANGENT")


def join_meshes(glb: Glb, target_names: dict[int, tuple[str, ...]], name: str) -> Glb:
    """Join all meshes of the default scene. Each surface keeps its material.

    Args:
        glb: A file without skins and animations. Its nodes stand still, and none is mirrored.
        target_names: Node -> names of its morph targets. Targets of one name become one.
        name: Name of the mesh and of its node.

    Returns:
        A file with one node, which stands at the origin. The mesh has the morph targets of all nodes, in the order of
        `joint_target_names`; where a surface lacks one, the target moves nothing and takes no bytes.
    """
    out = Glb(deepcopy(glb.document), bytearray(glb.binary), list(glb.chunks), glb.path)
    document, world = out.document, world_matrices(glb.document)
    names = joint_target_names(target_names)
    primitives = []
    still: dict[int, int] = {}  # number of vertices -> accessor of zeros
    for node in subtree(document, root_nodes(document)):
        if "mesh" not in document["nodes"][node]:
            continue
        own = target_names.get(node, ())
        for primitive in document["meshes"][document["nodes"][node]["mesh"]]["primitives"]:
            moved = _move_primitive(out, primitive, world[node])
            by_name = dict(zip(own, moved.pop("targets", []), strict=False))
            if names:
                rest = _still_target(out, moved, still)
                moved["targets"] = [by_name.get(target) or dict(rest) for target in names]
            primitives.append(moved)
    mesh: Document = {"name": name, "primitives": primitives}
    if names:
        mesh |= {"weights": [0.0] * len(names), "extras": {"targetNames": list(names)}}
    document["nodes"].append({"name": name, "mesh": add(out, "meshes", mesh)})
    document["scenes"] = [{"nodes": [len(document["nodes"]) - 1]}]
    document["scene"] = 0
    return drop_unused(out)


def joint_target_names(target_names: dict[int, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the names of the joint mesh's targets: those of the node with the most targets first, each name once."""
    ordered = sorted(target_names.values(), key=len, reverse=True)
    return tuple(dict.fromkeys(name for names in ordered for name in names))


def _still_target(glb: Glb, primitive: Document, still: dict[int, int]) -> Document:
    """A morph target that moves nothing. Its accessor has no bytes."""
    count = glb.document["accessors"][primitive["attributes"]["POSITION"]]["count"]
    if count not in still:
        zero = {"componentType": 5126, "count": count, "type": "VEC3", "min": [0.0] * 3, "max": [0.0] * 3}
        still[count] = add(glb, "accessors", zero)
    return {"POSITION": still[count]}


def _move_primitive(glb: Glb, primitive: Document, world: NDArray[np.float64]) -> Document:
    """A copy of a surface with its vertices moved from its node's space to the scene's."""
    moved = deepcopy(primitive)
    linear, offset = world[:3, :3], world[:3, 3]
    turns = not np.allclose(linear, np.eye(3), atol=1e-7)
    if turns or offset.any():
        attributes = moved["attributes"]
        points = read_accessor(glb, attributes["POSITION"])
        attributes["POSITION"] = add_accessor(glb, (points @ linear.T + offset).astype(np.float32), VERTEX_ATTRIBUTES)
        if turns:
            for key in ("NORMAL", "TANGENT"):
                if key in attributes:
                    attributes[key] = add_accessor(glb, _turned(glb, attributes[key], key, linear), VERTEX_ATTRIBUTES)
            for target in moved.get("targets", []):
                for key in [key for key in target if key in _VECTORS]:
                    deltas = read_accessor(glb, target[key]) @ (linear if key != "NORMAL" else np.linalg.inv(linear).T).T
                    target[key] = add_sparse_accessor(glb, deltas.astype(np.float32), 0.0)
    return moved


def _turned(glb: Glb, accessor: int, key: str, linear: NDArray[np.float64]) -> NDArray[np.float32]:
    """(V, 3) normals or (V, 4) tangents of unit length in the scene."""
    values = read_accessor(glb, accessor).astype(np.float64)
    matrix = np.linalg.inv(linear).T if key == "NORMAL" else linear
    turned = values[:, :3] @ matrix.T
    turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
    return np.concatenate([turned, values[:, 3:]], axis=1).astype(np.float32)
