"""Turned, dim, close and very many faces: how the pictures are made and what is counted."""

import numpy as np
import pytest

from experiments.accuracy import robustness
from experiments.accuracy.expression.laid_faces import Source
from mfn.structures.camera import FRONTAL
from mfn.structures.faces import Faces
from tests.helpers.experiments import one_face


def marked(x1, y1, x2, y2, height=100, width=140):
    """A black picture with a white box that is the face."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[y1:y2, x1:x2] = 255
    return Source(picture, np.array([x1, y1, x2, y2], float))


def find_white(picture):
    """Find the bounding box of what is white."""
    y, x = np.nonzero(picture[..., 0] > 200)
    return one_face((x.min(), y.min(), x.max() + 1, y.max() + 1)) if len(x) else Faces.empty(64)


def test_the_true_box_has_a_forehead():
    assert robustness.true_box(np.array([[10.0, 20], [30, 60]])).tolist() == [10, 6, 30, 60]


@pytest.mark.parametrize("angle_deg", [0, 90, 180, 270])
def test_a_turned_picture_keeps_its_box_on_the_face(angle_deg):
    turned = robustness.turn(marked(20, 30, 50, 80), angle_deg)
    np.testing.assert_allclose(turned.box, find_white(turned.picture).box[0], atol=1.6)


def test_90_degrees_turn_the_right_edge_down():
    box = robustness.turn(marked(100, 40, 130, 60), 90).box  # right of the middle
    side = np.hypot(100, 140)
    assert box[:2].mean() > 0 and box[3] > side * 0.6 and abs(box[[0, 2]].mean() - side / 2) < 2


def test_the_roll_error_is_the_angle_to_the_turned_head():
    cos, sin = np.cos(np.radians(75)), np.sin(np.radians(75))
    turned = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ FRONTAL
    assert robustness.roll_error_deg(turned, FRONTAL, 75) == pytest.approx(0, abs=1e-4)
    assert robustness.roll_error_deg(FRONTAL, FRONTAL, 75) == pytest.approx(75, abs=1e-3)
    assert robustness.roll_error_deg(FRONTAL, FRONTAL, 180) == pytest.approx(180, abs=1e-3)


def test_a_network_that_always_says_upright_is_right_only_there():
    figures = robustness.measure_roll(find_white, [marked(50, 30, 90, 70)])
    assert len(figures) == 24 and all(row["found"] == 1 for row in figures.values())
    assert [angle for angle, row in figures.items() if row["right"]] == ["0", "15", "345"]


def test_light_counts_portraits_and_boxes_of_people():
    face = marked(20, 20, 60, 60)
    figures = robustness.measure_light(find_white, [face], [face.picture], [np.array([face.box, [0, 0, 9, 9]])])
    assert figures["as it is"] == {"portraits": 1.0, "parties": 0.5}
    assert figures["brightness x 0.05"] == {"portraits": 0.0, "parties": 0.0}


def test_a_close_up_ends_at_the_box_or_at_the_picture():
    face = marked(0, 20, 50, 70)
    assert robustness.close_up(face, 0).picture.shape == (1100, 1100, 3)
    wider = robustness.close_up(face, 0.06)  # 53 x 56 px, cut off at the left
    assert wider.picture.shape == (1100, 1041, 3)
    np.testing.assert_allclose(wider.box * 56 / 1100, [0, 3, 50, 53])
    assert robustness.measure_close_ups(find_white, [face]) == {"margin 0": 1.0, "margin 0.06": 1.0}


def test_many_faces_are_counted_by_their_place():
    pictures = []

    def predict(picture):
        pictures.append(picture)
        width, height = robustness.CELL_PX
        return Faces.concatenate([one_face((17, 25, 47, 55)), one_face((17 + width, 25, 47 + width, 55)), one_face((0, 0, 9, 9))])

    figures = robustness.measure_many(predict, [marked(20, 20, 60, 60)])
    assert figures == {"faces": 720, "found": 2, "reported": 3} and pictures[0].shape == (18 * 80, 40 * 64, 3)
