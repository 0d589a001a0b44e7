"""Accessories change the image near the head, and nothing else."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.structures.camera import FRONTAL
from mfn.structures.head_model import HeadModel
from mfn.synthesis.rendering import accessories
from mfn.synthesis.rendering.accessories import HeadPlacement

SIZE = 200
COLOR = np.array([0.5, 0.1, 0.1], np.float32)


@pytest.fixture(scope="module")
def head() -> HeadPlacement:
    landmarks = HeadModel.load().landmark_basis("ibug68")[0]
    return HeadPlacement(landmarks, FRONTAL, 700.0, np.array([100.0, 80.0]), np.ones(3, np.float32))


@pytest.mark.parametrize("name", ["shoulders", "long_hair", "front_hair", "brim", "glasses", "hand", "object"])
def test_it_draws_near_the_head(head: HeadPlacement, name: str) -> None:
    image, rng = np.full((SIZE, SIZE, 3), 128, np.uint8), np.random.default_rng(0)
    depth = np.full((SIZE, SIZE), np.inf, np.float32)
    more = {
        "shoulders": (COLOR, rng), "long_hair": (COLOR, 0.8, rng), "front_hair": (COLOR, depth, rng),
        "brim": (COLOR, rng), "glasses": (depth, rng), "hand": (COLOR, rng), "object": (rng,),
    }[name]  # fmt: skip
    getattr(accessories, f"draw_{name}")(image, head, *more)
    changed = (image != 128).any(2)
    assert 0.001 < changed.mean() < 0.7
    assert not changed.all(1).any(), "no row changes from edge to edge"


def test_glasses_are_hidden_behind_the_head(head: HeadPlacement) -> None:
    image, rng = np.full((SIZE, SIZE, 3), 128, np.uint8), np.random.default_rng(0)
    accessories.draw_glasses(image, head, np.full((SIZE, SIZE), -1e6, np.float32), rng)
    assert (image == 128).all()


def test_points_are_projected_as_the_camera_does(head: HeadPlacement) -> None:
    np.testing.assert_allclose(head.to_px(np.array([0.01, 0.02, 0.03])), [107, 66, -21], atol=1e-3)
