"""Colors of skin, hair and eyes, found in painted faces, and kept within what people have."""

from __future__ import annotations

import numpy as np
import pytest

from mfn.animation.people.cielab import lab_to_linear, linear_to_lab
from mfn.animation.people.face_colors import face_colors, mean_colors
from mfn.animation.people.rig_likeness import Colors
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from retarget.io.images import Image

SIZE, SCALE = 400, 1400.0
GROUND = (120, 120, 120)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def one_face(scale: float = SCALE) -> Faces:
    return Faces(
        image=[0], box=[[100, 80, 300, 330]], score=[1], rotation=[np.diag([1.0, -1, -1])], scale=[scale],
        center=[[200, 200]], identity=np.zeros((1, 64)), expression=np.zeros((1, 51)), track=[-1],
    )  # fmt: skip


def painted(model: HeadModel, skin: tuple[int, ...], hair: tuple[int, ...], iris: tuple[int, ...]) -> Image:
    """Paint hair above the forehead, skin below, and two irises."""
    import cv2

    points = model.landmarks(one_face(), "mediapipe478")[0, :, :2]
    picture = np.full((SIZE, SIZE, 3), GROUND, np.uint8)
    top = int(points[10, 1])
    picture[top - 60 : top, 60:340] = hair
    picture[top:340, 60:340] = skin
    for center in (468, 473):
        cv2.circle(picture, [int(v) for v in points[center]], 9, iris, -1)
    return picture


def lab(color: np.ndarray | None) -> np.ndarray:
    assert color is not None
    return linear_to_lab(np.asarray(color))


def test_cielab_and_back() -> None:
    colors = np.random.default_rng(0).uniform(0, 1, (50, 3))
    np.testing.assert_allclose(lab_to_linear(linear_to_lab(colors)), colors, atol=1e-3)
    np.testing.assert_allclose(linear_to_lab(np.ones(3)), [100, 0, 0], atol=0.05)


def test_light_and_dark_people_stay_apart(model: HeadModel) -> None:
    light = face_colors(painted(model, (232, 190, 165), (200, 160, 90), (70, 120, 170)), one_face(), model)[0]
    dark = face_colors(painted(model, (110, 70, 50), (25, 20, 18), (70, 45, 30)), one_face(), model)[0]
    assert lab(light.skin)[0] > lab(dark.skin)[0] + 15
    assert lab(light.hair)[0] > lab(dark.hair)[0] + 25
    assert lab(light.iris)[2] < 0 < lab(dark.iris)[2]  # blue and brown


def test_strange_light_gives_a_handsome_skin(model: HeadModel) -> None:
    for skin in ((40, 90, 200), (255, 255, 255), (10, 5, 5), (60, 160, 60)):
        color = lab(face_colors(painted(model, skin, (30, 30, 30), (60, 60, 60)), one_face(), model)[0].skin)
        assert 45 < color[0] < 88
        assert 20 < np.hypot(color[1], color[2]) < 35
        assert 45 < np.degrees(np.arctan2(color[2], color[1])) < 73


def test_who_is_bald_has_the_hair_of_the_brows(model: HeadModel) -> None:
    import cv2

    skin = (215, 165, 140)
    picture = painted(model, skin, skin, (60, 60, 60))
    for brow in (70, 63, 105, 66, 107, 300, 293, 334, 296, 336):
        cv2.circle(picture, [int(v) for v in model.landmarks(one_face(), "mediapipe478")[0, brow, :2]], 7, (50, 35, 25), -1)
    assert lab(face_colors(picture, one_face(), model)[0].hair)[0] < 45


def test_a_high_forehead_and_the_background_are_no_hair(model: HeadModel) -> None:
    skin, hair = (215, 165, 140), (70, 45, 30)
    picture = painted(model, skin, hair, (60, 60, 60))
    plain = lab(face_colors(picture, one_face(), model)[0].hair)
    top = int(model.landmarks(one_face(), "mediapipe478")[0, 10, 1])
    picture[top - 25 : top] = skin
    picture[top - 60 : top, 60:160] = (20, 40, 170)  # a blue wall beside the head
    assert np.linalg.norm(lab(face_colors(picture, one_face(), model)[0].hair) - plain) < 6


def test_dark_skin_stays_dark_where_everybody_is_dark(model: HeadModel) -> None:
    colors = face_colors(painted(model, (110, 70, 50), (25, 20, 18), (70, 45, 30)), one_face(), model)[0]
    assert lab(colors.skin)[0] < 48


def test_small_faces_and_faces_outside_the_picture_have_no_colors(model: HeadModel) -> None:
    picture = np.full((SIZE, SIZE, 3), 128, np.uint8)
    assert face_colors(picture, one_face(scale=60.0), model) == [Colors()]
    assert face_colors(picture, one_face().replace(center=[[-900, -900]]), model) == [Colors()]
    assert face_colors(picture, one_face()[[]], model) == []


def test_the_median_of_a_clip_uses_the_frames_that_show_a_color() -> None:
    red, blue = np.array([1.0, 0, 0]), np.array([0.0, 0, 1])
    mean = mean_colors([Colors(skin=red), Colors(skin=red, iris=blue), Colors(skin=blue), Colors()])
    np.testing.assert_array_equal(mean.skin, red)
    np.testing.assert_array_equal(mean.iris, blue)
    assert mean.hair is None
