import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.structures.camera import FRONTAL, rotation_about
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.pose_edit import rotate_face
from retarget.arkit import EXPRESSION_NAMES

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


@pytest.mark.parametrize("yaw, nod", [(0.0, 0.0), (-0.6, 0.0), (0.5, 0.2), (-1.0, -0.1)])
def test_labels_stay_on_the_picture(yaw, nod):
    face = one_face()
    turn = rotation_about("x", np.float32(nod)) @ rotation_about("y", np.float32(yaw))
    turned, moved = rotate_face(dotted(face), face, MODEL, turn, np.zeros((256, 256, 3), np.uint8))
    np.testing.assert_allclose(moved.rotation[0], turn @ FRONTAL, atol=1e-6)
    seen = 0
    for channel, point in enumerate((NOSE_TIP, CHIN, LEFT_EYE_OUTER)):
        y, x = np.nonzero(turned[..., channel] > 100)
        if len(x):  # not turned out of sight
            seen += 1
            expected = MODEL.landmarks(moved, "ibug68")[0, point, :2]
            np.testing.assert_allclose([x.mean() + 0.5, y.mean() + 0.5], expected, atol=3.0)
    assert seen >= 2


def test_no_turn_changes_next_to_nothing():
    face, rng = one_face(), np.random.default_rng(0)
    picture = np.repeat(np.repeat(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8), 8, 0), 8, 1)
    same, moved = rotate_face(picture, face, MODEL, np.eye(3), np.zeros_like(picture))
    np.testing.assert_allclose(moved.center, face.center)
    assert np.abs(same[8:-8, 8:-8].astype(int) - picture[8:-8, 8:-8]).mean() < 3


def test_what_is_left_bare_shows_what_is_behind():
    face, behind = one_face(), np.full((256, 256, 3), 77, np.uint8)
    turned, _ = rotate_face(dotted(face), face, MODEL, rotation_about("y", np.float32(1.2)), behind)
    assert (turned == 77).all(-1).mean() > 0.1
