import numpy as np
import pytest

from mfn.animation.bridge import faces_to_take
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from retarget.geometry.weak_perspective import default_focal_px

SIZE = (1280, 720)


def standing(*centers: tuple[float, float], scale: float = 500.0, track: int = -1) -> Faces:
    """Frontal faces at these px."""
    n = len(centers)
    return Faces(
        image=np.zeros(n),
        box=np.zeros((n, 4)),
        score=np.ones(n),
        rotation=np.tile(rotation_from_euler(np.zeros(3)), (n, 1, 1)),
        scale=np.full(n, scale),
        center=np.array(centers, float).reshape(n, 2),
        identity=np.zeros((n, 2)),
        expression=np.full((n, 51), 0.25),
        track=np.full(n, track),
    )


def turned(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors (3,) rotated by unit quaternions (N, 4) x y z w."""
    axis, w = quaternion[:, :3], quaternion[:, 3:]
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)


def test_a_face_in_the_middle_stands_straight_ahead():
    take = faces_to_take(standing((640, 360)), SIZE)
    np.testing.assert_allclose(take.translation, [[0, 0, -default_focal_px(*SIZE) / 500]], atol=1e-6)
    np.testing.assert_allclose(take.rotation, [[0, 0, 0, 1]], atol=1e-6)
    assert take.coefficients.shape == (1, 52) and take.coefficients[0, 51] == 0 and take.coefficients[0, 0] == 0.25


def test_right_is_right_up_is_up_and_the_pinhole_shows_it_where_it_was():
    faces, focal = standing((1000, 100), (200, 600)), 900.0
    x, y, z = faces_to_take(faces, SIZE, focal).translation.T
    assert x[0] > 0 > x[1] and y[0] > 0 > y[1] and (z < 0).all()
    np.testing.assert_allclose(np.stack([640 + focal * x / -z, 360 - focal * y / -z], 1), faces.center, rtol=1e-5)


def test_a_face_at_the_side_that_looks_at_the_camera_is_turned_to_it():
    take = faces_to_take(standing((1200, 100), (30, 700)), SIZE)
    gaze = turned(take.rotation, np.array([0.0, 0.0, 1.0]))
    to_camera = -take.translation / np.linalg.norm(take.translation, axis=1, keepdims=True)
    np.testing.assert_allclose(gaze, to_camera, atol=1e-6)


def test_actors_and_times():
    faces = standing((1, 1), (2, 2), (3, 3)).replace(track=np.array([4, -1, 2]), image=np.array([0, 1, 1]))
    take = faces_to_take(faces, SIZE, time_s=np.array([0.5, 0.75]))
    assert take.time_s.tolist() == [0.5, 0.75, 0.75]
    assert len(set(take.actor.tolist())) == 3 and take.actor[[0, 2]].tolist() == [4, 2]
    assert faces_to_take(standing((1, 1), (2, 2)), SIZE).actor.tolist() == [0, 1]


def test_nobody():
    assert len(faces_to_take(Faces.empty(4), SIZE)) == 0


def test_an_image_is_no_size():
    with pytest.raises(ValueError, match=r"expected \(width, height\), such as image.shape\[1::-1\], got 480 values"):
        faces_to_take(Faces.empty(2), np.zeros((480, 640, 3), np.uint8))
