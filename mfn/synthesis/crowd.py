"""People made of the head model: skin, brows, lips, eyes, hair and a shirt, before a wall. Known faces to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.visualize import paint_head, ramp
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Picture

if TYPE_CHECKING:
    from mfn.structures.head_model import HeadModel

_PERSON_M = (0.27, 0.36)  # the space a bust takes, across and down

Colour = tuple[float, float, float]

SKINS: tuple[Colour, ...] = (
    (0.94, 0.78, 0.69),
    (0.88, 0.69, 0.57),
    (0.80, 0.60, 0.46),
    (0.66, 0.46, 0.34),
    (0.48, 0.32, 0.23),
    (0.36, 0.24, 0.18),
)
HAIRS: tuple[Colour, ...] = ((0.06, 0.05, 0.05), (0.13, 0.1, 0.1), (0.24, 0.15, 0.09), (0.4, 0.3, 0.2), (0.4, 0.4, 0.4))
IRISES: tuple[Colour, ...] = ((0.22, 0.13, 0.08), (0.30, 0.22, 0.12), (0.27, 0.38, 0.45), (0.30, 0.38, 0.24))
SHIRTS: tuple[Colour, ...] = ((0.2, 0.25, 0.35), (0.5, 0.2, 0.2), (0.85, 0.85, 0.82), (0.2, 0.4, 0.33), (0.2, 0.2, 0.2))

# Expressions that people make, as ARKit weights of their strongest form.
MOODS: tuple[dict[str, float], ...] = (
    {},
    {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4},
    {"jawOpen": 0.6, "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5},
    {"jawOpen": 0.5, "browInnerUp": 0.7, "eyeWideLeft": 0.6, "eyeWideRight": 0.6},
    {"browDownLeft": 0.8, "browDownRight": 0.8, "mouthFrownLeft": 0.5, "mouthFrownRight": 0.5},
    {"mouthPucker": 0.8, "mouthFunnel": 0.2},
    {"eyeBlinkLeft": 0.95, "eyeBlinkRight": 0.95},
    {"eyeBlinkLeft": 0.9, "mouthSmileLeft": 0.7, "mouthSmileRight": 0.3},
    {"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6, "browOuterUpLeft": 0.5, "browOuterUpRight": 0.5},
)


class Appearance(NamedTuple):
    """sRGB 0 to 1."""

    skin: Colour
    hair: Colour
    iris: Colour
    shirt: Colour


def random_appearances(count: int, random: np.random.Generator) -> list[Appearance]:
    """People of many kinds."""
    kinds = (SKINS, HAIRS, IRISES, SHIRTS)
    return [Appearance(*(kind[int(random.integers(len(kind)))] for kind in kinds)) for _ in range(count)]


def random_expressions(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """(N, 51) moods at some strength, over a little of everything else."""
    weights = random.uniform(0, 0.06, (count, len(EXPRESSION_NAMES))).astype(np.float32)
    for row in weights:
        strength = random.uniform(0.6, 1.0)
        for name, weight in MOODS[int(random.integers(len(MOODS)))].items():
            row[EXPRESSION_NAMES.index(name)] = weight * strength
    return weights


def head_colours(head_model: HeadModel, look: Appearance) -> NDArray[np.float32]:
    """(V, 4) sRGB and opacity 0 to 1 of a person's head: by region, edges a little softened, some red on the nose."""
    skin = np.array(look.skin, np.float32)
    of_region = {
        "lips": skin * 0.62 + np.array((0.28, 0.10, 0.11), np.float32) * 0.62,
        "lids": skin * 0.93,
        "brows": 0.15 * skin + 0.75 * np.array(look.hair, np.float32),
        "scalp": np.array(look.hair, np.float32),
        "eyeball_left": np.array((0.93, 0.92, 0.91)),
        "eyeball_right": np.array((0.93, 0.92, 0.91)),
        "iris": np.array(look.iris),
        "pupil": np.array((0.03, 0.03, 0.03)),
        "mouth_inside": np.array((0.28, 0.09, 0.09)),
        "teeth": np.array((0.93, 0.91, 0.86)),
        "gums": np.array((0.72, 0.42, 0.42)),
        "tongue": np.array((0.70, 0.34, 0.35)),
    }
    table = np.array([of_region.get(name, skin) for name in head_model.region_names], np.float32)
    colours = table[head_model.region]
    points = head_model.mean
    marks = head_model.landmark_basis("ibug68")[0]
    blush = np.exp(-(np.linalg.norm(points - marks[30], axis=1) ** 2) / (2 * 0.022**2))[:, None]
    face = head_model.region_mask("face")[:, None]
    colours = np.where(face, colours * (1 - blush * np.array((0.01, 0.07, 0.06))), colours)
    colours = _softened(colours, head_model)
    collar = marks[8, 1] - 0.05 - 0.4 * np.maximum(points[:, 2] + 0.06, 0)
    shirt = ramp(points[:, 1], collar, collar - 0.016)[:, None] * head_model.region_mask("face", "neck")[:, None]
    colours = colours * (1 - shirt) + shirt * np.array(look.shirt)
    return np.c_[colours, np.ones(len(colours))].astype(np.float32)


def _softened(colours: NDArray, head_model: HeadModel) -> NDArray[np.float32]:
    """Skin colours averaged once with their neighbours, so that a region's edge does not follow the triangles."""
    a, b = head_model.triangles[:, [0, 1, 2]].ravel(), head_model.triangles[:, [1, 2, 0]].ravel()
    total, count = colours.astype(np.float64).copy(), np.ones(len(colours))
    np.add.at(total, a, colours[b])
    np.add.at(count, a, 1)
    skin = head_model.region_mask("face", "lids", "lips", "brows", "ears", "scalp", "neck")[:, None]
    return np.where(skin, total / count[:, None], colours).astype(np.float32)


def paint_crowd(canvas: Picture, faces: Faces, head_model: HeadModel, looks: list[Appearance]) -> None:
    """Every face's head into the picture (H, W, 3) uint8, nearer over farther."""
    vertices = head_model.vertices(faces.identity, faces.expression)
    for i in np.argsort(faces.scale, kind="stable"):
        mesh = (vertices[i], head_model.triangles, head_colours(head_model, looks[i]))
        paint_head(canvas, canvas, mesh, faces[int(i)], cull=False)  # a bust is open below


def backdrop(height: int, width: int, random: np.random.Generator) -> Picture:
    """A wall in soft light: a gradient between two quiet colours, with a little grain. (H, W, 3) uint8."""
    top, bottom = (random.uniform(*range) + random.uniform(-0.05, 0.05, 3) for range in ((0.5, 0.8), (0.3, 0.5)))
    down = np.linspace(0, 1, height)[:, None, None]
    across = 1 - 0.25 * np.linspace(-1, 1, width)[None, :, None] ** 2
    wall = (top * (1 - down) + bottom * down) * across
    return np.clip(wall * 255 + random.normal(0, 2.5, (height, width, 1)), 0, 255).astype(np.uint8)


def random_crowd(head_model: HeadModel, count: int, size: tuple[int, int], random: np.random.Generator) -> Faces:
    """Known faces that stand beside each other in a picture of size (width, height) px, each in a place of its own."""
    if not count:
        return Faces.empty(head_model.identity_size)
    place, cell = _places(count, *size)
    metre = min(cell[0] / _PERSON_M[0], cell[1] / _PERSON_M[1])
    angles = random.normal(0, np.deg2rad((9, 25, 8)), (count, 3)).clip(-0.9, 0.9)
    faces = Faces(
        image=np.zeros(count, np.int32),
        box=np.zeros((count, 4), np.float32),
        score=np.ones(count, np.float32),
        rotation=rotation_from_euler(angles),
        scale=metre * random.uniform(0.75, 1.0, count).astype(np.float32),
        center=(place + random.uniform(-0.04, 0.04, (count, 2)) * cell).astype(np.float32),
        identity=random.normal(0, 0.8, (count, head_model.identity_size)).astype(np.float32),
        expression=random_expressions(count, random),
        track=np.full(count, -1, np.int32),
    )
    return faces.replace(box=head_model.boxes(faces))


def _places(count: int, width: int, height: int) -> tuple[NDArray, NDArray]:
    """Where the eyes of `count` people go (N, 2) px, in rows, a short last row in the middle; a place's size (2,)."""
    columns = np.arange(1, count + 1)
    metre = np.minimum(width / columns / _PERSON_M[0], height / -(-count // columns) / _PERSON_M[1])
    across = int(columns[metre.argmax()])
    rows = -(-count // across)
    row, column = np.arange(count) // across, np.arange(count) % across
    in_row = np.where(row < rows - 1, across, count - across * (rows - 1))
    cell = np.array([width / across, height / rows])
    return np.stack([width / 2 + (column + 0.5 - in_row / 2) * cell[0], (row + 0.4) * cell[1]], 1), cell
