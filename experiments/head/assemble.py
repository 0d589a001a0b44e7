"""Puts the parts of our head together: left half and its mirror image, mouth bag, eyeballs and teeth, with regions. Centimetres."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from experiments.head import parts
from experiments.head.fill import check_half, cloud_points, join_points, outline_points, point_spacing
from experiments.head.ict import SKIN_END, Ict
from experiments.head.layout import LID_COUNT, LIP_COUNT, Half, left_half, lid_rings, lip_rings
from experiments.head.surface import Points, closest_points, join

REGIONS = ("face", "lids", "lips", "brows", "ears", "scalp", "neck", "eyeball_left", "eyeball_right", "iris", "pupil", "mouth_inside",
           "teeth", "gums", "tongue")  # fmt: skip
VISIBLE_SKIN = ("face", "lids", "lips", "brows", "ears", "scalp", "neck")


class Topology(NamedTuple):
    """Our head as mixes of ICT vertices: `corners (V,K)`, `weights (V,K)`, `triangles (T,3)`, `mirror (V,)`, `region (V,)`."""

    corners: np.ndarray
    weights: np.ndarray
    triangles: np.ndarray
    mirror: np.ndarray
    region: np.ndarray

    def on(self, values: np.ndarray) -> np.ndarray:
        """Carry per-ICT-vertex `values (..., V_ict, 3)` over to our vertices (..., V, 3)."""
        return np.einsum("...vkc,vk->...vc", values[..., self.corners, :], self.weights)


class LeftHalf(NamedTuple):
    """Left half of skin and mouth bag: points on ICT, triangles, which lie on the midline, region names, which surface they lie on."""

    points: Points
    triangles: np.ndarray
    middle: np.ndarray
    region: list[str]
    in_mouth: np.ndarray


def skin_region(ict: Ict, half: Half, points: Points, rings: int, rows: int) -> list[str]:
    """Region name of every skin point; `rings` and `rows` are how many of the first points belong to lids and lips."""
    place = points.on(half.vertices)
    marks = ict.mean[ict.landmarks]
    brow = np.concatenate([np.linspace(a, b, 8) for a, b in zip(marks[22:26], marks[23:27])])
    brow_distance = cKDTree(brow + [0, 0.12, 0]).query(place)[0]
    x, y, z = place.T
    ear = _ear(ict, half, points)
    face = points.on((np.arange(len(half.vertices)) < ict.ranges["face"][1]).astype(float)[:, None])[:, 0] > 0.5
    hairline = 8.9 - 0.045 * np.maximum(np.abs(x) - 3, 0) ** 2 + np.minimum(z - 6.5, 0) * 1.1
    out = np.where(face, "face", "neck").astype("<U12")
    out[(y > hairline) & (z < 11)] = "scalp"
    out[~face & (y > -3.5) & (z < 2.0)] = "scalp"
    out[(out == "scalp") & (y < -4.0)] = "neck"
    out[brow_distance < 0.42] = "brows"
    out[ear] = "ears"
    out[:rings] = "lids"
    out[rings : rings + rows] = "lips"
    return list(out)


def _ear(ict: Ict, half: Half, points: Points) -> np.ndarray:
    """True for points of the ear: what stands off a smooth cylinder-like head near the ear."""
    x, y, z = points.on(half.vertices).T
    off = x - (7.35 - 0.05 * (z - 3.0) ** 2)
    return (off > 0.0) & (y > -2.6) & (y < 5.6) & (z > -2.6) & (z < 3.4)


def build_left_half(ict: Ict) -> LeftHalf:
    """Skin and mouth bag at x >= 0."""
    half = left_half(ict)
    rings, outside_eye = lid_rings(ict, half)
    rows, outside_mouth = lip_rings(ict, half)
    spacing = point_spacing(ict, half, rings + rows)
    outline, on_midline = outline_points(half, rows, spacing)
    fixed = join(rings + rows + [outline])
    cloud = cloud_points(half, fixed, np.minimum(outside_eye, outside_mouth), spacing)
    bag = parts.mouth_rows(ict, rows[0])
    skin = join([fixed, cloud])
    lip, first = LIP_COUNT + 1, len(rings) * LID_COUNT
    ring_index = [np.arange(LID_COUNT) + LID_COUNT * k for k in range(len(rings))]
    row_index = [first + lip * k + np.arange(lip) for k in range(len(rows))]
    middle = np.zeros(len(skin.corners), bool)
    for row in row_index:
        middle[row[[0, -1]]] = True
    start = first + lip * len(rows)
    middle[start : start + len(on_midline)] = on_midline
    on_outline = middle.copy()
    on_outline[row_index[0]] = True
    on_outline[start : start + len(on_midline)] = True
    triangles = join_points(half, skin, on_outline, ring_index, row_index)
    check_half(triangles, ring_index[0], int(on_outline.sum()))
    region = skin_region(ict, half, skin, 5 * LID_COUNT, 6 * lip)
    return _with_mouth(LeftHalf(skin, triangles, middle, region, np.zeros(len(middle), bool)), bag, row_index[0])


def _with_mouth(skin: LeftHalf, bag: list[Points], first_row: np.ndarray) -> LeftHalf:
    lip, count = LIP_COUNT + 1, len(skin.points.corners)
    rows = [first_row] + [count + lip * k + np.arange(lip) for k in range(len(bag) - 1)]
    end = np.full(lip, count + lip * (len(bag) - 1))
    inner = np.concatenate([parts.strip(a, b, False) for a, b in zip(rows[:-1], rows[1:])] + [parts.strip(rows[-1], end, False)[: lip - 1]])
    directed = {(int(t[k]), int(t[(k + 1) % 3])) for t in skin.triangles for k in range(3)}
    if (int(first_row[0]), int(first_row[1])) in directed:  # both would run the same way along the shared edge: turn the bag over
        inner = inner[:, ::-1]
    middle = np.zeros(lip * (len(bag) - 1) + 1, bool)
    middle[0:-1:lip] = middle[lip - 1 : -1 : lip] = middle[-1] = True
    return LeftHalf(
        join([skin.points, *bag]),
        np.concatenate([skin.triangles, inner]),
        np.concatenate([skin.middle, middle]),
        skin.region + ["mouth_inside"] * len(middle),
        np.concatenate([skin.in_mouth, np.ones(len(middle), bool)]),
    )


def mirrored(half: LeftHalf, ict: Ict) -> Topology:
    """Left half and its mirror image as one surface; mirrored points are the closest ICT points to the mirrored places."""
    side = np.flatnonzero(~half.middle)
    count, total = len(half.middle), len(half.middle) + len(side)
    twin = np.arange(count)
    twin[side] = count + np.arange(len(side))
    place = half.points.on(ict.mean)[side] * [-1, 1, 1]
    corners, weights = np.zeros((len(side), 3), int), np.zeros((len(side), 3))
    for inside in (False, True):
        span = ict.ranges["mouth_socket"] if inside else (0, SKIN_END)
        rows = half.in_mouth[side] == inside
        found, _ = closest_points(place[rows], ict.mean, ict.triangles(*span, SKIN_END))
        corners[rows], weights[rows] = found.corners, found.weights
    mirror = np.concatenate([twin, side])
    return Topology(
        np.concatenate([half.points.corners, corners]),
        np.concatenate([half.points.weights, weights]),
        np.concatenate([half.triangles, twin[half.triangles[:, ::-1]]]),
        mirror,
        np.array([REGIONS.index(name) for name in half.region + [half.region[i] for i in side]], np.uint8),
    ) if total == len(mirror) else _fail(total)


def _fail(total: int) -> Topology:
    raise ValueError(f"expected {total} vertices after mirroring")


def _mirror_part(part: parts.Part, ict: Ict, columns: int) -> Topology:
    """A left half part whose first `columns` vertices lie on the midline -> both halves."""
    reflect = cKDTree(ict.mean).query(ict.mean * [-1, 1, 1])[1]
    count = len(part.corners)
    side = np.arange(columns, count)
    twin = np.concatenate([np.arange(columns), count + np.arange(len(side))])
    region = np.array([REGIONS.index(name) for name in part.region], np.uint8)
    return Topology(
        np.concatenate([part.corners, reflect[part.corners[side]]]),
        np.concatenate([part.weights, part.weights[side]]),
        np.concatenate([part.triangles, twin[part.triangles[:, ::-1]]]),
        np.concatenate([twin, side]),
        np.concatenate([region, region[side]]),
    )


def _eyes(ict: Ict, gaze: np.ndarray) -> Topology:
    left, right = parts.eyeball(ict, "left", gaze), parts.eyeball(ict, "right", gaze)
    count = len(left.corners)
    region = np.array([REGIONS.index(name) for name in left.region + right.region], np.uint8)
    return Topology(
        np.concatenate([left.corners, right.corners]),
        np.concatenate([left.weights, right.weights]),
        np.concatenate([left.triangles, left.triangles[:, ::-1] + count]),
        np.concatenate([np.arange(count) + count, np.arange(count)]),
        region,
    )


def assemble(ict: Ict, gaze: np.ndarray) -> Topology:
    """The whole head. gaze: (3,) unit direction in which the left eyeball's pupil lies."""
    whole = [mirrored(build_left_half(ict), ict), _eyes(ict, gaze)]
    whole += [_mirror_part(parts.dental_arch(ict, upper), ict, 5) for upper in (True, False)]
    width = max(t.corners.shape[1] for t in whole)
    offset = np.cumsum([0] + [len(t.mirror) for t in whole])
    return Topology(
        np.concatenate([np.pad(t.corners, ((0, 0), (0, width - t.corners.shape[1]))) for t in whole]),
        np.concatenate([np.pad(t.weights, ((0, 0), (0, width - t.weights.shape[1]))) for t in whole]),
        np.concatenate([t.triangles + o for t, o in zip(whole, offset)]),
        np.concatenate([t.mirror + o for t, o in zip(whole, offset)]),
        np.concatenate([t.region for t in whole]),
    )
