"""Find the head, neck and eye joints of a character: as given by the user, by VRM's bones, or by their usual names."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from retarget.gltf.node_tree import Document, normalized_name, root_nodes, subtree
from retarget.io.suggest import did_you_mean
from retarget.rig.vrm.avatar import humanoid_bones

JointKind = Literal["head", "neck", "left eye", "right eye"]

_PREFIX = r"(mixamorig\d*|(valvebiped)?bip\d*|ccbase|def|rig|jnt|jadj|jbipc|jbip|armature|bone|b|c)?"
_SUFFIX = r"(bone|joint|jnt|ball|m)?(\d*)"
_NAME_PATTERNS: dict[JointKind, str] = {
    "head": "head|頭",
    "neck": "neck(twist|upper|lower)?|首",
    "left eye": "(left|l)(face)?eye(ball)?|eye(ball)?(left|l)|左目",
    "right eye": "(right|r)(face)?eye(ball)?|eye(ball)?(right|r)|右目",
}
_VRM_BONES: dict[JointKind, str] = {"head": "head", "neck": "neck", "left eye": "leftEye", "right eye": "rightEye"}
_MAX_WORDS = 4  # of the end of a name that are compared
_MAX_LISTED = 12  # names in an error message


class Joints(NamedTuple):
    """The joints of a character.

    Attributes:
        head: Node number, or None.
        neck: Node number, or None.
        eyes: Node numbers of the subject's left and right eye, or None.
        found_by: For head, neck and eyes how they were found: "given", "VRM bone", "by its name" or "".
    """

    head: int | None
    neck: int | None
    eyes: tuple[int, int] | None
    found_by: tuple[str, str, str]


def find_joints(
    document: Document, head: str | None = None, neck: str | None = None, eyes: str | None = None
) -> Joints:
    """Find the joints of a character.

    Args:
        document: The glTF document.
        head: Name or number of the head joint. None: search.
        neck: Name or number of the neck joint. None: search.
        eyes: Names or numbers of both eye joints, "LEFT,RIGHT" from the subject's view. None: search.

    Raises:
        ValueError: A given node does not exist or is a mesh, or the head is not below the given neck.
    """
    head_node, head_found_by = _find(document, "head", head)
    neck_node, neck_found_by = _find(document, "neck", neck)
    if neck_node is not None and (head_node is None or head_node not in subtree(document, [neck_node])[1:]):
        if neck is not None:
            raise ValueError(f"the head is not below the node {neck!r} in the tree (expected a neck joint)")
        neck_node, neck_found_by = None, ""
    given = [None, None] if eyes is None else eyes.split(",")
    if len(given) != 2:
        raise ValueError(f"eyes {str(eyes)[:80]!r}: expected two nodes, LEFT,RIGHT, such as leftEye,rightEye")
    left, eyes_found_by = _find(document, "left eye", given[0])
    right, _ = _find(document, "right eye", given[1])
    pair = (left, right) if left is not None and right is not None and left != right else None
    return Joints(head_node, neck_node, pair, (head_found_by, neck_found_by, eyes_found_by if pair else ""))


def _find(document: Document, kind: JointKind, given: str | None) -> tuple[int | None, str]:
    """A joint's node and how it was found."""
    if given is not None:
        return _given_node(document, kind, given.strip()), "given"
    bone: int | None = humanoid_bones(document).get(_VRM_BONES[kind])
    if bone is not None:
        return bone, "VRM bone"
    found = _search_by_name(document, f"{_PREFIX}({_NAME_PATTERNS[kind]}){_SUFFIX}")
    return found, "" if found is None else "by its name"


def _search_by_name(document: Document, pattern: str) -> int | None:
    """The node nearest to the root whose bare name matches; else the first joint of a skin whose last words match.

    The second search finds names such as `Character1_LeftEye`. Nodes with a skin are no joints: turning them has no
    effect in glTF.
    """
    nodes = document.get("nodes", [])
    candidates = [number for number in subtree(document, root_nodes(document)) if "skin" not in nodes[number]]
    for number in candidates:
        if re.fullmatch(pattern, normalized_name(nodes[number])):
            return number
    joints = {joint for skin in document.get("skins", []) for joint in skin["joints"]}
    for number in candidates:
        words = re.findall(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*(?![a-z])|\d+", str(nodes[number].get("name", "")))
        ends = ["".join(words[k:]).lower() for k in range(max(1, len(words) - _MAX_WORDS), len(words))]
        if number in joints and any(re.fullmatch(pattern, end) for end in ends):
            return number
    return None


def _given_node(document: Document, kind: JointKind, given: str) -> int:
    """The node that a user named. Raises ValueError if it does not exist or cannot be turned."""
    names = {str(node.get("name", "")): number for number, node in reversed(list(enumerate(document.get("nodes", []))))}
    number: int = names.get(given, int(given) if given.isdecimal() and len(given) < 9 else -1)
    if not 0 <= number < len(document.get("nodes", [])):
        hint = did_you_mean(given, names) or f"; expected one of its nodes: {_listed(names)}"
        raise ValueError(f"{kind}: it has no node {given[:80]!r}{hint}")
    if "skin" in document["nodes"][number]:
        raise ValueError(
            f"{kind}: the node {given[:80]!r} is a skinned mesh, and turning it has no effect (expected a joint)"
        )
    return number


def _listed(names: dict[str, int]) -> str:
    """The first names of nodes in the order of the file, separated by commas."""
    ordered = [name[:40] for name in sorted(names, key=lambda name: names[name]) if name]
    rest = f" and {len(ordered) - _MAX_LISTED} more" if len(ordered) > _MAX_LISTED else ""
    return ", ".join(ordered[:_MAX_LISTED]) + rest
