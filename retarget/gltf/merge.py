"""Join glTF documents, and copy characters within a scene."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from retarget.gltf.accessors import VERTEX_ATTRIBUTES
from retarget.gltf.document import Document, Glb
from retarget.gltf.node_tree import root_nodes, subtree
from retarget.gltf.references import map_references, node_constraints
from retarget.gltf.validate import COMPONENT, LISTS, WIDTH

_SHIFTED = tuple(kind for kind in LISTS if kind not in ("buffers", "scenes"))


def append_document(out: Glb, other: Glb) -> int:
    """Append the content of one file to another.

    Args:
        out: The file to change.
        other: The file to append. Its scenes and the extensions of its document, such as VRM's humanoid, are kept only
            if `out` is empty.

    Returns:
        The number that was added to the node numbers of `other`.
    """
    if not out.document.get("nodes") and not out.document.get("bufferViews"):
        kept = {**deepcopy(other.document), "asset": _joint_asset(out.document, other.document)}
        out.document.clear()
        out.document.update(kept)
        out.binary += other.binary
        out.chunks += other.chunks
        return 0
    out.binary += b"\0" * (-len(out.binary) % 4)
    base = {kind: len(out.document.get(kind, [])) for kind in _SHIFTED}
    lights = _lights(out.document)
    base["lights"] = len(lights)
    document = deepcopy(other.document)
    if _lights(document):
        extensions = out.document.setdefault("extensions", {})
        extensions.setdefault("KHR_lights_punctual", {})["lights"] = lights + _lights(document)
    _shift(document, base, len(out.binary))
    document["animations"] = [animation for animation in document.get("animations", []) if animation["channels"]]
    for kind in _SHIFTED:
        if document.get(kind):
            out.document.setdefault(kind, []).extend(document[kind])
    for key in ("extensionsUsed", "extensionsRequired"):
        union = dict.fromkeys([*out.document.get(key, []), *document.get(key, [])])
        if union:
            out.document[key] = list(union)
    out.document["asset"] = _joint_asset(out.document, document)
    out.binary += other.binary
    return base["nodes"]


def share_equal_views(glb: Glb) -> None:
    """Store equal buffer views once. Characters of one kind differ in few of them when each looks like a person.

    Files with extensions of buffer views, such as compression, stay as they are.
    """
    views = glb.document.get("bufferViews", [])
    if any(view.get("extensions") for view in views):
        return
    number_of: dict[tuple[bytes, str, str], int] = {}
    kept: list[Document] = []
    binary, new_number = bytearray(), []
    for view in views:
        start = view.get("byteOffset", 0)
        content = bytes(glb.binary[start : start + view["byteLength"]])
        key = content, str(view.get("target")), str(view.get("byteStride"))  # a damaged file may hold lists
        if key not in number_of:
            number_of[key] = len(kept)
            binary += b"\0" * (-len(binary) % 4)
            kept.append({**view, "byteOffset": len(binary)})
            binary += content
        new_number.append(number_of[key])
    for item in _users_of_views(glb.document):
        if "bufferView" in item:
            item["bufferView"] = new_number[item["bufferView"]]
    if views:
        glb.document["bufferViews"], glb.binary = kept, binary
        _state_strides(glb.document)


def _state_strides(document: Document) -> None:
    """State the strides of vertex attributes, because a view that several accessors use must have one.

    Where no stride is stated, elements follow each other without gaps. A view with elements of several sizes becomes one view for each
    size, over the same bytes.
    """
    views: list[Document] = document["bufferViews"]
    by_size: dict[int, dict[int, list[Document]]] = {}  # view -> bytes of an element -> accessors
    for accessor in document.get("accessors", []):
        view = views[accessor["bufferView"]] if "bufferView" in accessor else {}
        if view.get("target") == VERTEX_ATTRIBUTES and "byteStride" not in view:
            size = np.dtype(COMPONENT[accessor["componentType"]]).itemsize * WIDTH[accessor["type"]]
            by_size.setdefault(accessor["bufferView"], {}).setdefault(size, []).append(accessor)
    for number, accessors_of in by_size.items():
        plain = dict(views[number])
        for place, (size, accessors) in enumerate(accessors_of.items()):
            if place:
                views.append(plain | {"byteStride": size})
            else:
                views[number] = plain | {"byteStride": size}
            for accessor in accessors:
                accessor["bufferView"] = len(views) - 1 if place else number


def _users_of_views(document: Document) -> list[Document]:
    """Return all objects that may name a buffer view."""
    accessors = document.get("accessors", [])
    sparse = [accessor["sparse"][part] for accessor in accessors if "sparse" in accessor for part in ("indices", "values")]
    return [*accessors, *sparse, *document.get("images", [])]


def copy_nodes(document: Document, tops: list[int]) -> dict[int, int]:
    """Copy the nodes `tops` and their descendants.

    Each copy has its own skins, because a skin belongs to its joints. Meshes are shared.

    Returns:
        The number of the copy of each node.
    """
    nodes = document["nodes"]
    old = subtree(document, tops)
    copy_of = {number: len(nodes) + place for place, number in enumerate(old)}
    skin_of: dict[int, int] = {}
    for number in old:
        node = deepcopy(nodes[number])
        if "children" in node:
            node["children"] = [copy_of[child] for child in node["children"]]
        if "skin" in node:
            if node["skin"] not in skin_of:
                skin = deepcopy(document["skins"][node["skin"]])
                skin["joints"] = [copy_of.get(joint, joint) for joint in skin["joints"]]
                if "skeleton" in skin:
                    skin["skeleton"] = copy_of.get(skin["skeleton"], skin["skeleton"])
                skin_of[node["skin"]] = len(document["skins"])
                document["skins"].append(skin)
            node["skin"] = skin_of[node["skin"]]
        for constraint in node_constraints(node):
            constraint["source"] = copy_of.get(constraint.get("source", -1), constraint.get("source"))
        nodes.append(node)
    return copy_of


def scene_roots(document: Document, moved_by: int) -> list[int]:
    """Roots of a document's default scene as numbers in the joint one."""
    return [root + moved_by for root in root_nodes(document)]


def _joint_asset(first: Document, second: Document) -> Document:
    """Who made what: the copyright lines of both, each once."""
    lines = dict.fromkeys(
        line for document in (first, second) for line in str(document["asset"].get("copyright", "")).split("; ") if line
    )
    asset = {**deepcopy(second["asset"]), "version": "2.0", "generator": "mfn retarget"}
    if lines:
        asset["copyright"] = "; ".join(lines)
    return asset


def _lights(document: Document) -> list[Any]:
    result: list[Any] = document.get("extensions", {}).get("KHR_lights_punctual", {}).get("lights", [])
    return result


def _shift(document: Document, base: dict[str, int], bytes_before: int) -> None:
    """Add to every reference between the document's lists the number of things that will lie before it."""
    for view in document.get("bufferViews", []):
        view["byteOffset"] = view.get("byteOffset", 0) + bytes_before
    for mesh in document.get("meshes", []):
        for primitive in mesh["primitives"]:
            primitive.get("extensions", {}).pop("KHR_materials_variants", None)  # the list of variants is not appended
    for animation in document.get("animations", []):
        # Channels with a JSON pointer are dropped: the places that they name have moved.
        animation["channels"] = [channel for channel in animation["channels"] if "node" in channel["target"]]
    map_references(document, lambda kind, number: number + base[kind])
