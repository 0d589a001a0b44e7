"""Find which points of two head models are the same: by given pairs of vertices, or by laying one surface on the other.

Both models are in meters, with x to the subject's left, y up and z out of the face. Their origins may lie anywhere. SciPy is needed
(the extra `heads`). Letters: V vertices, P matched points, K components.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.closest_point import ClosestPointIndex
from retarget.geometry.mesh import vertex_areas, vertex_normals
from retarget.geometry.rotations import nearest_rotation

if TYPE_CHECKING:
    from mfn.structures.head_model.model import HeadModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RADIUS_M = 0.11  # points further from the tip of the nose are not of the face
MAX_POINTS = 4000
_RIGID_STEPS = 40
_FIT_MM = (1.0, 0.5, 0.2, 0.1, 0.1, 0.1)  # regularization of the identity that is fitted between two searches
_FIT_COMPONENTS = 80
_FACING_M = 0.01
_MIN_COSINE = 0.5  # between the normals of two points that are the same
_MAX_DISTANCE_M = 0.004
_MIN_POINTS = 50
_MIN_SHARE = 0.25  # of the points of the target's face
_MIN_PAIRS = 4
_LAYERS = ("eye_covers", "eyelashes")  # regions of ICT-FaceKit that lie before the eyes and do not move with them


class Frame(NamedTuple):
    """A rigid motion: point of the target = rotation (3, 3) @ point of the source + translation (3,)."""

    rotation: Floats
    translation: Floats

    def apply(self, points: Floats) -> Floats:
        """Move points (..., 3) from the source to the target."""
        return np.asarray(points @ self.rotation.T + self.translation)

    def inverse(self, points: Floats) -> Floats:
        """Move points (..., 3) from the target to the source."""
        return np.asarray((points - self.translation) @ self.rotation)


@dataclass(frozen=True)
class Matches:
    """P points that lie on both models.

    Attributes:
        frame: From the source to the target.
        vertex: (P,) vertices of the target.
        corners: (P, 3) vertices of the source whose triangle holds the same point.
        weight: (P, 3) barycentric weights of these corners.
        share: (P,) share of each point in the surface; the sum is 1.
    """

    frame: Frame
    vertex: Ints
    corners: Ints
    weight: Floats
    share: Floats


def match_pairs(source: HeadModel, target: HeadModel, pairs: NDArray[np.integer]) -> Matches:
    """Match two models by pairs of vertices.

    Args:
        source: The model whose coefficients are known.
        target: The model whose coefficients are wanted.
        pairs: (P, 2) a vertex of the source and the same one of the target.

    Raises:
        ValueError: There are too few pairs, or a number is no vertex.
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or len(pairs) < _MIN_PAIRS or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError(f"pairs: expected integers of shape (P, 2) with P >= {_MIN_PAIRS}, got {pairs.dtype} {pairs.shape}")
    for column, model in enumerate((source, target)):
        if pairs[:, column].min() < 0 or pairs[:, column].max() >= len(model.mean):
            raise ValueError(f"pairs: column {column}: expected vertices from 0 to {len(model.mean) - 1}, got {pairs[:, column].max()}")
    first, second = pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)
    share = np.full(len(pairs), 1 / len(pairs))
    frame = rigid_frame(source.mean[first].astype(float), target.mean[second].astype(float), share)
    weight = np.tile([1.0, 0.0, 0.0], (len(pairs), 1))
    return Matches(frame, second, np.repeat(first[:, None], 3, 1), weight, share)


def match_surfaces(source: HeadModel, target: HeadModel) -> Matches:
    """Match two models by their surfaces.

    The tips of the noses give the first frame, and closest points make it better. Then the target's identity is fitted to the mean head
    of the source between further searches, so that lips meet lips though the two mean heads differ.

    Raises:
        ValueError: The faces do not lie on each other.
    """
    search = _Search(source, target)
    frame = Frame(np.eye(3), nose_tip(target.mean) - nose_tip(source.mean))
    mean = target.mean[search.vertex].astype(np.float64)
    points = mean
    for _ in range(_RIGID_STEPS):
        found = search.closest(frame, points)
        frame = rigid_frame(found.position, points, found.share)
    basis = target.identity_basis[:_FIT_COMPONENTS, search.vertex].astype(float)
    for size_mm in _FIT_MM:
        found = search.closest(frame, points)
        offset = frame.apply(found.position) - mean
        points = mean + np.tensordot(ridge(basis, offset, found.share, size_mm), basis, 1)
        frame = rigid_frame(found.position, points, found.share)
    found = search.closest(frame, points)
    good = (found.share > 0) & (found.distance < _MAX_DISTANCE_M)
    if good.sum() < max(_MIN_POINTS, _MIN_SHARE * len(good)):
        text = f"only {int(good.sum())} of {len(good)} points lie on the other face; give pairs of vertices"
        raise ValueError(f"the two head models could not be laid on each other: {text}")
    share = found.share[good]
    return Matches(frame, search.vertex[good], found.corners[good], found.weight[good], share / share.sum())


def nose_tip(mean: NDArray[np.floating]) -> Floats:
    """Return the point (3,) of a head that lies furthest forward near its middle plane."""
    middle = np.abs(mean[:, 0] - (mean[:, 0].min() + mean[:, 0].max()) / 2) < 0.03
    rows = np.flatnonzero(middle) if middle.any() else np.arange(len(mean))
    return np.asarray(mean[rows[mean[rows, 2].argmax()]], np.float64)


def rigid_frame(source: Floats, target: Floats, share: Floats) -> Frame:
    """Return the rigid motion that lays points (P, 3) on others by weighted least squares."""
    weight = share[:, None] / max(float(share.sum()), 1e-12)
    a, b = (source * weight).sum(0), (target * weight).sum(0)
    rotation = np.asarray(nearest_rotation((target - b).T @ ((source - a) * weight)), np.float64)
    return Frame(rotation, b - rotation @ a)


def ridge(basis: Floats, offset: Floats, share: Floats, size_mm: float) -> Floats:
    """Fit coefficients (K,) so that components (K, P, 3) make offsets (P, 3); a coefficient of 1 costs as much as `size_mm` of distance."""
    scaled = basis * (share / max(float(share.sum()), 1e-12))[:, None]
    square = np.einsum("kpi,lpi->kl", scaled, basis, optimize=True) + (size_mm / 1000) ** 2 * np.eye(len(basis))
    return np.asarray(np.linalg.solve(square, np.einsum("kpi,pi->k", scaled, offset)))


def _solid(model: HeadModel) -> NDArray[np.bool_]:
    """Return which vertices (V,) belong to the head itself and not to a thin layer before the eyes."""
    return ~model.region_mask(*(name for name in _LAYERS if name in model.region_names))


class _Found(NamedTuple):
    """The closest points: corners and weights on the source, position (P, 3) in the source's frame, distance, share (0: not the same)."""

    corners: Ints
    weight: Floats
    position: Floats
    distance: Floats
    share: Floats


class _Search:
    """Finds points of the source that lie closest to vertices of the target's face."""

    def __init__(self, source: HeadModel, target: HeadModel) -> None:
        points, triangles = source.mean.astype(float), source.triangles[_solid(source)[source.triangles].all(1)].astype(np.int64)
        self.source_normals = vertex_normals(points, triangles)
        self.index = ClosestPointIndex(points, triangles, np.zeros((len(points), 0)), _FACING_M, 0.0)
        mean = target.mean.astype(float)
        corners = target.triangles.astype(np.int64)
        self.area = vertex_areas(mean, corners)
        near = (np.linalg.norm(mean - nose_tip(mean), axis=1) < RADIUS_M) & (self.area > 0) & _solid(target)
        vertex = np.flatnonzero(near)
        self.vertex = vertex[np.linspace(0, len(vertex) - 1, min(len(vertex), MAX_POINTS)).astype(int)] if len(vertex) else vertex
        self.normals = vertex_normals(mean, corners)[self.vertex]

    def closest(self, frame: Frame, points: Floats) -> _Found:
        """Find the points of the source that are closest to points (P, 3) of the target, in a frame."""
        normals = self.normals @ frame.rotation
        moved = frame.inverse(points)
        found = self.index.closest(moved, normals, np.zeros((len(moved), 0)))
        corners = self.index.triangles[found.triangle]
        position = (self.index.points[corners] * found.weight[..., None]).sum(1)
        cosine = ((self.source_normals[corners] * found.weight[..., None]).sum(1) * normals).sum(1)
        limit = max(3 * float(np.median(found.distance)), 0.002) if len(moved) else 0.0
        good = (cosine > _MIN_COSINE) & (found.distance < limit) & ~self.index.on_boundary(found)
        if not good.any():
            raise ValueError("the two head models could not be laid on each other: give pairs of vertices")
        return _Found(corners, found.weight, position, found.distance, self.area[self.vertex] * good)
