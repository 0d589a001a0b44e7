"""Where the vertices of our head go: clean rings round the eye and the mouth, a graded cloud elsewhere. Works on the left half (x >= 0).

All points are barycentric on the half ICT surface, centimetres. "Ring" is a row of points of which neighbours are joined by edges.
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
    Points,
    at_vertices,
    boundary_loops,
    closest_points,
    harmonic,
    harmonic_near,
    heat_distance,
    join,
    level_line,
)

LID_COUNT = 28
LID_DISTANCES = (0.17, 0.37, 0.61, 0.9)
LIP_COUNT = 20
LIP_DISTANCES = (0.3, 0.66, 1.1)


HAIRLINE_CM = ((-9, -4.5), (-5, -3.5), (-3.6, 0.5), (-2.8, 4.6), (-1.6, 6.3), (2.4, 6.2), (3.5, 5.3), (4.5, 4.7), (5.2, 6.4), (6.5, 8.5),
               (8, 9.4), (12, 9.8))  # fmt: skip
"""Height y of the hairline by depth z: nape, behind and over the ear, sideburn, temple, forehead."""
BROW_COUNT = 8
UPPER_BROW = ((107, 336), (66, 296), (105, 334), (63, 293), (70, 300))
LOWER_BROW = ((55, 285), (65, 295), (52, 282), (53, 283), (46, 276))
"""MediaPipe's points along the brows' edges, (right, left), from the nose outwards."""


class Half(NamedTuple):
    """The left half of ICT's skin: all ICT vertices, the half's triangles and quads' edges, and its loops."""

    vertices: np.ndarray
    triangles: np.ndarray
    edges: np.ndarray
    lid: np.ndarray
    outline: np.ndarray


def left_half(ict: Ict) -> Half:
    """Cut the skin at x = 0 (an edge line of ICT) and find the eye's loop and the outer outline."""
    vertices = ict.mean.copy()
    vertices[np.abs(vertices[:, 0]) < 1e-3, 0] = 0.0
    quads = ict.quads[ict.quads.max(1) < SKIN_END]
    quads = quads[(vertices[quads][..., 0] >= 0).all(1)]
    triangles = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
    edges = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])
    outline, lid = boundary_loops(triangles)[:2]
    return Half(vertices, triangles, edges, lid, outline)


def edge_path(half: Half, stops: list[int]) -> np.ndarray:
    """Vertices (K,) along mesh edges through `stops`, shortest between them."""
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


def _split_even(line: Points, half: Half, cut: float, count: int) -> Points:
    """`count` steps on each side of the fraction `cut` of an open line, both ends included: 2 count + 1 points."""
    at = np.concatenate([np.linspace(0, cut, count + 1), np.linspace(cut, 1, count + 1)[1:]])
    return along(line, half.vertices, half.triangles, at)


def along(line: Points, vertices: np.ndarray, triangles: np.ndarray, at: np.ndarray) -> Points:
    """Points at fractions `at` of a line's length, put back on the surface."""
    position = line.on(vertices)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(position, axis=0), axis=1))])
    wanted = np.stack([np.interp(at * length[-1], length, position[:, k]) for k in range(3)], 1)
    return closest_points(wanted, vertices, triangles)[0]


def _fraction(line: Points, vertices: np.ndarray, target: np.ndarray) -> float:
    """Arc-length fraction of the line's point closest to `target (3,)`."""
    position = line.on(vertices)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(position, axis=0), axis=1))])
    return float(length[np.linalg.norm(position - target, axis=1).argmin()] / length[-1])


def _closed_from(line: Points, vertices: np.ndarray, target: np.ndarray, upward: bool) -> Points:
    """Rotate a closed line (first point repeated last) to start nearest `target`, running over the upper side first."""
    body = line.take(np.arange(len(line.corners) - 1))
    position = body.on(vertices)
    start = np.linalg.norm(position - target, axis=1).argmin()
    order = np.roll(np.arange(len(position)), -start)
    quarter = position[order[len(order) // 4]][1] > position[order[3 * len(order) // 4]][1]
    if quarter != upward:
        order = np.concatenate([order[:1], order[:0:-1]])
    return body.take(np.concatenate([order, order[:1]]))


def lid_rings(ict: Ict, half: Half) -> tuple[list[Points], np.ndarray]:
    """Rings round the left eye from the inside out, LID_COUNT points each, from the inner corner over the upper lid.

    Also returns, per vertex, how far it lies outside the outermost ring (negative inside).
    """
    vertices, n = half.vertices, LID_COUNT // 2
    marks = [int(i) for i in ict.landmarks[[42, 43, 44, 45, 46, 47]]]
    margin = edge_path(half, marks + marks[:1])
    inner, outer = vertices[marks[0]], vertices[marks[3]]
    known = np.concatenate([np.zeros(len(half.lid)), np.ones(len(margin) - 1)])
    field = harmonic(vertices, half.triangles, np.concatenate([half.lid, margin[:-1]]), known)
    distance = heat_distance(vertices, half.triangles, margin[:-1])
    lines = [at_vertices(np.append(half.lid, half.lid[0])), at_vertices(margin)]
    lines += [level_line(vertices, half.triangles, distance, d) for d in LID_DISTANCES]
    rings = []
    for k, line in enumerate(lines):
        line = _closed_from(line, vertices, inner, True)
        cut = _fraction(line, vertices, outer)
        stagger = 0.5 / LID_COUNT if k > 1 and k % 2 == 0 else 0.0
        at = np.concatenate([np.linspace(0, cut, n, endpoint=False), np.linspace(cut, 1, n, endpoint=False)])
        rings.append(along(line, half.vertices, half.triangles, np.mod(at + stagger, 1.0)))
    inside = (field < 0.999) & (distance < 1.0)
    return rings, np.where(inside, -1.0, distance - LID_DISTANCES[-1])


def lip_rings(ict: Ict, half: Half) -> tuple[list[Points], np.ndarray]:
    """Rows round the left half of the mouth from the inside out, LIP_COUNT + 1 points each, from the top of the midline.

    Also returns, per vertex, how far it lies outside the outermost row (negative inside).
    """
    vertices, marks = half.vertices, ict.landmarks
    inside = _lip_row(half)
    line = edge_path(half, [int(i) for i in marks[[62, 63, 64, 65, 66]]])
    border = _lip_border(ict, half)
    known = join([at_vertices(inside), at_vertices(line), border])
    values = np.repeat([0.0, 1.0, 2.0], [len(inside), len(line), len(border.corners)])
    field = harmonic_near(vertices, half.triangles, known, values)
    distance = cKDTree(border.on(vertices)).query(vertices)[0]
    beyond = np.where(field > 1.97, distance, -distance)
    lines = [at_vertices(inside), level_line(vertices, half.triangles, field, 0.5), at_vertices(line)]
    lines += [level_line(vertices, half.triangles, field, level) for level in (1.36, 1.7)] + [border]
    lines += [level_line(vertices, half.triangles, beyond, d) for d in LIP_DISTANCES]
    rows = []
    inner_corner, outer_corner = vertices[marks[64]], vertices[marks[54]]
    for k, row in enumerate(lines):
        if row.on(vertices)[0, 1] < row.on(vertices)[-1, 1]:
            row = row.take(np.arange(len(row.corners))[::-1])
        blend = (0, 0, 0, 0.4, 0.7)[k] if k < 5 else 1.0
        target = inner_corner * (1 - blend) + outer_corner * blend
        if k == 0:
            target = vertices[inside[vertices[inside, 0].argmax()]]
        cut = 0.5 if k > 6 else _fraction(row, vertices, target)
        rows.append(_split_even(row, half, cut, LIP_COUNT // 2))
    return rows, np.where(field > 1.97, distance - LIP_DISTANCES[-1], -1.0)


def brow_rows(ict: Ict, half: Half, mediapipe: np.ndarray) -> list[Points]:
    """Four rows along the left brow, BROW_COUNT points each, from the nose outwards: skin above, upper edge, lower edge, skin below.

    mediapipe: (478, 3) MediaPipe's points on the mean ICT head.
    """
    upper, lower = (_smooth(np.array([(mediapipe[right] * [-1, 1, 1] + mediapipe[left]) / 2 for right, left in edge]), BROW_COUNT)
                    for edge in (UPPER_BROW, LOWER_BROW))  # fmt: skip
    middle, half_width = (upper + lower) / 2, (upper - lower) / 2
    narrow = np.linspace(0.62, 0.42, BROW_COUNT)[:, None]  # MediaPipe's brows are wide; ours taper
    wider = narrow + 0.14 / np.linalg.norm(half_width, axis=1, keepdims=True)
    ends = np.zeros_like(middle)
    ends[0], ends[-1] = middle[0] - middle[1], middle[-1] - middle[-2]
    ends *= 0.14 / np.maximum(
        np.linalg.norm(ends, axis=1, keepdims=True), 1e-9
    )  # the skin rows reach past the brow's ends
    narrow, wider = half_width * narrow, half_width * wider
    rows = (middle + ends + wider, middle + narrow, middle - narrow, middle + ends - wider)
    return [closest_points(row, half.vertices, half.triangles)[0] for row in rows]


def hairline_row(half: Half, step_cm: float = 0.95) -> Points:
    """Points along the hairline from the forehead to the nape, not on the midline itself."""
    line = level_line(half.vertices, half.triangles, hair_field(half.vertices), 0.0)
    place = line.on(half.vertices)
    if place[0, 1] < place[-1, 1]:
        line = line.take(np.arange(len(place))[::-1])
    length = np.linalg.norm(np.diff(place, axis=0), axis=1).sum()
    number = round(length / step_cm)
    return along(line, half.vertices, half.triangles, (np.arange(number) + 0.5) / number)


def hair_field(place: np.ndarray) -> np.ndarray:
    """Positive where hair grows; place (P, 3) cm. Says nothing about the ears."""
    depth, height = np.array(HAIRLINE_CM).T
    dense = np.linspace(-14, 14, 561)
    smooth = np.convolve(np.interp(dense, depth, height), np.ones(15) / 15, mode="same")
    return place[:, 1] - np.interp(place[:, 2], dense[10:-10], smooth[10:-10])


def _smooth(knots: np.ndarray, count: int) -> np.ndarray:
    """`count` points evenly along a spline through `knots (K, 3)`."""
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    return np.asarray(CubicSpline(chord, knots)(np.linspace(0, chord[-1], count)))


def _lip_border(ict: Ict, half: Half) -> Points:
    """The red lip's border as a dense row of surface points: splines through the outer lip landmarks, from the midline's top."""
    marks = ict.mean[ict.landmarks]
    parts = []
    for index, keep in (
        ([48, 49, 50, 51, 52, 53, 54], slice(100, None)),
        ([54, 55, 56, 57, 58, 59, 48], slice(1, 101)),
    ):
        knots = marks[index]
        chord = np.concatenate([[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(knots, axis=0), axis=1)))])
        parts.append(CubicSpline(chord, knots)(np.linspace(0, chord[-1], 201))[keep])
    dense = np.concatenate(parts)
    dense[[0, -1], 0] = 0.0
    return closest_points(dense, half.vertices, half.triangles)[0]


def _is_lip(p: np.ndarray) -> bool:
    return p[0] < 2.6 and -4.5 < p[1] < -2.3 and p[2] > 9.0


def _lip_row(half: Half) -> np.ndarray:
    """The outline's part inside the mouth, from the top of the midline to the bottom: where the outline leaves x = 0 near the lips."""
    outline, vertices = half.outline, half.vertices
    off = np.array([_is_lip(vertices[i]) and vertices[i, 0] > 0 for i in outline])
    start = np.flatnonzero(off & ~np.roll(off, 1))[0]
    order = np.roll(outline, -(start - 1))
    row = order[: int(off.sum()) + 2]
    return row if vertices[row[0], 1] > vertices[row[-1], 1] else row[::-1]
