"""Find the head, neck, eye and jaw joints of a character: as given by the user, by VRM's bones, or by their usual names.

Letters: K nodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.node_tree import Document, normalized_name, parent_indices, root_nodes, subtree
from retarget.io.suggest import did_you_mean
from retarget.rig.joints.joint_names import VRM_BONES, JointKind, name_patterns, rigify_number
from retarget.rig.vrm.avatar import humanoid_bones

_MAX_WORDS = 4  # of the end of a name that are compared
_MAX_LISTED = 12  # names in an error message
_ARM_WORDS = re.compile(r"shoulder|clavicle|collar|arm")


class FoundBy(NamedTuple):
    """How a joint was found: "given", "VRM bone", "by its name", "by the skin of the face", or "" if it was not."""

    head: str = ""
    neck: str = ""
    eyes: str = ""
    jaw: str = ""


class Joints(NamedTuple):
    """The joints of a character.

    Attributes:
        head: Node number, or None.
        neck: Node number, or None.
        eyes: Node numbers of the subject's left and right eye, or None.
        jaw: Node number, or None.
        found_by: How they were found.
    """

    head: int | None
    neck: int | None
    eyes: tuple[int, int] | None
    jaw: int | None
    found_by: FoundBy


class JointNames(NamedTuple):
    """Names or numbers of joints as a user gives them; None: search. eyes: "LEFT,RIGHT", from the subject's view."""

    head: str | None = None
    neck: str | None = None
    eyes: str | None = None
    jaw: str | None = None


def find_joints(
    document: Document, given: JointNames | None = None, carried: NDArray[np.float64] | None = None
) -> Joints:
    """Find the joints of a character.

    Args:
        document: The glTF document.
        given: The joints that the user names; None: none.
        carried: (K,) how much of the surface hangs on each node, see `carried_weights`. Of several joints with a usual name,
            one that carries nothing is not taken. None: not known.

    Raises:
        ValueError: A given node does not exist or is a mesh, or the head is not below the given neck.
    """
    search, given = _Search(document, carried), given or JointNames()
    head = search.joint("head", given.head)
    above = _ancestors(document, head.node)
    neck = search.joint("neck", given.neck, above)
    if neck.node is not None and neck.node not in above:
        raise ValueError(f"the head is not below the node {given.neck!r} in the tree (expected a neck joint)")
    names = [None, None] if given.eyes is None else given.eyes.split(",")
    if len(names) != 2:
        raise ValueError(f"eyes {str(given.eyes)[:80]!r}: expected two nodes, LEFT,RIGHT, such as leftEye,rightEye")
    left, right = search.joint("left eye", names[0]), search.joint("right eye", names[1])
    pair = (left.node, right.node) if left.node is not None and right.node is not None and left.node != right.node else None
    below = subtree(document, [head.node])[1:] if head.node is not None else None
    jaw = search.joint("jaw", given.jaw, below)
    found_by = FoundBy(head.found_by, neck.found_by, left.found_by if pair else "", jaw.found_by)
    return Joints(head.node, neck.node, pair, jaw.node, found_by)


class _Joint(NamedTuple):
    """A joint's node, or None, and how it was found."""

    node: int | None
    found_by: str


class _Search(NamedTuple):
    """document: the file; carried: as in `find_joints`."""

    document: Document
    carried: NDArray[np.float64] | None

    def joint(self, kind: JointKind, given: str | None, among: list[int] | None = None) -> _Joint:
        """Find one joint. among: nodes that may be found by their names; None: all."""
        if given is not None:
            return _Joint(_given_node(self.document, kind, given.strip()), "given")
        bone: int | None = humanoid_bones(self.document).get(VRM_BONES[kind])
        if bone is not None and (kind != "neck" or bone in (among or [])):
            return _Joint(bone, "VRM bone")
        found = [number for number in _search_by_name(self.document, kind) if among is None or number in among]
        carrying = [number for number in found if self.carries(number)]
        must_carry = kind in ("head", "jaw")
        chosen = carrying[0] if carrying else found[0] if found and not must_carry else None
        return _Joint(chosen, "" if chosen is None else "by its name")

    def carries(self, joint: int) -> bool:
        """Return whether anything hangs on a joint or below it."""
        return self.carried is None or bool(self.carried[subtree(self.document, [joint])].any())


def _ancestors(document: Document, node: int | None) -> list[int]:
    """The nodes above a node, the root first."""
    parents, chain = parent_indices(document), []
    while node is not None and parents[node] >= 0:
        node = int(parents[node])
        chain.append(node)
    return chain[::-1]


def _search_by_name(document: Document, kind: JointKind) -> Iterator[int]:
    """Nodes with a usual name, the most likely first.

    These are nodes whose bare name matches, from the root on; then joints of a skin whose last words match, such as
    `Character1_LeftEye`; then the joints of Rigify's spine. Nodes with a skin are no joints: turning them has no effect in glTF.
    """
    nodes = document.get("nodes", [])
    candidates = [number for number in subtree(document, root_nodes(document)) if "skin" not in nodes[number]]
    joints = {joint for skin in document.get("skins", []) for joint in skin["joints"]}
    for pattern in name_patterns(kind):
        yield from (number for number in candidates if re.fullmatch(pattern, normalized_name(nodes[number])))
        for number in candidates:
            if number in joints and any(re.fullmatch(pattern, end) for end in _ends(str(nodes[number].get("name", "")))):
                yield number
    yield from _search_rigify(document, candidates, kind)


def _ends(name: str) -> list[str]:
    """The last words of a name, joined: "LeftEye" and "Eye" of `Character1_LeftEye`."""
    words = re.findall(r"[A-Z]?[a-z]+\d*|[A-Z]+\d*(?![a-z])|\d+", name)
    return ["".join(words[k:]).lower() for k in range(max(1, len(words) - _MAX_WORDS), len(words))]


def _search_rigify(document: Document, candidates: list[int], kind: JointKind) -> Iterator[int]:
    """The last joint of a spine (the head), or the ones before it (the neck), from the root on."""
    nodes = document["nodes"]
    spine = [number for number in candidates if rigify_number(str(nodes[number].get("name", ""))) is not None]
    for number in spine:
        children = nodes[number].get("children", [])
        holds_arms = any(_ARM_WORDS.search(normalized_name(nodes[child])) for child in children)
        is_last = not set(children) & set(spine) and not holds_arms
        if kind == ("head" if is_last else "neck"):
            yield number


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
