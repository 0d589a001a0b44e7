"""Heads of a weak-perspective camera stand where a pinhole camera shows them in the same place."""

import numpy as np
import pytest

from retarget.geometry.rotations import OPENCV_TO_GLTF, rotation_about
from retarget.geometry.weak_perspective import default_focal_px, place_heads

SIZE = (100, 120)


def test_a_hand_computed_case():
    rotation, translation = place_heads(OPENCV_TO_GLTF, 500.0, (150.0, 60.0), SIZE, 1000.0)
    np.testing.assert_allclose(translation, [0.2, 0.0, -2.0])
    np.testing.assert_allclose(rotation @ [0, 0, 1], -translation / np.linalg.norm(translation), atol=1e-12)
    assert place_heads(np.zeros((0, 3, 3)), np.zeros(0), np.zeros((0, 2)), SIZE, 1000.0).translation.shape == (0, 3)


def test_many_heads_are_placed_as_one_by_one():
    turned = OPENCV_TO_GLTF @ rotation_about("y", np.array([0.0, 0.4, -0.7]))
    scale, center = np.array([300.0, 200.0, 90.0]), np.array([[50.0, 60], [10, 100], [99, 3]])
    many = place_heads(turned, scale, center, SIZE, 150.0)
    for k in range(3):
        one = place_heads(turned[k], scale[k], center[k], SIZE, 150.0)
        np.testing.assert_allclose(many.rotation[k], one.rotation, atol=1e-12)
        np.testing.assert_allclose(many.translation[k], one.translation, atol=1e-12)
    x, y, z = many.translation.T
    np.testing.assert_allclose(np.stack([50 + 150 * x / -z, 60 - 150 * y / -z], 1), center)


def test_the_assumed_camera_sees_45_degrees():
    assert default_focal_px(1280, 720) == default_focal_px(720, 1280) == 1536
    assert 2 * np.rad2deg(np.arctan(640 / 1536)) == pytest.approx(45, abs=0.5)
