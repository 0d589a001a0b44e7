"""Place rows of vertices around the eyes, the mouth, the brows and the hairline of the left half (x >= 0).

All points are barycentric points of the half ICT surface, in centimeters. Neighbors in a row are joined by edges. A
closed row is called a ring.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from experiments.head_model.ict import SKIN_END, Ict
from experiments.head_model.surface import (
    Floats,
    Ints,
    SurfacePoints,
    at_vertices,
    boundary_loops,
    closest_points,
    concatenate_points,
    harmonic,
    harmonic_fit,
    heat_distance,
    level_line,
)

EYELID_RING_POINTS = 28
EYELID_RING_DISTANCES_CM = (0.17, 0.37, 0.61, 0.9)
LIP_ROW_STEPS = 20
LIP_ROW_DISTANCES_CM = (0.3, 0.66, 1.1)
# (depth z, height y) of points of the hairline: nape, behind and over the ear, sideburn, temple, forehead.
HAIRLINE_CM = ((-9, -4.5), (-5, -3.5), (-3.6, 0.5), (-2.8, 4.6), (-1.6, 6.3), (2.4, 6.2), (3.5, 5.3), (4.5, 4.7), (5.2, 6.4), (6.5, 8.5),
               (8, 9.4), (12, 9.8))  # fmt: skip
BROW_ROW_POINTS = 8
# MediaPipe's points along the edges of the brows, (right, left), from the nose outwards.
UPPER_BROW = ((107, 336), (66, 296), (105, 334), (63, 293), (70, 300))
LOWER_BROW = ((55, 285), (65, 295), (52, 282), (53, 283), (46, 276))


class Half(NamedTuple):
    """Hold the left half of ICT's skin.

    Attributes:
        vertices: (V, 3) all vertices of ICT, cm.
        triangles: (T, 3) triangles of the half.
        edges: (E, 2) edges of its quads.
        lid: (L,) boundary loop at the eye.
        outline: (O,) outer boundary loop.
    """

    vertices: Floats
    triangles: Ints
    edges: Ints
    lid: Ints
    outline: Ints


def left_half(ict: Ict) -> Half:
    """Cut the skin at x = 0, which is a line of edges in ICT, and find the loop of the eye and the outline."""
    vertices = ict.mean.copy()
    vertices[np.abs(vertices[:, 0]) < 1e-3, 0] = 0.0
    quads = ict.quads[ict.quads.max(1) < SKIN_END]
    quads = quads[(vertices[quads][..., 0] >= 0).all(1)]
    triangles = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
    edges = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])
    outline, lid = boundary_loops(triangles)[:2]
    return Half(vertices, triangles, edges, lid, outline)


def edge_path(half: Half, stops: list[int]) -> Ints:
    """Return the vertices (K,) of the shortest path along mesh edges through the vertices `stops`."""
    length = np.linalg.norm(half.vertices[half.edges[:, 0]] - half.vertices[half.edges[:, 1]], axis=1)
    count = len(half.vertices)
    graph = coo_matrix((length, (half.edges[:, 0], half.edges[:, 1])), shape=(count, count)).tocsr()
    path = [stops[0]]
    for a, b in zip(stops[:-1], stops[1:]):
        before = dijkstra(graph, directed=False, indices=a, return_predecessors=True)[1]
        part = [b]
        while part[-1] != a:
            part.append(before[part[-1]])
        path += part[-2::-1]
    return np.array(path)


def _resample_halves(line: SurfacePoints, half: Half, cut: float, count: int) -> SurfacePoints:
    """Resample an open line with `count` equal steps on each side of the length fraction `cut`; returns 2 count + 1 points."""
    at = np.concatenate([np.linspace(0, cut, count + 1), np.linspace(cut, 1, count + 1)[1:]])
    return resample(line, half.vertices, half.triangles, at)


def resample(line: SurfacePoints, vertices: Floats, triangles: Ints, at: Floats) -> SurfacePoints:
    """Return surface points at the given fractions (P,) of a line's length."""
    position = line.interpolate(vertices)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(position, axis=0), axis=1))])
    wanted = np.stack([np.interp(at * length[-1], length, position[:, k]) for k in range(3)], 1)
    return closest_points(wanted, vertices, triangles)[0]


def _fraction(line: SurfacePoints, vertices: Floats, target: Floats) -> float:
    """Return the length fraction of the line's point that is closest to `target` (3,)."""
    position = line.interpolate(vertices)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(position, axis=0), axis=1))])
    return float(length[np.linalg.norm(position - target, axis=1).argmin()] / length[-1])


def _rotate_closed(line: SurfacePoints, vertices: Floats, target: Floats, upward: bool) -> SurfacePoints:
    """Reorder a closed line to start at the point closest to `target` (3,) and to pass the upper side first if `upward`."""
    body = line.take(np.arange(len(line.corners) - 1))
    position = body.interpolate(vertices)
    start = np.linalg.norm(position - target, axis=1).argmin()
    order = np.roll(np.arange(len(position)), -start)
    quarter = position[order[len(order) // 4]][1] > position[order[3 * len(order) // 4]][1]
    if quarter != upward:
        order = np.concatenate([order[:1], order[:0:-1]])
    return body.take(np.concatenate([order, order[:1]]))


def eyelid_rings(ict: Ict, half: Half) -> tuple[list[SurfacePoints], Floats]:
    """Place the rings around the left eye.

    Returns:
        The rings from the inside to the outside, EYELID_RING_POINTS points each. A ring starts at the inner corner of
        the eye and passes the upper eyelid first. Then, for each vertex (V,), the distance outside the outermost ring in
        cm, negative inside it.
    """
    vertices, n = half.vertices, EYELID_RING_POINTS // 2
    landmarks = [int(i) for i in ict.landmarks[[42, 43, 44, 45, 46, 47]]]
    margin = edge_path(half, landmarks + landmarks[:1])
    inner, outer = vertices[landmarks[0]], vertices[landmarks[3]]
    known = np.concatenate([np.zeros(len(half.lid)), np.ones(len(margin) - 1)])
    field = harmonic(vertices, half.triangles, np.concatenate([half.lid, margin[:-1]]), known)
    distance = heat_distance(vertices, half.triangles, margin[:-1])
    lines = [at_vertices(np.append(half.lid, half.lid[0])), at_vertices(margin)]
    lines += [level_line(vertices, half.triangles, distance, d) for d in EYELID_RING_DISTANCES_CM]
    rings = []
    for k, line in enumerate(lines):
        line = _rotate_closed(line, vertices, inner, True)
        cut = _fraction(line, vertices, outer)
        stagger = 0.5 / EYELID_RING_POINTS if k > 1 and k % 2 == 0 else 0.0
        at = np.concatenate([np.linspace(0, cut, n, endpoint=False), np.linspace(cut, 1, n, endpoint=False)])
        rings.append(resample(line, half.vertices, half.triangles, np.mod(at + stagger, 1.0)))
    inside = (field < 0.999) & (distance < 1.0)
    return rings, np.where(inside, -1.0, distance - EYELID_RING_DISTANCES_CM[-1])


def lip_rows(ict: Ict, half: Half) -> tuple[list[SurfacePoints], Floats]:
    """Place the rows around the left half of the mouth.

    Returns:
        The rows from the inside to the outside, LIP_ROW_STEPS + 1 points each, from the top of the midline to its bottom.
        Then, for each vertex (V,), the distance outside the outermost row in cm, negative inside it.
    """
    vertices, landmarks = half.vertices, ict.landmarks
    inside = _lip_row(half)
    line = edge_path(half, [int(i) for i in landmarks[[62, 63, 64, 65, 66]]])
    border = _lip_border(ict, half)
    known = concatenate_points([at_vertices(inside), at_vertices(line), border])
    values = np.repeat([0.0, 1.0, 2.0], [len(inside), len(line), len(border.corners)])
    field = harmonic_fit(vertices, half.triangles, known, values)
    distance = cKDTree(border.interpolate(vertices)).query(vertices)[0]
    beyond = np.where(field > 1.97, distance, -distance)
    lines = [at_vertices(inside), level_line(vertices, half.triangles, field, 0.5), at_vertices(line)]
    lines += [level_line(vertices, half.triangles, field, level) for level in (1.36, 1.7)] + [border]
    lines += [level_line(vertices, half.triangles, beyond, d) for d in LIP_ROW_DISTANCES_CM]
    rows = []
    inner_corner, outer_corner = vertices[landmarks[64]], vertices[landmarks[54]]
    for k, row in enumerate(lines):
        if row.interpolate(vertices)[0, 1] < row.interpolate(vertices)[-1, 1]:
            row = row.take(np.arange(len(row.corners))[::-1])
        blend = (0, 0, 0, 0.4, 0.7)[k] if k < 5 else 1.0
        target = inner_corner * (1 - blend) + outer_corner * blend
        if k == 0:
            target = vertices[inside[vertices[inside, 0].argmax()]]
        cut = 0.5 if k > 6 else _fraction(row, vertices, target)
        rows.append(_resample_halves(row, half, cut, LIP_ROW_STEPS // 2))
    return rows, np.where(field > 1.97, distance - LIP_ROW_DISTANCES_CM[-1], -1.0)


def brow_rows(ict: Ict, half: Half, mediapipe: Floats) -> list[SurfacePoints]:
    """Place four rows along the left brow: skin above it, its upper edge, its lower edge, skin below it.

    Args:
        ict: ICT-FaceKit.
        half: Its left half.
        mediapipe: (478, 3) MediaPipe's points on ICT's mean head, cm.

    Returns:
        Four rows of BROW_ROW_POINTS points each, from the nose outwards.
    """
    upper, lower = (_smooth(np.array([(mediapipe[right] * [-1, 1, 1] + mediapipe[left]) / 2 for right, left in edge]), BROW_ROW_POINTS)
                    for edge in (UPPER_BROW, LOWER_BROW))  # fmt: skip
    middle, half_width = (upper + lower) / 2, (upper - lower) / 2
    narrow = np.linspace(0.62, 0.42, BROW_ROW_POINTS)[
        :, None
    ]  # MediaPipe's brows are wide; ours become narrower towards the temple
    wider = narrow + 0.14 / np.linalg.norm(half_width, axis=1, keepdims=True)
    ends = np.zeros_like(middle)
    ends[0], ends[-1] = middle[0] - middle[1], middle[-1] - middle[-2]
    ends *= 0.14 / np.maximum(
        np.linalg.norm(ends, axis=1, keepdims=True), 1e-9
    )  # the rows on the skin extend beyond the ends of the brow
    narrow, wider = half_width * narrow, half_width * wider
    rows = (middle + ends + wider, middle + narrow, middle - narrow, middle + ends - wider)
    return [closest_points(row, half.vertices, half.triangles)[0] for row in rows]


def hairline_row(half: Half, step_cm: float = 0.95) -> SurfacePoints:
    """Place points along the hairline from the forehead to the nape, none on the midline itself, about `step_cm` apart."""
    line = level_line(half.vertices, half.triangles, hairline_height(half.vertices), 0.0)
    position = line.interpolate(half.vertices)
    if position[0, 1] < position[-1, 1]:
        line = line.take(np.arange(len(position))[::-1])
    length = np.linalg.norm(np.diff(position, axis=0), axis=1).sum()
    number = round(length / step_cm)
    return resample(line, half.vertices, half.triangles, (np.arange(number) + 0.5) / number)


def hairline_height(position: Floats) -> Floats:
    """Return the height (P,) in cm of positions (P, 3) above the hairline; positive where hair grows. Ears are not treated apart."""
    depth, height = np.array(HAIRLINE_CM).T
    dense = np.linspace(-14, 14, 561)
    smooth = np.convolve(np.interp(dense, depth, height), np.ones(15) / 15, mode="same")
    return position[:, 1] - np.interp(position[:, 2], dense[10:-10], smooth[10:-10])


def _smooth(knots: Floats, count: int) -> Floats:
    """Return `count` points, evenly spaced along a spline through `knots` (K, 3)."""
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    return np.asarray(CubicSpline(chord, knots)(np.linspace(0, chord[-1], count)))


def _lip_border(ict: Ict, half: Half) -> SurfacePoints:
    """Return the border of the red lip as a dense row of surface points from the midline's top: splines through the outer lip landmarks."""
    landmarks = ict.mean[ict.landmarks]
    parts = []
    for index, keep in (
        ([48, 49, 50, 51, 52, 53, 54], slice(100, None)),
        ([54, 55, 56, 57, 58, 59, 48], slice(1, 101)),
    ):
        knots = landmarks[index]
        chord = np.concatenate([[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(knots, axis=0), axis=1)))])
        parts.append(CubicSpline(chord, knots)(np.linspace(0, chord[-1], 201))[keep])
    dense = np.concatenate(parts)
    dense[[0, -1], 0] = 0.0
    return closest_points(dense, half.vertices, half.triangles)[0]


def _is_lip(position: Floats) -> bool:
    """Return whether a position (3,) lies in the box around the left half of the lips."""
    x, y, z = position
    return bool(x < 2.6 and -4.5 < y < -2.3 and z > 9.0)


def _lip_row(half: Half) -> Ints:
    """Return the part of the outline inside the mouth, from the top of the midline to its bottom."""
    outline, vertices = half.outline, half.vertices
    off = np.array([_is_lip(vertices[i]) and vertices[i, 0] > 0 for i in outline])
    start = np.flatnonzero(off & ~np.roll(off, 1))[0]
    order = np.roll(outline, -(start - 1))
    row = order[: int(off.sum()) + 2]
    return row if vertices[row[0], 1] > vertices[row[-1], 1] else row[::-1]
