"""Every place of a glTF document that names another thing by its number, and how to drop what nothing names."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from retarget.gltf.document import Document, Glb
from retarget.gltf.node_tree import root_nodes, subtree

NewNumber = Callable[[str, int], int]
"""Called with a kind, such as "meshes", and a number; returns the number to write instead."""

_DROP_ORDER = ("meshes", "skins", "cameras", "materials", "textures", "images", "samplers", "accessors", "bufferViews")
"""Each kind is named by earlier ones only."""


def map_references(document: Document, new: NewNumber) -> None:
    """Replace every number by which one thing of a document names another, in place.

    Args:
        document: The glTF document. Its scenes and the extensions of the document itself stay as they are.
        new: Returns the new number. "lights" are those of KHR_lights_punctual.
    """

    def move(item: Document, key: str, kind: str) -> None:
        if isinstance(item.get(key), int):
            item[key] = new(kind, item[key])

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
        _map_textures(material, new)
    for mesh in document.get("meshes", []):
        for primitive in mesh["primitives"]:
            move(primitive, "indices", "accessors")
            move(primitive, "material", "materials")
            for place in [primitive["attributes"], *primitive.get("targets", [])]:
                for name in place:
                    move(place, name, "accessors")
    for skin in document.get("skins", []):
        move(skin, "inverseBindMatrices", "accessors")
        move(skin, "skeleton", "nodes")
        skin["joints"] = [new("nodes", joint) for joint in skin["joints"]]
    for animation in document.get("animations", []):
        for sampler in animation["samplers"]:
            move(sampler, "input", "accessors")
            move(sampler, "output", "accessors")
        for channel in animation["channels"]:
            move(channel["target"], "node", "nodes")
    for node in document.get("nodes", []):
        for key, kind in (("mesh", "meshes"), ("skin", "skins"), ("camera", "cameras")):
            move(node, key, kind)
        move(node.get("extensions", {}).get("KHR_lights_punctual", {}), "light", "lights")
        instances = node.get("extensions", {}).get("EXT_mesh_gpu_instancing", {}).get("attributes", {})
        for name in instances if isinstance(instances, dict) else ():
            move(instances, name, "accessors")
        for constraint in node_constraints(node):
            move(constraint, "source", "nodes")
        if "children" in node:
            node["children"] = [new("nodes", child) for child in node["children"]]


def node_constraints(node: Document) -> list[Document]:
    """Return the constraints of a VRM node, each with the other node, "source", with which it moves."""
    held = node.get("extensions", {}).get("VRMC_node_constraint", {}).get("constraint", {})
    return [item for item in held.values() if isinstance(item, dict)] if isinstance(held, dict) else []


def drop_unused(glb: Glb) -> Glb:
    """Return a copy of a file without nodes, meshes, materials, textures and bytes that its default scene does not use.

    Animations keep the channels of nodes that remain. The file must have no extension that names things by number,
    except lights of nodes, textures of materials and images of textures.
    """
    document = deepcopy(glb.document)
    kept = sorted(set(_used_nodes(document)))
    document["scenes"] = [document["scenes"][document.get("scene", 0)]] if document.get("scenes") else []
    document["scene"] = 0
    for animation in document.get("animations", []):
        channels = [channel for channel in animation["channels"] if channel["target"].get("node") in set(kept)]
        samplers = sorted({channel["sampler"] for channel in channels})
        animation["channels"] = [{**channel, "sampler": samplers.index(channel["sampler"])} for channel in channels]
        animation["samplers"] = [animation["samplers"][number] for number in samplers]
    if animations := [animation for animation in document.pop("animations", []) if animation["channels"]]:
        document["animations"] = animations
    _keep(document, "nodes", kept)
    for scene in document["scenes"]:
        place = {old: number for number, old in enumerate(kept)}
        if nodes := [place[node] for node in scene.pop("nodes", [])]:  # glTF forbids empty lists
            scene["nodes"] = nodes
    for kind in _DROP_ORDER:
        used: set[int] = set()

        def note(other: str, number: int, kind: str = kind, used: set[int] = used) -> int:
            if other == kind:
                used.add(number)
            return number

        map_references(document, note)
        _keep(document, kind, sorted(used))
    return Glb(document, _pack(document, glb.binary), list(glb.chunks), glb.path)


def _used_nodes(document: Document) -> list[int]:
    nodes = subtree(document, root_nodes(document))
    skins = {document["nodes"][number].get("skin") for number in nodes} - {None}
    joints = [joint for skin in skins for joint in document["skins"][skin]["joints"]]
    return [*nodes, *joints]


def _keep(document: Document, kind: str, kept: list[int]) -> None:
    """Keep the things `kept` (ascending numbers) of one kind and give them new numbers."""
    place = {old: number for number, old in enumerate(kept)}
    items = document.pop(kind, [])
    if kept:
        document[kind] = [items[number] for number in kept]
    map_references(document, lambda other, number: place.get(number, number) if other == kind else number)


def _pack(document: Document, binary: bytes | bytearray) -> bytearray:
    """The bytes of the views that remain, close together; the views get their new offsets."""
    packed = bytearray()
    for view in document.get("bufferViews", []):
        packed += b"\0" * (-len(packed) % 4)
        start = view.get("byteOffset", 0)
        view["byteOffset"] = len(packed)
        packed += binary[start : start + view["byteLength"]]
    return packed


def _map_textures(item: Any, new: NewNumber) -> None:
    """Replace texture numbers anywhere in a material: {"…Texture": {"index": k}}."""
    if isinstance(item, list):
        for part in item:
            _map_textures(part, new)
    elif isinstance(item, dict):
        for key, value in item.items():
            if key.endswith("Texture") and isinstance(value, dict) and isinstance(value.get("index"), int):
                value["index"] = new("textures", value["index"])
            _map_textures(value, new)
