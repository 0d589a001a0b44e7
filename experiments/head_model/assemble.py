"""Assemble the head from the left half, its mirror image, the mouth interior, eyeballs, teeth and tongue. Centimeters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from experiments.head_model import parts
from experiments.head_model.fill import check_half, cloud_points, outline_points, point_spacing, triangulate_half
from experiments.head_model.ict import SKIN_END, Ict
from experiments.head_model.layout import (
    LIP_ROW_STEPS,
    Half,
    brow_rows,
    eyelid_rings,
    hairline_row,
    left_half,
    lip_rows,
)
from experiments.head_model.regions import REGIONS, fill_region, remove_islands, skin_region
from experiments.head_model.surface import Bools, Floats, Ints, SurfacePoints, closest_points, concatenate_points


class Topology(NamedTuple):
    """Hold a mesh whose vertices are weighted sums of ICT vertices.

    Attributes:
        corners: (V, K) ICT vertices of each vertex.
        weights: (V, K) their weights.
        triangles: (T, 3) vertex numbers.
        mirror: (V,) number of each vertex's mirror image.
        region: (V,) number of each vertex's region in REGIONS.
        lids: (6, EYELID_RING_POINTS) rings of the left eye, from the inside to the outside.
        lips: (9, LIP_ROW_STEPS + 1) rows of the left half of the mouth, from the inside to the outside.
    """

    corners: Ints
    weights: Floats
    triangles: Ints
    mirror: Ints
    region: Ints
    lids: Ints
    lips: Ints

    def interpolate(self, values: Floats) -> Floats:
        """Transfer `values` (..., V_ict, 3), one row for each ICT vertex, to our vertices (..., V, 3)."""
        return np.asarray(np.einsum("...vkc,vk->...vc", values[..., self.corners, :], self.weights))


class LeftHalf(NamedTuple):
    """Hold the left half of the skin and of the mouth interior.

    Attributes:
        points: P points on ICT's surface.
        triangles: (T, 3) point numbers.
        middle: (P,) True for points on the midline.
        region: Region name of each point.
        in_mouth: (P,) True for points of the mouth interior.
        lids: (6, EYELID_RING_POINTS) rings of the eye.
        lips: (9, LIP_ROW_STEPS + 1) rows of the mouth.
    """

    points: SurfacePoints
    triangles: Ints
    middle: Bools
    region: list[str]
    in_mouth: Bools
    lids: Ints
    lips: Ints


def build_left_half(ict: Ict, mediapipe: Floats) -> LeftHalf:
    """Build the skin and the mouth interior at x >= 0.

    Args:
        ict: ICT-FaceKit.
        mediapipe: (478, 3) MediaPipe's points on ICT's mean head, cm.
    """
    half = left_half(ict)
    rings, outside_eye = eyelid_rings(ict, half)
    rows, outside_mouth = lip_rows(ict, half)
    brows, hair = brow_rows(ict, half, mediapipe), hairline_row(half)
    spacing = point_spacing(ict, half, rings + rows + brows)
    outline, on_midline = outline_points(half, rows, spacing)
    lines = [*rings, *rows, *brows, hair, outline]
    free = np.min([outside_eye, outside_mouth, _distance_outside_brow(half, brows)], 0)
    cloud = cloud_points(
        half,
        concatenate_points(lines),
        free,
        spacing,
    )
    skin = concatenate_points([*lines, cloud])
    index = np.split(np.arange(len(skin.corners)), np.cumsum([len(p.corners) for p in lines]))
    lids, lips, brow = (
        index[: len(rings)],
        index[len(rings) :][: len(rows)],
        index[len(rings) + len(rows) :][: len(brows)],
    )
    middle = np.zeros(len(skin.corners), bool)
    middle[[row[end] for row in lips for end in (0, -1)]] = True
    middle[index[-2]] = on_midline
    on_outline = middle.copy()
    on_outline[lips[0]] = on_outline[index[-2]] = True
    triangles = triangulate_half(half, skin, on_outline, lids, [*lips, *brow, index[-3]])
    check_half(triangles, lids[0], int(on_outline.sum()))
    known = [
        ("scalp", index[-3]),
        ("brows", np.concatenate(brow[1:3])),
        ("lids", np.concatenate(lids[:4])),
        ("lips", np.concatenate(lips[:6])),
    ]
    region = skin_region(ict, half, skin, known)
    region = remove_islands(fill_region(region, triangles, "nostrils"), triangles)
    left = LeftHalf(skin, triangles, middle, region, np.zeros(len(middle), bool), np.array(lids), np.array(lips))
    return _add_mouth(left, parts.mouth_interior_rows(ict), lips[0])


def _distance_outside_brow(half: Half, brows: list[SurfacePoints]) -> Floats:
    """Return values (V,) that are positive outside the brow, so that no points are scattered between its rows."""
    rows = [row.interpolate(half.vertices) for row in brows]
    fine = [np.concatenate([row[:-1] + (row[1:] - row[:-1]) * t for t in np.linspace(0, 1, 4)]) for row in rows]
    dense = np.concatenate([a + (b - a) * t for a, b in zip(fine[:-1], fine[1:]) for t in np.linspace(0, 1, 4)])
    return np.asarray(cKDTree(dense).query(half.vertices)[0] - 0.25)


def _add_mouth(skin: LeftHalf, interior: list[SurfacePoints], first_row: Ints) -> LeftHalf:
    """Join the rows of the mouth interior to the innermost row of the lips."""
    lip, count = LIP_ROW_STEPS + 1, len(skin.points.corners)
    rows = [first_row] + [count + lip * k + np.arange(lip) for k in range(len(interior) - 1)]
    end = np.full(lip, count + lip * (len(interior) - 1))
    strips = [parts.strip(a, b, False) for a, b in zip(rows[:-1], rows[1:])]
    inner = np.concatenate([*strips, parts.strip(rows[-1], end, False)[: lip - 1]])
    directed = {(int(t[k]), int(t[(k + 1) % 3])) for t in skin.triangles for k in range(3)}
    # The shared edge must have opposite directions in the two surfaces.
    if (int(first_row[0]), int(first_row[1])) in directed:
        inner = inner[:, ::-1]
    middle = np.zeros(lip * (len(interior) - 1) + 1, bool)
    middle[0:-1:lip] = middle[lip - 1 : -1 : lip] = middle[-1] = True
    return LeftHalf(
        concatenate_points([skin.points, *interior]),
        np.concatenate([skin.triangles, inner]),
        np.concatenate([skin.middle, middle]),
        skin.region + ["mouth_inside"] * len(middle),
        np.concatenate([skin.in_mouth, np.ones(len(middle), bool)]),
        skin.lids,
        skin.lips,
    )


def mirror_half(half: LeftHalf, ict: Ict) -> Topology:
    """Join the left half and its mirror image to one surface.

    A mirrored point is the point of ICT's surface that is closest to the mirrored position.
    """
    side = np.flatnonzero(~half.middle)
    count = len(half.middle)
    twin = np.arange(count)
    twin[side] = count + np.arange(len(side))
    position = half.points.interpolate(ict.mean)[side] * [-1, 1, 1]
    corners, weights = np.zeros((len(side), 3), int), np.zeros((len(side), 3))
    for inside in (False, True):
        span = ict.ranges["mouth_socket"] if inside else (0, SKIN_END)
        rows = half.in_mouth[side] == inside
        found, _ = closest_points(position[rows], ict.mean, ict.triangles(*span, SKIN_END))
        corners[rows], weights[rows] = found.corners, found.weights
    return Topology(
        np.concatenate([half.points.corners, corners]),
        np.concatenate([half.points.weights, weights]),
        np.concatenate([half.triangles, twin[half.triangles[:, ::-1]]]),
        np.concatenate([twin, side]),
        np.array([REGIONS.index(name) for name in half.region + [half.region[i] for i in side]]),
        half.lids,
        half.lips,
    )


_NO_ROWS = np.zeros((0, 0), int)


def _mirror_part(part: parts.Part, ict: Ict, columns: int) -> Topology:
    """Join a left half part, whose first `columns` vertices lie on the midline, and its mirror image."""
    reflect = cKDTree(ict.mean).query(ict.mean * [-1, 1, 1])[1]
    count = len(part.corners)
    side = np.arange(columns, count)
    twin = np.concatenate([np.arange(columns), count + np.arange(len(side))])
    region = np.array([REGIONS.index(name) for name in part.region])
    return Topology(
        np.concatenate([part.corners, reflect[part.corners[side]]]),
        np.concatenate([part.weights, part.weights[side]]),
        np.concatenate([part.triangles, twin[part.triangles[:, ::-1]]]),
        np.concatenate([twin, side]),
        np.concatenate([region, region[side]]),
        _NO_ROWS,
        _NO_ROWS,
    )


def _eyes(ict: Ict, gaze: Floats) -> Topology:
    """Build both eyeballs as one mesh."""
    left, right = parts.eyeball(ict, "left", gaze), parts.eyeball(ict, "right", gaze)
    count = len(left.corners)
    region = np.array([REGIONS.index(name) for name in left.region + right.region])
    return Topology(
        np.concatenate([left.corners, right.corners]),
        np.concatenate([left.weights, right.weights]),
        np.concatenate([left.triangles, left.triangles[:, ::-1] + count]),
        np.concatenate([np.arange(count) + count, np.arange(count)]),
        region,
        _NO_ROWS,
        _NO_ROWS,
    )


def assemble(ict: Ict, gaze: Floats, mediapipe: Floats) -> Topology:
    """Assemble the whole head.

    Args:
        ict: ICT-FaceKit.
        gaze: (3,) unit direction from the left eyeball's center to its pupil.
        mediapipe: (478, 3) MediaPipe's points on ICT's mean head, cm.
    """
    whole = [mirror_half(build_left_half(ict, mediapipe), ict), _eyes(ict, gaze)]
    whole += [_mirror_part(parts.dental_arch(ict, upper), ict, 5) for upper in (True, False)]
    whole.append(_mirror_part(parts.tongue(ict), ict, 7))
    width = max(t.corners.shape[1] for t in whole)
    offset = np.cumsum([0] + [len(t.mirror) for t in whole])
    return Topology(
        np.concatenate([np.pad(t.corners, ((0, 0), (0, width - t.corners.shape[1]))) for t in whole]),
        np.concatenate([np.pad(t.weights, ((0, 0), (0, width - t.weights.shape[1]))) for t in whole]),
        np.concatenate([t.triangles + o for t, o in zip(whole, offset)]),
        np.concatenate([t.mirror + o for t, o in zip(whole, offset)]),
        np.concatenate([t.region for t in whole]),
        whole[0].lids,
        whole[0].lips,
    )
