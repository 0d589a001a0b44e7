"""Tests of the camera: signs of hand-placed points and round trips."""

import numpy as np
import pytest

from mfn.structures import camera
from mfn.structures.faces import Faces
from retarget.geometry.rotations import rotation_about

RNG = np.random.default_rng(0)


def random_rotations(count: int) -> np.ndarray:
    q, _ = np.linalg.qr(RNG.standard_normal((count, 3, 3)))
    return q * np.linalg.det(q)[:, None, None]


def one_face(rotation: np.ndarray, scale: float = 1000.0, center: tuple[float, float] = (50.0, 60.0)) -> Faces:
    return Faces(
        image=np.zeros(1, np.int32),
        box=np.zeros((1, 4)),
        score=np.ones(1),
        rotation=rotation[None],
        scale=np.array([scale]),
        center=np.array([center]),
        identity=np.zeros((1, 3)),
        expression=np.zeros((1, 51)),
        track=np.full(1, -1),
    )


def test_axes_of_a_frontal_face():
    points = np.array([[[0.1, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.1]]])
    out = camera.project(points, camera.FRONTAL[None], np.array([100.0]), np.array([[50.0, 60.0]]))[0]
    assert np.allclose(out[0], [60, 60, 0])  # the subject's left is on the picture's right
    assert np.allclose(out[1], [50, 50, 0])  # up is towards smaller y
    assert np.allclose(out[2], [50, 60, -10])  # the nose is nearer: smaller z


def test_project_accepts_any_batch_shape():
    rotation = random_rotations(6).reshape(2, 3, 3, 3)
    vertices, scale, center = (
        RNG.standard_normal((2, 3, 5, 3)),
        RNG.uniform(1, 2, (2, 3)),
        RNG.standard_normal((2, 3, 2)),
    )
    out = camera.project(vertices, rotation, scale, center)
    for i in range(2):
        for j in range(3):
            slow = np.stack([scale[i, j] * rotation[i, j] @ v + [*center[i, j], 0] for v in vertices[i, j]])
            assert np.allclose(out[i, j], slow)
    assert camera.project(np.zeros((0, 5, 3)), np.zeros((0, 3, 3)), np.zeros(0), np.zeros((0, 2))).shape == (0, 5, 3)


def test_project_does_not_change_its_input():
    vertices = RNG.standard_normal((1, 4, 3))
    before = vertices.copy()
    camera.project(vertices, np.eye(3)[None], np.ones(1), np.ones((1, 2)))
    assert np.array_equal(vertices, before)


def test_project_is_the_same_for_torch():
    torch = pytest.importorskip("torch")
    vertices, rotation = RNG.standard_normal((3, 5, 3)), random_rotations(3)
    scale, center = RNG.uniform(1, 2, 3), RNG.standard_normal((3, 2))
    numpy = camera.project(vertices, rotation, scale, center)
    tensors = [torch.from_numpy(array) for array in (vertices, rotation, scale, center)]
    assert np.allclose(camera.project(*tensors).numpy(), numpy)
    assert np.allclose(camera.project_xy(*tensors).numpy(), numpy[..., :2])
    assert np.allclose(camera.project_xy(vertices, rotation, scale, center), numpy[..., :2])


def test_pitch_yaw_roll_in_degrees():
    assert np.allclose(camera.pitch_yaw_roll_deg(camera.rotation_from_euler(np.deg2rad([[10.0, -20.0, 30.0]]))), [[10, -20, 30]])


def test_euler_round_trip_and_signs():
    angles = RNG.uniform(-1.4, 1.4, (100, 3))
    assert np.allclose(camera.euler_from_rotation(camera.rotation_from_euler(angles)), angles, atol=1e-6)
    assert np.allclose(camera.euler_from_rotation(camera.FRONTAL), 0)
    nose, left, chin = np.array([0, 0, 1.0]), np.array([1.0, 0, 0]), np.array([0, -1.0, 0])
    assert (camera.rotation_from_euler(np.array([0.3, 0, 0])) @ nose)[1] < 0  # pitch up: the nose rises, y down
    assert (camera.rotation_from_euler(np.array([0, 0.3, 0])) @ nose)[0] < 0  # yaw: towards the picture's left
    assert (camera.rotation_from_euler(np.array([0, 0, 0.3])) @ left)[1] > 0  # roll clockwise: the subject's left side moves down
    assert (camera.rotation_from_euler(np.array([0, 0, 0.3])) @ chin)[0] < 0


def test_rotations_in_the_picture_are_clockwise():
    turned = rotation_about("z", np.array(np.pi / 2)) @ np.array([1.0, 0, 0])
    assert np.allclose(turned, [0, 1, 0], atol=1e-7)  # from right to down


def test_two_mirrors_are_the_identity_and_one_mirrors_the_projection():
    rotation = random_rotations(20)
    assert np.allclose(camera.mirror_rotation(camera.mirror_rotation(rotation)), rotation)
    vertices, center, width = RNG.standard_normal((20, 7, 3)), RNG.uniform(0, 100, (20, 2)), 100.0
    scale = np.full(20, 5.0)
    picture = camera.project(vertices, rotation, scale, center)
    other = camera.project(
        vertices * [-1.0, 1.0, 1.0], camera.mirror_rotation(rotation), scale, camera.mirror_center(center, width)
    )
    assert np.allclose(other[..., 0], width - picture[..., 0])
    assert np.allclose(other[..., 1:], picture[..., 1:])
