"""What a rig looks like, flattened to arrays: every visible surface of a glTF scene as one mesh.

Letters: V vertices, T triangles, M_i morph targets of surface i, G = 5 groups of bones that move apart: body, head,
left eye, right eye, neck.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.node_tree import below, roots_of, world_matrices
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import Glb
from retarget.render.materials import surface_of

GROUPS = BODY, HEAD, LEFT_EYE, RIGHT_EYE, NECK = (0, 1, 2, 3, 4)
_MOST_VERTICES = 1_000_000
_MOST_DELTA_BYTES = 2 << 30
_FARTHEST_UV = 1e6


@dataclass(frozen=True)
class Surface:
    """Vertices start..stop of the character, drawn by `node`; deltas (M_i, stop - start, 3) float32, mesh space."""

    node: int
    start: int
    stop: int
    deltas: NDArray[np.float32]


@dataclass(frozen=True)
class Character:
    """positions: (V, 3) mesh space. triangles: (T, 3). material: (T,) number in the document, -1 none. uv: (V, 2).
    colours: (V, 4) linear. weld: (V,) the first vertex of the same place and normal. groups: for each of G the
    vertices (V_g,) that it moves and their (V_g, 3, 4) weighted bone matrices, mesh space to rig scene at rest.
    share: (V, G) weights."""

    positions: NDArray[np.float32]
    triangles: NDArray[np.int64]
    material: NDArray[np.int64]
    uv: NDArray[np.float32]
    colours: NDArray[np.float32]
    weld: NDArray[np.int64]
    surfaces: tuple[Surface, ...]
    groups: tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...]
    share: NDArray[np.float64]

    def rest(self) -> NDArray[np.float64]:
        """(V, 3) positions in the rig's scene, at rest."""
        return self.skinned(self.positions[None], np.tile(np.eye(4), (1, len(self.groups), 1, 1)))[0]

    def skinned(self, positions: NDArray[Any], movement: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, V, 3) mesh-space positions moved by (N, G, 4, 4) movements of the groups in the rig's scene -> (N, V,
        3)."""
        result = np.zeros(positions.shape)
        for group, (vertices, matrix) in enumerate(self.groups):
            if len(vertices):
                # What is left of weight 1 goes with w, so that the parts of one vertex add up to a point.
                scene = np.einsum("vij,nvj->nvi", matrix[:, :, :3], positions[:, vertices]) + matrix[:, :, 3]
                turned = np.einsum("nij,nvj->nvi", movement[:, group, :3, :3], scene)
                result[:, vertices] += turned + movement[:, group, None, :3, 3] * self.share[vertices, group, None]
        return result

    def morphed(self, weights: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Positions with each surface's targets at weights (N, M_i) added -> (N, V, 3), mesh space."""
        result = np.repeat(self.positions[None], len(weights[0]) if len(weights) else 1, axis=0)
        for surface, weight in zip(self.surfaces, weights, strict=True):
            count = surface.stop - surface.start
            moved = np.asarray(weight, np.float32) @ surface.deltas.reshape(-1, count * 3)
            result[:, surface.start : surface.stop] += moved.reshape(-1, count, 3)
        return result


def load_character(
    glb: Glb, head: int | None, eyes: tuple[int, int] | None, neck: int | None = None
) -> Character:
    """All triangles of the default scene. head, eyes (left, right), neck (above the head): joints whose subtrees make
    the groups."""
    document, world = glb.document, world_matrices(glb.document)
    group_of = np.full(len(document.get("nodes", [])), HEAD if head is None else BODY)
    for group, joint in zip((NECK, HEAD, LEFT_EYE, RIGHT_EYE), (neck, head, *(eyes or ())), strict=False):
        if joint is not None:
            group_of[below(document, [joint])] = group
    drawn = [n for n in below(document, roots_of(document)) if "mesh" in document["nodes"][n]]
    _check_size(document, drawn)
    pieces, surfaces, count = [], [], 0
    for node in drawn:
        read = _read_node(glb, node, world, group_of, count)
        if read is None:
            continue
        piece, deltas = read
        surfaces.append(Surface(node, count, count + len(piece["positions"]), deltas))
        count += len(piece["positions"])
        pieces.append(piece)
    if not count:
        raise ValueError(f"{glb.path}: its scene has no triangles (expected a character)")
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    matrices = whole.pop("matrices")  # (V, G, 3, 4)
    share = whole.pop("share")
    groups = []
    for group in GROUPS:
        vertices = np.flatnonzero(share[:, group] > 0)
        groups.append((vertices, matrices[vertices, group]))
    weld = _weld(whole["positions"], whole.pop("normals"), [surface.start for surface in surfaces])
    return Character(**whole, weld=weld, surfaces=tuple(surfaces), groups=tuple(groups), share=share)


def _check_size(document: dict[str, Any], drawn: Sequence[int]) -> None:
    vertices = delta_bytes = 0
    for node in drawn:
        for primitive in document["meshes"][document["nodes"][node]["mesh"]]["primitives"]:
            count = (
                document["accessors"][primitive["attributes"]["POSITION"]]["count"] if primitive["attributes"] else 0
            )
            vertices += count
            delta_bytes += 12 * count * len(primitive.get("targets", []))
    if vertices > _MOST_VERTICES or delta_bytes > _MOST_DELTA_BYTES:
        raise ValueError(
            f"{vertices} vertices with {delta_bytes >> 20} MiB of morph targets are more than a character may have "
            f"({_MOST_VERTICES} and {_MOST_DELTA_BYTES >> 20} MiB); make it simpler first"
        )


def _read_node(
    glb: Glb, node: int, world: NDArray[Any], group_of: NDArray[Any], first: int
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32]] | None:
    """All triangle primitives of one node's mesh: arrays by name, and morph deltas (M, V_i, 3); None if it has
    none."""
    mesh = glb.document["meshes"][glb.document["nodes"][node]["mesh"]]
    pieces, deltas = [], []
    for primitive in mesh["primitives"]:
        if primitive.get("mode", 4) != 4 or "POSITION" not in primitive["attributes"]:
            continue  # lines, points and strips are no part of a face
        piece = _read_primitive(glb, primitive)
        piece["triangles"] = piece["triangles"] + first
        first += len(piece["positions"])
        piece |= _read_bones(glb, node, primitive, len(piece["positions"]), world, group_of)
        pieces.append(piece)
        moves = [_read_move(glb, target, len(piece["positions"])) for target in primitive.get("targets", [])]
        deltas.append(np.stack(moves) if moves else np.zeros((0, len(piece["positions"]), 3), np.float32))
    if not pieces:
        return None
    return {name: np.concatenate([p[name] for p in pieces]) for name in pieces[0]}, np.concatenate(deltas, axis=1)


def _read_primitive(glb: Glb, primitive: dict[str, Any]) -> dict[str, NDArray[Any]]:
    attributes = primitive["attributes"]
    positions = read_accessor(glb, attributes["POSITION"]).astype(np.float32)
    count = len(positions)
    indices = (
        read_accessor(glb, primitive["indices"])[:, 0].astype(np.int64) if "indices" in primitive else np.arange(count)
    )
    if len(indices) % 3 or (len(indices) and indices.max() >= count):
        raise ValueError(f"{glb.path}: {len(indices)} triangle indices up to {indices.max()} for {count} vertices")
    colours = np.ones((count, 4), np.float32)
    if "COLOR_0" in attributes:
        given = read_accessor(glb, attributes["COLOR_0"])
        colours[:, : given.shape[1]] = given
    has_normals = "NORMAL" in attributes
    return {
        "positions": positions,
        "triangles": indices.reshape(-1, 3),
        "material": np.full(len(indices) // 3, primitive.get("material", -1)),
        "uv": _read_uv(glb, primitive, count),
        "colours": colours,
        "normals": read_accessor(glb, attributes["NORMAL"]) if has_normals else np.zeros((count, 3), np.float32),
    }


def _read_uv(glb: Glb, primitive: dict[str, Any], count: int) -> NDArray[np.float32]:
    """(V_p, 2) where the material's colour texture is read, its transform (which quantised files need) applied."""
    materials, number = glb.document.get("materials", []), primitive.get("material", -1)
    surface = surface_of(materials[number]) if 0 <= number < len(materials) else {}
    texture = surface.get("baseColorTexture") or {}
    change = (texture.get("extensions") or {}).get("KHR_texture_transform", {})
    name = f"TEXCOORD_{change.get('texCoord', texture.get('texCoord', 0))}"
    if name not in primitive["attributes"]:
        return np.zeros((count, 2), np.float32)
    turn, uv = float(change.get("rotation", 0)), read_accessor(glb, primitive["attributes"][name]).astype(np.float64)
    scaled = uv * np.array(change.get("scale", (1, 1)), np.float64)
    cosine, sine = np.cos(turn), np.sin(turn)
    uv = scaled @ np.array([[cosine, -sine], [sine, cosine]]) + np.array(change.get("offset", (0, 0)), np.float64)
    if uv.shape != (count, 2) or not (np.abs(uv) < _FARTHEST_UV).all():
        raise ValueError(f"{glb.path}: material {number} reads its texture at places that are no numbers")
    return uv.astype(np.float32)


def _read_move(glb: Glb, target: dict[str, int], count: int) -> NDArray[np.float32]:
    if "POSITION" not in target:
        return np.zeros((count, 3), np.float32)
    return read_accessor(glb, target["POSITION"]).astype(np.float32)


def _read_bones(
    glb: Glb, node: int, primitive: dict[str, Any], count: int, world: NDArray[Any], group_of: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Per vertex and group: the weighted sum of bone matrices (V_p, G, 3, 4), and of weights (V_p, G)."""
    skin_number = glb.document["nodes"][node].get("skin")
    attributes = primitive["attributes"]
    matrices, share = np.zeros((count, len(GROUPS), 3, 4)), np.zeros((count, len(GROUPS)))
    if skin_number is None or "JOINTS_0" not in attributes or "WEIGHTS_0" not in attributes:
        matrices[:, group_of[node]] = world[node][:3]
        share[:, group_of[node]] = 1
        return {"matrices": matrices, "share": share}
    skin = glb.document["skins"][skin_number]
    bones = world[skin["joints"]]
    if "inverseBindMatrices" in skin:
        bind = read_accessor(glb, skin["inverseBindMatrices"])[: len(bones)].reshape(-1, 4, 4).transpose(0, 2, 1)
        bones = bones @ bind
    sets = [k for k in range(4) if f"JOINTS_{k}" in attributes and f"WEIGHTS_{k}" in attributes]
    joints = np.concatenate([read_accessor(glb, attributes[f"JOINTS_{k}"]) for k in sets], axis=1).astype(np.int64)
    weights = np.concatenate([read_accessor(glb, attributes[f"WEIGHTS_{k}"]) for k in sets], axis=1).astype(np.float64)
    if joints.shape != weights.shape or joints.max() >= len(bones):
        raise ValueError(f"{glb.path}: vertices of node {node} name joint {joints.max()} of {len(bones)}")
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    group = group_of[np.array(skin["joints"])][joints]  # (V_p, influences)
    row = np.arange(count)
    for k in range(joints.shape[1]):
        np.add.at(matrices, (row, group[:, k]), weights[:, k, None, None] * bones[joints[:, k], :3])
        np.add.at(share, (row, group[:, k]), weights[:, k])
    return {"matrices": matrices, "share": share}


def _weld(positions: NDArray[Any], normals: NDArray[Any], starts: Sequence[int]) -> NDArray[np.int64]:
    """(V,) the first vertex of the same surface at the same place with the same normal: seams vanish, creases
    stay."""
    surface = np.searchsorted(starts, np.arange(len(positions)), side="right")[:, None]
    key = np.concatenate([np.round(positions * 1e5), np.round(normals * 20), surface], axis=1).astype(np.int64)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return first[inverse.reshape(-1)]
