"""What is no skin on a mesh that gets shapes: eyeballs turn, teeth follow their jaw, lashes and beards the skin they are on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retarget.head_file import SourceHead
from retarget.register import Target, similarity
from retarget.surface import Floats, Ints, Surface, components, point_normals

_FACING_M = 0.012
_FADE_M = 0.02


def loose_parts(source: SourceHead, laid: Floats, laid_shapes: Floats, target: Target, shapes: Floats) -> Floats:
    """(51, K, 3) movement of the K vertices of a target that are not skin.

    laid, laid_shapes: (V, 3) and (51, V, 3), the source laid onto the target. shapes: (51, V', 3), the target's, good for skin.
    """
    rows = np.flatnonzero(~target.skin)
    result = np.zeros((len(shapes), len(rows), 3))
    if not len(rows):
        return result
    points, normals = target.points[rows], point_normals(target.points, target.triangles)[rows]
    inner = ~source.skin | source.mask("mouth_inside")
    inside = _surface(laid, source.triangles[inner[source.triangles].all(1)])
    outside = _surface(target.points, target.skin_triangles)
    none = np.zeros((len(rows), 0))
    near_in, near_out = inside.closest(points, normals, none), outside.closest(points, normals, none)
    region = source.region[inside.triangles[near_in.triangle, 0]]
    fade = np.exp(-np.maximum(near_out.distance / _FADE_M - 1, 0))[:, None]
    piece = components(len(target.points), target.triangles)[rows]
    hidden = near_in.distance < near_out.distance
    for k in range(len(shapes)):
        skin = outside.at(near_out, shapes[k]) * fade
        result[k] = np.where(hidden[:, None], inside.at(near_in, laid_shapes[k]), skin)
    for number in np.unique(piece[hidden]):
        mine = np.flatnonzero(piece == number)
        if hidden[mine].mean() > 0.5:
            name = source.region_names[np.bincount(region[mine]).argmax()]
            _stiffen(source, name, points, mine, result)
    return result


def _surface(points: Floats, triangles: Ints) -> Surface:
    return Surface(points, triangles, np.zeros((len(points), 0)), _FACING_M, 0.0)


def _stiffen(source: SourceHead, name: str, points: Floats, mine: NDArray[np.int64], result: Floats) -> None:
    """Makes the movement of one piece (vertices `mine` of points) that of a rigid body, if it is one."""
    place = points[mine]
    if name in ("teeth", "gums"):
        for shape in result:
            rotation = similarity(place, place + shape[mine])[1]
            centre = place.mean(0)
            shape[mine] = (place - centre) @ (rotation - np.eye(3)).T + shape[mine].mean(0)
    elif name in ("eyeball_left", "eyeball_right", "iris", "pupil"):
        side = np.sign(place[:, 0].mean())
        eye = source.mask("eyeball_left" if side > 0 else "eyeball_right")
        centre = sphere_centre(place)
        for shape, moved in zip(result, source.shapes):
            rotation = similarity(source.neutral[eye], source.neutral[eye] + moved[eye])[1]
            shape[mine] = (place - centre) @ (rotation - np.eye(3)).T


def sphere_centre(points: Floats) -> Floats:
    """(3,) the centre of the sphere through points (P, 3), least squares."""
    middle = points.mean(0)
    near = points - middle
    system = np.concatenate([2 * near, np.ones((len(near), 1))], axis=1)
    return np.asarray(middle + np.linalg.lstsq(system, (near**2).sum(1), rcond=1e-6)[0][:3])
