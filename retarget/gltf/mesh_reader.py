"""Read the mesh of one glTF node to arrays: vertices, triangles, morph targets and skin.

Letters: V_i vertices of the node, V_p vertices of one primitive, T triangles, M morph targets, G bone groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import Document, Glb
from retarget.gltf.materials import uv_reference

TRIANGLE_MODES = _TRIANGLES, _STRIP, _FAN = (4, 5, 6)
"""Modes of primitives that are surfaces: triangles one by one, in a strip, or round their first vertex."""

_MAX_UV = 1e6
_MAX_INFLUENCE_SETS = 4  # JOINTS_0 to JOINTS_3, four joints each
_MIN_SKIN_WEIGHT = 1e-6  # of all joints of a vertex together; less is none


class NodeMesh(NamedTuple):
    """All triangle primitives of one node.

    Attributes:
        positions: (V_i, 3) mesh space.
        triangles: (T, 3).
        material: (T,) number in the document, -1 for none.
        uv: (V_i, 2).
        colors: (V_i, 4) linear light and coverage.
        normals: (V_i, 3), zero where the file has none.
        matrices: (V_i, G, 3, 4) weighted sums of bone matrices by group.
        group_weights: (V_i, G).
        deltas: (M, V_i, 3) morph targets.
    """

    positions: NDArray[np.float32]
    triangles: NDArray[np.int64]
    material: NDArray[np.int64]
    uv: NDArray[np.float32]
    colors: NDArray[np.float32]
    normals: NDArray[np.float32]
    matrices: NDArray[np.float64]
    group_weights: NDArray[np.float64]
    deltas: NDArray[np.float32]


class Influences(NamedTuple):
    """Which joints move the vertices of a node.

    Attributes:
        nodes: (V_i, I) numbers of nodes.
        weights: (V_i, I) how much a vertex follows each; rows add up to 1.
    """

    nodes: NDArray[np.int64]
    weights: NDArray[np.float64]


class _Skin(NamedTuple):
    """matrices: (V_p, G, 3, 4); group_weights: (V_p, G), as in `NodeMesh`."""

    matrices: NDArray[np.float64]
    group_weights: NDArray[np.float64]


def read_node_mesh(
    glb: Glb, node: int, world: NDArray[np.float64], group_of_node: NDArray[np.int64], group_count: int
) -> NodeMesh | None:
    """Read the mesh of a node.

    Args:
        glb: The glTF file.
        node: Number of a node with a mesh.
        world: (K, 4, 4) node-to-scene matrices of all K nodes, at rest.
        group_of_node: (K,) bone group of each node.
        group_count: G.

    Returns:
        The mesh, or None if it has no triangles. Lines and points are ignored: they are no part of a face.
    """
    mesh = glb.document["meshes"][glb.document["nodes"][node]["mesh"]]
    parts: list[NodeMesh] = []
    count = 0
    for primitive in _triangle_primitives(mesh):
        part = _read_primitive(glb, primitive)
        size = len(part.positions)
        skin = _read_skin(glb, node, primitive, size, _Bones(world, group_of_node, group_count))
        deltas = [_read_delta(glb, target, size) for target in primitive.get("targets", [])]
        part = part._replace(
            triangles=part.triangles + count,
            matrices=skin.matrices,
            group_weights=skin.group_weights,
            deltas=np.stack(deltas) if deltas else part.deltas,
        )
        count += size
        parts.append(part)
    return _join(parts) if parts else None


def read_influences(glb: Glb, node: int) -> Influences | None:
    """Read which joints move the vertices of a node, in the order of `read_node_mesh`. None if it has no triangles.

    Vertices without a skin follow their node.
    """
    document = glb.document
    skin_number = document["nodes"][node].get("skin")
    nodes, weights = [], []
    for primitive in _triangle_primitives(document["meshes"][document["nodes"][node]["mesh"]]):
        attributes = primitive["attributes"]
        if skin_number is None or "JOINTS_0" not in attributes or "WEIGHTS_0" not in attributes:
            count = document["accessors"][attributes["POSITION"]]["count"]
            nodes.append(np.full((count, 1), node))
            weights.append(np.ones((count, 1)))
            continue
        joints = np.array(document["skins"][skin_number]["joints"])
        number, weight = _read_influences(glb, primitive, node, len(joints))
        nodes.append(joints[number])
        weights.append(weight)
    if not nodes:
        return None
    most = max(part.shape[1] for part in nodes)
    padded = [[np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in parts] for parts in (nodes, weights)]
    return Influences(np.concatenate(padded[0]).astype(np.int64), np.concatenate(padded[1]))


def _triangle_primitives(mesh: Document) -> list[Document]:
    """The primitives that are read: lines and points are no part of a face."""
    return [p for p in mesh["primitives"] if p.get("mode", _TRIANGLES) in TRIANGLE_MODES and "POSITION" in p["attributes"]]


def _join(parts: Sequence[NodeMesh]) -> NodeMesh:
    """The primitives of a node as one mesh; morph targets are joined along their vertices."""
    joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in NodeMesh._fields if name != "deltas"}
    return NodeMesh(**joined, deltas=np.concatenate([part.deltas for part in parts], axis=1))


def _read_primitive(glb: Glb, primitive: Document) -> NodeMesh:
    """Vertices and triangles of a primitive; no skin and no morph targets yet."""
    attributes = primitive["attributes"]
    positions = read_accessor(glb, attributes["POSITION"]).astype(np.float32)
    count = len(positions)
    indices = np.arange(count)
    if "indices" in primitive:
        indices = read_accessor(glb, primitive["indices"])[:, 0].astype(np.int64)
    indices = _triangle_list(indices, primitive.get("mode", _TRIANGLES))
    if len(indices) % 3 or (len(indices) and indices.max() >= count):
        raise ValueError(f"{glb.path}: {len(indices)} triangle indices up to {indices.max()} for {count} vertices")
    colors = np.ones((count, 4), np.float32)
    if "COLOR_0" in attributes:
        given = read_accessor(glb, attributes["COLOR_0"])
        colors[:, : given.shape[1]] = given
    normals = np.zeros((count, 3), np.float32)
    if "NORMAL" in attributes:
        normals = read_accessor(glb, attributes["NORMAL"])
    return NodeMesh(
        positions=positions,
        triangles=indices.reshape(-1, 3),
        material=np.full(len(indices) // 3, primitive.get("material", -1)),
        uv=_read_uv(glb, primitive, count),
        colors=colors,
        normals=normals,
        matrices=np.zeros((count, 0, 3, 4)),
        group_weights=np.zeros((count, 0)),
        deltas=np.zeros((0, count, 3), np.float32),
    )


def _triangle_list(indices: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """Indices of triangles one by one, from those of a strip or a fan. Every second triangle of a strip is stored turned round."""
    if mode == _TRIANGLES:
        return indices
    place = np.arange(max(len(indices) - 2, 0))
    corners = [place, place + 1 + place % 2, place + 2 - place % 2] if mode == _STRIP else [place + 1, place + 2, 0 * place]
    triangles: NDArray[np.int64] = indices[np.stack(corners, axis=1)]
    a, b, c = triangles.T
    has_area: NDArray[np.bool_] = (a != b) & (b != c) & (c != a)  # strips are joined by triangles without area
    return triangles[has_area].reshape(-1)


def _read_uv(glb: Glb, primitive: Document, count: int) -> NDArray[np.float32]:
    """(V_p, 2) coordinates of the base color texture (or of the emitted light), with the material's texture transform applied.

    Quantized files store texture coordinates as integers and need that transform.
    """
    materials, number = glb.document.get("materials", []), primitive.get("material", -1)
    texture = uv_reference(materials[number]) if 0 <= number < len(materials) else {}
    transform = (texture.get("extensions") or {}).get("KHR_texture_transform", {})
    name = f"TEXCOORD_{transform.get('texCoord', texture.get('texCoord', 0))}"
    if name not in primitive["attributes"]:
        return np.zeros((count, 2), np.float32)
    angle, uv = float(transform.get("rotation", 0)), read_accessor(glb, primitive["attributes"][name]).astype(np.float64)
    scaled = uv * np.array(transform.get("scale", (1, 1)), np.float64)
    cosine, sine = np.cos(angle), np.sin(angle)
    offset = np.array(transform.get("offset", (0, 0)), np.float64)
    uv = scaled @ np.array([[cosine, -sine], [sine, cosine]]) + offset
    if uv.shape != (count, 2) or not (np.abs(uv) < _MAX_UV).all():
        raise ValueError(f"{glb.path}: material {number} has texture coordinates that are no finite numbers")
    result: NDArray[np.float32] = uv.astype(np.float32)
    return result


def _read_delta(glb: Glb, target: dict[str, int], count: int) -> NDArray[np.float32]:
    """(V_p, 3) movement by one morph target."""
    if "POSITION" not in target:
        return np.zeros((count, 3), np.float32)
    return read_accessor(glb, target["POSITION"]).astype(np.float32)


class _Bones(NamedTuple):
    """world: (K, 4, 4) node to scene. group_of_node: (K,) bone group. group_count: G."""

    world: NDArray[np.float64]
    group_of_node: NDArray[np.int64]
    group_count: int


def _read_skin(glb: Glb, node: int, primitive: Document, count: int, bones: _Bones) -> _Skin:
    """How the vertices of a primitive follow the bone groups. Without a skin they follow their node."""
    skin_number = glb.document["nodes"][node].get("skin")
    attributes = primitive["attributes"]
    matrices = np.zeros((count, bones.group_count, 3, 4))
    group_weights = np.zeros((count, bones.group_count))
    if skin_number is None or "JOINTS_0" not in attributes or "WEIGHTS_0" not in attributes:
        matrices[:, bones.group_of_node[node]] = bones.world[node][:3]
        group_weights[:, bones.group_of_node[node]] = 1
        return _Skin(matrices, group_weights)
    skin = glb.document["skins"][skin_number]
    transforms: NDArray[Any] = bones.world[skin["joints"]]
    if "inverseBindMatrices" in skin:
        bind = read_accessor(glb, skin["inverseBindMatrices"])[: len(transforms)].reshape(-1, 4, 4).transpose(0, 2, 1)
        transforms = transforms @ bind
    joints, weights = _read_influences(glb, primitive, node, len(transforms))
    group = bones.group_of_node[np.array(skin["joints"])][joints]  # (V_p, influences)
    row = np.arange(count)
    for k in range(joints.shape[1]):
        np.add.at(matrices, (row, group[:, k]), weights[:, k, None, None] * transforms[joints[:, k], :3])
        np.add.at(group_weights, (row, group[:, k]), weights[:, k])
    return _Skin(matrices, group_weights)


def _read_influences(glb: Glb, primitive: Document, node: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of joints among the `count` ones of the skin, and weights, both (V_p, I).

    A vertex without any weight follows its first joint: else it would be drawn in the origin of the scene, where the camera is.
    A joint without weight may have any number, as some exporters fill unused places.
    """
    attributes = primitive["attributes"]
    sets = [k for k in range(_MAX_INFLUENCE_SETS) if f"JOINTS_{k}" in attributes and f"WEIGHTS_{k}" in attributes]
    joints = np.concatenate([read_accessor(glb, attributes[f"JOINTS_{k}"]) for k in sets], axis=1).astype(np.int64)
    weights = np.concatenate([read_accessor(glb, attributes[f"WEIGHTS_{k}"]) for k in sets], axis=1).astype(np.float64)
    if joints.shape == weights.shape:
        joints[(weights == 0) & (joints >= count)] = 0
    if joints.shape != weights.shape or joints.max() >= count:
        raise ValueError(f"{glb.path}: vertices of node {node} use joint {joints.max()} of {count}")
    total = weights.sum(axis=1, keepdims=True)
    has_none = total[:, 0] < _MIN_SKIN_WEIGHT
    weights[has_none], total[has_none] = np.eye(weights.shape[1])[0], 1.0
    return joints, weights / total
