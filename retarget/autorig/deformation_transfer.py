"""Transfer the 51 expression shapes of one head to another.

Step 1 transfers the deformation gradients of the source's triangles to the source registered to the target
(`registration`). The eyelids and lips of the registered source are known, so contacts are kept and blinks can close.
Step 2 transfers the deformation gradients of the registered source to the triangles of the target. A weak term pulls each
vertex to the movement of the registered source. Each step is a sparse least-squares problem with 153 right-hand sides.
Parts of the target without a counterpart move as little as their neighbors allow.

Letters: V vertices of the source, V_t of the target, T triangles, L landmarks.
Source: Sumner and Popovic, Deformation transfer for triangle meshes, 2004.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from retarget.arkit import EXPRESSION_NAMES
from retarget.autorig.contacts import find_contacts
from retarget.autorig.disconnected_parts import move_disconnected_parts
from retarget.autorig.eyelids import blink_gains
from retarget.autorig.registration import (
    APART_M,
    FACING_M,
    REGISTRATION_STEPS,
    Target,
    make_target,
    no_step,
    register,
    sides_of,
    source_sides,
)
from retarget.autorig.source_head import SourceHead
from retarget.geometry.closest_point import ClosestPointIndex
from retarget.geometry.laplacian import factorize, gradient_operator
from retarget.geometry.mesh import Floats, Ints, require_scipy, triangle_normals, vertex_areas, vertex_normals
from retarget.geometry.rotations import Similarity, fit_similarity

_ANCHOR_M = 0.004  # how far a vertex may deviate from its movement on the source
_STILL_M = 0.0003  # a vertex that moves less on the source is held in place
_PULL_M = 0.003  # the same on the target, for vertices on the registered source
_FREE_M = 0.012  # weak hold of vertices without a counterpart
_TRUST_M = 0.004  # distance to the registered source at which its movement counts little
_MAX_BOUNDARY_DISTANCE_M = 0.002  # beyond the source's open boundary nothing is taken over
_CONTACT_WEIGHT = 30.0  # relative to the deformations
_MAX_LANDMARK_ERROR = 0.6  # of the spread of the landmarks; more is no face
_MIN_MIRRORED_GAIN = 0.25  # squared errors mirrored / as given, below which left and right are exchanged
_MIN_CROSS = 1e-12

TRANSFER_STEPS = REGISTRATION_STEPS + 2 * len(EXPRESSION_NAMES) + 2
"""How often `transfer_shapes` calls `on_step`."""


class Transfer(NamedTuple):
    """Shapes of a mesh.

    Attributes:
        shapes: (51, V_t, 3) movement by each of EXPRESSION_NAMES, in the mesh's own axes and unit.
        to_source: Similarity from the mesh to the source's meters and head axes.
    """

    shapes: Floats
    to_source: Similarity


def transfer_shapes(
    source: SourceHead,
    points: Floats,
    triangles: Ints,
    landmarks: dict[str, int],
    on_step: Callable[[], None] = no_step,
) -> Transfer:
    """Transfer the source's shapes to a mesh.

    Args:
        source: The source head.
        points: (V_t, 3) the mesh's vertices, welded, in any axes and unit.
        triangles: (T, 3).
        landmarks: Name -> vertex.
        on_step: Called TRANSFER_STEPS times.

    Raises:
        ValueError: The landmarks do not lie as on a face, or left and right are exchanged.
        ImportError: SciPy is not installed.
    """
    require_scipy()
    names = list(landmarks)
    picked = points[[landmarks[name] for name in names]]
    to_source = _fit_landmarks(picked, source.at_landmarks(source.neutral, names), names)
    scale, rotation, shift = to_source
    target = make_target(scale * points @ rotation.T + shift, triangles, landmarks, source)
    registered = register(source, target, on_step)
    source_shapes = shapes_on_registered(source, registered, on_step)
    shapes = shapes_on_target(source, registered, source_shapes, target, on_step)
    blinks = [EXPRESSION_NAMES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
    shapes[blinks] *= blink_gains(source, registered, target, shapes)[:, None, None]
    on_step()
    shapes[:, ~target.skin] = move_disconnected_parts(source, registered, source_shapes, target, shapes)
    on_step()
    return Transfer(shapes @ rotation / scale, to_source)


def _fit_landmarks(picked: Floats, goal: Floats, names: list[str]) -> Similarity:
    """The similarity from picked landmarks (L, 3) to the source's (L, 3)."""

    def errors(to: Floats) -> Floats:
        scale, rotation, shift = fit_similarity(picked, to)
        distances: Floats = np.linalg.norm(scale * picked @ rotation.T + shift - to, axis=1)
        return distances

    as_given, mirrored = errors(goal), errors(goal * [-1, 1, 1])
    if np.square(mirrored).sum() < _MIN_MIRRORED_GAIN * np.square(as_given).sum():
        raise ValueError(
            "left and right are exchanged in the landmarks (Left is the subject's left, which a viewer sees on the right)"
        )
    spread = np.sqrt(np.square(goal - goal.mean(0)).sum(1).mean())
    if np.sqrt(np.square(as_given).mean()) > _MAX_LANDMARK_ERROR * spread:
        worst = names[int(as_given.argmax())]
        raise ValueError(f"the landmarks do not lie as on a face; {worst} is farthest from where it should be")
    return fit_similarity(picked, goal)


def shapes_on_registered(source: SourceHead, registered: Floats, on_step: Callable[[], None] = no_step) -> Floats:
    """Transfer the shapes to the source registered to the target.

    Args:
        source: The source head.
        registered: (V, 3) its vertices on the target.
        on_step: Called after each shape.

    Returns:
        (51, V, 3).
    """
    from scipy.sparse import diags

    skin = source.skin
    triangles = source.triangles[skin[source.triangles[:, 0]]]
    jacobians = deformations(source.neutral, triangles, source.shapes)
    max_movement = np.linalg.norm(source.shapes, axis=2).max(0)
    hold = (_STILL_M / (_STILL_M + max_movement)) ** 2 / _ANCHOR_M**2 * vertex_areas(registered, triangles)
    contacts = find_contacts(source, registered)
    gradient, area = gradient_operator(registered, triangles)
    weight = np.repeat(area, 3)
    contact_weight = _CONTACT_WEIGHT * float((gradient.multiply(gradient).T @ weight).mean())
    system = gradient.T @ diags(weight) @ gradient + diags(hold + 1e-9 * ~skin)
    solve = factorize(system + contact_weight * contacts.matrix.T @ contacts.matrix)
    result = np.zeros_like(source.shapes)
    for k, shape in enumerate(source.shapes):
        right = gradient.T @ (_gradient_rows(jacobians[k]) * weight[:, None])
        contact = contact_weight * (contacts.matrix.T @ contacts.movement[k])
        result[k] = solve(right + hold[:, None] * shape + contact)
        on_step()
    for rows in source.other_pieces():  # eyes, teeth and tongue move as on the source
        scale, rotation, _ = fit_similarity(source.neutral[rows], registered[rows])
        result[:, rows] = scale * source.shapes[:, rows] @ rotation.T
    return result


def shapes_on_target(
    source: SourceHead, registered: Floats, shapes: Floats, target: Target, on_step: Callable[[], None] = no_step
) -> Floats:
    """Transfer the shapes from the registered source to the target's own vertices.

    Args:
        source: The source head.
        registered: (V, 3) its vertices on the target.
        shapes: (51, V, 3) its shapes there.
        target: The mesh that gets shapes.
        on_step: Called after each shape.

    Returns:
        (51, V_t, 3), good for the skin.
    """
    from scipy.sparse import diags

    triangles = target.skin_triangles
    target_sides = sides_of(target.points, triangles, target.landmarks)
    source_triangles = source.triangles[source.skin[source.triangles[:, 0]]]
    surface = ClosestPointIndex(registered, source_triangles, source_sides(source), FACING_M, APART_M)
    normals = vertex_normals(target.points, triangles)
    found = surface.closest(target.points, normals, target_sides)
    cosine = (surface.normals[found.triangle] * normals).sum(1).clip(0, 1)
    is_beyond = surface.on_boundary(found) & (found.distance > _MAX_BOUNDARY_DISTANCE_M)
    trust = np.where(is_beyond, 0, cosine * np.exp(-((found.distance / _TRUST_M) ** 2)))
    centers = surface.closest(
        target.points[triangles].mean(1),
        triangle_normals(target.points, triangles).normal,
        target_sides[triangles].mean(1),
    )
    triangle_trust = np.exp(-((centers.distance / (1.5 * _TRUST_M)) ** 2)) * trust[triangles].mean(1)
    gradient, area = gradient_operator(target.points, triangles)
    weight = np.repeat(area, 3)
    jacobians = deformations(registered, surface.triangles, shapes)
    hold = trust / _PULL_M**2 * vertex_areas(target.points, triangles)
    weak = 1e-6 * max(float(area.mean()), 1e-12) / _FREE_M**2
    solve = factorize(gradient.T @ diags(weight) @ gradient + diags(hold + weak))
    result = np.zeros((len(shapes), len(target.points), 3))
    for k, shape in enumerate(shapes):
        jacobian = jacobians[k][centers.triangle] * triangle_trust[:, None, None]
        right = gradient.T @ (_gradient_rows(jacobian) * weight[:, None])
        result[k] = solve(right + hold[:, None] * surface.interpolate(found, shape))
        on_step()
    return result


def deformations(points: Floats, triangles: Ints, shapes: Floats) -> Floats:
    """Compute how shapes deform triangles.

    Args:
        points: (V, 3) at rest.
        triangles: (T, 3).
        shapes: (K, V, 3) movements.

    Returns:
        (K, T, 3, 3) the change of each triangle's frame (two edges and the normal), minus the identity.
    """
    inverse = np.linalg.inv(_frames(points, triangles))
    return np.stack([_frames(points + shape, triangles) @ inverse for shape in shapes]) - np.eye(3)


def _frames(points: Floats, triangles: Ints) -> Floats:
    """(T, 3, 3) frames, in columns: two edges, and the normal with the triangle's size as its length."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    cross = np.cross(b - a, c - a)
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    frames = np.stack([b - a, c - a, cross / np.sqrt(np.maximum(length, _MIN_CROSS))], axis=-1)
    is_degenerate = length[..., None] < _MIN_CROSS
    regular: Floats = frames + is_degenerate * 1e-6 * np.eye(3)
    return regular


def _gradient_rows(jacobian: Floats) -> Floats:
    """(T, 3, 3) derivatives of the movement -> (3T, 3): for each triangle and direction the derivative."""
    rows: Floats = jacobian.transpose(0, 2, 1).reshape(-1, 3)
    return rows
