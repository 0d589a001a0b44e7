"""Accept usual mistakes of exporters: empty parts of a mesh, morph targets on some parts only, names or weights of a wrong number,
zero quaternions.

The document is corrected, so that all that reads it, and every file that is written from it, is valid.
"""

from __future__ import annotations

from typing import Any

from retarget.gltf.validate import Document

_MIN_QUATERNION = 1e-6  # less is no direction; a quaternion has the length 1
_BASIS_NAMES = ("basis", "base", "basisshape", "default", "neutral", "rest")


def correct_document(document: Document) -> list[str]:
    """Correct the meshes and nodes of a document in place.

    Returns:
        A remark for each correction.
    """
    remarks: list[str] = []
    zeros: dict[int, int] = {}
    for number, mesh in enumerate(document.get("meshes", [])):
        what = f"mesh {str(mesh.get('name') or number)[:40]}"
        primitives = mesh.get("primitives")
        if not isinstance(primitives, list) or not all(isinstance(p, dict) for p in primitives):
            continue  # reported by `check_document`
        remarks += _leave_out_empty(document, number, what)
        primitives = mesh["primitives"]
        counts = [len(primitive.get("targets") or []) for primitive in primitives]
        if len(set(counts)) > 1:
            for primitive in primitives:
                _pad_targets(document, primitive, max(counts), zeros)
            still = sum(count < max(counts) for count in counts)
            which = "has no morph targets and stays still" if min(counts) == 0 else "lacks some of its morph targets"
            remarks.append(f"{what}: {still} of its {len(counts)} parts {which}")
        remarks += _fit_names(mesh, max(counts, default=0), what)
        remarks += _fit_weights(mesh, max(counts, default=0), what)
    for number, node in enumerate(document.get("nodes", [])):
        rotation = node.get("rotation")
        if isinstance(rotation, list) and len(rotation) == 4 and all(_is_almost_zero(value) for value in rotation):
            node["rotation"] = [0.0, 0.0, 0.0, 1.0]
            remarks.append(f"node {str(node.get('name') or number)[:40]}: its rotation is a quaternion of length 0; it is left out")
    _fill_empty(document)
    return remarks


def _leave_out_empty(document: Document, number: int, what: str) -> list[str]:
    """Remove the parts of a mesh that have no vertices or no triangles. A mesh without any other part is drawn nowhere."""
    mesh, accessors = document["meshes"][number], document.get("accessors", [])

    def is_empty(primitive: Document) -> bool:
        used = [(primitive.get("attributes") or {}).get("POSITION"), primitive.get("indices")]
        return any(type(k) is int and 0 <= k < len(accessors) and accessors[k].get("count") == 0 for k in used)

    kept = [primitive for primitive in mesh["primitives"] if not is_empty(primitive)]
    if len(kept) == len(mesh["primitives"]):
        return []
    if kept:
        mesh["primitives"] = kept
        return [f"{what}: parts without vertices or triangles are left out"]
    for node in document.get("nodes", []):
        if node.get("mesh") == number:
            for key in ("mesh", "skin", "weights"):
                node.pop(key, None)
    return [f"{what}: it has no vertices or no triangles; it is left out"]


def _fill_empty(document: Document) -> None:
    """Give empty arrays that nothing uses one element, 0: glTF forbids empty ones, and scenes may keep them."""
    used = _used_accessors(document)
    for number, accessor in enumerate(document.get("accessors", [])):
        if accessor.get("count") == 0 and number not in used:
            kept = {key: accessor[key] for key in ("componentType", "type") if key in accessor}
            document["accessors"][number] = {**kept, "count": 1}


def _used_accessors(document: Document) -> set[Any]:
    """The accessors of meshes that a node draws, of skins and of animations. Others may be empty."""
    drawn = {node.get("mesh") for node in document.get("nodes", [])}
    used: set[Any] = set()
    for number, mesh in enumerate(document.get("meshes", [])):
        for primitive in mesh.get("primitives", []) if number in drawn else ():
            for place in (primitive.get("attributes", {}), *primitive.get("targets", [])):
                used.update(place.values())
            used.add(primitive.get("indices"))
    used.update(skin.get("inverseBindMatrices") for skin in document.get("skins", []))
    for animation in document.get("animations", []):
        used.update(sampler.get(key) for sampler in animation.get("samplers", []) for key in ("input", "output"))
    return used


def _is_almost_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < _MIN_QUATERNION


def _pad_targets(document: Document, primitive: Document, count: int, zeros: dict[int, int]) -> None:
    """Append targets that move nothing until a part has `count` targets. zeros: vertices -> accessor of zeros."""
    targets = primitive.setdefault("targets", [])
    if len(targets) == count:
        return
    vertices = document["accessors"][primitive["attributes"]["POSITION"]]["count"]
    if vertices not in zeros:
        nothing = {"componentType": 5126, "count": vertices, "type": "VEC3", "min": [0.0] * 3, "max": [0.0] * 3}
        document["accessors"].append(nothing)
        zeros[vertices] = len(document["accessors"]) - 1
    targets.extend({"POSITION": zeros[vertices]} for _ in range(count - len(targets)))


def _fit_names(mesh: Document, count: int, what: str) -> list[str]:
    """Remove names that are not one for each target. A name for the shape without targets, which is first, is left out."""
    extras = mesh.get("extras")
    names: Any = extras.get("targetNames") if isinstance(extras, dict) else None
    if names is None or (isinstance(names, list) and len(names) == count):
        return []
    if isinstance(names, list) and len(names) == count + 1 and str(names[0]).lower() in _BASIS_NAMES:
        mesh["extras"] = {**mesh["extras"], "targetNames": names[1:]}
        return [f"{what}: {len(names)} names for {count} morph targets; the first, {names[0]}, is left out"]
    mesh["extras"] = {key: value for key, value in mesh["extras"].items() if key != "targetNames"}
    given = f"{len(names)} names" if isinstance(names, list) else "names that are no list"
    return [f"{what}: {given} for {count} morph targets; the names are ignored"]


def _fit_weights(mesh: Document, count: int, what: str) -> list[str]:
    weights = mesh.get("weights")
    if weights is None or (isinstance(weights, list) and len(weights) == count):
        return []
    del mesh["weights"]
    return [f"{what}: its weights are not one for each of its {count} morph targets; they are ignored"]
