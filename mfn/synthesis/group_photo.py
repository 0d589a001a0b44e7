"""Group photos of painted people, for demonstrations: rows of people with shoulders, in one studio light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import FRONTAL, project, rotation_from_euler
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import HAIR_COLORS, SKIN_COLORS, Appearance, random_appearance, srgb_to_light
from mfn.synthesis.expressions import expression_from_weights
from mfn.synthesis.rendering import accessories
from mfn.synthesis.rendering.accessories import HeadPlacement
from mfn.synthesis.rendering.head_renderer import HeadRenderer, Person
from mfn.synthesis.rendering.lighting import Light
from retarget.io.images import Image

_STUDIO_LIGHT = Light(
    direction=np.array([[-0.50, -0.48, -0.72], [0.80, -0.15, -0.58], [0.35, -0.85, 0.39]], np.float32),
    color=np.array([[0.62, 0.59, 0.55], [0.16, 0.19, 0.24], [0.30, 0.30, 0.30]], np.float32),
    ambient=np.array([0.34, 0.34, 0.36], np.float32),
)
_PERSON_WIDTH_M = 0.31  # between two neighbors of a row
_ROW_HEIGHT_M = 0.33  # between the eyes of two rows
_TOP_M = 0.23  # from the top of the image to the eyes of the last row
_BOTTOM_M = 0.31  # from the eyes of the first row to the bottom of the image
_ROW_SHRINK = 0.93  # size of a row, relative to the row before it
_ANGLES_SD_DEG = (5.0, 13.0, 5.0)  # pitch, yaw, roll
_MAX_ANGLE_RAD = 0.55
_EXPOSURE = 1.02
_SAMPLES = 2  # rendered pixels for each pixel of the image's side: smooth edges
_SHIRTS = (
    (0.16, 0.27, 0.42),
    (0.60, 0.20, 0.18),
    (0.87, 0.84, 0.78),
    (0.17, 0.40, 0.36),
    (0.85, 0.62, 0.24),
    (0.22, 0.22, 0.25),
    (0.45, 0.30, 0.47),
)  # sRGB
_SMILE = {"mouthSmileLeft": 0.75, "mouthSmileRight": 0.75, "cheekSquintLeft": 0.4, "cheekSquintRight": 0.4}
_MOODS: tuple[dict[str, float], ...] = (
    _SMILE,
    {**_SMILE, "jawOpen": 0.35, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3},
    {"jawOpen": 0.55, "browInnerUp": 0.8, "browOuterUpLeft": 0.6, "browOuterUpRight": 0.6, "eyeWideLeft": 0.6, "eyeWideRight": 0.6},
    {**_SMILE, "eyeBlinkLeft": 0.95},
    {"mouthPucker": 0.85, "mouthFunnel": 0.2, "browInnerUp": 0.3},
    {"mouthSmileLeft": 0.35, "mouthSmileRight": 0.35},
    {"browDownLeft": 0.8, "browDownRight": 0.8, "mouthFrownLeft": 0.5, "mouthFrownRight": 0.5, "noseSneerLeft": 0.3, "noseSneerRight": 0.3},
    {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.2, "browOuterUpLeft": 0.6},
)
_WALL_TOP, _WALL_BOTTOM = (0.71, 0.75, 0.79), (0.40, 0.43, 0.48)  # sRGB
_HIGHLIGHT_KNEE = 0.7  # linear light from which highlights are compressed


@dataclass(frozen=True)
class GroupPhoto:
    """A group of people. The same people can be rendered with other poses and expressions."""

    renderer: HeadRenderer
    people: tuple[Person, ...]
    faces: Faces
    """N rows: where everybody is, with their boxes. The last row of people comes first."""
    size: tuple[int, int]
    """(width, height) of the image, px."""
    seed: int

    def render(self, faces: Faces | None = None) -> Image:
        """Render the group.

        Args:
            faces: Poses and expressions, N rows in the order of `self.faces`. None: `self.faces`.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        import cv2

        width, height = self.size
        rest, faces = _enlarged(self.faces), _enlarged(self.faces if faces is None else faces)
        image = studio_wall(width * _SAMPLES, height * _SAMPLES)
        for number, person in enumerate(self.people):
            rng = np.random.default_rng((self.seed, number))  # the same clothes in every image
            self._draw_person(image, person, rest[number], faces[number], rng)
        return np.asarray(cv2.resize(image, self.size, interpolation=cv2.INTER_AREA), np.uint8)

    def _draw_person(self, image: Image, person: Person, rest: Faces, face: Faces, rng: np.random.Generator) -> None:
        """Draw one person, in place. rest: where the shoulders are; face: the pose and expression of the head."""
        model, appearance = self.renderer.model, person.appearance
        vertices = person.vertices(model, face.expression[0])
        points = project(vertices, face.rotation[0], face.scale[0], face.center[0])
        white = (_STUDIO_LIGHT.ambient + 0.4 * _STUDIO_LIGHT.color.sum(0)) * np.float32(_EXPOSURE)
        landmarks = model.points(vertices, "ibug68")
        head = HeadPlacement(landmarks, face.rotation[0], float(face.scale[0]), face.center[0], white)
        shoulders = head._replace(rotation=FRONTAL, center=rest.center[0])
        if appearance.long_hair:
            accessories.draw_long_hair(image, head, appearance.hair, appearance.long_hair, rng)
        _draw_torso(image, shoulders, appearance.shirt, rng)
        drawn = self.renderer.render(person, points, face.rotation[0], _STUDIO_LIGHT, image.shape[:2])
        image.reshape(-1, 3)[drawn.pixel] = _to_srgb_bytes(drawn.color * np.float32(_EXPOSURE))
        if rng.random() < 0.2:
            accessories.draw_glasses(image, head, drawn.depth, rng)


def make_group_photo(model: HeadModel, count: int, size: tuple[int, int], seed: int = 0) -> GroupPhoto:
    """Invent a group of people.

    Args:
        model: The head model.
        count: Number of people, at least 1.
        size: (width, height) of the image, px.
        seed: Seed of the random numbers; each seed is another group.
    """
    rng = np.random.default_rng(seed)
    renderer = HeadRenderer(model)
    center, scale = _places(count, size)
    identity = rng.normal(0, 0.9, (count, model.identity_size)).astype(np.float32)
    angles = np.deg2rad(rng.normal(0, _ANGLES_SD_DEG, (count, 3))).clip(-_MAX_ANGLE_RAD, _MAX_ANGLE_RAD)
    faces = Faces(
        image=np.zeros(count, np.int32),
        box=np.zeros((count, 4), np.float32),
        score=np.ones(count, np.float32),
        rotation=np.asarray(rotation_from_euler(angles), np.float32),
        scale=(scale * rng.uniform(0.96, 1.04, count)).astype(np.float32),
        center=(center + rng.normal(0, 0.012, (count, 2)) * scale[:, None]).astype(np.float32),
        identity=identity,
        expression=_friendly_moods(count, rng),
        track=np.arange(count, dtype=np.int32),
    )
    people = tuple(renderer.make_person(_appearance(number, rng), row, rng) for number, row in enumerate(identity))
    return GroupPhoto(renderer, people, faces.replace(box=model.boxes(faces)), size, seed)


def _enlarged(faces: Faces) -> Faces:
    """Return faces in the px of an image that is `_SAMPLES` times as large."""
    return faces.replace(center=faces.center * _SAMPLES, scale=faces.scale * _SAMPLES)


def studio_wall(width: int, height: int) -> Image:
    """Paint a gray studio wall, lit in the middle: (height, width, 3) uint8 RGB."""
    y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(-1, 1, width)[None, :, None]
    wall = np.array(_WALL_TOP) * (1 - y) + np.array(_WALL_BOTTOM) * y
    spot = 1.12 - 0.22 * x**2 - 0.30 * (y - 0.35) ** 2
    grain = np.random.default_rng(0).normal(0, 0.004, (height, width, 1))
    return np.asarray(np.clip((wall * spot + grain) * 255, 0, 255), np.uint8)


def _appearance(number: int, rng: np.random.Generator) -> Appearance:
    """Draw a person with natural colors, and without a hat or mask, which would hide the face."""
    drawn = random_appearance(rng)
    skin = srgb_to_light(SKIN_COLORS[(number * 5 + 1) % len(SKIN_COLORS)]) * np.float32(rng.uniform(0.9, 1.1))
    hair = srgb_to_light(HAIR_COLORS[int(rng.integers(len(HAIR_COLORS)))]) * np.float32(rng.uniform(0.8, 1.3))
    shirt = srgb_to_light(_SHIRTS[number % len(_SHIRTS)])
    lips = skin * np.array([0.85, 0.52, 0.54], np.float32)
    return replace(
        drawn,
        skin=skin,
        hair=hair,
        lips=lips,
        shirt=shirt,
        cover="none",
        mask=False,
        eye_shadow=0.0,
        age=0.4 * drawn.age,
        freckles=0.5 * drawn.freckles,
        hair_volume_m=min(max(drawn.hair_volume_m, 0.008), 0.016),
        hairline_m=max(drawn.hairline_m, 0.002) if drawn.hairline_m < 0.5 else drawn.hairline_m,
    )


def _friendly_moods(count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw expressions (N, 51): each of the moods once, then again from the start, in random order."""
    rows = [expression_from_weights(_MOODS[k % len(_MOODS)]) for k in range(count)]
    return np.asarray(rows, np.float32)[rng.permutation(count)]


def _places(count: int, size: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the places of the eyes (N, 2) px and the scales (N,) px per meter; the last row first.

    The number of rows is the one at which the people are largest. Rows are shifted by half a place.
    """
    width, height = size

    def scale_at(rows: int) -> float:
        across = -(-count // rows)
        return min(width / ((across + 0.6) * _PERSON_WIDTH_M), height / (_TOP_M + (rows - 1) * _ROW_HEIGHT_M + _BOTTOM_M))

    rows = max(range(1, count + 1), key=scale_at)
    scale = scale_at(rows)
    spare = height - scale * (_TOP_M + (rows - 1) * _ROW_HEIGHT_M + _BOTTOM_M)
    top = scale * _TOP_M + 0.45 * spare
    centers, scales = [], []
    across = [count // rows + (row >= rows - count % rows) for row in range(rows)]  # the first row is the longest
    step = width / (max(across) + 0.6)
    for row in range(rows):
        even = len(set(across)) == 1 and rows > 1  # rows of equal length are shifted, so that nobody is hidden
        shift = (0.25 if row % 2 else -0.25) * even
        for column in range(across[row]):
            centers.append((width / 2 + (column - (across[row] - 1) / 2 + shift) * step, top + row * _ROW_HEIGHT_M * scale))
            scales.append(scale * _ROW_SHRINK ** (rows - 1 - row))
    return np.array(centers), np.array(scales)


def _draw_torso(image: Image, head: HeadPlacement, shirt: NDArray[Any], rng: np.random.Generator) -> None:
    """Draw a shirt with sloping, rounded shoulders and soft shading, down to the bottom of the image."""
    import cv2

    half = rng.uniform(0.19, 0.225)
    collar = [[0, -0.005], [0.06, -0.03], [0.085, -0.012], [0.13, 0.012]]
    shoulder = [[0.8 * half, 0.035], [half, 0.075], [half + 0.025, 0.2], [half + 0.03, 2.0]]
    outline = np.array([*collar, *shoulder])
    neck = head.to_px(np.array([0.0, -0.205, -0.07]))[:2]
    right = _smooth_curve(outline)
    polygon = neck + np.concatenate([right, right[::-1] * [-1, 1]]) * head.scale
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(polygon * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    across = (np.arange(image.shape[1]) - neck[0]) / (head.scale * half)
    down = (np.arange(image.shape[0]) - neck[1]) / head.scale
    side = np.sqrt(np.clip(1 - (across / 1.25) ** 2, 0, 1))[None, :, None]
    light = 0.42 + 0.62 * side - 0.14 * across.clip(-1, 1)[None, :, None] - 0.35 * down.clip(0, 0.6)[:, None, None]
    color = shirt * head.white * np.maximum(light, 0.08).astype(np.float32)
    share = mask[..., None].astype(np.float32) / 255
    image[:] = image + (_to_srgb_bytes(color) - image.astype(np.float32)) * share


def _smooth_curve(points: NDArray[np.float64], repeats: int = 3) -> NDArray[np.float64]:
    """Round the corners of an open polygon (P, 2) by Chaikin's corner cutting. Its ends stay."""
    for _ in range(repeats):
        near, far = 0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]
        cut = np.stack([near, far], 1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def _to_srgb_bytes(linear: NDArray[Any]) -> NDArray[np.uint8]:
    """Convert linear light (..., 3) to sRGB bytes. Highlights are compressed."""
    rest = 1 - _HIGHLIGHT_KNEE
    compressed = _HIGHLIGHT_KNEE + rest * (1 - np.exp(-(linear - _HIGHLIGHT_KNEE) / rest))
    light = np.clip(np.where(linear > _HIGHLIGHT_KNEE, compressed, linear), 0, 1)
    return np.asarray(np.round(255 * light ** (1 / 2.2)), np.uint8)
