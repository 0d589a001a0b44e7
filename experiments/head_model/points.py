"""Landmark sets and the face's uv chart on our mesh."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from experiments.head_model.assemble import REGIONS, VISIBLE_SKIN, Topology
from experiments.head_model.ict import Ict
from experiments.head_model.shapes import Shapes
from experiments.head_model.surface import Points, boundary_loops, closest_points
from mfn.structures.mediapipe_points import LOWER_INNER_LIPS
from retarget.arkit import EXPRESSION_NAMES

DENSE_COUNT = 520
CHART_EVENNESS, CHART_DETAIL = 0.3, 0.8
"""Powers of the mean-value weights and of edge lengths: the chart gives more room where our points are dense."""
MIRROR_68 = (
    list(range(16, -1, -1)) + list(range(26, 16, -1)) + [27, 28, 29, 30] + [35, 34, 33, 32, 31] + [45, 44, 43, 42, 47, 46]
    + [39, 38, 37, 36, 41, 40] + [54, 53, 52, 51, 50, 49, 48] + [59, 58, 57, 56, 55] + [64, 63, 62, 61, 60] + [67, 66, 65]
)  # fmt: skip


def to_lower_lip(points: Points, head: Topology, shapes: Shapes) -> Points:
    """MediaPipe's points with the inner ones of the lower lip on the lower side of the seam between the lips.

    With the mouth shut the two inner lips are one line, and the correspondence that we are given has all of both on the upper one: there
    they would stay when the jaw opens, and hold every fitted mouth shut.
    """
    corners, weights, rows = points.corners.copy(), points.weights.copy(), list(LOWER_INNER_LIPS)
    x, lower = _lower_seam(head, shapes)
    wanted = (shapes.mean[corners[rows], 0] * weights[rows]).sum(1)
    right = np.clip(np.searchsorted(x, wanted), 1, len(x) - 1)
    share = np.clip((wanted - x[right - 1]) / np.maximum(x[right] - x[right - 1], 1e-9), 0, 1)
    corners[rows] = np.stack([lower[right - 1], lower[right], lower[right]], 1)
    weights[rows] = np.stack([1 - share, share, np.zeros_like(share)], 1)
    return Points(corners, weights)


def _lower_seam(head: Topology, shapes: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the lower lip that touch the upper one when the mouth is shut: x (S,) metres ascending, number (S,)."""
    lips = np.flatnonzero(head.region == REGIONS.index("lips"))
    gap = np.linalg.norm(shapes.mean[lips, None] - shapes.mean[lips][None], axis=2)
    np.fill_diagonal(gap, np.inf)
    twin = lips[gap.argmin(1)]
    drop = shapes.expression[EXPRESSION_NAMES.index("jawOpen"), :, 1]
    lower = lips[(gap.min(1) < 1e-5) & (drop[lips] < drop[twin])]
    if len(lower) < 2:
        raise ValueError("the lips do not touch: expected a mouth slit with coincident upper and lower vertices")
    lower = lower[np.argsort(shapes.mean[lower, 0])]
    return shapes.mean[lower, 0], lower


def open_mouth(neutral: np.ndarray, expression: np.ndarray) -> np.ndarray:
    """A pose with the lips apart, so that points of the upper lip are not taken for those of the lower one."""
    return neutral + expression[EXPRESSION_NAMES.index("jawOpen")]


def region_triangles(head: Topology, names: tuple[str, ...]) -> np.ndarray:
    """Triangles all of whose vertices lie in the named regions."""
    inside = np.isin(head.region, [REGIONS.index(name) for name in names])
    return head.triangles[inside[head.triangles].all(1)]


def landmark_sets(
    ict: Ict, head: Topology, shapes: Shapes, mediapipe: tuple[np.ndarray, np.ndarray]
) -> dict[str, Points]:
    """The sets ibug68, mediapipe478 and dense520 as points on our mesh. mediapipe: vertex (478, 3) and weight (478, 3) on ICT."""
    middle = np.median(head.on(ict.mean)[:, 1:] / 100 - shapes.mean[:, 1:], axis=0)  # where our origin lies on ICT
    centred = ict.mean / 100 - np.array([0, *middle])
    posed_ict, posed = open_mouth(centred, ict.expression / 100), open_mouth(shapes.mean, shapes.expression)
    skin = region_triangles(head, VISIBLE_SKIN)
    spots = posed_ict[ict.landmarks]
    spots = (spots + spots[MIRROR_68] * [-1, 1, 1]) / 2
    ibug, _ = closest_points(spots, posed, skin)
    ibug = symmetric(ibug, np.array(MIRROR_68), head)
    middle = np.flatnonzero(np.array(MIRROR_68) == np.arange(68))
    edges = np.concatenate([skin[:, [0, 1, 1]], skin[:, [1, 2, 2]], skin[:, [2, 0, 0]]])
    seam, _ = closest_points(spots[middle], posed, edges[(head.mirror[edges] == edges).all(1)])
    ibug.corners[middle], ibug.weights[middle] = seam.corners, seam.weights
    vertex, weight = mediapipe
    spots = (posed_ict[vertex] * weight[..., None]).sum(1)
    on_skin, _ = closest_points(spots, posed, skin)
    eyes, _ = closest_points(spots, posed, region_triangles(head, ("eyeball_left", "eyeball_right", "iris", "pupil")))
    iris = np.arange(len(spots)) >= 468
    mixed = Points(
        np.where(iris[:, None], eyes.corners, on_skin.corners), np.where(iris[:, None], eyes.weights, on_skin.weights)
    )
    mixed = to_lower_lip(mixed, head, shapes)
    return {"ibug68": ibug, "mediapipe478": mixed, "dense520": dense_points(ict, head, shapes, ibug)}


def symmetric(points: Points, twin: np.ndarray, head: Topology) -> Points:
    """Make `points[twin[i]]` the exact mirror image of `points[i]` for i < twin[i]."""
    corners, weights = points.corners.copy(), points.weights.copy()
    first = np.flatnonzero(np.arange(len(twin)) < twin)
    corners[twin[first]], weights[twin[first]] = head.mirror[corners[first]], weights[first]
    return Points(corners, weights)


def dense_points(ict: Ict, head: Topology, shapes: Shapes, ibug: Points) -> Points:
    """The 68, then vertices of the face front by farthest-point choice, four times as dense at eyes, lips and nose."""
    place = shapes.mean
    front = np.isin(head.region, [REGIONS.index(n) for n in ("face", "lids", "lips", "brows")]) & (place[:, 2] > -0.045)
    candidates = np.flatnonzero(front & (place[:, 1] > -0.125))
    marks = ibug.on(place)
    detail = np.concatenate([marks[27:36], marks[36:68]])
    size = 1.0 + 3.0 * np.clip(cKDTree(detail).query(place[candidates])[0] / 0.04, 0, 1)
    ratio = cKDTree(marks).query(place[candidates])[0] / size
    picked: list[int] = []
    while len(picked) < DENSE_COUNT - len(marks):
        k = int(ratio.argmax())
        picked.append(int(candidates[k]))
        ratio = np.minimum(ratio, np.linalg.norm(place[candidates] - place[candidates[k]], axis=1) / size)
    vertex = np.array(picked)
    corners = np.concatenate([ibug.corners, np.repeat(vertex[:, None], 3, 1)])
    return Points(corners, np.concatenate([ibug.weights, np.tile([1.0, 0, 0], (len(vertex), 1))]))


def face_chart(head: Topology, mean: np.ndarray) -> np.ndarray:
    """uv (V, 2): face, lids, lips, brows and ears flattened into the unit square, one-to-one; -1 elsewhere.

    u runs to the subject's left, v down.
    Tutte's embedding with mean-value weights: positive weights and a convex outline, so no triangle can turn over.
    """
    triangles = region_triangles(head, ("face", "lids", "lips", "brows", "ears", "nostrils"))
    triangles = _largest_disc(triangles, head, mean)
    loops = boundary_loops(triangles)
    outline = loops[0]
    count = len(mean) + len(loops) - 1
    fans, place = [triangles], list(mean)
    for k, loop in enumerate(loops[1:]):  # eyes and mouth closed by fans, so that they keep their room
        hub = len(mean) + k
        place.append(mean[loop].mean(0))
        fans.append(np.stack([np.full(len(loop), hub), np.roll(loop, -1), loop], 1))
    flat = np.full((count, 2), -1.0)
    flat[outline] = _outline_spots(outline, mean)
    weight = _mean_value_weights(np.array(place), np.concatenate(fans))
    rows, cols = weight.nonzero()
    edge = np.linalg.norm(np.array(place)[rows] - np.array(place)[cols], axis=1)
    spring = np.asarray(weight[rows, cols]).ravel() ** CHART_EVENNESS * edge**CHART_DETAIL
    weight = coo_matrix((spring, (rows, cols)), shape=weight.shape).tocsr()
    weight = weight @ diags(
        np.where(np.arange(count) < len(mean), 1.0, 0.3)
    )  # a fan's hub must not draw its opening together
    free = np.setdiff1d(np.unique(np.concatenate(fans)), outline)
    system = (diags(np.asarray(weight.sum(1)).ravel()) - weight).tocsr()
    flat[free] = splu(system[free][:, free].tocsc()).solve(-(system[free][:, outline] @ flat[outline]))
    return flat[: len(mean)]


def _outline_spots(outline: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The outline's vertices on a rounded square by direction round the nose, evened out, exactly mirror-symmetric."""
    top = int(np.where(np.abs(mean[outline, 0]) < 1e-9, mean[outline, 1], -9).argmax())
    order = np.roll(outline, -top)
    step = np.linalg.norm(mean[order] - mean[np.roll(order, -1)], axis=1)
    along = np.concatenate([[0], np.cumsum(step)[:-1]]) / step.sum() * 2 * np.pi
    left = mean[order[1], 0] > 0
    x, y = np.sin(along) * (1 if left else -1), -np.cos(along)
    reach = (np.abs(x) ** 3 + np.abs(y) ** 3) ** (
        1 / 3
    )  # a superellipse: fills the square better than a disc, still convex
    spots = np.stack([0.5 + 0.49 * x / reach, 0.5 + 0.49 * y / reach], 1)
    out = np.zeros((len(outline), 2))
    position = {int(v): i for i, v in enumerate(outline)}
    for v, spot in zip(order, spots):
        out[position[int(v)]] = spot
    return out


def _largest_disc(triangles: np.ndarray, head: Topology, mean: np.ndarray) -> np.ndarray:
    """The connected part that holds the nose, without pinched corners and with small stray holes filled."""
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


def _is_opening(loop: np.ndarray, head: Topology) -> bool:
    return bool(np.isin(head.region[loop], [REGIONS.index("lids"), REGIONS.index("lips")]).all())


def _mean_value_weights(place: np.ndarray, triangles: np.ndarray) -> coo_matrix:
    """Floater's mean-value weights (V, V): row i holds the weights of i's neighbours."""
    rows, cols, vals = [], [], []
    for k in range(3):
        i, j, o = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        u, w = place[j] - place[i], place[o] - place[i]
        nu, nw = np.linalg.norm(u, axis=1), np.linalg.norm(w, axis=1)
        tangent = np.tan(np.arccos(np.clip((u * w).sum(1) / (nu * nw), -0.999, 0.999)) / 2)
        rows += [i, i]
        cols += [j, o]
        vals += [tangent / nu, tangent / nw]
    return coo_matrix(
        (np.concatenate(vals), (np.concatenate(rows), np.concatenate(cols))), shape=(len(place),) * 2
    ).tocsr()
