"""Check a glTF document: every index, length and range that our readers rely on, before memory is allocated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Document = dict[str, Any]

COMPONENT = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
LISTS = (
    "accessors",
    "animations",
    "bufferViews",
    "buffers",
    "cameras",
    "images",
    "materials",
    "meshes",
    "nodes",
    "samplers",
    "scenes",
    "skins",
    "textures",
)
MAX_COUNT = 1 << 24
"""Elements that an accessor may have, so that a small file cannot claim all memory."""

_MAX_NODES = 1 << 15  # so that a small file with many copies cannot take very long
# Extensions that a file may require: quantized numbers are read; the others change only how surfaces look, or add behavior.
_KNOWN = ("KHR_mesh_quantization", "KHR_lights_punctual", "KHR_xmp_json_ld", "VRM", "VRMC_")
_UNPACKED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
_LOOKS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "EXT_lights_", "MSFT_texture_")


def check_extensions(document: Document) -> None:
    """Raise ValueError if the file requires an extension that is not read here."""
    for name in document.get("extensionsRequired", []):
        if not name.startswith((*_KNOWN, *_LOOKS, *_UNPACKED)):
            raise ValueError(f"it requires the extension {name[:60]}, which is not read; export it again without it")


def check_document(document: Document, binary: bytes | bytearray) -> None:
    """Raise ValueError with one line at the first error.

    Args:
        document: The JSON document. Its buffer views must already refer to `binary`.
        binary: All bytes of the file's buffers.
    """
    for number, accessor in enumerate(document.get("accessors", [])):
        _check_accessor(document, accessor, f"accessor {number}", binary)
    for number, mesh in enumerate(document.get("meshes", [])):
        _check_mesh(document, mesh, f"mesh {number} ({str(mesh.get('name', ''))[:40]})")
    _check_nodes(document)
    nodes, views = len(document.get("nodes", [])), len(document.get("bufferViews", []))
    for number, skin in enumerate(document.get("skins", [])):
        _check_skin(document, skin, f"skin {number}")
    for number, animation in enumerate(document.get("animations", [])):
        _check_animation(document, animation, f"animation {number}")
    for number, scene in enumerate(document.get("scenes", [])):
        for root in scene.get("nodes", []):
            _in_range(root, nodes, f"scene {number}: node")
    if "scene" in document:
        index_of(document, "scene", len(document.get("scenes", [])), "the document")
    for number, texture in enumerate(document.get("textures", [])):
        for key, kind in (("source", "images"), ("sampler", "samplers")):
            if key in texture:
                index_of(texture, key, len(document.get(kind, [])), f"texture {number}")
    for number, image in enumerate(document.get("images", [])):
        index_of(image, "bufferView", views, f"image {number}")


def non_negative_int(item: Document, key: str, what: str, default: int | None = None) -> int:
    """Return a property that must be a whole number, 0 or more; `what` names the object in the error message."""
    value = item.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{what}: {key} is {str(value)[:40]} (expected a whole number, 0 or more)")
    return value


def index_of(item: Document, key: str, count: int, what: str) -> int:
    """Return a property that must be the number of one of `count` things."""
    return _in_range(non_negative_int(item, key, what), count, f"{what}: {key}")


def _in_range(value: Any, count: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise ValueError(f"{what} {str(value)[:40]} does not exist (there are {count})")
    return int(value)


def _check_accessor(document: Document, accessor: Document, what: str, binary: bytes | bytearray) -> None:
    component, kind = accessor.get("componentType"), accessor.get("type")
    if component not in COMPONENT or kind not in WIDTH:
        raise ValueError(f"{what}: unknown componentType {component} or type {kind}")
    if kind.startswith("MAT") and component != 5126:
        raise ValueError(f"{what}: matrices of type {component} are not read (expected 5126, float)")
    count = non_negative_int(accessor, "count", what)
    if not 1 <= count <= MAX_COUNT:
        raise ValueError(f"{what}: claims {count} elements (expected 1 to {MAX_COUNT})")
    size = np.dtype(COMPONENT[component]).itemsize * WIDTH[kind]
    if "bufferView" in accessor:
        _check_fit(document, accessor, size, count, what)
    if "sparse" in accessor:
        sparse = accessor["sparse"]
        few = non_negative_int(sparse, "count", f"{what}: sparse")
        places, values = sparse["indices"], sparse["values"]
        if not 1 <= few <= count or places.get("componentType") not in (5121, 5123, 5125):
            raise ValueError(f"{what}: sparse count {few} or index type {places.get('componentType')} is wrong")
        index = np.dtype(COMPONENT[places["componentType"]])
        start = _check_fit(document, places, index.itemsize, few, f"{what}: sparse indices")
        _check_fit(document, values, size, few, f"{what}: sparse values")
        where = np.frombuffer(binary, index, few, start).astype(np.int64)
        if where[-1] >= count or (np.diff(where) <= 0).any():
            raise ValueError(f"{what}: sparse indices do not rise or exceed its {count} elements")


def _check_fit(document: Document, item: Document, size: int, count: int, what: str) -> int:
    """Check that `count` elements of `size` bytes lie within the view, and return where they start in the binary."""
    views = document.get("bufferViews", [])
    view = views[index_of(item, "bufferView", len(views), what)]
    offset, stride = non_negative_int(item, "byteOffset", what, 0), non_negative_int(view, "byteStride", what, size)
    need = offset + stride * (count - 1) + size
    if stride < size or need > view["byteLength"]:
        raise ValueError(
            f"{what}: {count} elements need {need} bytes, its view has {view['byteLength']} (stride {stride})"
        )
    return int(view["byteOffset"]) + offset


def _check_mesh(document: Document, mesh: Document, what: str) -> None:
    accessors, primitives = document.get("accessors", []), mesh.get("primitives")
    if not isinstance(primitives, list) or not primitives:
        raise ValueError(f"{what}: has no primitives")
    target_counts = set()
    for primitive in primitives:
        attributes, targets = primitive.get("attributes", {}), primitive.get("targets", [])
        target_counts.add(len(targets))
        counts = set()
        for place in [attributes, *targets]:
            for name in place:
                accessor = accessors[index_of(place, name, len(accessors), what)]
                counts.add(accessor["count"])
                if name in ("POSITION", "NORMAL") and accessor["type"] != "VEC3":
                    raise ValueError(f"{what}: {name} is {accessor['type']} (expected VEC3)")
        if len(counts) > 1:
            raise ValueError(f"{what}: attributes of different lengths {sorted(counts)[:4]}")
        if "indices" in primitive:
            indices = accessors[index_of(primitive, "indices", len(accessors), what)]
            if indices["type"] != "SCALAR" or indices["componentType"] not in (5121, 5123, 5125):
                raise ValueError(f"{what}: indices are not unsigned whole numbers")
        if "material" in primitive:
            index_of(primitive, "material", len(document.get("materials", [])), what)
    if len(target_counts) > 1:
        raise ValueError(f"{what}: primitives with different numbers of morph targets {sorted(target_counts)}")
    (targets_each,) = target_counts
    names = (mesh.get("extras") or {}).get("targetNames") if isinstance(mesh.get("extras"), dict) else None
    for label, items in (("extras.targetNames", names), ("weights", mesh.get("weights"))):
        if items is not None and (not isinstance(items, list) or len(items) != targets_each):
            raise ValueError(f"{what}: {label} does not have one entry for each of its {targets_each} morph targets")
    if not all(map(_is_sane, mesh.get("weights") or [])):
        raise ValueError(f"{what}: weights are not finite numbers")


def _check_nodes(document: Document) -> None:
    nodes = document.get("nodes", [])
    if len(nodes) > _MAX_NODES:
        raise ValueError(f"it has {len(nodes)} nodes (expected at most {_MAX_NODES})")
    parent: dict[int, int] = {}
    for number, node in enumerate(nodes):
        what = f"node {number} ({str(node.get('name', ''))[:40]})"
        for key, kind in (("mesh", "meshes"), ("skin", "skins"), ("camera", "cameras")):
            if key in node:
                index_of(node, key, len(document.get(kind, [])), what)
        for key, length in (("translation", 3), ("rotation", 4), ("scale", 3), ("matrix", 16)):
            values = node.get(key, [0] * length)
            if len(values) != length or not all(map(_is_sane, values)):
                raise ValueError(f"{what}: {key} is not {length} finite numbers")
        if not all(map(_is_sane, node.get("weights", []))):
            raise ValueError(f"{what}: weights are not finite numbers")
        for child in node.get("children", []):
            _in_range(child, len(nodes), f"{what}: child")
            if child in parent:
                raise ValueError(f"node {child} has two parents, {parent[child]} and {number}")
            parent[child] = number
    reached = [number for number in range(len(nodes)) if number not in parent]
    for number in reached:  # the list grows; each node is reached once, because it has at most one parent
        reached.extend(nodes[number].get("children", []))
    if len(reached) < len(nodes):
        raise ValueError(f"its nodes form a cycle ({len(nodes) - len(reached)} nodes are their own ancestors)")


def _is_sane(value: Any) -> bool:
    """Return whether a value is a number whose square is finite in single precision."""
    return isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < 1e15


def _check_skin(document: Document, skin: Document, what: str) -> None:
    joints = skin.get("joints", [])
    if not joints:
        raise ValueError(f"{what}: has no joints")
    for joint in joints:
        _in_range(joint, len(document.get("nodes", [])), f"{what}: joint")
    if "skeleton" in skin:
        index_of(skin, "skeleton", len(document.get("nodes", [])), what)
    if "inverseBindMatrices" in skin:
        accessors = document.get("accessors", [])
        matrices = accessors[index_of(skin, "inverseBindMatrices", len(accessors), what)]
        if matrices["type"] != "MAT4" or matrices["count"] < len(joints):
            raise ValueError(f"{what}: inverseBindMatrices are not one MAT4 for each of its {len(joints)} joints")


def _check_animation(document: Document, animation: Document, what: str) -> None:
    accessors, nodes = len(document.get("accessors", [])), len(document.get("nodes", []))
    for sampler in animation["samplers"]:
        for key in ("input", "output"):
            index_of(sampler, key, accessors, what)
    for channel in animation["channels"]:
        index_of(channel, "sampler", len(animation["samplers"]), what)
        if "node" in channel["target"]:
            index_of(channel["target"], "node", nodes, what)
