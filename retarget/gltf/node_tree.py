"""The node tree of a glTF document: parents, descendants, names and matrices. Matrices multiply column vectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.rotations import affine_matrix, matrix_to_quaternion, quaternion_to_matrix, split_scale

Document = dict[str, Any]

TRANSFORM_KEYS = ("matrix", "translation", "rotation", "scale")
"""Properties of a node that place it relative to its parent."""


def local_matrix(node: Document) -> NDArray[np.float64]:
    """Return the transform (4, 4) of a node relative to its parent."""
    if "matrix" in node:
        result: NDArray[np.float64] = np.array(node["matrix"], np.float64).reshape(4, 4).T
        return result
    rotation = quaternion_to_matrix(node.get("rotation", (0, 0, 0, 1)))
    return affine_matrix(rotation * np.array(node.get("scale", (1, 1, 1)), np.float64), node.get("translation", (0, 0, 0)))


def split_matrix(node: Document) -> None:
    """Replace a node's matrix by translation, rotation and scale, in place. glTF forbids to animate a node with a matrix."""
    if "matrix" not in node:
        return
    matrix = local_matrix(node)
    del node["matrix"]
    rotation, scale = split_scale(matrix)
    node["translation"] = [float(v) for v in matrix[:3, 3]]
    node["rotation"] = [float(v) for v in matrix_to_quaternion(rotation)]
    node["scale"] = [float(v) for v in scale]


def normalized_name(node: Document) -> str:
    """Return the name of a node in lower case, letters and digits only."""
    return "".join(c for c in str(node.get("name", "")).lower() if c.isalnum())


def parent_indices(document: Document) -> NDArray[np.int64]:
    """Return the parent (K,) of each of K nodes, -1 for roots."""
    parents = np.full(len(document.get("nodes", [])), -1)
    for number, node in enumerate(document.get("nodes", [])):
        parents[node.get("children", [])] = number
    return parents


def root_nodes(document: Document) -> list[int]:
    """Return the roots of the default scene, or of all nodes if there is no scene."""
    scenes = document.get("scenes", [])
    if scenes:
        return list(scenes[document.get("scene", 0)].get("nodes", []))
    return [int(number) for number in np.flatnonzero(parent_indices(document) < 0)]


def subtree(document: Document, tops: Iterable[int]) -> list[int]:
    """Return the nodes `tops` and all their descendants, parents before children."""
    reached = list(tops)
    for number in reached:
        reached.extend(document["nodes"][number].get("children", []))
    return reached


def world_matrices(document: Document) -> NDArray[np.float64]:
    """Return the transforms (K, 4, 4) from each node to the scene, in the rest pose."""
    nodes, parents = document.get("nodes", []), parent_indices(document)
    world = np.tile(np.eye(4), (len(nodes), 1, 1))
    for number in subtree(document, np.flatnonzero(parents < 0).tolist()):
        local = local_matrix(nodes[number])
        world[number] = world[parents[number]] @ local if parents[number] >= 0 else local
    return world
