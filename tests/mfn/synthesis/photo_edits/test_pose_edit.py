"""Rotated photos follow their new labels; what becomes empty is filled."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.structures.camera import FRONTAL
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.face_painter import FacePainter
from mfn.synthesis.photo_edits.pose_edit import inpaint, rotate_and_repaint, rotate_face
from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.rotations import rotation_about

MODEL = HeadModel.load()
NOSE_TIP, CHIN, LEFT_EYE_OUTER = 30, 8, 45  # of the 68


def one_face() -> Faces:
    return Faces(
        image=[0],
        box=[[80, 60, 180, 200]],
        score=[1],
        rotation=FRONTAL[None],
        scale=[900.0],
        center=[[128.0, 100.0]],
        identity=np.zeros((1, MODEL.identity_size)),
        expression=np.zeros((1, len(EXPRESSION_NAMES))),
        track=[-1],
    )


def dotted(face: Faces) -> np.ndarray:
    """Black, with a red dot at the nose's tip, a green one at the chin, a blue one at the outer corner of the left eye."""
    picture = np.zeros((256, 256, 3), np.uint8)
    for channel, point in enumerate((NOSE_TIP, CHIN, LEFT_EYE_OUTER)):
        x, y = MODEL.landmarks(face, "ibug68")[0, point, :2].astype(int)
        picture[y - 2 : y + 3, x - 2 : x + 3, channel] = 255
    return picture


@pytest.mark.parametrize("yaw, pitch", [(0.0, 0.0), (-0.6, 0.0), (0.5, 0.2), (-1.0, -0.1)])
def test_labels_stay_on_the_picture(yaw: float, pitch: float) -> None:
    face = one_face()
    rotation = rotation_about("x", np.float32(pitch)) @ rotation_about("y", np.float32(yaw))
    picture, rotated = rotate_face(dotted(face), face, MODEL, rotation, np.zeros((256, 256, 3), np.uint8))
    np.testing.assert_allclose(rotated.rotation[0], rotation @ FRONTAL, atol=1e-6)
    visible = 0
    for channel, point in enumerate((NOSE_TIP, CHIN, LEFT_EYE_OUTER)):
        y, x = np.nonzero(picture[..., channel] > 100)
        if len(x):  # not rotated out of sight
            visible += 1
            expected = MODEL.landmarks(rotated, "ibug68")[0, point, :2]
            np.testing.assert_allclose([x.mean() + 0.5, y.mean() + 0.5], expected, atol=3.0)
    assert visible >= 2


def test_no_rotation_keeps_the_photo() -> None:
    face, rng = one_face(), np.random.default_rng(0)
    picture = np.repeat(np.repeat(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8), 8, 0), 8, 1)
    same, rotated = rotate_face(picture, face, MODEL, np.eye(3), np.zeros_like(picture))
    np.testing.assert_allclose(rotated.center, face.center)
    assert np.abs(same[8:-8, 8:-8].astype(int) - picture[8:-8, 8:-8]).mean() < 3


def test_the_background_shows_where_nothing_is_left() -> None:
    face, background = one_face(), np.full((256, 256, 3), 77, np.uint8)
    picture, _ = rotate_face(dotted(face), face, MODEL, rotation_about("y", np.float32(1.2)), background)
    assert (picture == 77).all(-1).mean() > 0.1


def test_stretched_skin_is_painted() -> None:
    face, skin = one_face(), np.full((256, 256, 3), (190, 140, 120), np.uint8)
    skin[::8] = (20, 200, 20)  # stripes, which stretching makes wide
    rotation, painter = rotation_about("y", np.float32(-1.2)), FacePainter(MODEL)
    plain = rotate_face(skin, face, MODEL, rotation)
    painted = rotate_and_repaint(skin, face, painter, rotation)
    np.testing.assert_array_equal(plain.face.rotation, painted.face.rotation)
    assert (np.abs(plain.picture.astype(int) - painted.picture) > 8).any()
    unrotated = rotate_and_repaint(skin, face, painter, np.eye(3)).picture
    assert np.abs(unrotated.astype(int) - rotate_face(skin, face, MODEL, np.eye(3)).picture).mean() < 0.1


def test_inpainting_continues_the_known_pixels() -> None:
    picture = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    known = np.ones((40, 60), bool)
    known[10:30, 20:40] = False
    picture[~known] = 0
    filled = inpaint(picture, known)
    assert np.abs(filled.astype(int) - (200, 100, 50)).mean() < 3
