"""Synthetic heads: the head model with any identity, expression, gaze, skin, hair and clothes, in any light, and exact labels.

    heads = HeadGenerator(HeadModel.load(), photos)         # photos: (H, W, 3) uint8 RGB without faces, to stand before
    picture, faces = heads.picture(rng)             # (S, S, 3) uint8 RGB; one row

A person is painted once and drawn several times, as painting costs more than drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project, rotation_from_euler
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.accessories import Scene, draw_behind, draw_brim, draw_glasses, draw_hand, draw_locks, draw_thing
from mfn.synthesis.appearance import Appearance, random_appearance
from mfn.synthesis.atlas import make_surface
from mfn.synthesis.crowd import MOODS, backdrop
from mfn.synthesis.head_renderer import Person, draw_head, make_person, random_light
from mfn.synthesis.texture import Canvas
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Picture

Floats = NDArray[np.floating]
PICTURES_A_PERSON = 8

_at = {name: k for k, name in enumerate(EXPRESSION_NAMES)}.__getitem__

# What cannot be at once: of each pair the weaker is left out.
OPPOSITES = (
    ("eyeBlinkLeft", "eyeWideLeft"), ("eyeBlinkRight", "eyeWideRight"), ("jawLeft", "jawRight"), ("mouthLeft", "mouthRight"),
    ("mouthSmileLeft", "mouthFrownLeft"), ("mouthSmileRight", "mouthFrownRight"), ("browDownLeft", "browOuterUpLeft"),
    ("browDownRight", "browOuterUpRight"), ("mouthPucker", "mouthStretchLeft"), ("mouthPucker", "mouthStretchRight"),
    ("mouthPucker", "mouthSmileLeft"), ("mouthPucker", "mouthSmileRight"), ("mouthRollLower", "mouthFunnel"),
    ("mouthRollUpper", "mouthFunnel"), ("mouthPucker", "jawOpen"), ("mouthPressLeft", "jawOpen"), ("mouthPressRight", "jawOpen"),
    ("mouthRollLower", "jawOpen"), ("mouthRollUpper", "mouthUpperUpLeft"), ("cheekPuff", "jawOpen"), ("mouthFunnel", "mouthStretchLeft"),
)  # fmt: skip
# Seen too seldom in photos: each gets pictures of its own, with its other side at the same, another or no weight.
RARE = (
    "cheekPuff", "jawForward", "jawLeft", "mouthLeft", "noseSneerLeft", "eyeBlinkLeft", "eyeSquintLeft", "mouthSmileLeft", "mouthPucker",
    "mouthFunnel", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthDimpleLeft",
    "mouthFrownLeft", "mouthStretchLeft", "mouthUpperUpLeft", "mouthLowerDownLeft", "browDownLeft", "browOuterUpLeft", "browInnerUp",
    "eyeWideLeft", "cheekSquintLeft", "jawOpen", "mouthClose",
)  # fmt: skip


def random_expressions(count: int, rng: np.random.Generator) -> Floats:
    """(N, 51): moods, single rare shapes, and free mixtures, with a gaze and often a blink of their own."""
    out = np.zeros((count, len(EXPRESSION_NAMES)), np.float32)
    for row in out:
        kind = rng.random()
        if kind < 0.35:
            strength = rng.uniform(0.4, 1.15)
            for name, weight in MOODS[int(rng.integers(len(MOODS)))].items():
                row[_at(name)] = weight * strength
        elif kind < 0.7:
            for name in rng.choice(RARE, int(rng.integers(1, 4)), replace=False):
                _raise(row, name, float(rng.uniform(0.3, 1.0)), rng)
        if kind > 0.6:
            names = rng.choice(len(row), int(rng.integers(2, 9)), replace=False)
            row[names] = np.maximum(row[names], rng.beta(1.2, 1.6, len(names)))
        if rng.random() < 0.4:
            row[:] = np.maximum(row, rng.uniform(0, 0.12, len(row)))
        _gaze_and_lids(row, rng)
        _settle(row)
    return out


def _raise(row: Floats, name: str, weight: float, rng: np.random.Generator) -> None:
    """A shape and its other side: mostly alike, often one side alone."""
    other = name.replace("Left", "Right")
    sided = name not in ("jawLeft", "mouthLeft") and other != name
    if not sided:
        row[_at(other if rng.random() < 0.5 else name)] = weight
        return
    share = rng.choice([1.0, 0.0, rng.random()], p=[0.55, 0.25, 0.2])
    first, second = (name, other) if rng.random() < 0.5 else (other, name)
    row[_at(first)], row[_at(second)] = weight, weight * share


def _gaze_and_lids(row: Floats, rng: np.random.Generator) -> None:
    """Both eyes look one way; a quarter of all blink, squint or wink, fully or in part."""
    aside, up = rng.normal(0, 0.3, 2).clip(-1, 1) if rng.random() < 0.7 else rng.uniform(-0.9, 0.9, 2)
    for name in ("eyeLookInLeft", "eyeLookOutLeft", "eyeLookInRight", "eyeLookOutRight"):
        left = ("Left" in name) == ("Out" in name)  # towards the subject's left
        row[_at(name)] = max(aside if left else -aside, 0)
    for side in ("Left", "Right"):
        row[_at(f"eyeLookUp{side}")], row[_at(f"eyeLookDown{side}")] = max(up, 0), max(-up, 0)
        lid = _at(f"eyeBlink{side}")
        row[lid] = max(row[lid], 0.45 * max(-up, 0))  # the upper lid follows the eye down
    if rng.random() < 0.25:
        _raise(row, "eyeBlinkLeft", float(rng.choice([rng.uniform(0.9, 1.0), rng.uniform(0.2, 1.0)])), rng)


def _settle(row: Floats) -> None:
    """Takes out what contradicts, and keeps every weight in [0, 1]."""
    for a, b in OPPOSITES:
        i, j = _at(a), _at(b)
        if row[i] > 0.08 and row[j] > 0.08:
            row[i if row[i] < row[j] else j] *= 0.08
    row[_at("mouthClose")] = min(row[_at("mouthClose")], row[_at("jawOpen")])
    np.clip(row, 0, 1, out=row)


def behind_mask(expression: Floats) -> Floats:
    """(N, 51) with the mouth's shapes at rest, as a mask hides them; a jaw that opens keeps the lips shut."""
    out = expression.copy()
    mouth = [name.startswith(("mouth", "jaw", "cheekPuff")) for name in EXPRESSION_NAMES]
    out[:, mouth] = 0
    out[:, _at("jawOpen")] = out[:, _at("mouthClose")] = 0.5 * expression[:, _at("jawOpen")]
    return out


def random_pose(rng: np.random.Generator) -> Floats:
    """(3, 3) rotation: half near frontal, half anywhere to past profile, some looking up or down."""
    yaw = rng.normal(0, 22) if rng.random() < 0.5 else rng.uniform(-100, 100)
    pitch = rng.normal(0, 9) if rng.random() < 0.7 else rng.uniform(-45, 42)
    angles = np.radians([pitch, yaw, rng.normal(0, 8)]).astype(np.float32)
    return rotation_from_euler(angles).astype(np.float32)


class HeadGenerator:
    """Makes pictures of synthetic people for ever.

    backgrounds: photos (H, W, 3) uint8 RGB without faces, or none for walls; pictures: how many of a person before the next is painted
    """

    def __init__(
        self, model: HeadModel, backgrounds: Sequence[Picture] = (), pictures: int = PICTURES_A_PERSON
    ) -> None:
        self.model, self.backgrounds, self.pictures = model, backgrounds, pictures
        self.canvas = Canvas(model, make_surface(model))
        self._person: Person | None = None
        self._drawn = 0
        self.number = -1

    def forget(self) -> None:
        """The next picture shows a new person."""
        self._person = None

    def person(self, rng: np.random.Generator) -> Person:
        """The present person, or after `pictures` of them a new one."""
        if self._person is None or self._drawn >= self.pictures:
            identity = rng.normal(0, 1.0, self.model.identity_size).astype(np.float32)
            self._person, self._drawn = make_person(self.canvas, random_appearance(rng), identity, rng), 0
            self.number += 1
        self._drawn += 1
        return self._person

    def picture(self, rng: np.random.Generator, size: int = 200, samples: float = 1.5) -> tuple[Picture, Faces]:
        """One head in a picture of `size` px. samples: px drawn for each px of the picture's side, more is smoother at edges."""
        import cv2

        person = self.person(rng)
        face = self.place(person, size, rng)
        fine = int(round(size * samples))
        background = self.background(fine, rng)
        vertices = person.vertices(self.model, face.expression[0])
        gain = fine / size
        points = project(vertices, face.rotation[0], face.scale[0] * gain, face.center[0] * gain)
        light = random_light(rng)
        colour, pixel, depth = draw_head(self.canvas, person, points, face.rotation[0], light, (fine, fine))
        bright = exposure(colour, rng)
        white = (light.ambient + 0.4 * light.colour.sum(0)) * np.float32(bright)
        scene = Scene(
            self.model.points(vertices, "ibug68"),
            face.rotation[0],
            float(face.scale[0] * gain),
            face.center[0] * gain,
            white,
        )
        look = person.look
        draw_behind(background, scene, look.shirt, look.hair, look.long_hair, rng)
        background.reshape(-1, 3)[pixel] = to_bytes(colour * np.float32(bright))
        draw_before(background, scene, look, depth, rng)
        small = cv2.resize(background, (size, size), interpolation=cv2.INTER_AREA) if fine != size else background
        return small, face

    def place(self, person: Person, size: int, rng: np.random.Generator) -> Faces:
        """Where and how the person is in the next picture."""
        expression = random_expressions(1, rng)
        if person.look.mask:
            expression = behind_mask(expression)
        scale = size * np.exp(rng.normal(np.log(3.6), 0.12))
        face = Faces(
            image=np.zeros(1, np.int32),
            box=np.zeros((1, 4), np.float32),
            score=np.ones(1, np.float32),
            rotation=random_pose(rng)[None],
            scale=np.array([scale], np.float32),
            center=(size * np.array([[0.5, 0.44]]) + rng.normal(0, 0.04 * size, (1, 2))).astype(np.float32),
            identity=person.identity[None],
            expression=expression,
            track=np.array([self.number], np.int32),
        )
        return self.boxed(face)

    def boxed(self, face: Faces) -> Faces:
        """One row with the box that its pose, identity and expression have."""
        return face.replace(box=self.model.boxes(face))

    def background(self, side: int, rng: np.random.Generator) -> Picture:
        """Part of one of the photos, or a wall, (side, side, 3)."""
        import cv2

        if not len(self.backgrounds):
            return backdrop(side, side, rng)
        photo = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        cut = int(min(photo.shape[:2]) * rng.uniform(0.4, 1.0))
        y, x = (int(rng.integers(n - cut + 1)) for n in photo.shape[:2])
        return cv2.resize(photo[y : y + cut, x : x + cut], (side, side), interpolation=cv2.INTER_LINEAR)


def draw_before(picture: Picture, scene: Scene, look: Appearance, depth: Floats, rng: np.random.Generator) -> None:
    """Locks, glasses, a brim, and now and then a hand or a thing."""
    if look.long_hair > 0.55:
        draw_locks(picture, scene, look.hair, depth, rng)
    if rng.random() < 0.2:
        draw_glasses(picture, scene, depth, rng)
    if look.cover == 2:
        draw_brim(picture, scene, look.cloth, rng)
    chance = rng.random()
    if chance < 0.08:
        draw_hand(picture, scene, look.skin, rng)
    elif chance < 0.12:
        draw_thing(picture, scene, rng)


def exposure(colour: Floats, rng: np.random.Generator) -> float:
    """What the camera multiplies by so that a head is neither black nor white."""
    return float(np.clip(rng.uniform(0.16, 0.42) / max(float(colour[::7].mean()), 1e-3), 0.4, 3.0))


def to_bytes(linear: Floats) -> NDArray[np.uint8]:
    """Linear light to sRGB bytes, highlights rolled off."""
    return _SRGB[np.minimum(linear * 2047, 4095).astype(np.int32)]


def _srgb_table() -> NDArray[np.uint8]:
    light = np.arange(4096) / 2047
    soft = np.where(light > 0.7, 0.7 + 0.3 * (1 - np.exp(-(light - 0.7) / 0.3)), light)
    return (
        np.round(255 * np.where(soft < 0.0031308, 12.92 * soft, 1.055 * soft ** (1 / 2.4) - 0.055))
        .clip(0, 255)
        .astype(np.uint8)
    )


_SRGB = _srgb_table()
