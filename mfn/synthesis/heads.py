"""Synthetic photos of heads for training: any identity, expression, gaze, skin, hair and clothes, in any light, with exact labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project, rotation_from_euler
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import Appearance, random_appearance
from mfn.synthesis.crowd import backdrop
from mfn.synthesis.expressions import ExpressionChange, change_expression, cover_mouth, random_expressions
from mfn.synthesis.rendering import accessories
from mfn.synthesis.rendering.accessories import HeadPlacement
from mfn.synthesis.rendering.head_renderer import HeadRenderer, Person
from mfn.synthesis.rendering.lighting import Light, random_light
from mfn.synthesis.takes import ExpressionTakes
from retarget.io.images import Image

Floats = NDArray[np.floating]
_PX_PER_M_AT_UNIT_SIZE = 3.6  # median scale of a head, for an image of 1 px


RECORDED_SHARE = 0.6  # of the expressions come from recorded performances, if there are any
CHANGED_STRENGTH = 0.6  # largest share that is left of an expression to which a change is applied, so that the change is seen


class HeadGenerator:
    """Generates images of synthetic people.

    Painting a person takes longer than rendering one, so each person is painted once and rendered several times.

    Example:
        >>> generator = HeadGenerator(HeadModel.load(), backgrounds)
        >>> image, face = generator.generate(np.random.default_rng(0))
    """

    def __init__(
        self,
        model: HeadModel,
        backgrounds: Sequence[Image] = (),
        images_per_person: int = 8,
        takes: ExpressionTakes | None = None,
        changes: Sequence[ExpressionChange] = (),
    ) -> None:
        """Prepare the head's surface; takes about a second.

        Args:
            model: the head model.
            backgrounds: photos (H, W, 3) uint8 RGB without faces; none: plain walls.
            images_per_person: images after which the next person is painted.
            takes: recorded performances, from which most expressions are drawn; None: all are invented.
            changes: one or two of these are applied to each expression, which is weakened before; none: it stays as it is.
        """
        self.renderer = HeadRenderer(model)
        self.model, self.backgrounds, self.images_per_person = model, backgrounds, images_per_person
        self.takes, self.changes = takes, tuple(changes)
        self.person_number = -1
        self._person: Person | None = None
        self._rendered = 0

    def new_person(self) -> None:
        """Show a new person in the next image."""
        self._person = None

    def person(self, rng: np.random.Generator) -> Person:
        """Return the current person; after `images_per_person` images paint a new one."""
        if self._person is None or self._rendered >= self.images_per_person:
            identity = rng.normal(0, 1.0, self.model.identity_size).astype(np.float32)
            self._person, self._rendered = self.renderer.make_person(random_appearance(rng), identity, rng), 0
            self.person_number += 1
        self._rendered += 1
        return self._person

    def generate(
        self, rng: np.random.Generator, size_px: int = 200, supersampling: float = 1.5
    ) -> tuple[Image, Faces]:
        """Render one head.

        Args:
            rng: source of random numbers.
            size_px: side of the image.
            supersampling: rendered pixels for each pixel of the image's side; more pixels make smoother edges.

        Returns:
            The image (size_px, size_px, 3) uint8 RGB, and its label, one row. `track` numbers the people.
        """
        import cv2

        person = self.person(rng)
        face = self.place(person, size_px, rng)
        fine_px = int(round(size_px * supersampling))
        image = self.background(fine_px, rng)
        _draw_person(self.renderer, person, _scaled(face, fine_px / size_px), random_light(rng), image, rng)
        if fine_px != size_px:
            image = np.asarray(cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)
        return image, face

    def place(self, person: Person, size_px: int, rng: np.random.Generator) -> Faces:
        """Draw pose, expression and place of the person in the next image. Returns one row with its box."""
        recorded = self.takes is not None and rng.random() < RECORDED_SHARE
        expression = self.takes.draw(1, rng) if recorded and self.takes else random_expressions(1, rng)
        if self.changes:
            expression = change_expression(expression[0] * rng.uniform(0, CHANGED_STRENGTH), rng, self.changes)[None]
        if person.appearance.mask:
            expression = cover_mouth(expression)
        scale = size_px * np.exp(rng.normal(np.log(_PX_PER_M_AT_UNIT_SIZE), 0.12))
        face = Faces(
            image=np.zeros(1, np.int32),
            box=np.zeros((1, 4), np.float32),
            score=np.ones(1, np.float32),
            rotation=random_rotation(rng)[None],
            scale=np.array([scale], np.float32),
            center=(size_px * np.array([[0.5, 0.44]]) + rng.normal(0, 0.04 * size_px, (1, 2))).astype(np.float32),
            identity=person.identity[None],
            expression=expression,
            track=np.array([self.person_number], np.int32),
        )
        return face.replace(box=self.model.boxes(face))

    def background(self, size_px: int, rng: np.random.Generator) -> Image:
        """Return a random part of a random background photo, or a wall, (size_px, size_px, 3) uint8 RGB."""
        import cv2

        if not len(self.backgrounds):
            return backdrop(size_px, size_px, rng)
        photo = self.backgrounds[int(rng.integers(len(self.backgrounds)))]
        cut = int(min(photo.shape[:2]) * rng.uniform(0.4, 1.0))
        y, x = (int(rng.integers(n - cut + 1)) for n in photo.shape[:2])
        part = photo[y : y + cut, x : x + cut]
        return np.asarray(cv2.resize(part, (size_px, size_px), interpolation=cv2.INTER_LINEAR), np.uint8)


def random_rotation(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw a head pose: half of them near frontal, half up to past profile, some nodding.

    Returns:
        (3, 3) float32, head to camera.
    """
    yaw_deg = rng.normal(0, 22) if rng.random() < 0.5 else rng.uniform(-100, 100)
    pitch_deg = rng.normal(0, 9) if rng.random() < 0.7 else rng.uniform(-45, 42)
    angles = np.radians([pitch_deg, yaw_deg, rng.normal(0, 8)]).astype(np.float32)
    return rotation_from_euler(angles).astype(np.float32)


def _scaled(face: Faces, factor: float) -> Faces:
    """Scale one face with its image."""
    return face.replace(scale=face.scale * factor, center=face.center * factor)


def _draw_person(
    renderer: HeadRenderer, person: Person, face: Faces, light: Light, image: Image, rng: np.random.Generator
) -> None:
    """Draw a head and what surrounds it into `image`, in place. face: one row, in px of `image`."""
    vertices = person.vertices(renderer.model, face.expression[0])
    points = project(vertices, face.rotation[0], face.scale[0], face.center[0])
    head = renderer.render(person, points, face.rotation[0], light, image.shape[:2])
    exposure = np.float32(_exposure(head.color, rng))
    placement = HeadPlacement(
        landmarks=renderer.model.points(vertices, "ibug68"),
        rotation=face.rotation[0],
        scale=float(face.scale[0]),
        center=face.center[0],
        white=(light.ambient + 0.4 * light.color.sum(0)) * exposure,
    )
    appearance = person.appearance
    accessories.draw_shoulders(image, placement, appearance.shirt, rng)
    if appearance.long_hair:
        accessories.draw_long_hair(image, placement, appearance.hair, appearance.long_hair, rng)
    image.reshape(-1, 3)[head.pixel] = _to_srgb_bytes(head.color * exposure)
    _draw_in_front(image, placement, appearance, head.depth, rng)


def _draw_in_front(
    image: Image, head: HeadPlacement, appearance: Appearance, depth: Floats, rng: np.random.Generator
) -> None:
    """Draw strands of hair, glasses, a brim, and sometimes a hand or an object, in place."""
    if appearance.long_hair > 0.55:
        accessories.draw_front_hair(image, head, appearance.hair, depth, rng)
    if rng.random() < 0.2:
        accessories.draw_glasses(image, head, depth, rng)
    if appearance.cover == "cap":
        accessories.draw_brim(image, head, appearance.cloth, rng)
    chance = rng.random()
    if chance < 0.08:
        accessories.draw_hand(image, head, appearance.skin, rng)
    elif chance < 0.12:
        accessories.draw_object(image, head, rng)


def _exposure(color: Floats, rng: np.random.Generator) -> float:
    """Choose the camera's gain for a head with these linear colors (F, 3), so that it is neither black nor white."""
    return float(np.clip(rng.uniform(0.16, 0.42) / max(float(color[::7].mean()), 1e-3), 0.4, 3.0))


def _to_srgb_bytes(light: Floats) -> NDArray[np.uint8]:
    """Convert linear light to sRGB bytes, with soft highlights."""
    return _SRGB_TABLE[np.minimum(light * 2047, 4095).astype(np.int32)]


def _srgb_table() -> NDArray[np.uint8]:
    """Make the table of sRGB bytes for linear light 0, 1/2047, ... 4095/2047."""
    light = np.arange(4096) / 2047
    soft = np.where(light > 0.7, 0.7 + 0.3 * (1 - np.exp(-(light - 0.7) / 0.3)), light)
    srgb = np.where(soft < 0.0031308, 12.92 * soft, 1.055 * soft ** (1 / 2.4) - 0.055)
    return np.round(255 * srgb).clip(0, 255).astype(np.uint8)


_SRGB_TABLE = _srgb_table()
