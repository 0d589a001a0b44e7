"""Labels follow the picture through similarity transforms."""

import numpy as np
import pytest

from mfn.structures.camera import project
from mfn.structures.head_model import HeadModel
from mfn.training.data.warp import similarity_matrix, warp_faces
from retarget.arkit import EXPRESSION_NAMES

pytest.importorskip("cv2")
from tests.helpers.training import landmark_boxes, random_faces, transform_points

MODEL = HeadModel.load()

@pytest.mark.parametrize("angle", [0.0, 0.6, -2.0])
def test_labels_follow_the_picture(angle):
    faces = random_faces(5)
    matrix = similarity_matrix(1.7, angle, np.array([90.0, 110.0]), np.array([200.0, 150.0]), False, 200)
    after = warp_faces(faces, matrix, MODEL.identity_mirror, np.ones(5, bool), landmark_boxes)
    before = MODEL.landmarks(faces, "dense520")[..., :2]
    np.testing.assert_allclose(MODEL.landmarks(after, "dense520")[..., :2], transform_points(before, matrix), atol=0.02)
    np.testing.assert_allclose(after.box, landmark_boxes(after))


def test_a_mirrored_wink_changes_sides():
    wink = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    wink[0, EXPRESSION_NAMES.index("eyeBlinkLeft")] = 1
    faces = random_faces(1).replace(expression=wink)
    matrix = similarity_matrix(1.0, 0.0, np.zeros(2), np.zeros(2), True, 200)
    after = warp_faces(faces, matrix, MODEL.identity_mirror, np.ones(1, bool), landmark_boxes)
    assert EXPRESSION_NAMES[int(after.expression[0].argmax())] == "eyeBlinkRight"


def test_mirrored_heads_lie_on_the_mirrored_picture():
    faces = random_faces(4)
    matrix = similarity_matrix(0.8, 0.3, np.array([100.0, 100.0]), np.array([90.0, 120.0]), True, 200)
    after = warp_faces(faces, matrix, MODEL.identity_mirror, np.ones(4, bool), landmark_boxes)
    vertices = [MODEL.vertices(f.identity, f.expression) for f in (faces, after)]
    px = [project(v, f.rotation, f.scale, f.center)[..., :2] for f, v in zip((faces, after), vertices)]
    np.testing.assert_allclose(px[1][:, MODEL.mirror], transform_points(px[0], matrix), atol=0.25)  # the file is quantized


def test_mirroring_twice_is_the_identity():
    faces = random_faces(3)
    matrix = similarity_matrix(1.0, 0.0, np.array([70.0, 90.0]), np.array([70.0, 90.0]), True, 140)
    known = np.ones(3, bool)
    once = warp_faces(faces, matrix, MODEL.identity_mirror, known, landmark_boxes)
    again = warp_faces(once, matrix, MODEL.identity_mirror, known, landmark_boxes)
    for name in ("rotation", "scale", "center", "identity", "expression", "box"):
        np.testing.assert_allclose(getattr(again, name), getattr(faces, name), rtol=1e-4, atol=1e-3, err_msg=name)


def test_similarity_puts_the_pivot_where_asked():
    matrix = similarity_matrix(2.0, 1.0, np.array([150.0, 30.0]), np.array([7.0, 8.0]), True, 200)
    np.testing.assert_allclose(transform_points(np.array([[50.0, 30.0]]), matrix), [[7, 8]], atol=1e-9)
