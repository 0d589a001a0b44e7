import numpy as np

from mfn.structures.boxes import box_iou
from tests.helpers.faces import random_boxes, slow_iou


def test_iou_of_every_pair_is_that_of_a_slow_version():
    a, b = random_boxes(9, 30, 1)[0], random_boxes(5, 30, 2)[0]
    expected = [[slow_iou(p, q) for q in b] for p in a]
    np.testing.assert_allclose(box_iou(a, b), expected, atol=1e-6)
    assert box_iou(a[:0], b).shape == (0, 5)


def test_empty_and_inverted_boxes_have_no_overlap():
    box = np.array([[5, 5, 5, 9], [9, 9, 2, 2], [0, 0, 10, 10]], np.float32)
    assert (box_iou(box, box)[:2] == 0).all() and box_iou(box, box)[2, 2] == 1
