"""Lower the arms of a character. Most characters come in T or A pose, which is easier to model and to skin."""

from __future__ import annotations

import re

import numpy as np

from retarget.geometry.rotations import matrix_to_quaternion, nearest_orthogonal, rotation_between
from retarget.gltf.node_tree import Document, normalized_name, parent_indices, root_nodes, subtree, world_matrices

_LOWERED_LEFT_ARM = np.array([0.22, -0.97, 0.06])  # direction of the left upper arm in the rig's axes
_MIN_SIDEWAYS = 0.5  # part of the arm's length along x; an arm with less hangs already


def lower_arms(document: Document, humanoid: dict[str, int]) -> None:
    """Turn the upper arm joints so that the arms hang down. Changes the rotations of these nodes in place.

    Args:
        document: The glTF document.
        humanoid: VRM's bones, bone name -> node. Without them the joints are found by their usual names (LeftArm,
            upperarm_l …). A character without arm joints stays as it is.
    """
    parents = parent_indices(document)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joint = humanoid.get(f"{side}UpperArm", _search_arm(document, side))
        if joint is None or "matrix" in document["nodes"][joint] or not document["nodes"][joint].get("children"):
            continue
        world = world_matrices(document)
        forearm = document["nodes"][joint]["children"][0]
        direction = world[forearm, :3, 3] - world[joint, :3, 3]
        length = np.linalg.norm(direction)
        if length == 0 or abs(direction[0]) < _MIN_SIDEWAYS * length:
            continue
        # The left arm of a character that faces -z points to -x, so the direction outwards follows from the arm itself.
        target = _LOWERED_LEFT_ARM * (np.sign(direction[0]), 1, sign * np.sign(direction[0]))
        turn = rotation_between(direction / length, target / np.linalg.norm(target))
        parent = nearest_orthogonal(world[parents[joint]]) if parents[joint] >= 0 else np.eye(3)
        rotation = matrix_to_quaternion(parent.T @ turn @ nearest_orthogonal(world[joint]))
        document["nodes"][joint]["rotation"] = [float(v) for v in rotation]


def _search_arm(document: Document, side: str) -> int | None:
    """The upper arm joint of one side by its name, or None."""
    names = rf"{side}(upper)?arm|(upper)?arm{side}|{side[0]}upperarm|upperarm{side[0]}"
    pattern = rf"(mixamorig\d*|(valvebiped)?bip\d*|ccbase|def|armature)?({names})\d*"
    for number in subtree(document, root_nodes(document)):
        node = document["nodes"][number]
        if "skin" not in node and re.fullmatch(pattern, normalized_name(node)):
            return number
    return None
