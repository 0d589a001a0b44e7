"""The box that we define around a face follows its landmarks."""

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel, face_box


def test_face_box() -> None:
    mean = HeadModel.load().landmark_basis("mediapipe478").mean * (1000, -1000, -1000)
    points = (mean + np.array([[[300, 200, 0]], [[50, 60, 0]]])).astype(np.float32)
    box = face_box(points)
    assert box.shape == (2, 4) and box.dtype == np.float32
    middle = points[..., :2].mean(1)
    assert (box[:, :2] < middle).all() and (middle < box[:, 2:]).all()
    np.testing.assert_allclose(face_box(points[..., :2] * 2 + 10), box * 2 + 10, atol=1e-2)


def test_no_faces_and_wrong_shapes() -> None:
    assert face_box(np.zeros((0, 478, 3), np.float32)).shape == (0, 4)
    with pytest.raises(ValueError, match="expected shape"):
        face_box(np.zeros((2, 68, 2), np.float32))
