"""Build the eyeballs, the mouth interior, the teeth and the tongue.

Every vertex is a fixed weighted sum of ICT vertices, so ICT's identity and expression shapes transfer linearly.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from experiments.head_model.ict import SKIN_END, Ict
from experiments.head_model.layout import LIP_ROW_STEPS, resample
from experiments.head_model.surface import (
    Floats,
    Ints,
    SurfacePoints,
    at_vertices,
    closest_points,
    heat_distance,
    level_line,
)
from retarget.arkit import EXPRESSION_NAMES

EYE_SEGMENTS = 16
EYE_ANGLES_DEG = (5.0, 9.0, 10.5, 16.0, 21.0, 24.0, 36.0, 52.0, 72.0, 100.0, 135.0)
PUPIL_DEG, IRIS_DEG = 9.5, 22.0
GAZE_SIDE_DEG, GAZE_UP_DEG, GAZE_DOWN_DEG = 30.0, 24.0, 28.0
MOUTH_ROW_DISTANCES_CM = (0.5, 1.2, 2.2, 3.6, 5.5)

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")


class Part(NamedTuple):
    """Hold a part whose vertices are weighted sums of ICT vertices.

    Attributes:
        corners: (V, K) ICT vertices of each vertex.
        weights: (V, K) their weights.
        triangles: (T, 3) vertex numbers of the part.
        region: Region name of each vertex.
    """

    corners: Ints
    weights: Floats
    triangles: Ints
    region: list[str]


def strip(first: Ints, second: Ints, closed: bool) -> Ints:
    """Join two rows of equally many vertices with triangles.

    The triangles face the viewer when `first` runs from left to right below `second`.

    Args:
        first: (K,) vertex numbers.
        second: (K,) vertex numbers.
        closed: Also join the last vertices to the first ones.

    Returns:
        Triangles (T, 3).
    """
    if closed:
        first, second = np.append(first, first[0]), np.append(second, second[0])
    a, b, c, d = first[:-1], first[1:], second[1:], second[:-1]
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def eye_shell(ict: Ict, side: Side) -> Ints:
    """Return the triangles (T, 3) of the outer, visible shell of one eyeball: the component that reaches farthest forward."""
    start, stop = ict.ranges[f"eyeball_{side}"]
    triangles = ict.triangles(start, stop)
    count = len(ict.mean)
    pairs = coo_matrix((np.ones(len(triangles)), (triangles[:, 0], triangles[:, 1])), shape=(count, count))
    pairs += coo_matrix((np.ones(len(triangles)), (triangles[:, 1], triangles[:, 2])), shape=(count, count))
    label = connected_components(pairs, directed=False)[1]
    front = start + ict.mean[start:stop, 2].argmax()
    return np.asarray(triangles[label[triangles[:, 0]] == label[front]])


def fit_sphere(points: Floats) -> tuple[Floats, float]:
    """Fit a sphere to points (P, 3) by least squares; returns its center (3,) and radius."""
    system = np.c_[2 * points, np.ones(len(points))]
    solution = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0]
    return solution[:3], float(np.sqrt(solution[3] + solution[:3] @ solution[:3]))


def eye_center(ict: Ict, side: Side) -> Floats:
    """Return the center (3,) of the mean eyeball on the side "left" or "right", cm."""
    return fit_sphere(ict.mean[np.unique(eye_shell(ict, side))])[0]


def eyeball(ict: Ict, side: Side, gaze: Floats) -> Part:
    """Build one eyeball from rings around the gaze direction.

    Args:
        ict: ICT-FaceKit.
        side: "left" or "right". The right one has the vertex order of the left one, mirrored.
        gaze: (3,) unit direction from the left eyeball's center to its pupil.
    """
    shell = eye_shell(ict, side)
    center, radius = fit_sphere(ict.mean[np.unique(shell)])
    flip = np.array([1.0 if side == "left" else -1.0, 1, 1])
    right = np.cross([0, 1.0, 0], gaze * flip)
    right /= np.linalg.norm(right)
    up = np.cross(gaze * flip, right)
    turn = np.arange(EYE_SEGMENTS) / EYE_SEGMENTS * 2 * np.pi
    directions, region = [gaze * flip], ["pupil"]
    for angle in np.deg2rad(EYE_ANGLES_DEG):
        ring = np.cos(turn)[:, None] * right + np.sin(turn)[:, None] * up
        directions += list(np.cos(angle) * gaze * flip + np.sin(angle) * ring)
        name = (
            "pupil" if angle < np.deg2rad(PUPIL_DEG) else "iris" if angle < np.deg2rad(IRIS_DEG) else f"eyeball_{side}"
        )
        region += [name] * EYE_SEGMENTS
    directions.append(-gaze * flip)
    region.append(f"eyeball_{side}")
    wanted = center + radius * np.array(directions) * flip
    points, _ = closest_points(wanted, ict.mean, shell)
    rings = [1 + np.arange(EYE_SEGMENTS) + k * EYE_SEGMENTS for k in range(len(EYE_ANGLES_DEG))]
    triangles = [strip(np.zeros(EYE_SEGMENTS, int), rings[0], True)[EYE_SEGMENTS:]]
    triangles += [strip(a, b, True) for a, b in zip(rings[:-1], rings[1:])]
    triangles.append(strip(rings[-1], np.full(EYE_SEGMENTS, len(directions) - 1), True)[:EYE_SEGMENTS])
    joined = np.concatenate(triangles)
    a, b, c = (ict.mean[points.corners[:, 0]][joined[:, k]] - center for k in range(3))
    outward = np.median((np.cross(b - a, c - a) * a).sum(1)) > 0
    return Part(points.corners, points.weights, joined if outward else joined[:, ::-1], region)


def mouth_interior_rows(ict: Ict) -> list[SurfacePoints]:
    """Place the rows of the left half of the mouth interior.

    Args:
        ict: ICT-FaceKit.

    Returns:
        Rows of LIP_ROW_STEPS + 1 points each, from the innermost row of the lips towards the throat; then one end point.
    """
    start, stop = ict.ranges["mouth_socket"]
    triangles = ict.triangles(start, stop, SKIN_END)
    vertices = ict.mean.copy()
    vertices[np.abs(vertices[:, 0]) < 2e-2, 0] = 0.0
    triangles = triangles[(vertices[triangles][..., 0] >= 0).all(1)]
    loop = np.unique(triangles[triangles < SKIN_END])
    distance = heat_distance(vertices, triangles, loop)
    rows = []
    for level in MOUTH_ROW_DISTANCES_CM:
        line = level_line(vertices, triangles, distance, level)
        position = line.interpolate(vertices)
        if position[0, 1] < position[-1, 1]:
            line = line.take(np.arange(len(position))[::-1])
        rows.append(resample(line, vertices, triangles, np.linspace(0, 1, LIP_ROW_STEPS + 1)))
    used = np.unique(triangles)
    rows.append(at_vertices(used[distance[used].argmax()][None]))
    return rows


def dental_arch(ict: Ict, upper: bool, columns: int = 10) -> Part:
    """Build the left half of one row of teeth with its gum as a smooth band.

    The five rows are gum, neck, middle and front edge of the teeth, and their rear edge. Each vertex is a weighted mean
    of the four closest ICT tooth vertices.

    Args:
        ict: ICT-FaceKit.
        upper: True for the upper teeth.
        columns: Number of columns; column 0 lies on the midline.
    """
    start, stop = ict.ranges["teeth"]
    index = np.arange(start, stop)
    drop = ict.expression[EXPRESSION_NAMES.index("jawOpen")][index, 1]
    index = index[(drop > -0.2) == upper]
    position = ict.mean[index]
    sign = -1.0 if upper else 1.0
    angle = np.abs(np.arctan2(position[:, 0], position[:, 2] - 6.0))
    radius = np.hypot(position[:, 0], position[:, 2] - 6.0)
    corners, weights = [], []
    for phi in np.linspace(0, np.deg2rad(100), columns):
        near = np.abs(angle - phi) < np.deg2rad(7)
        edge = (sign * position[near, 1]).max()
        band = near & (sign * position[:, 1] > edge - 0.8)
        outer, inner = np.quantile(radius[band], 0.97), np.quantile(radius[band], 0.25)
        for below, rho in ((1.9, outer - 0.1), (1.15, outer), (0.55, outer), (0.06, outer - 0.12), (0.06, inner)):
            target = np.array([rho * np.sin(phi), sign * (edge - below), 6.0 + rho * np.cos(phi)])
            side = position * np.array([np.sign(target[0]) if phi > 0 else 1.0, 1, 1])
            gap = np.linalg.norm(side - target, axis=1)
            pick = np.argsort(gap + np.where(position[:, 0] < -0.02, 10.0 if phi > 0 else 0.0, 0.0))[:4]
            mix = np.exp(-((gap[pick] / 0.12) ** 2)) + 1e-4
            corners.append(index[pick])
            weights.append(mix / mix.sum())
    grid = np.arange(columns * 5).reshape(columns, 5)
    triangles = np.concatenate([strip(grid[:, r], grid[:, r + 1], False) for r in range(4)])
    if upper:
        triangles = triangles[:, ::-1]
    region = ["gums", "teeth", "teeth", "teeth", "teeth"] * columns
    return Part(np.array(corners), np.array(weights), triangles, region)


def tongue(ict: Ict) -> Part:
    """Build the left half of the tongue's upper side and rim from the tip to the back; the first vertices lie on the midline."""
    start, stop = ict.ranges["gums_tongue"]
    triangles = ict.triangles(start, stop)
    low = ict.expression[EXPRESSION_NAMES.index("jawOpen"), :, 1] < -0.2
    triangles = triangles[low[triangles].all(1)]
    tip = ((9.1, 0.6, -4.4), (9.3, 0.65, -3.8), (8.9, 0.85, -3.1))
    rows = (*tip, (8.0, 1.25, -2.9), (6.8, 1.45, -2.9), (5.5, 1.55, -2.9), (4.2, 1.4, -2.9))  # z, half width, y
    across = ((0, 0), (0.5, 0), (0.92, 0.05), (1.0, 0.9))
    targets = [np.array([share * width, y - drop, z]) for share, drop in across for z, width, y in rows]
    points, _ = closest_points(np.array(targets), ict.mean, triangles)
    grid = np.arange(len(targets)).reshape(4, len(rows))
    joined = np.concatenate([strip(grid[k], grid[k + 1], False) for k in range(3)])
    return Part(points.corners, points.weights, joined[:, ::-1], ["tongue"] * len(targets))
