"""Build a glTF character from NumPy arrays: meshes with morph targets, vertex colors, textures and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.accessors import TRIANGLE_INDICES, VERTEX_ATTRIBUTES, add_accessor, add_sparse_accessor
from retarget.gltf.document import Document, Glb, add, add_view

_GENERATOR = "mfn retarget"


@dataclass(frozen=True)
class Part:
    """One surface with one material.

    Attributes:
        positions: (V, 3) meters; x to the subject's left, y up, z out of the face.
        triangles: (T, 3) counter-clockwise as seen from outside.
        normals: (V, 3) unit.
        uv: (V, 2) texture coordinates; (0, 0) is the top left of the texture.
        colors: (V, 3) or (V, 4) linear light in [0, 1], multiplied with the base color of the material.
        deltas: (M, V, 3) meters; how each morph target moves the vertices at weight 1.
        material: Number in the list of materials of `build_glb`.
    """

    positions: NDArray[Any]
    triangles: NDArray[Any]
    normals: NDArray[Any] | None = None
    uv: NDArray[Any] | None = None
    colors: NDArray[Any] | None = None
    deltas: NDArray[Any] | None = None
    material: int | None = None


@dataclass(frozen=True)
class Shape:
    """A glTF mesh.

    Attributes:
        name: Its name.
        parts: Its surfaces, all with the same number M of morph targets.
        target_names: The M names of the morph targets.
    """

    name: str
    parts: Sequence[Part]
    target_names: Sequence[str] = ()


@dataclass(frozen=True)
class Node:
    """A joint, or a place for a mesh.

    Attributes:
        name: Its name. `load_rig` finds "head", "leftEye" and "rightEye" (left is the subject's).
        translation: Meters from its parent. The origin of an eye's mesh is the center of the eye.
        rotation: Quaternion x y z w.
        children: Numbers of nodes in the list of `build_glb`.
        shape: Number of a shape in the list of `build_glb`.
    """

    name: str
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    children: Sequence[int] = ()
    shape: int | None = None


def build_glb(
    nodes: Sequence[Node],
    shapes: Sequence[Shape],
    materials: Sequence[Document] = (),
    images: Sequence[bytes] = (),
    copyright: str = "",
    smallest_delta_m: float = 2e-5,
) -> Glb:
    """Build a file with one scene. Write it with `retarget.gltf.document.write_glb(glb, path)`.

    Args:
        nodes: All nodes. Those that are no child of another are the roots of the scene.
        shapes: The meshes.
        materials: glTF material objects, such as {"name": "skin", "pbrMetallicRoughness": {"roughnessFactor": 0.7}}. The
            texture {"index": k} is image k of `images`.
        images: PNG or JPEG files.
        copyright: Copyright notice to store in the file.
        smallest_delta_m: Vertices that a morph target moves by less than this, in meters, are stored as unmoved.

    Morph targets hold positions only, because viewers do not have to support more. Vertex colors are stored with one
    byte a channel.
    """
    document: Document = {"asset": {"version": "2.0", "generator": _GENERATOR}}
    if copyright:
        document["asset"]["copyright"] = copyright
    glb = Glb(document)
    for picture in images:
        kind = "image/png" if picture[:4] == b"\x89PNG" else "image/jpeg"
        source = add(glb, "images", {"bufferView": add_view(glb, picture), "mimeType": kind})
        add(glb, "textures", {"source": source, "sampler": 0})
    if images:
        add(glb, "samplers", {"magFilter": 9729, "minFilter": 9987})
    for material in materials:
        add(glb, "materials", dict(material))
    for shape in shapes:
        _add_shape(glb, shape, smallest_delta_m)
    for node in nodes:
        add(glb, "nodes", _node(node))
    children = {child for node in nodes for child in node.children}
    add(glb, "scenes", {"nodes": [number for number in range(len(nodes)) if number not in children]})
    document["scene"] = 0
    document["buffers"] = [{"byteLength": len(glb.binary)}]
    return glb


def _add_shape(glb: Glb, shape: Shape, smallest_delta_m: float) -> None:
    count = len(shape.target_names)
    primitives = []
    for number, part in enumerate(shape.parts):
        given = 0 if part.deltas is None else len(part.deltas)
        if given != count:
            raise ValueError(f"{shape.name}, part {number}: {given} morph targets for {count} target_names")
        primitives.append(_primitive(glb, part, f"{shape.name}, part {number}", smallest_delta_m))
    mesh: Document = {"name": shape.name, "primitives": primitives}
    if count:
        mesh |= {"weights": [0.0] * count, "extras": {"targetNames": list(shape.target_names)}}
    add(glb, "meshes", mesh)


def _primitive(glb: Glb, part: Part, what: str, smallest_delta_m: float) -> Document:
    count = len(part.positions)
    for name, width in (("positions", 3), ("normals", 3), ("uv", 2)):
        values = getattr(part, name)
        if values is not None and np.shape(values) != (count, width):
            raise ValueError(f"{what}: {name}: expected shape {(count, width)}, got {np.shape(values)}")
    attributes = {"POSITION": add_accessor(glb, np.asarray(part.positions, np.float32), VERTEX_ATTRIBUTES)}
    if part.normals is not None:
        attributes["NORMAL"] = add_accessor(glb, np.asarray(part.normals, np.float32), VERTEX_ATTRIBUTES)
    if part.uv is not None:
        attributes["TEXCOORD_0"] = add_accessor(glb, np.asarray(part.uv, np.float32), VERTEX_ATTRIBUTES)
    if part.colors is not None:
        colors = np.round(np.clip(part.colors, 0, 1) * 255).astype(np.uint8)
        attributes["COLOR_0"] = add_accessor(glb, colors, VERTEX_ATTRIBUTES, normalized=True)
    index_type: Any = np.uint16 if count < 65536 else np.uint32
    indices = np.asarray(part.triangles).astype(index_type).ravel()
    primitive: Document = {"attributes": attributes, "indices": add_accessor(glb, indices, TRIANGLE_INDICES)}
    if part.material is not None:
        primitive["material"] = part.material
    if part.deltas is not None and len(part.deltas):
        if np.shape(part.deltas)[1:] != (count, 3):
            raise ValueError(f"{what}: deltas: expected shape (M, {count}, 3), got {np.shape(part.deltas)}")
        primitive["targets"] = [
            {"POSITION": add_sparse_accessor(glb, np.asarray(delta, np.float32), smallest_delta_m)}
            for delta in part.deltas
        ]
    return primitive


def _node(node: Node) -> Document:
    result: Document = {"name": node.name}
    if any(node.translation):
        result["translation"] = [float(v) for v in node.translation]
    if tuple(node.rotation) != (0, 0, 0, 1):
        result["rotation"] = [float(v) for v in node.rotation]
    if len(node.children):
        result["children"] = [int(child) for child in node.children]
    if node.shape is not None:
        result["mesh"] = node.shape
    return result
