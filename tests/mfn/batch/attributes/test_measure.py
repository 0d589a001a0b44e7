import cv2
import numpy as np
import pytest

from mfn.batch.attributes.measure import crop_box, gaze_deg, measure, sharpness, visible_share
from mfn.structures.camera import FRONTAL
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES, PHONE_EYE_TURN_RAD
from retarget.geometry.rotations import rotation_about

SIDE, _, _, UP = PHONE_EYE_TURN_RAD


def frontal(*middles, px_per_m=1000.0) -> Faces:
    """Return frontal neutral faces with their centers at these places in px."""
    center = np.array(middles, np.float32).reshape(-1, 2)
    count = len(center)
    scale = np.broadcast_to(np.asarray(px_per_m, np.float32), (count,))
    half = np.array([0.075, 0.1])
    middle = center + np.array([0, 0.03]) * scale[:, None]
    return Faces(
        image=np.zeros(count),
        box=np.concatenate([middle - half * scale[:, None], middle + half * scale[:, None]], 1),
        score=np.ones(count),
        rotation=np.tile(FRONTAL, (count, 1, 1)),
        scale=scale,
        center=center,
        identity=np.zeros((count, IDENTITY_SIZE)),
        expression=np.zeros((count, len(EXPRESSION_NAMES))),
        track=np.full(count, -1),
    )


def looks(**weights) -> Faces:
    faces = frontal((200, 200))
    expression = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    for name, weight in weights.items():
        expression[0, EXPRESSION_NAMES.index(name)] = weight
    return faces.replace(expression=expression)


def test_gaze_is_zero_straight_ahead_and_grows_with_eyes_and_head():
    assert gaze_deg(looks()) == pytest.approx([0], abs=1e-3)
    assert gaze_deg(looks(eyeLookOutLeft=0.5, eyeLookInRight=0.5)) == pytest.approx([np.degrees(SIDE / 2)], abs=1e-3)
    assert gaze_deg(looks(eyeLookUpLeft=0.5, eyeLookUpRight=0.5)) == pytest.approx([np.degrees(UP / 2)], abs=1e-3)
    assert gaze_deg(looks(eyeLookInLeft=0.5, eyeLookInRight=0.5)) == pytest.approx([0], abs=1e-3)  # eyes that converge
    assert gaze_deg(Faces.empty(IDENTITY_SIZE)).shape == (0,)


@pytest.mark.parametrize("names", [("eyeLookOutLeft", "eyeLookInRight"), ("eyeLookInLeft", "eyeLookOutRight")])
def test_eyes_that_turn_against_the_head_look_into_the_camera(names):
    faces = looks(**dict.fromkeys(names, 0.6))
    angle = 0.6 * SIDE
    turned = [gaze_deg(faces.replace(rotation=(FRONTAL @ rotation_about("y", s * angle))[None]))[0] for s in (1, -1)]
    assert min(turned) == pytest.approx(0, abs=0.1) and max(turned) == pytest.approx(np.degrees(2 * angle), abs=0.1)


def test_visible_is_the_share_inside_the_picture():
    assert visible_share(frontal((200, 200), (0, 200), (-500, 200)), 400, 400) == pytest.approx([1, 0.5, 0], abs=0.12)


def test_a_nearer_face_hides_a_farther_one_and_not_the_reverse():
    faces = frontal((200, 200), (240, 200), px_per_m=[800, 1000])
    behind, before = visible_share(faces, 600, 600)
    assert before == 1 and behind < 0.6
    assert visible_share(frontal((200, 200), (450, 200), px_per_m=[800, 1000]), 600, 600) == pytest.approx([1, 1])


def test_sharpness_falls_with_blur_and_not_with_size():
    noise = np.random.default_rng(0).integers(0, 255, (24, 20, 3), np.uint8)
    sharp = cv2.resize(noise, (160, 192), interpolation=cv2.INTER_NEAREST)
    values = [sharpness(cv2.GaussianBlur(sharp, (0, 0), sigma)) for sigma in (0.1, 3, 6, 12)]
    assert values == sorted(values, reverse=True) and values[0] - values[-1] > 0.2
    assert sharpness(cv2.resize(sharp, (640, 768), interpolation=cv2.INTER_NEAREST)) == pytest.approx(values[0], abs=0.05)
    assert sharpness(np.zeros((40, 40, 3), np.uint8)) == 0 and sharpness(np.zeros((0, 4, 3), np.uint8)) == 0


def test_crops_are_cut_at_the_border():
    picture = np.zeros((10, 20, 3), np.uint8)
    assert crop_box(picture, np.array([-5, 2, 8, 30])).shape == (8, 8, 3)
    assert crop_box(picture, np.array([30, 30, 40, 40])).size == 0


def test_measures_of_all_faces_together():
    faces = frontal((100, 100), (300, 100))
    measured = measure(np.zeros((200, 400, 3), np.uint8), faces, 0.5)
    assert measured.face_px == pytest.approx([200, 200]) and measured.network_px == pytest.approx([100, 100])
    assert all(getattr(measured, name).shape == (2,) for name in measured.__dataclass_fields__)
    assert measure(np.zeros((9, 9, 3), np.uint8), Faces.empty(IDENTITY_SIZE), 1).sharpness.shape == (0,)
