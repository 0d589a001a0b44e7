"""Move the parts of a mesh that are no skin: eyeballs turn, teeth follow their jaw, lashes and beards follow the skin.

Letters: V vertices of the source, V_t of the target, K vertices of disconnected parts, P vertices of one part.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retarget.autorig.registration import Target
from retarget.autorig.source_head import SourceHead
from retarget.geometry.closest_point import ClosestPointIndex
from retarget.geometry.laplacian import factorize, gradient_operator
from retarget.geometry.mesh import Floats, Ints, connected_pieces, vertex_areas, vertex_normals
from retarget.geometry.rotations import fit_similarity

_FACING_M = 0.012
_FADE_M = 0.02  # parts farther from the skin follow it less
_ROOT_M = 0.001  # vertices this close to the skin are roots, which the rest of a part follows
_MIN_TEETH = 0.2  # part of a piece's vertices that lie on the source's teeth
_MIN_ONE_JAW = 0.7  # part of these that belong to the same jaw


def move_disconnected_parts(
    source: SourceHead, registered: Floats, source_shapes: Floats, target: Target, shapes: Floats
) -> Floats:
    """Compute how the vertices of a target that are no skin move.

    Args:
        source: The source head.
        registered: (V, 3) its vertices on the target.
        source_shapes: (51, V, 3) its shapes there.
        target: The mesh that gets shapes.
        shapes: (51, V_t, 3) its shapes, good for the skin.

    Returns:
        (51, K, 3).
    """
    rows = np.flatnonzero(~target.skin)
    result = np.zeros((len(shapes), len(rows), 3))
    if not len(rows):
        return result
    points, normals = target.points[rows], vertex_normals(target.points, target.triangles)[rows]
    mouth = source.mask("teeth", "gums", "tongue", "mouth_inside")
    inside = _surface(registered, source.triangles[mouth[source.triangles].all(1)])
    outside = _surface(target.points, target.skin_triangles)
    no_sides = np.zeros((len(rows), 0))
    near_inside, near_outside = inside.closest(points, normals, no_sides), outside.closest(points, normals, no_sides)
    is_inside = (near_inside.distance < near_outside.distance)[:, None]
    fade = np.exp(-np.maximum(near_outside.distance / _FADE_M - 1, 0))[:, None]
    spread = _spreader(target, rows, np.minimum(near_inside.distance, near_outside.distance))
    for k in range(len(shapes)):
        from_mouth = inside.interpolate(near_inside, source_shapes[k])
        from_skin = outside.interpolate(near_outside, shapes[k]) * fade
        result[k] = spread(np.where(is_inside, from_mouth, from_skin))
    piece = connected_pieces(len(target.points), target.triangles)[rows]
    closest = inside.triangles[near_inside.triangle, 0]
    eyes = [_Eye(source, registered, name) for name in ("eyeball_left", "eyeball_right")]
    for number in np.unique(piece):
        part = np.flatnonzero(piece == number)
        for eye in eyes:
            if eye.contains(points[part]):
                result[:, part] = eye.turn(points[part])
        is_tooth = source.mask("teeth", "gums")[closest[part]] & is_inside[part, 0]
        jaw = _jaw_of(source, closest[part][is_tooth], len(part))
        if jaw is not None:
            in_jaw = source.piece == jaw
            for shape, source_shape in zip(result, source_shapes):
                _, rotation, shift = fit_similarity(registered[in_jaw], registered[in_jaw] + source_shape[in_jaw])
                shape[part] = points[part] @ rotation.T + shift - points[part]
    return result


def _jaw_of(source: SourceHead, teeth: Ints, count: int) -> int | None:
    """The piece of the source that a part of `count` vertices follows as a rigid body, if it is a tooth or a row of teeth.

    Args:
        source: The source head.
        teeth: For each vertex that is closest to the source's teeth, that source vertex.
        count: Number of vertices of the part.
    """
    share = np.bincount(source.piece[teeth], minlength=source.piece.max() + 1) / count
    is_one_jaw = share.max() > _MIN_TEETH and share.max() > _MIN_ONE_JAW * share.sum()
    return int(share.argmax()) if is_one_jaw else None


def _spreader(target: Target, rows: Ints, distance: Floats) -> Callable[[Floats], Floats]:
    """A function that smooths movements (K, 3) along their parts, so that lashes follow their roots.

    Args:
        target: The mesh that gets shapes.
        rows: (K,) the vertices of disconnected parts.
        distance: (K,) to what they follow.
    """
    from scipy.sparse import diags

    number = np.full(len(target.points), -1)
    number[rows] = np.arange(len(rows))
    triangles = number[target.triangles[~target.skin[target.triangles[:, 0]]]]
    gradient, area = gradient_operator(target.points[rows], triangles)
    root = np.maximum(np.exp(-((distance / _ROOT_M) ** 2)), 1e-3)
    hold = root * vertex_areas(target.points[rows], triangles) / _ROOT_M**2 + 1e-12
    solve = factorize(gradient.T @ diags(np.repeat(area, 3)) @ gradient + diags(hold))
    return lambda movement: solve(hold[:, None] * movement)


class _Eye:
    """One eyeball of the registered source: recognizes the target's eyeball, iris and pupil, and turns them."""

    def __init__(self, source: SourceHead, registered: Floats, region: str) -> None:
        eyeball = source.piece == source.piece[np.flatnonzero(source.mask(region))[0]]
        self.center = sphere_center(registered[eyeball])
        self.radius = float(np.linalg.norm(registered[eyeball] - self.center, axis=1).mean())
        rest = source.neutral[eyeball]
        self.rotations = [fit_similarity(rest, rest + shape[eyeball]).rotation for shape in source.shapes]

    def contains(self, points: Floats) -> bool:
        """Return whether a part (P, 3) is an eyeball, or a small part in front of it such as an iris or a cornea.

        Tear lines and eye sockets are neither.
        """
        offset = points.mean(0) - self.center
        distance = float(np.linalg.norm(offset))
        extent = float(np.ptp(points, axis=0).max())
        if distance < 0.6 * self.radius:
            return 1.2 * self.radius < extent < 3 * self.radius
        is_in_front = bool(offset[2] / distance > 0.9)
        return distance < 1.5 * self.radius and is_in_front and extent < 1.2 * self.radius

    def turn(self, points: Floats) -> Floats:
        """Return the movement (51, P, 3) of a part. Small parts turn about the center of the source's eyeball."""
        is_eyeball = np.ptp(points, axis=0).max() > 1.2 * self.radius
        center = sphere_center(points) if is_eyeball else self.center
        return np.stack([(points - center) @ (rotation - np.eye(3)).T for rotation in self.rotations])


def _surface(points: Floats, triangles: Ints) -> ClosestPointIndex:
    return ClosestPointIndex(points, triangles, np.zeros((len(points), 0)), _FACING_M, 0.0)


def sphere_center(points: Floats) -> Floats:
    """Fit a sphere to points (P, 3) by least squares. Returns its center (3,)."""
    mean = points.mean(0)
    offset = points - mean
    system = np.concatenate([2 * offset, np.ones((len(offset), 1))], axis=1)
    return np.asarray(mean + np.linalg.lstsq(system, (offset**2).sum(1), rcond=1e-6)[0][:3])
