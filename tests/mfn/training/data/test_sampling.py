"""Rare faces are drawn more often."""

import numpy as np
import pytest

from mfn.structures.camera import rotation_from_euler
from mfn.structures.head_model import HeadModel
from mfn.training.data.sampling import yaw_weights

pytest.importorskip("cv2")

MODEL = HeadModel.load()

def test_faces_turned_aside_are_drawn_more_often_and_nodding_or_tilted_ones_are_not():
    angles = np.radians([[0, 0, 0], [40, 0, 0], [0, 10, 70], [0, 25, 0], [0, -25, 0], [20, 35, 0], [0, -88, 10]])
    np.testing.assert_allclose(yaw_weights(rotation_from_euler(angles)), [1, 1, 1, 2.5, 2.5, 4, 4], atol=0.01)
