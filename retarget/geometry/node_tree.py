"""The node tree of a glTF document: who hangs where, matrices, quaternions (x y z w; column vectors)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Document = dict[str, Any]
Floats = NDArray[np.floating]


def quaternion_to_matrix(quaternion: Floats) -> NDArray[np.float64]:
    """(..., 4) x y z w of any length but zero -> (..., 3, 3)."""
    q = np.asarray(quaternion, np.float64)
    x, y, z, w = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def matrix_to_quaternion(matrix: Floats) -> NDArray[np.float64]:
    """(..., 3, 3) rotation -> (..., 4) unit x y z w with w >= 0."""
    m = np.asarray(matrix, np.float64)
    diagonal = np.moveaxis(np.diagonal(m, axis1=-2, axis2=-1), -1, 0)
    trace = diagonal.sum(axis=0)
    # Four times each component's square; the largest is safe to divide by.
    squares = np.stack([1 + 2 * diagonal[k] - trace for k in range(3)] + [1 + trace], -1)
    sums = {
        (0, 1): m[..., 0, 1] + m[..., 1, 0],
        (0, 2): m[..., 0, 2] + m[..., 2, 0],
        (1, 2): m[..., 1, 2] + m[..., 2, 1],
    }
    sums |= {
        (0, 3): m[..., 2, 1] - m[..., 1, 2],
        (1, 3): m[..., 0, 2] - m[..., 2, 0],
        (2, 3): m[..., 1, 0] - m[..., 0, 1],
    }
    outer = np.empty((*m.shape[:-2], 4, 4))  # proportional to the outer product of the quaternion with itself
    for k in range(4):
        outer[..., k, k] = squares[..., k]
    for (a, b), value in sums.items():
        outer[..., a, b] = outer[..., b, a] = value
    best = squares.argmax(axis=-1)
    quaternion = np.take_along_axis(outer, best[..., None, None], axis=-2)[..., 0, :]
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    return quaternion * np.where(quaternion[..., 3:] < 0, -1, 1)


def rotation_about(axis: int, angle: Floats) -> NDArray[np.float64]:
    """Right-handed turn by angle (...) radians about x, y or z (0, 1, 2) -> (..., 3, 3)."""
    angle = np.asarray(angle, np.float64)
    quaternion = np.zeros((*angle.shape, 4))
    quaternion[..., axis], quaternion[..., 3] = np.sin(angle / 2), np.cos(angle / 2)
    return quaternion_to_matrix(quaternion)


def part_of_turn(rotation: Floats, share: float) -> NDArray[np.float64]:
    """Turns (..., 3, 3) about the same axes by a share of their angles."""
    quaternion = matrix_to_quaternion(rotation)
    axis = quaternion[..., :3]
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    half = np.arctan2(sine, quaternion[..., 3:]) * share
    axis = np.where(sine > 1e-12, axis / np.maximum(sine, 1e-12), 0)
    return quaternion_to_matrix(np.concatenate([axis * np.sin(half), np.cos(half)], axis=-1))


def shortest_turn(start: Floats, end: Floats) -> NDArray[np.float64]:
    """The shortest turn (3, 3) that takes one unit vector (3,) to another, not its opposite."""
    axis, cosine = np.cross(start, end), float(start @ end)
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def affine(linear: Floats, offset: Floats) -> NDArray[np.float64]:
    """(..., 3, 3) and (..., 3) -> (..., 4, 4)."""
    linear, offset = np.asarray(linear, np.float64), np.asarray(offset, np.float64)
    result = np.zeros((*linear.shape[:-2], 4, 4))
    result[..., :3, :3], result[..., :3, 3], result[..., 3, 3] = linear, offset, 1
    return result


def turn_about(point: Floats, rotation: Floats) -> NDArray[np.float64]:
    """Turn (..., 3, 3) about a point (3,) -> (..., 4, 4)."""
    return affine(rotation, point - rotation @ point)


def local_matrix(node: Document) -> NDArray[np.float64]:
    """A node's own transform, (4, 4)."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    turn = quaternion_to_matrix(np.array(node.get("rotation", (0, 0, 0, 1)), np.float64))
    return affine(turn * np.array(node.get("scale", (1, 1, 1)), np.float64), node.get("translation", (0, 0, 0)))


def bare_name(node: Document) -> str:
    """A node's name without case and signs."""
    return "".join(c for c in str(node.get("name", "")).lower() if c.isalnum())


def parents_of(document: Document) -> NDArray[np.int64]:
    """(K,) parent of each node, -1 for roots."""
    parents = np.full(len(document.get("nodes", [])), -1)
    for number, node in enumerate(document.get("nodes", [])):
        parents[node.get("children", [])] = number
    return parents


def roots_of(document: Document) -> list[int]:
    """Roots of the default scene; of all nodes if there is no scene."""
    scenes = document.get("scenes", [])
    if scenes:
        return list(scenes[document.get("scene", 0)].get("nodes", []))
    return [int(number) for number in np.flatnonzero(parents_of(document) < 0)]


def below(document: Document, tops: list[int]) -> list[int]:
    """The nodes `tops` and all that hangs below them, parents before children."""
    reached = list(tops)
    for number in reached:
        reached.extend(document["nodes"][number].get("children", []))
    return reached


def world_matrices(document: Document) -> NDArray[np.float64]:
    """(K, 4, 4) node to scene, as stored (at rest)."""
    nodes, parents = document.get("nodes", []), parents_of(document)
    world = np.tile(np.eye(4), (len(nodes), 1, 1))
    for number in below(document, [int(n) for n in np.flatnonzero(parents < 0)]):
        local = local_matrix(nodes[number])
        world[number] = world[parents[number]] @ local if parents[number] >= 0 else local
    return world


def pure_rotation(matrix: Floats) -> NDArray[np.float64]:
    """The nearest rotation (3, 3) to the linear part of a (4, 4) or (3, 3) transform, scale and shear taken out."""
    u, _, v = np.linalg.svd(np.asarray(matrix, np.float64)[:3, :3])
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v)) or 1]) @ v
