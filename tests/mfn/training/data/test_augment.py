"""Augmentation of pictures."""

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel
from mfn.training.data.augment import directional_light, occlude

pytest.importorskip("cv2")

MODEL = HeadModel.load()

def test_what_lies_before_a_face_hides_some_of_it_in_place():
    canvas, photo = np.zeros((90, 80, 3), np.uint8), np.full((50, 40, 3), 200, np.uint8)
    for seed in range(30):
        canvas[:] = 0
        occlude(canvas[20:70, 10:50], photo, np.random.default_rng(seed))
        inside = canvas[20:70, 10:50] == 200
        assert 0 < inside.mean() < 0.37 and canvas.sum() == 200 * inside.sum()


def test_light_from_aside_is_stronger_on_one_side():
    gray = np.full((40, 60, 3), 100, np.uint8)
    for seed in range(8):
        lit = directional_light(gray, np.random.default_rng(seed))
        assert lit.shape == gray.shape and lit.dtype == np.uint8 and (gray == 100).all()
        edges = [lit[:, 0].mean(), lit[:, -1].mean(), lit[0].mean(), lit[-1].mean()]
        assert min(edges) < 95 and max(edges) > 105 and lit.min() >= 45 and lit.max() <= 220
        assert abs(int(lit[20, 30, 0]) - 100) < 6, "the middle stays"
