"""Which nodes of a rig are its head, its neck and its eyes: given, VRM's bones, or found by the usual names."""

from __future__ import annotations

import re
from typing import NamedTuple

from retarget.geometry.node_tree import Document, bare_name, below, roots_of
from retarget.rig.name_map import close_to
from retarget.rig.vrm import humanoid

_BEFORE = r"(mixamorig\d*|(valvebiped)?bip\d*|ccbase|def|rig|jnt|jadj|jbipc|jbip|armature|bone|b|c)?"
_AFTER = r"(bone|joint|jnt|ball|m)?(\d*)"
_NAMES = {
    "head": "head|頭",
    "neck": "neck(twist|upper|lower)?|首",
    "left eye": "(left|l)(face)?eye(ball)?|eye(ball)?(left|l)|左目",
    "right eye": "(right|r)(face)?eye(ball)?|eye(ball)?(right|r)|右目",
}
_MOST_WORDS = 4  # of a name's end
_BONES = {"head": "head", "neck": "neck", "left eye": "leftEye", "right eye": "rightEye"}


class Joints(NamedTuple):
    """Node numbers; None where a rig has none. eyes: left and right of the subject. how: of head, neck and eyes, in
    words."""

    head: int | None
    neck: int | None
    eyes: tuple[int, int] | None
    how: tuple[str, str, str]


def find_joints(
    document: Document, head: str | None = None, neck: str | None = None, eyes: str | None = None
) -> Joints:
    """The joints of a character. head, neck: a node's name or number to take; eyes: two of them, "LEFT,RIGHT"."""
    head_node, head_how = _find(document, "head", head)
    neck_node, neck_how = _find(document, "neck", neck)
    if neck_node is not None and (head_node is None or head_node not in below(document, [neck_node])[1:]):
        if neck is not None:
            raise ValueError(f"the head does not hang below the node {neck!r} (expected a neck)")
        neck_node, neck_how = None, ""
    given = [None, None] if eyes is None else eyes.split(",")
    if len(given) != 2:
        raise ValueError(f"eyes {str(eyes)[:80]!r}: expected two nodes, LEFT,RIGHT")
    left, left_how = _find(document, "left eye", given[0])
    right, _ = _find(document, "right eye", given[1])
    pair = (left, right) if left is not None and right is not None and left != right else None
    return Joints(head_node, neck_node, pair, (head_how, neck_how, left_how if pair else ""))


def _find(document: Document, what: str, given: str | None) -> tuple[int | None, str]:
    if given is not None:
        return _given(document, what, given.strip()), "given"
    bone = humanoid(document).get(_BONES[what])
    if bone is not None:
        return bone, "VRM bone"
    found = _named(document, f"{_BEFORE}({_NAMES[what]}){_AFTER}")
    return found, "" if found is None else "by its name"


def _named(document: Document, pattern: str) -> int | None:
    """The first node, nearest to the root, whose bare name matches; else the first joint of a skin of whose name, cut
    into words, the end does (`Character1_LeftEye`). Skinned meshes are no joints: turning them does nothing."""
    nodes = document.get("nodes", [])
    reached = [number for number in below(document, roots_of(document)) if "skin" not in nodes[number]]
    for number in reached:
        if re.fullmatch(pattern, bare_name(nodes[number])):
            return number
    joints = {joint for skin in document.get("skins", []) for joint in skin["joints"]}
    for number in reached:
        words = re.findall(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*(?![a-z])|\d+", str(nodes[number].get("name", "")))
        ends = ["".join(words[k:]).lower() for k in range(max(1, len(words) - _MOST_WORDS), len(words))]
        if number in joints and any(re.fullmatch(pattern, end) for end in ends):
            return number
    return None


def _given(document: Document, what: str, given: str) -> int:
    names = {str(node.get("name", "")): number for number, node in reversed(list(enumerate(document.get("nodes", []))))}
    number = names.get(given, int(given) if given.isdecimal() and len(given) < 9 else -1)
    if not 0 <= number < len(document.get("nodes", [])):
        raise ValueError(f"{what}: it has no node {given[:80]!r}{close_to(given, names)}")
    if "skin" in document["nodes"][number]:
        raise ValueError(f"{what}: the node {given[:80]!r} is a skinned mesh, turning it does nothing (expected a joint)")
    return number
