"""The 51 expression shapes of one head on another: deformation transfer (Sumner and Popovic 2004).

Two steps. The source's triangles pass their deformations (gradients of movement) to the same triangles of the source laid
onto the target (`retarget.autorig.registration`), where lids and lips are known and can be held together or brought to close. Then the
target's own triangles take the deformation at their place on it, and its vertices lean towards the movement there. Both are
one sparse least-squares problem with 153 right sides. What nothing corresponds to moves as little as its neighbours let it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.autorig.eyelids import close_lids
from retarget.autorig.loose_parts import loose_parts
from retarget.autorig.registration import APART_M, FACING_M, Target, make_target, register, sides_of, source_sides
from retarget.autorig.source_head import SourceHead
from retarget.geometry.closest_point import ClosestPointIndex
from retarget.geometry.laplacian import factorize, gradient_operator
from retarget.geometry.mesh import (
    Floats,
    Ints,
    boundary_vertices,
    require_scipy,
    triangle_normals,
    vertex_areas,
    vertex_normals,
)
from retarget.geometry.rotations import Similarity, fit_similarity

_ANCHOR_M, _STILL_M = 0.004, 0.0003
_LEAN_M, _FAR_M = 0.003, 0.012
_TRUST_M, _BESIDE_M = 0.004, 0.002  # what lies so far from the laid source takes little from it; past its border, nothing
_CONTACT = 30.0
_UNLIKE = 0.6  # landmarks may lie so far off, of the face's spread, before they are called wrong
_TOUCH_M = 0.0015  # lips this near at rest are held together


def transfer(source: SourceHead, points: Floats, triangles: Ints, landmarks: dict[str, int]) -> tuple[Floats, tuple[float, Floats, Floats]]:
    """Shapes (51, V, 3) for a mesh, in its own axes and unit, and the similarity (scale, rotation, shift) from it to the
    source's metres and head axes. points: (V, 3), welded. triangles: (T, 3). landmarks: name -> vertex."""
    require_scipy()
    names = list(landmarks)
    scale, rotation, shift = _place(points[[landmarks[name] for name in names]], source.points(source.neutral, names), names)
    target = make_target(scale * points @ rotation.T + shift, triangles, landmarks, source)
    laid = register(source, target)
    on_source = on_laid(source, laid)
    shapes = on_target(source, laid, on_source, target)
    blinks = [EXPRESSION_NAMES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
    shapes[blinks] *= close_lids(source, laid, target, shapes)[:, None, None]
    shapes[:, ~target.skin] = loose_parts(source, laid, on_source, target, shapes)
    return shapes @ rotation / scale, (float(scale), rotation, shift)


def _place(picked: Floats, wanted: Floats, names: list[str]) -> Similarity:
    """The similarity from picked landmarks (L, 3) to the source's (L, 3); ValueError if they are those of no face."""

    def off(goal: Floats) -> Floats:
        scale, rotation, shift = fit_similarity(picked, goal)
        return np.linalg.norm(scale * picked @ rotation.T + shift - goal, axis=1)

    here, mirrored = off(wanted), off(wanted * [-1, 1, 1])
    if np.square(mirrored).sum() < 0.25 * np.square(here).sum():
        raise ValueError("left and right look exchanged in the landmarks (Left is the subject's left, not the viewer's)")
    spread = np.sqrt(np.square(wanted - wanted.mean(0)).sum(1).mean())
    if np.sqrt(np.square(here).mean()) > _UNLIKE * spread:
        raise ValueError(f"the landmarks do not lie as on a face; {names[int(here.argmax())]} lies farthest from where it should")
    return fit_similarity(picked, wanted)


def on_laid(source: SourceHead, laid: Floats) -> Floats:
    """The shapes (51, V, 3) on the source laid onto the target (V, 3)."""
    from scipy.sparse import diags

    skin = source.skin
    triangles = source.triangles[skin[source.triangles[:, 0]]]
    jacobian = deformations(source.neutral, triangles, source.shapes)
    reach = np.linalg.norm(source.shapes, axis=2).max(0)
    hold = (_STILL_M / (_STILL_M + reach)) ** 2 / _ANCHOR_M**2 * vertex_areas(laid, triangles)
    meeting, wanted = contacts(source, laid)
    gradient, area = gradient_operator(laid, triangles)
    strength = _CONTACT * float((gradient.multiply(gradient).T @ np.repeat(area, 3)).mean())
    system = gradient.T @ diags(np.repeat(area, 3)) @ gradient + diags(hold + 1e-9 * ~skin) + strength * meeting.T @ meeting
    solve = factorize(system)
    result = np.zeros_like(source.shapes)
    for k, shape in enumerate(source.shapes):
        right = gradient.T @ (_rows(jacobian[k]) * np.repeat(area, 3)[:, None])
        result[k] = solve(right + hold[:, None] * shape + strength * (meeting.T @ wanted[k]))
    for rows in source.pieces():  # eyes, teeth, tongue move as they did
        scale, rotation, _ = fit_similarity(source.neutral[rows], laid[rows])
        result[:, rows] = scale * source.shapes[:, rows] @ rotation.T
    return result


def on_target(source: SourceHead, laid: Floats, shapes: Floats, target: Target) -> Floats:
    """Shapes (51, V, 3) of the laid source taken over by the mesh that it was laid on."""
    from scipy.sparse import diags

    sides = source_sides(source)
    triangles = target.skin_triangles
    own_sides = sides_of(target.points, triangles, target.landmarks)
    skin = source.skin
    surface = ClosestPointIndex(laid, source.triangles[skin[source.triangles[:, 0]]], sides, FACING_M, APART_M)
    normals = vertex_normals(target.points, triangles)
    contact = surface.closest(target.points, normals, own_sides)
    agree = (surface.normals[contact.triangle] * normals).sum(1).clip(0, 1)
    beyond = surface.on_boundary(contact) & (contact.distance > _BESIDE_M)
    trust = np.where(beyond, 0, agree * np.exp(-((contact.distance / _TRUST_M) ** 2)))
    centre = surface.closest(target.points[triangles].mean(1), triangle_normals(target.points, triangles)[0], own_sides[triangles].mean(1))
    trusted = np.exp(-((centre.distance / (1.5 * _TRUST_M)) ** 2)) * trust[triangles].mean(1)
    gradient, area = gradient_operator(target.points, triangles)
    jacobian = deformations(laid, surface.triangles, shapes)
    hold = trust / _LEAN_M**2 * vertex_areas(target.points, triangles)
    system = gradient.T @ diags(np.repeat(area, 3)) @ gradient + diags(hold + 1e-6 * max(float(area.mean()), 1e-12) / _FAR_M**2)
    solve = factorize(system)
    result = np.zeros((len(shapes), len(target.points), 3))
    for k, shape in enumerate(shapes):
        taken = jacobian[k][centre.triangle] * trusted[:, None, None]
        right = gradient.T @ (_rows(taken) * np.repeat(area, 3)[:, None])
        result[k] = solve(right + hold[:, None] * surface.interpolate(contact, shape))
    return result


def deformations(points: Floats, triangles: Ints, shapes: Floats) -> Floats:
    """How each shape (K, V, 3) changes each triangle's frame of two edges and normal: (K, T, 3, 3) less the identity."""
    inverse = np.linalg.inv(_frames(points, triangles))
    return np.stack([_frames(points + shape, triangles) @ inverse for shape in shapes]) - np.eye(3)


def _frames(points: Floats, triangles: Ints) -> Floats:
    """(T, 3, 3), columns: two edges, and the normal as long as the triangle is wide."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    tiny = 1e-12
    return np.stack([b - a, c - a, cross / np.sqrt(np.maximum(length, tiny))], axis=-1) + (length[..., None] < tiny) * 1e-6 * np.eye(3)


def contacts(source: SourceHead, laid: Floats) -> tuple[Any, Floats]:
    """What must meet: a sparse matrix (C, V) that takes a point of the lower lid or lip from one of the upper, and how far
    each shape shall move them against each other (51, C, 3) on the laid head.

    Lids: as the source's gap between them shrinks or grows by a factor, so does the laid head's. Lips: as on the source.
    """
    from scipy.sparse import coo_matrix

    sides = source_sides(source)
    pairs = []
    lids = source.mask("lids")
    border = boundary_vertices(len(source.neutral), source.triangles) & lids
    for column, name in ((1, "eyeBlinkLeft"), (2, "eyeBlinkRight")):
        margin = ring(source.triangles, border & (np.abs(sides[:, column]) > 1e-3))
        closed = source.neutral + source.shapes[EXPRESSION_NAMES.index(name)]
        pairs += _pairs(closed, margin & (sides[:, column] > 0), margin & (sides[:, column] < 0), 0.004, 1.0)
    lips = source.mask("lips")
    pairs += _pairs(source.neutral, lips & (sides[:, 0] > 0), lips & (sides[:, 0] < 0), _TOUCH_M, 0.0)
    upper, lower, lid = (np.array(column) for column in zip(*pairs))
    rows = np.arange(len(pairs))
    entries = np.repeat([1.0, -1.0], len(rows)), (np.tile(rows, 2), np.concatenate([upper, lower]))
    matrix = coo_matrix(entries, shape=(len(rows), len(laid))).tocsr()
    before, gap = matrix @ source.neutral, matrix @ laid
    change = np.stack([matrix @ shape for shape in source.shapes])  # (51, C, 3)
    size = np.linalg.norm(gap, axis=1) / np.maximum(np.linalg.norm(before, axis=1), 1e-6)
    return matrix, np.where(lid[:, None] > 0, change * size[:, None], change)


def ring(triangles: Ints, border: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(V,) the vertices next to those of a border."""
    touched = np.zeros_like(border)
    touched[triangles[border[triangles].any(1)].ravel()] = True
    return touched & ~border


def _pairs(
    points: Floats, upper: NDArray[np.bool_], lower: NDArray[np.bool_], farthest: float, kind: float
) -> list[tuple[int, int, float]]:
    """Each vertex of one mask with the closest of the other, both ways, no pair farther apart than `farthest`."""
    from scipy.spatial import cKDTree

    above, below = np.flatnonzero(upper), np.flatnonzero(lower)
    found = set()
    for a, b, turned in ((above, below, False), (below, above, True)):
        distance, nearest = cKDTree(points[b]).query(points[a])
        for i, j in zip(a[distance < farthest], b[nearest[distance < farthest]]):
            found.add((int(j), int(i), kind) if turned else (int(i), int(j), kind))
    return sorted(found)


def _rows(jacobian: Floats) -> Floats:
    """(T, 3, 3) of movement by place -> (3T, 3): for each triangle and direction the movement's derivative."""
    return jacobian.transpose(0, 2, 1).reshape(-1, 3)
