"""Synthetic crowds with known faces: colored head models with shoulders before a wall. For `mfn demo`, `mfn bench` and the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mfn.inference.visualize import ColoredMesh, paint_head, ramp
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from mfn.synthesis.appearance import Appearance, light_to_srgb
from mfn.synthesis.expressions import random_moods
from retarget.io.images import Image

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel

Floats = NDArray[np.floating]
_PERSON_M = (0.27, 0.36)  # width and height of the place of one person
_EYE_WHITE = (0.93, 0.92, 0.91)
#: sRGB colors of the regions that look alike on all people.
_REGION_COLORS = {
    "eyeball_left": _EYE_WHITE,
    "eyeball_right": _EYE_WHITE,
    "pupil": (0.03, 0.03, 0.03),
    "mouth_inside": (0.28, 0.09, 0.09),
    "teeth": (0.93, 0.91, 0.86),
    "gums": (0.72, 0.42, 0.42),
    "tongue": (0.70, 0.34, 0.35),
}
_SKIN_REGIONS = ("face", "lids", "lips", "brows", "ears", "scalp", "neck")


def random_crowd(
    head_model: HeadModel, count: int, size: tuple[int, int], rng: np.random.Generator
) -> Faces:
    """Draw people who stand side by side in rows, each in a place of their own.

    Args:
        head_model: the head model.
        count: number N of people.
        size: (width, height) px of the image.
        rng: source of random numbers.

    Returns:
        N rows with exact boxes.
    """
    if not count:
        return Faces.empty(head_model.identity_size)
    place, cell = _places(count, *size)
    px_per_m = min(cell[0] / _PERSON_M[0], cell[1] / _PERSON_M[1])
    angles = rng.normal(0, np.deg2rad((9, 25, 8)), (count, 3)).clip(-0.9, 0.9)
    faces = Faces(
        image=np.zeros(count, np.int32),
        box=np.zeros((count, 4), np.float32),
        score=np.ones(count, np.float32),
        rotation=rotation_from_euler(angles).astype(np.float32),
        scale=px_per_m * rng.uniform(0.75, 1.0, count).astype(np.float32),
        center=(place + rng.uniform(-0.04, 0.04, (count, 2)) * cell).astype(np.float32),
        identity=rng.normal(0, 0.8, (count, head_model.identity_size)).astype(np.float32),
        expression=random_moods(count, rng),
        track=np.full(count, -1, np.int32),
    )
    return faces.replace(box=head_model.boxes(faces))


def paint_crowd(image: Image, faces: Faces, head_model: HeadModel, appearances: Sequence[Appearance]) -> None:
    """Draw the heads of all faces into the image, nearer ones over farther ones.

    Args:
        image: (H, W, 3) uint8 RGB, changed in place.
        faces: N rows in px of the image.
        head_model: the head model.
        appearances: N appearances; their colors are used, not what they wear.
    """
    vertices = head_model.vertices(faces.identity, faces.expression)
    for i in np.argsort(faces.scale, kind="stable"):
        mesh = ColoredMesh(vertices[i], head_model.triangles, head_colors(head_model, appearances[i]))
        paint_head(image, image, mesh, faces[int(i)], cull=False)  # the neck is open below


def head_colors(head_model: HeadModel, appearance: Appearance) -> NDArray[np.float32]:
    """Color the vertices of a head by region, with soft edges, a red nose and a collar.

    Returns:
        (V, 4) float32 sRGB and opacity, in [0, 1].
    """
    skin, hair, iris, lips, shirt = (
        light_to_srgb(getattr(appearance, name)) for name in ("skin", "hair", "iris", "lips", "shirt")
    )
    personal = {"lips": lips, "lids": skin * 0.93, "brows": 0.15 * skin + 0.75 * hair, "scalp": hair, "iris": iris}
    of_region = _REGION_COLORS | personal
    table = np.array([of_region.get(name, skin) for name in head_model.region_names], np.float32)
    colors = table[head_model.region]
    points, landmarks = head_model.mean, head_model.landmark_basis("ibug68")[0]
    blush = np.exp(-(np.linalg.norm(points - landmarks[30], axis=1) ** 2) / (2 * 0.022**2))[:, None]
    face = head_model.region_mask("face")[:, None]
    colors = np.where(face, colors * (1 - blush * np.array((0.01, 0.07, 0.06))), colors)
    colors = _soften_edges(colors, head_model)
    collar = landmarks[8, 1] - 0.05 - 0.4 * np.maximum(points[:, 2] + 0.06, 0)
    clothed = ramp(points[:, 1], collar, collar - 0.016)[:, None] * head_model.region_mask("face", "neck")[:, None]
    colors = colors * (1 - clothed) + clothed * shirt
    return np.asarray(np.c_[colors, np.ones(len(colors))].astype(np.float32))


def backdrop(height: int, width: int, rng: np.random.Generator) -> Image:
    """Draw a wall in soft light: a gradient between two muted colors with a little noise. Returns (height, width, 3) uint8."""
    top, bottom = (rng.uniform(*limits) + rng.uniform(-0.05, 0.05, 3) for limits in ((0.5, 0.8), (0.3, 0.5)))
    down = np.linspace(0, 1, height)[:, None, None]
    across = 1 - 0.25 * np.linspace(-1, 1, width)[None, :, None] ** 2
    wall = (top * (1 - down) + bottom * down) * across
    return np.clip(wall * 255 + rng.normal(0, 2.5, (height, width, 1)), 0, 255).astype(np.uint8)


def _soften_edges(colors: Floats, head_model: HeadModel) -> NDArray[np.float32]:
    """Average the colors (V, 3) of the skin once with their neighbors, so that the edges of regions do not follow the triangles."""
    a, b = head_model.triangles[:, [0, 1, 2]].ravel(), head_model.triangles[:, [1, 2, 0]].ravel()
    total, count = colors.astype(np.float64).copy(), np.ones(len(colors))
    np.add.at(total, a, colors[b])
    np.add.at(count, a, 1)
    skin = head_model.region_mask(*_SKIN_REGIONS)[:, None]
    return np.where(skin, total / count[:, None], colors).astype(np.float32)


def _places(count: int, width: int, height: int) -> tuple[Floats, Floats]:
    """Arrange people in rows, a short last row centered.

    Returns:
        (count, 2) px between the eyes of each, and the size (2,) px of a place.
    """
    columns = np.arange(1, count + 1)
    px_per_m = np.minimum(width / columns / _PERSON_M[0], height / -(-count // columns) / _PERSON_M[1])
    across = int(columns[px_per_m.argmax()])
    rows = -(-count // across)
    row, column = np.arange(count) // across, np.arange(count) % across
    in_row = np.where(row < rows - 1, across, count - across * (rows - 1))
    cell = np.array([width / across, height / rows])
    return np.stack([width / 2 + (column + 0.5 - in_row / 2) * cell[0], (row + 0.4) * cell[1]], 1), cell
