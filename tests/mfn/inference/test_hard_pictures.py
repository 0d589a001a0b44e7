"""Hard pictures with the shipped networks: close-ups, turned and dark portraits, and winks of six rendered people.

Other tests of these cases have stand-in networks. The floors are loose: rendered heads are simpler than photos, and 8-bit convolutions
round differently on other CPUs. Accuracy on photos is measured by experiments/accuracy/robustness.py.
"""

import cv2
import numpy as np
import pytest

from mfn.inference.predictor import Predictor
from mfn.structures.boxes import box_iou
from mfn.synthesis.expressions import expression_from_weights
from mfn.synthesis.group_photo import make_group_photo
from retarget.arkit import EXPRESSION_NAMES

PEOPLE, LEAST = 6, 4
SIZE_PX = (640, 360)
MARGIN = 0.3  # around the face of a portrait, relative to its height
CLOSE_PX = 480
MAX_ROLL_ERROR_DEG = 25.0
SAME_FACE_IOU = 0.5
LIDS = [EXPRESSION_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]
WINKING = np.array([[1, 0], [0, 1]] * (PEOPLE // 2))
"""Left and right lid of each person."""


@pytest.fixture(scope="module")
def predictor():
    return Predictor.load(threads=1)


@pytest.fixture(scope="module")
def group(head_model):
    return make_group_photo(head_model, PEOPLE, SIZE_PX, seed=1)


@pytest.fixture(scope="module")
def photo(group):
    return group.render()


def cut(photo, face_box, margin):
    """Return the part of a photo with one face, and `margin` times its height around it."""
    reach = margin * (face_box[3] - face_box[1])
    x1, y1, x2, y2 = np.clip(np.concatenate([face_box[:2] - reach, face_box[2:] + reach]), 0, SIZE_PX * 2).astype(int)
    return np.ascontiguousarray(photo[y1:y2, x1:x2])


def angle_between_deg(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize(("turns", "roll_deg"), [(1, -90), (2, 180), (3, 90)], ids=["on the left", "upside down", "on the right"])
def test_faces_that_lie_or_stand_on_their_head(predictor, group, photo, turns, roll_deg):
    """The portraits are turned counterclockwise by quarters."""
    right = 0
    for box, true in zip(group.faces.box, group.faces.pitch_yaw_roll_deg[:, 2], strict=True):
        faces = predictor(np.ascontiguousarray(np.rot90(cut(photo, box, MARGIN), turns)))
        rolls = faces.pitch_yaw_roll_deg[:, 2]
        right += len(faces) == 1 and angle_between_deg(rolls[0], true + roll_deg) <= MAX_ROLL_ERROR_DEG
    assert right >= LEAST


def test_close_ups_without_a_margin(predictor, group, photo):
    found = 0
    for box in group.faces.box:
        close = cut(photo, box, 0.0)
        gain = CLOSE_PX / close.shape[0]
        faces = predictor(cv2.resize(close, None, fx=gain, fy=gain, interpolation=cv2.INTER_CUBIC))
        whole = np.array([[0, 0, gain * close.shape[1], CLOSE_PX]])
        found += len(faces) == 1 and box_iou(whole, faces.box)[0, 0] > SAME_FACE_IOU
    assert found >= LEAST


def test_a_very_dark_photo(predictor, group, photo):
    faces = predictor(np.round(0.05 * photo).astype(np.uint8))
    found = (box_iou(group.faces.box, faces.box) > SAME_FACE_IOU).any(1)
    assert found.sum() >= LEAST and len(faces) <= PEOPLE


def test_winks(predictor, group):
    """Only one lid shuts, and the other one stays about as open as it is."""
    expression = np.tile(expression_from_weights({"mouthSmileLeft": 0.4, "mouthSmileRight": 0.4}), (PEOPLE, 1))
    expression[:, LIDS] = WINKING
    faces = predictor(group.render(group.faces.replace(expression=expression.astype(np.float32))))
    iou = box_iou(group.faces.box, faces.box)
    seen = np.flatnonzero(iou.max(1) > SAME_FACE_IOU)
    lids = faces.expression[iou[seen].argmax(1)][:, LIDS]
    shut, other = (lids * WINKING[seen]).sum(1), (lids * (1 - WINKING[seen])).sum(1)
    assert ((shut > 0.6) & (other < 0.3)).sum() >= LEAST
