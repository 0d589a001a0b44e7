"""Place the landmark sets on our mesh and flatten the face into a UV map."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from experiments.head_model.assemble import Topology
from experiments.head_model.ict import Ict
from experiments.head_model.regions import REGIONS, VISIBLE_SKIN
from experiments.head_model.shapes import Shapes
from experiments.head_model.surface import Floats, Ints, SurfacePoints, boundary_loops, closest_points
from mfn.structures.mediapipe_points import LOWER_INNER_LIPS
from retarget.arkit import EXPRESSION_NAMES

DENSE_COUNT = 520
# Powers of the mean-value weights and of the edge lengths: areas with dense vertices get more of the UV map.
CHART_EVENNESS, CHART_DETAIL = 0.3, 0.8
MIRROR_68 = (
    list(range(16, -1, -1)) + list(range(26, 16, -1)) + [27, 28, 29, 30] + [35, 34, 33, 32, 31] + [45, 44, 43, 42, 47, 46]
    + [39, 38, 37, 36, 41, 40] + [54, 53, 52, 51, 50, 49, 48] + [59, 58, 57, 56, 55] + [64, 63, 62, 61, 60] + [67, 66, 65]
)  # fmt: skip


def move_to_lower_lip(points: SurfacePoints, head: Topology, shapes: Shapes) -> SurfacePoints:
    """Move MediaPipe's inner points of the lower lip to the lower side of the line where the lips touch.

    When the mouth is closed both inner lips are one line, and the given correspondence has all inner points on the upper
    lip. There they would stay when the jaw opens, and every fitted mouth would stay closed.
    """
    corners, weights, rows = points.corners.copy(), points.weights.copy(), list(LOWER_INNER_LIPS)
    x, lower = _lower_seam(head, shapes)
    wanted = (shapes.mean[corners[rows], 0] * weights[rows]).sum(1)
    right = np.clip(np.searchsorted(x, wanted), 1, len(x) - 1)
    share = np.clip((wanted - x[right - 1]) / np.maximum(x[right] - x[right - 1], 1e-9), 0, 1)
    corners[rows] = np.stack([lower[right - 1], lower[right], lower[right]], 1)
    weights[rows] = np.stack([1 - share, share, np.zeros_like(share)], 1)
    return SurfacePoints(corners, weights)


def _lower_seam(head: Topology, shapes: Shapes) -> tuple[Floats, Ints]:
    """Find the vertices of the lower lip that touch the upper lip when the mouth is closed.

    Returns:
        Their x (S,) in meters, ascending, and their numbers (S,).

    Raises:
        ValueError: The lips do not touch.
    """
    lips = np.flatnonzero(head.region == REGIONS.index("lips"))
    gap = np.linalg.norm(shapes.mean[lips, None] - shapes.mean[lips][None], axis=2)
    np.fill_diagonal(gap, np.inf)
    twin = lips[gap.argmin(1)]
    drop = shapes.expression[EXPRESSION_NAMES.index("jawOpen"), :, 1]
    lower = lips[(gap.min(1) < 1e-5) & (drop[lips] < drop[twin])]
    if len(lower) < 2:
        raise ValueError(
            "expected lips that touch, found fewer than two common positions: close the lips of the mean first"
        )
    lower = lower[np.argsort(shapes.mean[lower, 0])]
    return shapes.mean[lower, 0], lower


def with_open_mouth(neutral: Floats, expression: Floats) -> Floats:
    """Return the head (V, 3) with an open jaw, so that closest points cannot be on the wrong lip."""
    return np.asarray(neutral + expression[EXPRESSION_NAMES.index("jawOpen")])


def region_triangles(head: Topology, names: tuple[str, ...]) -> Ints:
    """Return the triangles (T, 3) whose vertices all belong to the named regions."""
    inside = np.isin(head.region, [REGIONS.index(name) for name in names])
    return head.triangles[inside[head.triangles].all(1)]


def landmark_sets(ict: Ict, head: Topology, shapes: Shapes, mediapipe: tuple[Ints, Floats]) -> dict[str, SurfacePoints]:
    """Place the landmark sets ibug68, mediapipe478 and dense520 on our mesh.

    Args:
        ict: ICT-FaceKit.
        head: Our mesh.
        shapes: Its shapes.
        mediapipe: Vertices (478, 3) and weights (478, 3) of MediaPipe's points on ICT.
    """
    middle = np.median(
        head.interpolate(ict.mean)[:, 1:] / 100 - shapes.mean[:, 1:], axis=0
    )  # position of our origin on ICT
    centered = ict.mean / 100 - np.array([0, *middle])
    posed_ict, posed = with_open_mouth(centered, ict.expression / 100), with_open_mouth(shapes.mean, shapes.expression)
    skin = region_triangles(head, VISIBLE_SKIN)
    targets = posed_ict[ict.landmarks]
    targets = (targets + targets[MIRROR_68] * [-1, 1, 1]) / 2
    ibug, _ = closest_points(targets, posed, skin)
    ibug = make_symmetric(ibug, np.array(MIRROR_68), head)
    on_midline = np.flatnonzero(np.array(MIRROR_68) == np.arange(68))
    edges = np.concatenate([skin[:, [0, 1, 1]], skin[:, [1, 2, 2]], skin[:, [2, 0, 0]]])
    seam, _ = closest_points(targets[on_midline], posed, edges[(head.mirror[edges] == edges).all(1)])
    ibug.corners[on_midline], ibug.weights[on_midline] = seam.corners, seam.weights
    vertex, weight = mediapipe
    targets = (posed_ict[vertex] * weight[..., None]).sum(1)
    on_skin, _ = closest_points(targets, posed, skin)
    eyes, _ = closest_points(targets, posed, region_triangles(head, ("eyeball_left", "eyeball_right", "iris", "pupil")))
    iris = np.arange(len(targets)) >= 468
    mixed = SurfacePoints(
        np.where(iris[:, None], eyes.corners, on_skin.corners), np.where(iris[:, None], eyes.weights, on_skin.weights)
    )
    mixed = move_to_lower_lip(mixed, head, shapes)
    return {"ibug68": ibug, "mediapipe478": mixed, "dense520": dense_points(ict, head, shapes, ibug)}


def make_symmetric(points: SurfacePoints, twin: Ints, head: Topology) -> SurfacePoints:
    """Make point `twin[i]` the exact mirror image of point i, for i < twin[i]."""
    corners, weights = points.corners.copy(), points.weights.copy()
    first = np.flatnonzero(np.arange(len(twin)) < twin)
    corners[twin[first]], weights[twin[first]] = head.mirror[corners[first]], weights[first]
    return SurfacePoints(corners, weights)


def dense_points(ict: Ict, head: Topology, shapes: Shapes, ibug: SurfacePoints) -> SurfacePoints:
    """Return the 68 landmarks and further vertices of the face front.

    The vertices are chosen by farthest-point sampling, up to four times as densely at the eyes, the lips and the nose.
    """
    position = shapes.mean
    front = np.isin(head.region, [REGIONS.index(n) for n in ("face", "lids", "lips", "brows")]) & (
        position[:, 2] > -0.045
    )
    candidates = np.flatnonzero(front & (position[:, 1] > -0.125))
    landmarks = ibug.interpolate(position)
    detail = np.concatenate([landmarks[27:36], landmarks[36:68]])
    size = 1.0 + 3.0 * np.clip(cKDTree(detail).query(position[candidates])[0] / 0.04, 0, 1)
    ratio = cKDTree(landmarks).query(position[candidates])[0] / size
    picked: list[int] = []
    while len(picked) < DENSE_COUNT - len(landmarks):
        k = int(ratio.argmax())
        picked.append(int(candidates[k]))
        ratio = np.minimum(ratio, np.linalg.norm(position[candidates] - position[candidates[k]], axis=1) / size)
    vertex = np.array(picked)
    corners = np.concatenate([ibug.corners, np.repeat(vertex[:, None], 3, 1)])
    return SurfacePoints(corners, np.concatenate([ibug.weights, np.tile([1.0, 0, 0], (len(vertex), 1))]))


def face_chart(head: Topology, mean: Floats) -> Floats:
    """Flatten face, eyelids, lips, brows and ears into the unit square.

    Args:
        head: Our mesh.
        mean: (V, 3) mean head, m.

    Returns:
        UV coordinates (V, 2), one-to-one; u grows to the subject's left, v downwards. -1 at vertices outside the map.

    Method: Tutte's embedding with mean-value weights. The weights are positive and the outline is convex, so no triangle
    is turned over.
    """
    triangles = region_triangles(head, ("face", "lids", "lips", "brows", "ears", "nostrils"))
    triangles = _largest_disc(triangles, head, mean)
    loops = boundary_loops(triangles)
    outline = loops[0]
    count = len(mean) + len(loops) - 1
    fans, position = [triangles], list(mean)
    for k, loop in enumerate(loops[1:]):  # close eyes and mouth with fans, so that they keep their area
        hub = len(mean) + k
        position.append(mean[loop].mean(0))
        fans.append(np.stack([np.full(len(loop), hub), np.roll(loop, -1), loop], 1))
    flat = np.full((count, 2), -1.0)
    flat[outline] = _outline_uv(outline, mean)
    weight = _mean_value_weights(np.array(position), np.concatenate(fans))
    rows, cols = weight.nonzero()
    edge = np.linalg.norm(np.array(position)[rows] - np.array(position)[cols], axis=1)
    spring = np.asarray(weight[rows, cols]).ravel() ** CHART_EVENNESS * edge**CHART_DETAIL
    weight = coo_matrix((spring, (rows, cols)), shape=weight.shape).tocsr()
    weight = weight @ diags(
        np.where(np.arange(count) < len(mean), 1.0, 0.3)
    )  # the hub of a fan must not shrink the opening
    free = np.setdiff1d(np.unique(np.concatenate(fans)), outline)
    system = (diags(np.asarray(weight.sum(1)).ravel()) - weight).tocsr()
    flat[free] = splu(system[free][:, free].tocsc()).solve(-(system[free][:, outline] @ flat[outline]))
    return flat[: len(mean)]


def _outline_uv(outline: Ints, mean: Floats) -> Floats:
    """Place the outline's vertices on a rounded square, evenly by length and exactly mirror-symmetric; returns (O, 2)."""
    top = int(np.where(np.abs(mean[outline, 0]) < 1e-9, mean[outline, 1], -9).argmax())
    order = np.roll(outline, -top)
    step = np.linalg.norm(mean[order] - mean[np.roll(order, -1)], axis=1)
    along = np.concatenate([[0], np.cumsum(step)[:-1]]) / step.sum() * 2 * np.pi
    left = mean[order[1], 0] > 0
    x, y = np.sin(along) * (1 if left else -1), -np.cos(along)
    radius = (np.abs(x) ** 3 + np.abs(y) ** 3) ** (
        1 / 3
    )  # a superellipse fills the square better than a disc and is convex
    targets = np.stack([0.5 + 0.49 * x / radius, 0.5 + 0.49 * y / radius], 1)
    out = np.zeros((len(outline), 2))
    position = {int(v): i for i, v in enumerate(outline)}
    for v, target in zip(order, targets):
        out[position[int(v)]] = target
    return out


def _largest_disc(triangles: Ints, head: Topology, mean: Floats) -> Ints:
    """Return the connected part with the nose, without vertices where it touches itself and with small holes filled."""
    from scipy.sparse.csgraph import connected_components

    for _ in range(20):
        edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]]])
        label = connected_components(
            coo_matrix((np.ones(len(edges)), edges.T), shape=(len(mean),) * 2), directed=False
        )[1]
        triangles = triangles[label[triangles[:, 0]] == label[mean[:, 2].argmax()]]
        directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        known = set(map(tuple, directed.tolist()))
        leaving = np.bincount([a for a, b in known if (b, a) not in known], minlength=len(mean))
        pinched = leaving > 1
        if not pinched.any():
            break
        triangles = triangles[~pinched[triangles].any(1)]
    holes = [loop for loop in boundary_loops(triangles)[1:] if not _is_opening(loop, head)]
    skin = region_triangles(head, VISIBLE_SKIN)
    for loop in holes:
        inside = np.isin(skin, loop).any(1)
        triangles = np.unique(np.concatenate([triangles, skin[inside]]), axis=0)
    return triangles


def _is_opening(loop: Ints, head: Topology) -> bool:
    """Return whether a boundary loop belongs to an eye or to the mouth."""
    return bool(np.isin(head.region[loop], [REGIONS.index("lids"), REGIONS.index("lips")]).all())


def _mean_value_weights(position: Floats, triangles: Ints) -> coo_matrix:
    """Compute Floater's mean-value weights (V, V): row i holds the weights of the neighbors of i."""
    rows, cols, vals = [], [], []
    for k in range(3):
        i, j, o = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        u, w = position[j] - position[i], position[o] - position[i]
        nu, nw = np.linalg.norm(u, axis=1), np.linalg.norm(w, axis=1)
        tangent = np.tan(np.arccos(np.clip((u * w).sum(1) / (nu * nw), -0.999, 0.999)) / 2)
        rows += [i, i]
        cols += [j, o]
        vals += [tangent / nu, tangent / nw]
    return coo_matrix(
        (np.concatenate(vals), (np.concatenate(rows), np.concatenate(cols))), shape=(len(position),) * 2
    ).tocsr()
