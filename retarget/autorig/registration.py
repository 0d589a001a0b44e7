"""Register the source head to another head: by landmarks, then by identity, then freely (non-rigid ICP).

Lengths are meters in the source's frame. The target was brought there by `fit_similarity`.

Letters: V vertices of the source, V_t of the target, T triangles, I identity components, L landmarks, R matched rows.
Source of the free registration: Amberg, Romdhani and Vetter, Optimal step nonrigid ICP algorithms for surface
registration, 2007; we penalize bending instead of differences of affine transforms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.autorig.source_head import SourceHead
from retarget.geometry.closest_point import ClosestPointIndex
from retarget.geometry.laplacian import factorize, gradient_operator
from retarget.geometry.mesh import Floats, Ints, connected_pieces, edge_graph, slit_sides, vertex_areas, vertex_normals
from retarget.geometry.rotations import fit_similarity

FACING_M, APART_M = 0.012, 0.02
"""Penalties of opposite normals and of the other side of a slit; see `ClosestPointIndex`."""
SKIN_REGIONS = ("face", "lids", "lips", "brows", "ears", "scalp", "neck")

_LANDMARK_ERROR_M = 0.003  # how exactly a person picks a point
_IDENTITY_MAX_DISTANCES_M = (0.03, 0.02, 0.015, 0.01)  # of matches, one for each iteration
_STIFFNESS_M = (0.05, 0.05, 0.03, 0.03, 0.02, 0.02, 0.014, 0.01, 0.008, 0.006, 0.005, 0.004, 0.004, 0.004)
_MAX_DISTANCE_M = (0.03, 0.004)  # of matches in the free registration, first and last iteration
_LANDMARK_WEIGHT = (40.0, 2.0)  # of a landmark, in vertices, first and last iteration
_MIN_NORMAL_COSINE = 0.5  # of a match
_INDEPENDENT_VERTICES = 300  # errors of neighbors are alike: more vertices do not add certainty
_FACE_LANDMARKS = ("noseTip", "chin", "mouthCornerLeft", "mouthCornerRight")


class _Slit(NamedTuple):
    """The landmarks of a slit: above, below, and its two ends."""

    above: str
    below: str
    ends: tuple[str, str]


_SLITS = (
    _Slit("upperLip", "lowerLip", ("mouthCornerLeft", "mouthCornerRight")),
    _Slit("eyeUpperLeft", "eyeLowerLeft", ("eyeInnerLeft", "eyeOuterLeft")),
    _Slit("eyeUpperRight", "eyeLowerRight", ("eyeInnerRight", "eyeOuterRight")),
)
MOUTH_SLIT, LEFT_EYE_SLIT, RIGHT_EYE_SLIT = range(len(_SLITS))
"""Columns of `sides_of`."""

REGISTRATION_STEPS = len(_IDENTITY_MAX_DISTANCES_M) + len(_STIFFNESS_M)
"""How often `register` calls `on_step`."""


def no_step() -> None:
    """Do nothing: the default of `on_step`."""


@dataclass(frozen=True)
class Target:
    """The mesh that gets shapes, in the source's frame.

    Attributes:
        points: (V_t, 3).
        triangles: (T, 3), counter-clockwise seen from outside.
        skin: (V_t,) the connected pieces that nose, mouth and chin belong to.
        landmarks: Name -> vertex.
    """

    points: Floats
    triangles: Ints
    skin: NDArray[np.bool_]
    landmarks: dict[str, int]

    @property
    def skin_triangles(self) -> Ints:
        """The triangles of the skin."""
        return self.triangles[self.skin[self.triangles[:, 0]]]


def make_target(points: Floats, triangles: Ints, landmarks: dict[str, int], source: SourceHead) -> Target:
    """Find the skin of a mesh and turn its triangles outwards.

    Args:
        points: (V_t, 3) in the source's frame.
        triangles: (T, 3).
        landmarks: Name -> vertex. One that was picked on another piece (an eyelid's on the eyeball, the forehead's on
            the hair) is moved to the closest vertex of the skin.
        source: The source head.
    """
    from scipy.spatial import cKDTree

    piece = connected_pieces(len(points), triangles)
    skin = np.isin(piece, [piece[landmarks[name]] for name in _FACE_LANDMARKS])
    vertices = np.flatnonzero(skin)
    nearest = vertices[cKDTree(points[vertices]).query(points[list(landmarks.values())])[1]]
    landmarks = dict(zip(landmarks, nearest.tolist()))
    names = list(landmarks)
    outward = source.at_landmarks(vertex_normals(source.neutral, source.triangles), names)
    normals = vertex_normals(points, triangles[skin[triangles[:, 0]]])[[landmarks[name] for name in names]]
    if (outward * normals).sum() < 0:
        triangles = triangles[:, ::-1]
    return Target(points, triangles, skin, landmarks)


def sides_of(points: Floats, triangles: Ints, landmarks: dict[str, int]) -> Floats:
    """Compute on which side of mouth and eyes each vertex lies.

    Args:
        points: (V, 3).
        triangles: (T, 3).
        landmarks: Name -> vertex.

    Returns:
        (V, 3) as in `slit_sides`, for the mouth, the left and the right eye. Zero where landmarks above and below are
        not given.
    """
    graph = edge_graph(points, triangles)
    result = np.zeros((len(points), len(_SLITS)))
    for column, slit in enumerate(_SLITS):
        if slit.above in landmarks and slit.below in landmarks:
            a, b = (points[landmarks[end]] for end in slit.ends)
            half_length = float(np.linalg.norm(a - b)) / 2
            result[:, column] = slit_sides(graph, [(landmarks[slit.above], landmarks[slit.below], half_length)])[:, 0]
    return result


def source_sides(source: SourceHead) -> Floats:
    """Compute `sides_of` the source head."""
    nearest = {name: int(point.vertices[point.weights.argmax()]) for name, point in source.landmarks.items()}
    return sides_of(source.neutral, source.triangles, nearest)


def register(source: SourceHead, target: Target, on_step: Callable[[], None] = no_step) -> Floats:
    """Move the source head onto the target.

    Args:
        source: The source head.
        target: The mesh that gets shapes.
        on_step: Called after each iteration, REGISTRATION_STEPS times.

    Returns:
        (V, 3) the source's vertices on the target.
    """
    names = list(target.landmarks)
    goal = target.points[[target.landmarks[name] for name in names]]
    sides = source_sides(source)
    triangles = target.skin_triangles
    target_sides = sides_of(target.points, triangles, target.landmarks)
    surface = ClosestPointIndex(target.points, triangles, target_sides, FACING_M, APART_M)
    skin = source.mask(*SKIN_REGIONS)
    identity = _fit_identity(source, names, goal)
    for max_distance_m in _IDENTITY_MAX_DISTANCES_M:
        current = source.neutral + np.tensordot(identity, source.identity, 1)
        match = _match(current, source, surface, sides, max_distance_m)
        rows = np.flatnonzero(skin & (match.trust > 0))
        identity = _fit_identity(source, names, goal, rows, match.points[rows])
        on_step()
    start = source.neutral + np.tensordot(identity, source.identity, 1)
    start = _warp(source.at_landmarks(start, names), goal, start)
    registered = _register_freely(source, target, surface, start, on_step)
    for piece in source.other_pieces():  # there is nothing to match eyes and teeth with: they follow the skin around
        side = source.neutral[:, 0] * source.neutral[piece, 0].mean()
        around = source.mask("lids") & (side > 0)
        if not source.mask("eyeball_left", "eyeball_right")[piece].any():
            around = source.mask("lips")
        scale, rotation, shift = fit_similarity(source.neutral[around], registered[around])
        registered[piece] = scale * source.neutral[piece] @ rotation.T + shift
    return registered


def _fit_identity(
    source: SourceHead, names: list[str], goal: Floats, rows: Ints | None = None, matches: Floats | None = None
) -> Floats:
    """(I,) identity that brings landmarks and matched vertices closest, with a standard normal prior (ridge).

    Args:
        source: The source head.
        names: L landmarks.
        goal: (L, 3) where they should be.
        rows: (R,) vertices with a match, or None.
        matches: (R, 3) where these should be.
    """
    size = len(source.identity)
    basis = [source.at_landmarks(source.identity, names).reshape(size, -1) / _LANDMARK_ERROR_M]
    residual = [(goal - source.at_landmarks(source.neutral, names)).ravel() / _LANDMARK_ERROR_M]
    if rows is not None and matches is not None and len(rows):
        error_m = _LANDMARK_ERROR_M * np.sqrt(len(rows) / _INDEPENDENT_VERTICES)
        basis.append(source.identity[:, rows].reshape(size, -1) / error_m)
        residual.append((matches - source.neutral[rows]).ravel() / error_m)
    a, b = np.concatenate(basis, axis=1), np.concatenate(residual)
    return np.asarray(np.linalg.solve(a @ a.T + np.eye(size), a @ b))


class _Match(NamedTuple):
    """points: (V, 3) the closest target point of each source vertex. trust: (V,) 0 to 1."""

    points: Floats
    trust: Floats


def _match(
    current: Floats, source: SourceHead, surface: ClosestPointIndex, sides: Floats, max_distance_m: float
) -> _Match:
    """Match the moved source vertices (V, 3) with the target."""
    normals = vertex_normals(current, source.triangles)
    found = surface.closest(current, normals, sides)
    cosine = (surface.normals[found.triangle] * normals).sum(1)
    is_valid = (found.distance < max_distance_m) & (cosine > _MIN_NORMAL_COSINE)
    # A match on the open boundary of the target shows only that the target ends there. Around the eyes, eyelids may end.
    keep = ~surface.on_boundary(found) | source.mask("lids")
    return _Match(surface.interpolate(found, surface.points), np.where(is_valid & keep, cosine, 0.0))


def _warp(landmarks: Floats, goal: Floats, points: Floats) -> Floats:
    """Move points (V, 3) so that landmarks (L, 3) go to their goal (L, 3): a smoothed thin-plate spline in 3D."""

    def kernel(a: Floats) -> Floats:
        distances: Floats = np.linalg.norm(a[:, None] - landmarks[None], axis=2)
        return distances

    count = len(landmarks)
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = kernel(landmarks) - 0.004 * np.eye(count)
    system[:count, count], system[:count, count + 1 :] = 1, landmarks
    system[count:, :count] = system[:count, count:].T
    system[count + 1 :, count + 1 :] -= 1e-3 * np.eye(3)  # few landmarks cause no shear
    right = np.concatenate([goal - landmarks, np.zeros((4, 3))])
    solved = np.linalg.lstsq(system, right, rcond=None)[0]
    moved: Floats = points + kernel(points) @ solved[:count] + solved[count] + points @ solved[count + 1 :]
    return moved


def _register_freely(
    source: SourceHead, target: Target, surface: ClosestPointIndex, start: Floats, on_step: Callable[[], None]
) -> Floats:
    """Non-rigid ICP: move each vertex to its match with the least bending energy, less stiff in each iteration."""
    from scipy.sparse import coo_matrix, diags

    names = list(target.landmarks)
    gradient, area = gradient_operator(start, source.triangles)
    laplacian = gradient.T @ diags(np.repeat(area, 3)) @ gradient
    mass = np.maximum(vertex_areas(start, source.triangles), 1e-9)
    bending = laplacian @ diags(1 / mass) @ laplacian
    vertices = np.array([source.landmarks[name].vertices for name in names])
    weights = np.array([source.landmarks[name].weights for name in names])
    rows = np.repeat(np.arange(len(names)), 3)
    pick = coo_matrix((weights.ravel(), (rows, vertices.ravel())), shape=(len(names), len(start))).tocsr()
    goal = target.points[[target.landmarks[name] for name in names]] - pick @ start
    sides, follows = source_sides(source), source.mask(*SKIN_REGIONS)
    moved = np.zeros_like(start)
    progress = np.linspace(0, 1, len(_STIFFNESS_M))
    max_distances = np.interp(progress, (0, 1), _MAX_DISTANCE_M)
    landmark_weights = np.geomspace(*_LANDMARK_WEIGHT, len(progress))
    for stiffness, max_distance_m, weight in zip(_STIFFNESS_M, max_distances, landmark_weights):
        match = _match(start + moved, source, surface, sides, float(max_distance_m))
        data = mass * match.trust * follows
        pull = weight * mass.mean()
        smoothness = stiffness**4 * bending + 1e-4 * stiffness**2 * laplacian
        system = smoothness + diags(data + 1e-6 * mass) + pull * pick.T @ pick
        moved = factorize(system)(data[:, None] * (match.points - start) + pull * (pick.T @ goal))
        on_step()
    return start + moved
