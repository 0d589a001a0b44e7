"""Assign a region to every point of the skin: face, eyelids, lips, brows, ears, scalp, neck or nostrils."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from experiments.head_model.ict import Ict
from experiments.head_model.layout import Half, hairline_height
from experiments.head_model.surface import Bools, Ints, SurfacePoints
from retarget.geometry.mesh import vertex_normals

REGIONS = ("face", "lids", "lips", "brows", "ears", "scalp", "neck", "eyeball_left", "eyeball_right", "iris", "pupil", "mouth_inside",
           "teeth", "gums", "tongue", "nostrils")  # fmt: skip
VISIBLE_SKIN = ("face", "lids", "lips", "brows", "ears", "scalp", "neck", "nostrils")


def skin_region(ict: Ict, half: Half, points: SurfacePoints, known: list[tuple[str, Ints]]) -> list[str]:
    """Find the region of every skin point.

    Args:
        ict: ICT-FaceKit.
        half: Its left half.
        points: P points of the skin.
        known: Region names and the numbers of the points that belong to them by construction.

    Returns:
        P region names.
    """
    x, y, z = (position := points.interpolate(half.vertices)).T
    face = (
        points.interpolate((np.arange(len(half.vertices)) < ict.ranges["face"][1]).astype(float)[:, None])[:, 0] > 0.5
    )
    under_jaw = y < -8.4 + 0.28 * np.maximum(9.5 - z, 0)
    out = np.where(face & ~under_jaw, "face", "neck").astype("<U12")
    out[hairline_height(position) > -0.05] = "scalp"
    out[_ear(half, points)] = "ears"
    out[_nostril(ict, half, points)] = "nostrils"
    for name, index in known:
        out[index] = name
    return list(out)


def _ear(half: Half, points: SurfacePoints) -> Bools:
    """Return True (P,) for points of the ear: inside an ellipse in the side view that leans backwards."""
    x, y, z = points.interpolate(half.vertices).T
    lean = z - 0.4 + 0.2 * (y - 1.0)
    return np.asarray((x > 6.3) & ((lean / 2.15) ** 2 + ((y - 1.0) / 3.35) ** 2 < 1))


def _nostril(ict: Ict, half: Half, points: SurfacePoints) -> Bools:
    """Return True (P,) for points inside a nostril: near the base of the nose, with other skin less than 1.3 cm away along the normal."""
    position = points.interpolate(half.vertices)
    direction = points.interpolate(vertex_normals(half.vertices, half.triangles))
    base = ict.mean[ict.landmarks[[33, 34, 35]]].mean(0)
    candidates = np.flatnonzero(np.linalg.norm(position - base, axis=1) < 2.0)
    hit = half.triangles[np.linalg.norm(half.vertices[half.triangles].mean(1) - base, axis=1) < 2.5]
    a, b, c = (half.vertices[hit[:, k]] for k in range(3))
    u, w = b - a, c - a
    inside = np.zeros(len(position), bool)
    for i in candidates:
        cross = np.cross(direction[i], w)
        scale = (u * cross).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            away = position[i] - a
            s = (away * cross).sum(1) / scale
            turned = np.cross(away, u)
            t, distance = turned @ direction[i] / scale, (w * turned).sum(1) / scale
        inside[i] = ((s >= 0) & (t >= 0) & (s + t <= 1) & (distance > 0.05) & (distance < 1.3)).any()
    return inside


def fill_region(region: list[str], triangles: Ints, name: str) -> list[str]:
    """Assign `name` also to points that this region separates from the main part of the surface."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    named = np.array(region) == name
    edges = edges[~named[edges].any(1)]
    label = connected_components(coo_matrix((np.ones(len(edges)), edges.T), shape=(len(region),) * 2), directed=False)[
        1
    ]
    main = np.bincount(label).argmax()
    return [old if part == main else name for old, part in zip(region, label)]


def remove_islands(region: list[str], triangles: Ints) -> list[str]:
    """Change face points that belong to no triangle of the face, such as those at the hairline, to scalp."""
    charted = ~np.isin(region, ("scalp", "neck"))
    whole = np.zeros(len(region), bool)
    whole[triangles[charted[triangles].all(1)]] = True
    return [name if whole[i] or name != "face" else "scalp" for i, name in enumerate(region)]
