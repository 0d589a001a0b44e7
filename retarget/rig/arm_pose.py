"""Characters come with their arms stretched out, for their makers' ease. Among people they let them hang."""

from __future__ import annotations

import re

import numpy as np

from retarget.geometry.node_tree import (
    Document,
    bare_name,
    below,
    matrix_to_quaternion,
    parents_of,
    pure_rotation,
    roots_of,
    shortest_turn,
    world_matrices,
)

_HANGING = np.array([0.22, -0.97, 0.06])  # direction of the left upper arm, rig axes


def lower_arms(document: Document, humanoid: dict[str, int]) -> None:
    """Turn the upper arm joints of a skeleton in T or A pose so that the arms hang down; nothing else moves.

    The arms are VRM's upper arms or joints called LeftArm, upperarm_l and the like; without both nothing happens.
    Changes the nodes' rotations in place.
    """
    parents = parents_of(document)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        joint = humanoid.get(f"{side}UpperArm", _named_arm(document, side))
        if joint is None or "matrix" in document["nodes"][joint] or not document["nodes"][joint].get("children"):
            continue
        world = world_matrices(document)
        forearm = document["nodes"][joint]["children"][0]
        along = world[forearm, :3, 3] - world[joint, :3, 3]
        length = np.linalg.norm(along)
        if length == 0 or abs(along[0]) < 0.5 * length:
            continue  # they hang already
        # A rig that looks to -z has its left arm on the other side: the arm itself says where outwards is.
        target = _HANGING * (np.sign(along[0]), 1, sign * np.sign(along[0]))
        turn = shortest_turn(along / length, target / np.linalg.norm(target))
        above = pure_rotation(world[parents[joint]]) if parents[joint] >= 0 else np.eye(3)
        rotation = matrix_to_quaternion(above.T @ turn @ pure_rotation(world[joint]))
        document["nodes"][joint]["rotation"] = [float(v) for v in rotation]


def _named_arm(document: Document, side: str) -> int | None:
    names = rf"{side}(upper)?arm|(upper)?arm{side}|{side[0]}upperarm|upperarm{side[0]}"
    pattern = rf"(mixamorig\d*|(valvebiped)?bip\d*|ccbase|def|armature)?({names})\d*"
    for number in below(document, roots_of(document)):
        node = document["nodes"][number]
        if "skin" not in node and re.fullmatch(pattern, bare_name(node)):
            return number
    return None
