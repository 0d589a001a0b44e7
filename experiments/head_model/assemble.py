"""Puts the parts of our head together: left half and its mirror image, mouth bag, eyeballs and teeth, with regions. Centimetres."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from experiments.head_model import parts
from experiments.head_model.fill import check_half, cloud_points, join_points, outline_points, point_spacing
from experiments.head_model.ict import SKIN_END, Ict
from experiments.head_model.layout import (
    LIP_COUNT,
    Half,
    brow_rows,
    hair_field,
    hairline_row,
    left_half,
    lid_rings,
    lip_rings,
)
from experiments.head_model.surface import Points, closest_points, join
from retarget.geometry.mesh import vertex_normals

REGIONS = ("face", "lids", "lips", "brows", "ears", "scalp", "neck", "eyeball_left", "eyeball_right", "iris", "pupil", "mouth_inside",
           "teeth", "gums", "tongue", "nostrils")  # fmt: skip
VISIBLE_SKIN = ("face", "lids", "lips", "brows", "ears", "scalp", "neck", "nostrils")


class Topology(NamedTuple):
    """Our head as mixes of ICT vertices: `corners (V,K)`, `weights (V,K)`, `triangles (T,3)`, `mirror (V,)`, `region (V,)`;
    the left eye's rings `lids (6, LID_COUNT)` and the mouth's left rows `lips (9, LIP_COUNT + 1)`, from the inside out."""

    corners: np.ndarray
    weights: np.ndarray
    triangles: np.ndarray
    mirror: np.ndarray
    region: np.ndarray
    lids: np.ndarray
    lips: np.ndarray

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
    lids: np.ndarray
    lips: np.ndarray


def skin_region(ict: Ict, half: Half, points: Points, named: list[tuple[str, np.ndarray]]) -> list[str]:
    """Region name of every skin point; `named` lists points whose region is known from how they were made."""
    x, y, z = (place := points.on(half.vertices)).T
    face = points.on((np.arange(len(half.vertices)) < ict.ranges["face"][1]).astype(float)[:, None])[:, 0] > 0.5
    under_jaw = y < -8.4 + 0.28 * np.maximum(9.5 - z, 0)
    out = np.where(face & ~under_jaw, "face", "neck").astype("<U12")
    out[hair_field(place) > -0.05] = "scalp"
    out[_ear(half, points)] = "ears"
    out[_nostril(ict, half, points)] = "nostrils"
    for name, index in named:
        out[index] = name
    return list(out)


def _ear(half: Half, points: Points) -> np.ndarray:
    """True for points of the ear: inside an ellipse that leans back, seen from the side."""
    x, y, z = points.on(half.vertices).T
    lean = z - 0.4 + 0.2 * (y - 1.0)
    return (x > 6.3) & ((lean / 2.15) ** 2 + ((y - 1.0) / 3.35) ** 2 < 1)


def _nostril(ict: Ict, half: Half, points: Points) -> np.ndarray:
    """True for points inside the nostril: near the nose's base, and looking straight at other skin less than 1.3 cm away."""
    place = points.on(half.vertices)
    direction = points.on(vertex_normals(half.vertices, half.triangles))
    base = ict.mean[ict.landmarks[[33, 34, 35]]].mean(0)
    near = np.flatnonzero(np.linalg.norm(place - base, axis=1) < 2.0)
    hit = half.triangles[np.linalg.norm(half.vertices[half.triangles].mean(1) - base, axis=1) < 2.5]
    a, b, c = (half.vertices[hit[:, k]] for k in range(3))
    u, w = b - a, c - a
    inside = np.zeros(len(place), bool)
    for i in near:
        cross = np.cross(direction[i], w)
        scale = (u * cross).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            away = place[i] - a
            s = (away * cross).sum(1) / scale
            turned = np.cross(away, u)
            t, far = turned @ direction[i] / scale, (w * turned).sum(1) / scale
        inside[i] = ((s >= 0) & (t >= 0) & (s + t <= 1) & (far > 0.05) & (far < 1.3)).any()
    return inside


def _filled(region: list[str], triangles: np.ndarray, name: str) -> list[str]:
    """Give `name` also to what it shuts off from the rest of the surface."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    named = np.array(region) == name
    edges = edges[~named[edges].any(1)]
    label = connected_components(coo_matrix((np.ones(len(edges)), edges.T), shape=(len(region),) * 2), directed=False)[
        1
    ]
    main = np.bincount(label).argmax()
    return [old if part == main else name for old, part in zip(region, label)]


def _without_islands(region: list[str], triangles: np.ndarray) -> list[str]:
    """Face points that share no whole triangle with the face (next to the hairline) become scalp."""
    charted = ~np.isin(region, ("scalp", "neck"))
    whole = np.zeros(len(region), bool)
    whole[triangles[charted[triangles].all(1)]] = True
    return [name if whole[i] or name != "face" else "scalp" for i, name in enumerate(region)]


def build_left_half(ict: Ict, mediapipe: np.ndarray) -> LeftHalf:
    """Skin and mouth bag at x >= 0."""
    half = left_half(ict)
    rings, outside_eye = lid_rings(ict, half)
    rows, outside_mouth = lip_rings(ict, half)
    brows, hair = brow_rows(ict, half, mediapipe), hairline_row(half)
    spacing = point_spacing(ict, half, rings + rows + brows)
    outline, on_midline = outline_points(half, rows, spacing)
    made = [*rings, *rows, *brows, hair, outline]
    cloud = cloud_points(half, join(made), np.min([outside_eye, outside_mouth, _outside_brow(half, brows)], 0), spacing)
    skin = join([*made, cloud])
    index = np.split(np.arange(len(skin.corners)), np.cumsum([len(p.corners) for p in made]))
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
    triangles = join_points(half, skin, on_outline, lids, [*lips, *brow, index[-3]])
    check_half(triangles, lids[0], int(on_outline.sum()))
    named = [
        ("scalp", index[-3]),
        ("brows", np.concatenate(brow[1:3])),
        ("lids", np.concatenate(lids[:4])),
        ("lips", np.concatenate(lips[:6])),
    ]
    region = skin_region(ict, half, skin, named)
    region = _without_islands(_filled(region, triangles, "nostrils"), triangles)
    flat = LeftHalf(skin, triangles, middle, region, np.zeros(len(middle), bool), np.array(lids), np.array(lips))
    return _with_mouth(flat, parts.mouth_rows(ict, rows[0]), lips[0])


def _outside_brow(half: Half, brows: list[Points]) -> np.ndarray:
    """Positive (V,) away from the brow: no loose points between its rows."""
    rows = [row.on(half.vertices) for row in brows]
    fine = [np.concatenate([row[:-1] + (row[1:] - row[:-1]) * t for t in np.linspace(0, 1, 4)]) for row in rows]
    dense = np.concatenate([a + (b - a) * t for a, b in zip(fine[:-1], fine[1:]) for t in np.linspace(0, 1, 4)])
    return cKDTree(dense).query(half.vertices)[0] - 0.25


def _with_mouth(skin: LeftHalf, bag: list[Points], first_row: np.ndarray) -> LeftHalf:
    lip, count = LIP_COUNT + 1, len(skin.points.corners)
    rows = [first_row] + [count + lip * k + np.arange(lip) for k in range(len(bag) - 1)]
    end = np.full(lip, count + lip * (len(bag) - 1))
    strips = [parts.strip(a, b, False) for a, b in zip(rows[:-1], rows[1:])]
    inner = np.concatenate([*strips, parts.strip(rows[-1], end, False)[: lip - 1]])
    directed = {(int(t[k]), int(t[(k + 1) % 3])) for t in skin.triangles for k in range(3)}
    # The shared edge must run opposite ways in the two surfaces.
    if (int(first_row[0]), int(first_row[1])) in directed:
        inner = inner[:, ::-1]
    middle = np.zeros(lip * (len(bag) - 1) + 1, bool)
    middle[0:-1:lip] = middle[lip - 1 : -1 : lip] = middle[-1] = True
    return LeftHalf(
        join([skin.points, *bag]),
        np.concatenate([skin.triangles, inner]),
        np.concatenate([skin.middle, middle]),
        skin.region + ["mouth_inside"] * len(middle),
        np.concatenate([skin.in_mouth, np.ones(len(middle), bool)]),
        skin.lids,
        skin.lips,
    )


def mirrored(half: LeftHalf, ict: Ict) -> Topology:
    """Left half and its mirror image as one surface; mirrored points are the closest ICT points to the mirrored places."""
    side = np.flatnonzero(~half.middle)
    count = len(half.middle)
    twin = np.arange(count)
    twin[side] = count + np.arange(len(side))
    place = half.points.on(ict.mean)[side] * [-1, 1, 1]
    corners, weights = np.zeros((len(side), 3), int), np.zeros((len(side), 3))
    for inside in (False, True):
        span = ict.ranges["mouth_socket"] if inside else (0, SKIN_END)
        rows = half.in_mouth[side] == inside
        found, _ = closest_points(place[rows], ict.mean, ict.triangles(*span, SKIN_END))
        corners[rows], weights[rows] = found.corners, found.weights
    return Topology(
        np.concatenate([half.points.corners, corners]),
        np.concatenate([half.points.weights, weights]),
        np.concatenate([half.triangles, twin[half.triangles[:, ::-1]]]),
        np.concatenate([twin, side]),
        np.array([REGIONS.index(name) for name in half.region + [half.region[i] for i in side]], np.uint8),
        half.lids,
        half.lips,
    )


NO_RINGS = np.zeros((0, 0), int)


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
        NO_RINGS,
        NO_RINGS,
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
        NO_RINGS,
        NO_RINGS,
    )


def assemble(ict: Ict, gaze: np.ndarray, mediapipe: np.ndarray) -> Topology:
    """The whole head. gaze: (3,) unit direction in which the left eyeball's pupil lies; mediapipe: (478, 3) its points on the mean."""
    whole = [mirrored(build_left_half(ict, mediapipe), ict), _eyes(ict, gaze)]
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
