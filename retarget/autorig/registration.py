"""Lay a head with known shapes onto another head: landmarks, then identity, then a smooth free movement (non-rigid ICP).

Lengths are metres in the source's frame; the target was brought there by `fit_similarity` before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retarget.autorig.source_head import SourceHead
from retarget.geometry.closest_point import ClosestPointIndex
from retarget.geometry.laplacian import factorize, gradient_operator
from retarget.geometry.mesh import Floats, Ints, connected_pieces, edge_graph, slit_sides, vertex_areas, vertex_normals
from retarget.geometry.rotations import fit_similarity

FACING_M, APART_M = 0.012, 0.02  # see `ClosestPointIndex`
_LANDMARK_M = 0.003  # how exactly a person picks a point
_STIFFNESS_M = (0.05, 0.05, 0.03, 0.03, 0.02, 0.02, 0.014, 0.01, 0.008, 0.006, 0.005, 0.004, 0.004, 0.004)
_FARTHEST = (0.03, 0.004)  # how far a match may lie, first and last
_LANDMARK_VERTICES = (40.0, 2.0)  # as many vertices a landmark outweighs, first and last
SKIN = ("face", "lids", "lips", "brows", "ears", "scalp", "neck")
_FACE = ("noseTip", "chin", "mouthCornerLeft", "mouthCornerRight")
SLITS = (("upperLip", "lowerLip", "mouthCorner"), ("eyeUpperLeft", "eyeLowerLeft", "Left"), ("eyeUpperRight", "eyeLowerRight", "Right"))


@dataclass(frozen=True)
class Target:
    """The mesh to rig, in the source's frame. points: (V, 3). triangles: (T, 3). skin: (V,) the connected pieces that hold
    nose, mouth and chin. landmarks: name -> vertex."""

    points: Floats
    triangles: Ints
    skin: NDArray[np.bool_]
    landmarks: dict[str, int]

    @property
    def skin_triangles(self) -> Ints:
        """Those of the triangles that are skin."""
        return self.triangles[self.skin[self.triangles[:, 0]]]


def make_target(points: Floats, triangles: Ints, landmarks: dict[str, int], source: SourceHead) -> Target:
    """Finds the pieces that are the face, and turns them outwards. Landmarks that were picked on another piece (a lid's on
    the eyeball, the forehead's on the hair) go to the closest vertex of the face."""
    from scipy.spatial import cKDTree

    piece = connected_pieces(len(points), triangles)
    skin = np.isin(piece, [piece[landmarks[name]] for name in _FACE])
    face = np.flatnonzero(skin)
    nearest = face[cKDTree(points[face]).query(points[list(landmarks.values())])[1]]
    landmarks = dict(zip(landmarks, nearest.tolist()))
    names = list(landmarks)
    normals = vertex_normals(source.neutral, source.triangles)
    outward = source.points(normals, names)
    chosen = triangles[skin[triangles[:, 0]]]
    given = vertex_normals(points, chosen)[[landmarks[name] for name in names]]
    if (outward * given).sum() < 0:
        triangles = triangles[:, ::-1]
    return Target(points, triangles, skin, landmarks)


def sides_of(points: Floats, triangles: Ints, landmarks: dict[str, int]) -> Floats:
    """`slit_sides` of mouth and eyes; a slit without landmarks above and below it is zero."""
    graph = edge_graph(points, triangles)
    result = np.zeros((len(points), len(SLITS)))
    for column, (above, below, which) in enumerate(SLITS):
        ends = [f"{which}Left", f"{which}Right"] if which == "mouthCorner" else [f"eyeInner{which}", f"eyeOuter{which}"]
        if above in landmarks and below in landmarks:
            a, b = (points[landmarks[end]] for end in ends)
            half = float(np.linalg.norm(a - b)) / 2
            result[:, column] = slit_sides(graph, [(landmarks[above], landmarks[below], half)])[:, 0]
    return result


def source_sides(source: SourceHead) -> Floats:
    """`sides_of` the source head."""
    nearest = {name: int(vertex[weight.argmax()]) for name, (vertex, weight) in source.landmarks.items()}
    return sides_of(source.neutral, source.triangles, nearest)


def register(source: SourceHead, target: Target) -> Floats:
    """Source vertices (V, 3) laid onto the target."""
    names = list(target.landmarks)
    wanted = target.points[[target.landmarks[name] for name in names]]
    sides = source_sides(source)
    triangles = target.skin_triangles
    surface = ClosestPointIndex(target.points, triangles, sides_of(target.points, triangles, target.landmarks), FACING_M, APART_M)
    skin = source.mask(*SKIN)
    identity = _fit_identity(source, names, wanted)
    for farthest in (0.03, 0.02, 0.015, 0.01):
        current = source.neutral + np.tensordot(identity, source.identity, 1)
        match, trust = _match(current, source, surface, sides, farthest)
        rows = np.flatnonzero(skin & (trust > 0))
        identity = _fit_identity(source, names, wanted, rows, match[rows])
    start = source.neutral + np.tensordot(identity, source.identity, 1)
    start = _warp(source.points(start, names), wanted, start)
    laid = _free(source, target, surface, sides, start)
    for piece in source.pieces():  # nothing to lay eyes and teeth onto: they go with the lids and lips around them
        around = source.mask("lids") & (source.neutral[:, 0] * source.neutral[piece, 0].mean() > 0)
        if not source.mask("eyeball_left", "eyeball_right")[piece].any():
            around = source.mask("lips")
        scale, rotation, shift = fit_similarity(source.neutral[around], laid[around])
        laid[piece] = scale * source.neutral[piece] @ rotation.T + shift
    return laid


def _fit_identity(source: SourceHead, names: list[str], wanted: Floats, rows: Ints | None = None, match: Floats | None = None) -> Floats:
    """(I,) identity that brings the landmarks, and the vertices `rows` to their matches (R, 3), closest; ridge as its prior."""
    size = len(source.identity)
    moved = [source.points(source.identity, names).reshape(size, -1) / _LANDMARK_M]
    left = [(wanted - source.points(source.neutral, names)).ravel() / _LANDMARK_M]
    if rows is not None and match is not None and len(rows):
        loose = _LANDMARK_M * np.sqrt(len(rows) / 300)  # neighbours err together
        moved.append(source.identity[:, rows].reshape(size, -1) / loose)
        left.append((match - source.neutral[rows]).ravel() / loose)
    basis, rest = np.concatenate(moved, axis=1), np.concatenate(left)
    return np.asarray(np.linalg.solve(basis @ basis.T + np.eye(size), basis @ rest))


def _match(current: Floats, source: SourceHead, surface: ClosestPointIndex, sides: Floats, farthest: float) -> tuple[Floats, Floats]:
    """For each source vertex the closest target point (V, 3) and how far it may be trusted (V,), 0 to 1."""
    normals = vertex_normals(current, source.triangles)
    contact = surface.closest(current, normals, sides)
    place = surface.interpolate(contact, surface.points)
    agree = (surface.normals[contact.triangle] * normals).sum(1)
    trust = np.where((contact.distance < farthest) & (agree > 0.5), agree, 0.0)
    # A match on the target's open border says only that the target ends there, except round the eyes, where lids may end.
    keep = ~surface.on_boundary(contact) | source.mask("lids")
    return place, np.where(keep, trust, 0.0)


def _warp(source: Floats, target: Floats, points: Floats) -> Floats:
    """Points (V, 3) moved as landmarks source (L, 3) go to target (L, 3): radial functions r, smoothed (a 3D thin plate)."""
    def kernel(a: Floats) -> Floats:
        return np.linalg.norm(a[:, None] - source[None], axis=2)

    count = len(source)
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = kernel(source) - 0.004 * np.eye(count)
    system[:count, count], system[:count, count + 1 :] = 1, source
    system[count:, :count] = system[:count, count:].T
    system[count + 1 :, count + 1 :] -= 1e-3 * np.eye(3)  # shears only as far as many landmarks ask for it
    right = np.concatenate([target - source, np.zeros((4, 3))])
    solved = np.linalg.lstsq(system, right, rcond=None)[0]
    return points + kernel(points) @ solved[:count] + solved[count] + points @ solved[count + 1 :]


def _free(source: SourceHead, target: Target, surface: ClosestPointIndex, sides: Floats, start: Floats) -> Floats:
    """Non-rigid ICP: every vertex to its match, with a movement whose bending energy is least; ever less stiff."""
    from scipy.sparse import coo_matrix, diags

    names = list(target.landmarks)
    gradient, area = gradient_operator(start, source.triangles)
    laplacian = gradient.T @ diags(np.repeat(area, 3)) @ gradient
    mass = np.maximum(vertex_areas(start, source.triangles), 1e-9)
    bending = laplacian @ diags(1 / mass) @ laplacian
    vertex = np.array([source.landmarks[name][0] for name in names])
    weight = np.array([source.landmarks[name][1] for name in names])
    rows = np.repeat(np.arange(len(names)), 3)
    pick = coo_matrix((weight.ravel(), (rows, vertex.ravel())), shape=(len(names), len(start))).tocsr()
    wanted = target.points[[target.landmarks[name] for name in names]] - pick @ start
    follows = source.mask(*SKIN)
    moved = np.zeros_like(start)
    share = np.linspace(0, 1, len(_STIFFNESS_M))
    for stiffness, far, heavy in zip(_STIFFNESS_M, np.interp(share, (0, 1), _FARTHEST), np.geomspace(*_LANDMARK_VERTICES, len(share))):
        match, trust = _match(start + moved, source, surface, sides, far)
        hold = mass * trust * follows
        pull = heavy * mass.mean()
        system = stiffness**4 * bending + 1e-4 * stiffness**2 * laplacian + diags(hold + 1e-6 * mass) + pull * pick.T @ pick
        moved = factorize(system)(hold[:, None] * (match - start) + pull * (pick.T @ wanted))
    return start + moved
