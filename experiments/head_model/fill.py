"""Fill the half head between the rows with scattered points and triangulate all points. Centimeters."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from experiments.head_model.ict import Ict
from experiments.head_model.layout import Half
from experiments.head_model.stitch import triangulate
from experiments.head_model.surface import Bools, Floats, Ints, SurfacePoints, boundary_loops, concatenate_points
from retarget.geometry.mesh import vertex_normals

# Distance that a unit difference of normals adds, so that the two sides of an ear are not neighbors.
NORMAL_WEIGHT_CM = 0.3


def point_spacing(ict: Ict, half: Half, rings: list[SurfacePoints], tolerance_cm: float = 0.045) -> Floats:
    """Compute the wanted distance between neighboring points at every vertex.

    It depends on the part of the face and on the curvature, and changes slowly along the surface.

    Args:
        ict: ICT-FaceKit.
        half: Its left half.
        rings: Rows that are already placed; the spacing near them is at most 0.5 cm.
        tolerance_cm: Largest distance between the curved surface and a flat triangle.

    Returns:
        Distance (V,), cm.
    """
    v, landmarks = half.vertices, ict.mean[ict.landmarks]
    count = len(v)
    spacing = np.full(count, 2.9)
    spacing[: ict.ranges["face"][1]] = 0.8
    spacing[: ict.ranges["narrow_face"][1]] = 0.59
    for index, radius, near in (
        ([30, 33, 34, 35], 1.4, 0.31),
        ([22, 23, 24, 25, 26], 0.7, 0.4),
        ([27, 28, 29], 1.0, 0.5),
    ):
        distance = cKDTree(landmarks[index]).query(v)[0]
        spacing = np.where(distance < radius, np.minimum(spacing, near), spacing)
    normal = vertex_normals(v, half.triangles)
    a, b = half.edges[:, 0], half.edges[:, 1]
    step = v[b] - v[a]
    length = np.linalg.norm(step, axis=1)
    bend = np.linalg.norm(normal[b] - normal[a], axis=1) / length
    curvature = np.zeros(count)
    weight = np.zeros(count)
    for end in (a, b):
        np.add.at(curvature, end, bend * length)
        np.add.at(weight, end, length)
    curvature = curvature / np.maximum(weight, 1e-9)
    curved = np.sqrt(8 * tolerance_cm / np.maximum(curvature, 1e-4))
    spacing = np.minimum(spacing, np.clip(curved, 0.38, 3.0))
    wide = slice(ict.ranges["narrow_face"][1], ict.ranges["face"][1])
    spacing[wide] = np.maximum(spacing[wide], 0.54)  # ears: the outline without each fold
    below = v[:, 1] < -8.8 + 0.28 * np.maximum(9.5 - v[:, 2], 0)  # under the jaw the neck can be coarse
    spacing[below] = np.maximum(spacing[below], 1.3)
    nearest = cKDTree(np.concatenate([r.interpolate(v) for r in rings]))
    distance = nearest.query(v)[0]
    spacing = np.where(distance < 0.4, np.minimum(spacing, 0.5), spacing)
    for _ in range(60):
        np.minimum.at(spacing, b, spacing[a] + 0.3 * length)
        np.minimum.at(spacing, a, spacing[b] + 0.3 * length)
    return np.asarray(spacing)


def outline_points(half: Half, rows: list[SurfacePoints], spacing: Floats) -> tuple[SurfacePoints, Bools]:
    """Place points on the outline outside the lip rows: up the midline, over the head, around the neck and back to the chin.

    Returns:
        The points, and a mask (P,) that is True for points on the midline.
    """
    v, outline = half.vertices, half.outline
    ends = np.stack([rows[-1].interpolate(v)[0], rows[-1].interpolate(v)[-1]])
    order = np.roll(outline, -int(np.linalg.norm(v[outline] - ends[0], axis=1).argmin()))
    if np.linalg.norm(v[order] - ends[1], axis=1).argmin() < len(order) // 2:
        order = np.roll(order[::-1], 1)
    order = order[: int(np.linalg.norm(v[order] - ends[1], axis=1).argmin()) + 1]
    neck = np.flatnonzero(v[order, 0] > 0)
    pieces = [order[: neck[0]], order[neck[0] - 1 : neck[-1] + 2], order[neck[-1] + 1 :]]
    found, middle = [], []
    for k, piece in enumerate(pieces):
        start = ends[0] if k == 0 else v[piece[0]]
        stop = ends[1] if k == 2 else v[piece[-1]]
        line = np.concatenate([start[None], v[piece[1:-1]], stop[None]])
        step = np.linalg.norm(np.diff(line, axis=0), axis=1)
        size = np.maximum(spacing[piece], 1.5 if k == 1 else 0.0)
        density = np.concatenate([[0], np.cumsum(step / ((size[1:] + size[:-1]) / 2))])
        number = max(2, round(density[-1]))
        at = np.interp(
            np.linspace(0, density[-1], number + 1)[slice(1, None) if k != 2 else slice(1, -1)],
            density,
            np.arange(len(piece)),
        )
        low = np.minimum(at.astype(int), len(piece) - 2)
        share = at - low
        found.append(
            SurfacePoints(piece[np.stack([low, low + 1, low + 1], 1)], np.stack([1 - share, share, 0 * share], 1))
        )
        middle.append(np.full(len(at), k != 1))
    middle[1][-1] = True  # the ends of the neck lie on the midline; its first point belongs to the piece before
    return concatenate_points(found), np.concatenate(middle)


def cloud_points(half: Half, fixed: SurfacePoints, blocked: Floats, spacing: Floats, seed: int = 0) -> SurfacePoints:
    """Scatter points evenly over the free part of the surface.

    Args:
        half: The left half.
        fixed: Points that are already placed.
        blocked: (V,) values; points are placed only where this is positive.
        spacing: (V,) wanted distance between neighbors, cm.
        seed: Seed of the random samples.

    Points are chosen by farthest-point sampling and then moved to their centers of gravity (Lloyd's algorithm).
    """
    rng = np.random.default_rng(seed)
    v, tri = half.vertices, half.triangles
    area = np.linalg.norm(np.cross(v[tri[:, 1]] - v[tri[:, 0]], v[tri[:, 2]] - v[tri[:, 0]]), axis=1)
    local = spacing[tri].mean(1)
    chosen = rng.choice(len(tri), 80000, p=(area / local**2) / (area / local**2).sum())
    weights = rng.dirichlet([1, 1, 1], len(chosen))
    sample = SurfacePoints(tri[chosen], weights)
    sample = sample.take(np.flatnonzero(sample.interpolate(blocked) > 0))
    normal = vertex_normals(v, tri)
    features = np.concatenate([sample.interpolate(v), NORMAL_WEIGHT_CM * sample.interpolate(normal)], 1)
    size = sample.interpolate(spacing)
    fixed_features = np.concatenate([fixed.interpolate(v), NORMAL_WEIGHT_CM * fixed.interpolate(normal)], 1)
    mirror = np.array([-1.0, 1, 1, -1, 1, 1])
    ratio = cKDTree(fixed_features).query(features)[0] / size
    ratio = np.minimum(ratio, 1.8 * features[:, 0] / size)  # also far from its own mirror image
    picked = []
    while ratio.max() > 0.78:
        k = int(ratio.argmax())
        picked.append(k)
        ratio = np.minimum(ratio, np.linalg.norm(features - features[k], axis=1) / size)
    moving = features[picked]
    density = 1.0 / size**2  # the samples already have the density 1 / size**2
    for _ in range(25):
        image = moving * mirror
        owner = cKDTree(np.concatenate([moving, fixed_features, image])).query(features)[1]
        own = owner < len(moving)
        total = np.bincount(owner[own], density[own], minlength=len(moving))
        for axis in range(6):
            mean = np.bincount(owner[own], density[own] * features[own, axis], minlength=len(moving)) / np.maximum(
                total, 1e-12
            )
            moving[:, axis] = np.where(total > 0, mean, moving[:, axis])
        moving = features[cKDTree(features).query(moving)[1]]
    return sample.take(np.unique(cKDTree(features).query(moving)[1]))


def flatten(half: Half) -> Floats:
    """Flatten the half into the unit disc.

    Returns:
        Positions (V, 2) in the plane.

    Method: Tutte's embedding. It is one-to-one because the outline is convex and the eye is closed with a triangle fan.
    """
    v, count = half.vertices, len(half.vertices) + 1
    fan = np.stack([np.full(len(half.lid), count - 1), half.lid, np.roll(half.lid, -1)], 1)
    tri = np.concatenate([half.triangles, fan])
    length = np.linalg.norm(v[half.outline] - np.roll(v[half.outline], 1, 0), axis=1) ** 0.7
    angle = np.cumsum(length) / length.sum() * 2 * np.pi
    flat = np.zeros((count, 2))
    flat[half.outline] = np.stack([np.cos(angle), np.sin(angle)], 1)
    rows = np.concatenate([tri[:, [0, 1, 2]].ravel(), tri[:, [1, 2, 0]].ravel()])
    cols = np.concatenate([tri[:, [1, 2, 0]].ravel(), tri[:, [0, 1, 2]].ravel()])
    weight = coo_matrix((np.ones(len(rows)), (rows, cols)), shape=(count, count)).tocsr()
    laplacian = (diags(np.asarray(weight.sum(1)).ravel()) - weight).tocsr()
    free = np.setdiff1d(np.unique(tri), half.outline)
    rhs = -(laplacian[free][:, half.outline] @ flat[half.outline])
    flat[free] = splu(laplacian[free][:, free].tocsc()).solve(rhs)
    return flat[:-1]


def triangulate_half(half: Half, points: SurfacePoints, on_outline: Bools, rings: list[Ints], rows: list[Ints]) -> Ints:
    """Triangulate the points of the half.

    Args:
        half: The left half.
        points: P points on it.
        on_outline: (P,) True for points on the outline.
        rings: Closed rows of points, as point numbers, whose neighbors are joined by edges. The first one bounds the eye.
        rows: Open rows of points, given and joined in the same way.

    Returns:
        Triangles (T, 3), counter-clockwise from outside. The eye stays open.
    """
    flat_all = flatten(half)
    flat = points.interpolate(flat_all)
    flat[on_outline] /= np.linalg.norm(flat[on_outline], axis=1, keepdims=True)
    a, b, c = (flat_all[half.triangles[:, k]] for k in range(3))
    if np.median((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])) < 0:
        flat = flat * [1, -1]  # so that counter-clockwise in the plane is counter-clockwise from outside
    edges = [np.stack([ring, np.roll(ring, -1)], 1) for ring in rings] + [
        np.stack([row[:-1], row[1:]], 1) for row in rows
    ]
    return triangulate(flat, points.interpolate(half.vertices), np.concatenate(edges), rings[0])


def check_half(triangles: Ints, lid: Ints, outline_count: int) -> None:
    """Check that the boundary of the half is the first eyelid ring and the outline.

    Raises:
        ValueError: There are other loops or loops of another size.
    """
    loops = boundary_loops(triangles)
    sizes = sorted(len(loop) for loop in loops)
    if sizes != sorted([len(lid), outline_count]):
        raise ValueError(
            f"expected boundary loops of {sorted([len(lid), outline_count])} points, got {sizes}: change the spacing"
        )
