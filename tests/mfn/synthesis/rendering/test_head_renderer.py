"""Rendered heads show what their expression says: open mouths are dark, closed eyes show skin."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.structures.camera import FRONTAL, project
from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import random_appearance
from mfn.synthesis.expressions import expression_from_weights
from mfn.synthesis.rendering.head_renderer import HeadRenderer
from mfn.synthesis.rendering.lighting import EVEN_LIGHT


@pytest.fixture(scope="module")
def renderer() -> HeadRenderer:
    return HeadRenderer(HeadModel.load())


def render(renderer: HeadRenderer, weights: Mapping[str, float], size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A frontal mean head without hair: linear light (S, S, 3), and its 68 landmarks (68, 2) px."""
    expression, model = expression_from_weights(weights)[None], renderer.model
    identity, rng = np.zeros((1, model.identity_size), np.float32), np.random.default_rng(3)
    skin = np.array([0.5, 0.35, 0.28], np.float32)
    appearance = replace(random_appearance(rng), skin=skin, hairline_m=1.0, cover="none", mask=False, lashes=1.0)
    person = renderer.make_person(appearance, identity[0], rng)
    vertices = model.vertices(identity, expression)[0]
    points = project(vertices, FRONTAL, np.float32(4.5 * size), np.array([size / 2, size * 0.42], np.float32))
    head = renderer.render(person, points, FRONTAL, EVEN_LIGHT, (size, size))
    assert np.isfinite(head.depth.ravel()[head.pixel]).all()
    image = np.zeros((size, size, 3), np.float32)
    image.reshape(-1, 3)[head.pixel] = head.color
    return image, model.points(points, "ibug68")[:, :2]


def test_an_open_mouth_is_dark_inside(renderer: HeadRenderer) -> None:
    closed, _ = render(renderer, {})
    opened, points = render(renderer, {"jawOpen": 1.0})
    x, y = points[[62, 66]].mean(0).astype(int)
    lip = points[57].astype(int)
    lip_light = closed[lip[1] - 1 : lip[1] + 2, lip[0] - 1 : lip[0] + 2].mean()
    assert opened[y - 3 : y + 4, x - 2 : x + 3].mean() < 0.5 * lip_light
    assert points[66, 1] - points[62, 1] > 10


def test_closed_eyes_show_skin(renderer: HeadRenderer) -> None:
    def eye(weights: Mapping[str, float]) -> np.ndarray:
        image, points = render(renderer, weights, 240)
        x, y = points[42:48].mean(0).astype(int)
        return image[y - 2 : y + 3, x - 3 : x + 4].reshape(-1, 3)

    opened, closed = eye({}), eye({"eyeBlinkLeft": 1.0})
    assert np.median(closed[:, 0] / closed[:, 2]) > 1.2, "skin is red"
    assert np.abs(opened.mean(0) - closed.mean(0)).max() > 0.05


def test_hair_and_hats_have_volume(renderer: HeadRenderer) -> None:
    identity = np.zeros(renderer.model.identity_size, np.float32)
    base = replace(random_appearance(np.random.default_rng(0)), cover="none", mask=False)
    top = renderer.model.mean[:, 1].argmax()
    heights = []
    for change in ({"hairline_m": 1.0, "hair_volume_m": 0.0}, {"hairline_m": 0.0, "hair_volume_m": 0.03}):
        person = renderer.make_person(replace(base, **change), identity, np.random.default_rng(1))
        assert person.texture.min() >= 0 and person.texture.max() <= 1
        heights.append(person.neutral[top, 1])
    assert heights[1] - heights[0] > 0.01
