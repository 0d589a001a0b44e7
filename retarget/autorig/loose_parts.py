"""What is no skin on a mesh that gets shapes: eyeballs turn, teeth follow their jaw, lashes and beards the skin they are on."""

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
_FADE_M = 0.02
_ROOT_M = 0.001


def loose_parts(source: SourceHead, laid: Floats, laid_shapes: Floats, target: Target, shapes: Floats) -> Floats:
    """(51, K, 3) movement of the K vertices of a target that are not skin.

    laid, laid_shapes: (V, 3) and (51, V, 3), the source laid onto the target. shapes: (51, V', 3), the target's, good for skin.
    """
    rows = np.flatnonzero(~target.skin)
    result = np.zeros((len(shapes), len(rows), 3))
    if not len(rows):
        return result
    points, normals = target.points[rows], vertex_normals(target.points, target.triangles)[rows]
    mouth = source.mask("teeth", "gums", "tongue", "mouth_inside")
    inside = _surface(laid, source.triangles[mouth[source.triangles].all(1)])
    outside = _surface(target.points, target.skin_triangles)
    none = np.zeros((len(rows), 0))
    near_in, near_out = inside.closest(points, normals, none), outside.closest(points, normals, none)
    hidden = (near_in.distance < near_out.distance)[:, None]
    fade = np.exp(-np.maximum(near_out.distance / _FADE_M - 1, 0))[:, None]
    spread = _spreader(target, rows, np.minimum(near_in.distance, near_out.distance))
    for k in range(len(shapes)):
        result[k] = spread(np.where(hidden, inside.interpolate(near_in, laid_shapes[k]), outside.interpolate(near_out, shapes[k]) * fade))
    piece = connected_pieces(len(target.points), target.triangles)[rows]
    closest = inside.triangles[near_in.triangle, 0]
    eyes = [_Eye(source, laid, name) for name in ("eyeball_left", "eyeball_right")]
    for number in np.unique(piece):
        mine = np.flatnonzero(piece == number)
        for eye in eyes:
            if eye.holds(points[mine]):
                result[:, mine] = eye.turn(points[mine])
        teeth = source.mask("teeth", "gums")[closest[mine]] & hidden[mine, 0]
        share = np.bincount(source.piece[closest[mine][teeth]], minlength=source.piece.max() + 1) / len(mine)
        if share.max() > 0.2 and share.max() > 0.7 * share.sum():  # a tooth, or a row of one jaw
            jaw = source.piece == share.argmax()
            for shape, laid_shape in zip(result, laid_shapes):
                _, rotation, shift = fit_similarity(laid[jaw], laid[jaw] + laid_shape[jaw])
                shape[mine] = points[mine] @ rotation.T + shift - points[mine]
    return result


def _spreader(target: Target, rows: Ints, distance: Floats) -> Callable[[Floats], Floats]:
    """Smooths movements (K, 3) along their pieces: lashes follow their roots. distance: (K,) from what they follow."""
    from scipy.sparse import diags

    number = np.full(len(target.points), -1)
    number[rows] = np.arange(len(rows))
    triangles = number[target.triangles[~target.skin[target.triangles[:, 0]]]]
    gradient, area = gradient_operator(target.points[rows], triangles)
    hold = np.maximum(np.exp(-((distance / _ROOT_M) ** 2)), 1e-3) * vertex_areas(target.points[rows], triangles) / _ROOT_M**2 + 1e-12
    solve = factorize(gradient.T @ diags(np.repeat(area, 3)) @ gradient + diags(hold))
    return lambda movement: solve(hold[:, None] * movement)


class _Eye:
    """One eyeball of the laid source: finds the target's globe, iris and pupil, and turns them about the globe's centre."""

    def __init__(self, source: SourceHead, laid: Floats, name: str) -> None:
        globe = source.piece == source.piece[np.flatnonzero(source.mask(name))[0]]
        self.centre = sphere_centre(laid[globe])
        self.radius = float(np.linalg.norm(laid[globe] - self.centre, axis=1).mean())
        rest = source.neutral[globe]
        self.turns = [fit_similarity(rest, rest + shape[globe])[1] - np.eye(3) for shape in source.shapes]

    def holds(self, points: Floats) -> bool:
        """Whether a piece is a globe, or a small one in front of it (an iris, a cornea): tear lines and sockets are neither."""
        off = points.mean(0) - self.centre
        extent = float(np.ptp(points, axis=0).max())
        if np.linalg.norm(off) < 0.6 * self.radius:
            return bool(1.2 * self.radius < extent < 3 * self.radius)
        ahead = off[2] / np.linalg.norm(off)
        return bool(np.linalg.norm(off) < 1.5 * self.radius and ahead > 0.9 and extent < 1.2 * self.radius)

    def turn(self, points: Floats) -> Floats:
        """(51, P, 3) movement of a piece; small ones turn about the eye's own centre as it was laid."""
        large = np.ptp(points, axis=0).max() > 1.2 * self.radius
        centre = sphere_centre(points) if large else self.centre
        return np.stack([(points - centre) @ turn.T for turn in self.turns])


def _surface(points: Floats, triangles: Ints) -> ClosestPointIndex:
    return ClosestPointIndex(points, triangles, np.zeros((len(points), 0)), _FACING_M, 0.0)


def sphere_centre(points: Floats) -> Floats:
    """(3,) the centre of the sphere through points (P, 3), least squares."""
    middle = points.mean(0)
    near = points - middle
    system = np.concatenate([2 * near, np.ones((len(near), 1))], axis=1)
    return np.asarray(middle + np.linalg.lstsq(system, (near**2).sum(1), rcond=1e-6)[0][:3])
