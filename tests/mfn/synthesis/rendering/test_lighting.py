"""Light arrives from where the lamps are, and less where the head shadows itself."""

import numpy as np
import pytest

from mfn.structures.camera import FRONTAL
from mfn.structures.head_model import HeadModel
from mfn.synthesis.rendering.lighting import Light, eye_reflections, light_transfer, light_vertices, random_light
from retarget.geometry.mesh import vertex_normals


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def transfer(model: HeadModel) -> np.ndarray:
    return light_transfer(model)


def test_the_inside_of_the_mouth_gets_less_light_than_the_face(model: HeadModel, transfer: np.ndarray) -> None:
    assert transfer.shape == (len(model.mean), 9)
    face = model.region_mask("face") & (model.mean[:, 2] > 0)
    mouth = model.region_mask("mouth_inside")
    assert transfer[mouth, 0].mean() < 0.5 * transfer[face, 0].mean()


def test_a_lamp_lights_its_side(model: HeadModel, transfer: np.ndarray) -> None:
    normal = vertex_normals(model.mean, model.triangles)
    lamp = Light(np.array([[-1.0, 0, -0.2]]) / np.hypot(1, 0.2), np.ones((1, 3)), np.full(3, 0.1))  # left in the image
    lit = light_vertices(transfer, normal, normal, FRONTAL, lamp)
    cheek = model.region_mask("face") & (np.abs(model.mean[:, 0]) > 0.04)
    right = model.mean[:, 0] < 0  # the subject's right is left in the image
    assert lit.diffuse[cheek & right].mean() > 2 * lit.diffuse[cheek & ~right].mean()
    assert (lit.diffuse > 0).all() and (lit.gloss >= 0).all()


def test_random_lights_are_in_front() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        light = random_light(rng)
        np.testing.assert_allclose(np.linalg.norm(light.direction, axis=1), 1, atol=1e-5)
        assert light.color.shape == light.direction.shape and 1 <= len(light.direction) <= 3
        assert (light.ambient > 0).all()


def test_eyes_reflect_a_lamp_where_the_angles_agree() -> None:
    lamp = Light(np.array([[0.0, 0.0, -1.0]], np.float32), np.ones((1, 3), np.float32), np.zeros(3, np.float32))
    reflections = eye_reflections(np.array([[0.0, 0.0, -2.0], [1.0, 0.0, 0.0]]), lamp)
    assert (reflections[0] > 0.5).all() and (reflections[1] == 0).all()
