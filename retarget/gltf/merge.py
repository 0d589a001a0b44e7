"""Join glTF documents, and copy characters within a scene."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from retarget.gltf.document import Document, Glb
from retarget.gltf.node_tree import root_nodes, subtree
from retarget.gltf.validate import LISTS

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
        for constraint in _constraints(node):
            constraint["source"] = copy_of.get(constraint.get("source", -1), constraint.get("source"))
        nodes.append(node)
    return copy_of


def _constraints(node: Document) -> list[Document]:
    """Return the other node with which a VRM node rotates."""
    held = node.get("extensions", {}).get("VRMC_node_constraint", {}).get("constraint", {})
    return [item for item in held.values() if isinstance(item, dict)] if isinstance(held, dict) else []


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

    def move(item: Document, key: str, kind: str) -> None:
        if isinstance(item.get(key), int):
            item[key] += base[kind]

    for view in document.get("bufferViews", []):
        view["byteOffset"] = view.get("byteOffset", 0) + bytes_before
    for accessor in document.get("accessors", []):
        sparse = accessor.get("sparse", {})
        for item in (accessor, sparse.get("indices", {}), sparse.get("values", {})):
            move(item, "bufferView", "bufferViews")
    for image in document.get("images", []):
        move(image, "bufferView", "bufferViews")
    for texture in document.get("textures", []):
        move(texture, "sampler", "samplers")
        for item in (texture, *texture.get("extensions", {}).values()):
            move(item, "source", "images")
    for material in document.get("materials", []):
        _shift_textures(material, base["textures"])
    for mesh in document.get("meshes", []):
        for primitive in mesh["primitives"]:
            move(primitive, "indices", "accessors")
            move(primitive, "material", "materials")
            primitive.get("extensions", {}).pop("KHR_materials_variants", None)  # the list of variants is not appended
            for place in [primitive["attributes"], *primitive.get("targets", [])]:
                for name in place:
                    move(place, name, "accessors")
    for skin in document.get("skins", []):
        move(skin, "inverseBindMatrices", "accessors")
        move(skin, "skeleton", "nodes")
        skin["joints"] = [joint + base["nodes"] for joint in skin["joints"]]
    for animation in document.get("animations", []):
        for sampler in animation["samplers"]:
            move(sampler, "input", "accessors")
            move(sampler, "output", "accessors")
        # Channels with a JSON pointer are dropped: the places that they name have moved.
        animation["channels"] = [channel for channel in animation["channels"] if "node" in channel["target"]]
        for channel in animation["channels"]:
            move(channel["target"], "node", "nodes")
    for node in document.get("nodes", []):
        for key, kind in (("mesh", "meshes"), ("skin", "skins"), ("camera", "cameras")):
            move(node, key, kind)
        move(node.get("extensions", {}).get("KHR_lights_punctual", {}), "light", "lights")
        for constraint in _constraints(node):
            move(constraint, "source", "nodes")
        if "children" in node:
            node["children"] = [child + base["nodes"] for child in node["children"]]


def _shift_textures(item: Any, by: int) -> None:
    """Add a number to texture references anywhere in a material: {"…Texture": {"index": k}}."""
    if isinstance(item, list):
        for part in item:
            _shift_textures(part, by)
    elif isinstance(item, dict):
        for key, value in item.items():
            if key.endswith("Texture") and isinstance(value, dict) and isinstance(value.get("index"), int):
                value["index"] += by
            _shift_textures(value, by)
