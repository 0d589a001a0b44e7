"""Lower the arms of a character. Most characters come in T or A pose, which is easier to model and to skin."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.rotations import matrix_to_quaternion, nearest_orthogonal, quaternion_to_matrix, rotation_between
from retarget.gltf.node_tree import (
    Document,
    normalized_name,
    parent_indices,
    root_nodes,
    split_matrix,
    subtree,
    world_matrices,
)

_LOWERED_LEFT_ARM = np.array([0.22, -0.97, 0.06])  # direction of the left upper arm of a character that faces +z
_MIN_SIDEWAYS = 0.5  # part of the arm's length along x; an arm with less hangs already
_MIN_LENGTH = 1e-4  # of an upper arm, as a part of the distance of its farthest joint
_FOREARM = re.compile(r"forearm|lowerarm|elbow")


def lower_arms(document: Document, humanoid: dict[str, int], front: NDArray[np.float64]) -> dict[int, Document]:
    """Turn the upper arm joints so that the arms hang down. Changes the rotations of these nodes in place.

    Args:
        document: The glTF document.
        humanoid: VRM's bones, bone name -> node. Without them the joints are found by their usual names (LeftArm,
            upperarm_l …). A character without arm joints stays as it is.
        front: (3, 3) rotation that turns the character to face +z.

    Returns:
        The nodes that were turned, number -> the node before.
    """
    parents = parent_indices(document)
    before: dict[int, Document] = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joint = humanoid.get(f"{side}UpperArm", _search_arm(document, side))
        world = world_matrices(document)
        forearm = None if joint is None else _find_forearm(document, joint, humanoid.get(f"{side}LowerArm"), world)
        if joint is None or forearm is None:
            continue
        direction = front @ (world[forearm, :3, 3] - world[joint, :3, 3])
        direction /= np.linalg.norm(direction)
        if abs(direction[0]) < _MIN_SIDEWAYS:
            continue
        # The left arm of a character that faces -z points to -x, so the direction outwards follows from the arm itself.
        target = _LOWERED_LEFT_ARM * (np.sign(direction[0]), 1, sign * np.sign(direction[0]))
        turn = front.T @ rotation_between(direction, target / np.linalg.norm(target)) @ front
        parent = nearest_orthogonal(world[parents[joint]]) if parents[joint] >= 0 else np.eye(3)
        node = document["nodes"][joint]
        before[joint] = dict(node)
        split_matrix(node)
        own = quaternion_to_matrix(node.get("rotation", (0, 0, 0, 1)))
        node["rotation"] = [float(v) for v in matrix_to_quaternion(parent.T @ turn @ parent @ own)]
    return before


def _search_arm(document: Document, side: str) -> int | None:
    """The upper arm joint of one side by its name, or None."""
    names = rf"{side}(upper)?arm|(upper)?arm{side}|{side[0]}(upper)?arm|(upper)?arm\d*{side[0]}|{side[0]}shldr(bend)?"
    pattern = rf"(mixamorig\d*|(valvebiped)?bip\d*|ccbase|def|armature)?({names})\d*"
    found: list[int] = []
    for number in subtree(document, root_nodes(document)):
        node = document["nodes"][number]
        if "skin" not in node and re.fullmatch(pattern, normalized_name(node)):
            found.append(number)
    # Where both are there, "L_Arm" is the shoulder of "L_UpperArm".
    return max(found, key=lambda number: "upper" in normalized_name(document["nodes"][number]), default=None)


def _find_forearm(document: Document, joint: int, stated: int | None, world: NDArray[np.float64]) -> int | None:
    """The joint to which an upper arm points, or None.

    It is the one that the file states, else the next joint with the name of a forearm, else the next one with the most joints in a
    row below it. Joints at the place of the upper arm, which only twist or correct it, are none.
    """
    parents = parent_indices(document)
    below = subtree(document, [joint])[1:]
    distance = {number: float(np.linalg.norm(world[number, :3, 3] - world[joint, :3, 3])) for number in below}
    farthest = max(distance.values(), default=0.0)
    is_apart = {number for number in below if distance[number] > _MIN_LENGTH * farthest}
    if stated in is_apart:
        return stated
    nearest = [number for number in below if number in is_apart and parents[number] not in is_apart]
    named = [number for number in nearest if _FOREARM.search(normalized_name(document["nodes"][number]))]
    return max(named or nearest, key=lambda number: _chain_length(document, number), default=None)


def _chain_length(document: Document, top: int) -> int:
    """How many nodes are in the longest row from a node down."""
    length = dict.fromkeys(subtree(document, [top]), 1)
    for number in reversed(length):
        for child in document["nodes"][number].get("children", []):
            length[number] = max(length[number], length[child] + 1)
    return length[top]
