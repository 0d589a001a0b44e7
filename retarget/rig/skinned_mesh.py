"""Flatten a glTF scene to arrays: every visible mesh as one skinned mesh with morph targets.

Skinning is reduced to six groups of bones, because retargeting moves nothing else: body, head, left eye, right eye,
neck and jaw. Within a group all bones move together.

Letters: V vertices, V_g vertices of group g, T triangles, M_i morph targets of part i, G = 6 groups, N poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import Document, Glb
from retarget.gltf.mesh_reader import NodeMesh, read_node_mesh
from retarget.gltf.node_tree import root_nodes, subtree, world_matrices

GROUPS = BODY, HEAD, LEFT_EYE, RIGHT_EYE, NECK, JAW = (0, 1, 2, 3, 4, 5)
"""Numbers of the bone groups."""

ON_HEAD = (HEAD, LEFT_EYE, RIGHT_EYE, JAW)
"""Groups that move with the head."""

_MAX_VERTICES = 1_000_000
_MAX_DELTA_BYTES = 2 << 30
_WELD_POSITION_STEPS = 1e5  # per unit: vertices closer than 1 / 1e5 are at one place
_WELD_NORMAL_STEPS = 20  # per unit: normals that differ more make a crease


@dataclass(frozen=True)
class MeshPart:
    """The vertices start to stop of the skinned mesh, which `node` draws.

    Attributes:
        node: Number of the node.
        start: First vertex.
        stop: One after the last vertex.
        deltas: (M_i, stop - start, 3) float32, movement of each vertex at weight 1, mesh space.
    """

    node: int
    start: int
    stop: int
    deltas: NDArray[np.float32]


class BoneGroup(NamedTuple):
    """What one group of bones moves.

    Attributes:
        vertices: (V_g,) numbers of the vertices that follow the group at least a little.
        matrices: (V_g, 3, 4) weighted sums of the group's bone matrices, mesh space to rig scene at rest.
    """

    vertices: NDArray[np.int64]
    matrices: NDArray[np.float64]


@dataclass(frozen=True)
class SkinnedMesh:
    """All triangles of a character, with what is needed to pose them.

    Attributes:
        positions: (V, 3) float32, mesh space.
        triangles: (T, 3) vertex numbers, counter-clockwise seen from outside.
        material: (T,) number of the material in the document, -1 for none.
        uv: (V, 2) texture coordinates.
        colors: (V, 4) vertex colors and coverage, linear light.
        weld: (V,) for each vertex the first one with the same place and normal: seams vanish, creases stay.
        parts: The vertices by node.
        groups: (G,) what each bone group moves.
        group_weights: (V, G) how much a vertex follows each group; rows add up to 1.
    """

    positions: NDArray[np.float32]
    triangles: NDArray[np.int64]
    material: NDArray[np.int64]
    uv: NDArray[np.float32]
    colors: NDArray[np.float32]
    weld: NDArray[np.int64]
    parts: tuple[MeshPart, ...]
    groups: tuple[BoneGroup, ...]
    group_weights: NDArray[np.float64]

    def rest_positions(self) -> NDArray[np.float64]:
        """Return the vertices (V, 3) in the rig's scene, at rest."""
        no_movement = np.tile(np.eye(4), (1, len(self.groups), 1, 1))
        rest: NDArray[np.float64] = self.apply_skinning(self.positions[None], no_movement)[0]
        return rest

    def apply_skinning(self, positions: NDArray[Any], movement: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pose vertices.

        Args:
            positions: (N, V, 3) in mesh space.
            movement: (N, G, 4, 4) how each group moves in the rig's scene, relative to rest.

        Returns:
            (N, V, 3) in the rig's scene.
        """
        result = np.zeros(positions.shape)
        for number, (vertices, matrices) in enumerate(self.groups):
            if len(vertices):
                # The matrices are weighted, so the translation is weighted by hand: the groups of one vertex add up.
                scene = np.einsum("vij,nvj->nvi", matrices[:, :, :3], positions[:, vertices]) + matrices[:, :, 3]
                turned = np.einsum("nij,nvj->nvi", movement[:, number, :3, :3], scene)
                weight = self.group_weights[vertices, number, None]
                result[:, vertices] += turned + movement[:, number, None, :3, 3] * weight
        return result

    def apply_morphs(self, weights: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Add morph targets to the vertices.

        Args:
            weights: For each part (N, M_i) weights of its targets.

        Returns:
            (N, V, 3) positions in mesh space.
        """
        result = np.repeat(self.positions[None], len(weights[0]) if len(weights) else 1, axis=0)
        for part, weight in zip(self.parts, weights, strict=True):
            count = part.stop - part.start
            moved = np.asarray(weight, np.float32) @ part.deltas.reshape(-1, count * 3)
            result[:, part.start : part.stop] += moved.reshape(-1, count, 3)
        return result


def load_skinned_mesh(
    glb: Glb, head: int | None, eyes: tuple[int, int] | None, neck: int | None = None, jaw: int | None = None
) -> SkinnedMesh:
    """Read all triangles of the default scene.

    Args:
        glb: The glTF file.
        head: The head joint. None: everything follows the head.
        eyes: Left and right eye joint, or None.
        neck: A joint above the head in the tree, or None.
        jaw: A joint below the head in the tree, or None.

    Raises:
        ValueError: The scene has no triangles, or more than a character may have.
    """
    document, world = glb.document, world_matrices(glb.document)
    group_of_node = np.full(len(document.get("nodes", [])), HEAD if head is None else BODY)
    for group, joint in zip((NECK, HEAD, JAW, LEFT_EYE, RIGHT_EYE), (neck, head, jaw, *(eyes or ())), strict=False):
        if joint is not None:
            group_of_node[subtree(document, [joint])] = group
    drawn = _drawn_nodes(document)
    check_size(document)
    meshes: list[NodeMesh] = []
    parts: list[MeshPart] = []
    count = 0
    for node in drawn:
        mesh = read_node_mesh(glb, node, world, group_of_node, len(GROUPS))
        if mesh is not None:
            parts.append(MeshPart(node, count, count + len(mesh.positions), mesh.deltas))
            meshes.append(mesh._replace(triangles=_outside_first(mesh) + count))
            count += len(mesh.positions)
    if not count:
        raise ValueError(f"{glb.path}: its scene has no triangles (expected a character)")
    matrices = np.concatenate([mesh.matrices for mesh in meshes])  # (V, G, 3, 4)
    group_weights = np.concatenate([mesh.group_weights for mesh in meshes])
    groups = []
    for group in GROUPS:
        vertices = np.flatnonzero(group_weights[:, group] > 0)
        groups.append(BoneGroup(vertices, matrices[vertices, group]))
    positions = np.concatenate([mesh.positions for mesh in meshes])
    normals = np.concatenate([mesh.normals for mesh in meshes])
    return SkinnedMesh(
        positions=positions,
        triangles=np.concatenate([mesh.triangles for mesh in meshes]),
        material=np.concatenate([mesh.material for mesh in meshes]),
        uv=np.concatenate([mesh.uv for mesh in meshes]),
        colors=np.concatenate([mesh.colors for mesh in meshes]),
        weld=_weld(positions, normals, [part.start for part in parts]),
        parts=tuple(parts),
        groups=tuple(groups),
        group_weights=group_weights,
    )


def _outside_first(mesh: NodeMesh) -> NDArray[np.int64]:
    """The triangles (T, 3), counter-clockwise as seen from outside in the scene too. A node that mirrors turns them round."""
    if not len(mesh.positions):
        return mesh.triangles
    is_mirrored = np.linalg.det(mesh.matrices[0].sum(axis=0)[:, :3]) < 0
    return mesh.triangles[:, ::-1] if is_mirrored else mesh.triangles


def _drawn_nodes(document: Document) -> list[int]:
    """The nodes of the default scene with a mesh."""
    return [n for n in subtree(document, root_nodes(document)) if "mesh" in document["nodes"][n]]


def check_size(document: Document) -> None:
    """Raise ValueError if the default scene has too many vertices, or morph targets that would not fit into memory."""
    vertices = delta_bytes = 0
    for node in _drawn_nodes(document):
        for primitive in document["meshes"][document["nodes"][node]["mesh"]]["primitives"]:
            attributes = primitive["attributes"]
            count = document["accessors"][attributes["POSITION"]]["count"] if attributes else 0
            vertices += count
            delta_bytes += 12 * count * len(primitive.get("targets", []))
    if vertices > _MAX_VERTICES or delta_bytes > _MAX_DELTA_BYTES:
        raise ValueError(
            f"{vertices} vertices with {delta_bytes >> 20} MiB of morph targets are more than a character may have "
            f"({_MAX_VERTICES} and {_MAX_DELTA_BYTES >> 20} MiB); reduce it first, for example in Blender"
        )


def _weld(positions: NDArray[Any], normals: NDArray[Any], starts: Sequence[int]) -> NDArray[np.int64]:
    """(V,) the first vertex of the same part with the same place and normal."""
    part = np.searchsorted(starts, np.arange(len(positions)), side="right")[:, None]
    key = [np.round(positions * _WELD_POSITION_STEPS), np.round(normals * _WELD_NORMAL_STEPS), part]
    _, first, inverse = np.unique(
        np.concatenate(key, axis=1).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    return first[inverse.reshape(-1)]
