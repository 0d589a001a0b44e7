"""Resampling of windows of many pictures at once."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from mfn.training.device.picture_bank import PictureBank  # noqa: E402

IDENTITY = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, size, np.uint8) for size in ((12, 20, 3), (1, 1, 3), (31, 17, 3))]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_identity_returns_the_picture(number):
    picture = pictures()[number]
    height, width = picture.shape[:2]
    sampled, inside = PictureBank(pictures()).sample(torch.tensor([number]), IDENTITY, height, width)
    np.testing.assert_allclose(sampled[0].permute(1, 2, 0).numpy(), picture, atol=1e-3)
    assert inside.all()


def test_a_rotated_window_equals_that_of_opencv():
    smooth = cv2.GaussianBlur(pictures()[2], (0, 0), 2)
    c, s = np.cos(0.4), np.sin(0.4)
    matrix = np.array([[c, -s, 6.0], [s, c, 4.0]])  # from the window to the picture, edges at 0
    shift = matrix[:, :2] @ [0.5, 0.5] + matrix[:, 2] - 0.5  # OpenCV counts from the centers of pixels
    expected = cv2.warpAffine(
        smooth, np.c_[matrix[:, :2], shift], (9, 7), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    sampled, _ = PictureBank([smooth]).sample(torch.tensor([0]), torch.tensor(matrix[None], dtype=torch.float32), 7, 9)
    np.testing.assert_allclose(sampled[0].permute(1, 2, 0).numpy(), expected, atol=3)


def test_outside_is_marked_and_filled_with_the_border():
    bank, matrix = PictureBank([np.full((4, 4, 3), 77, np.uint8)]), IDENTITY.clone()
    matrix[0, :, 2] = -2.0
    sampled, inside = bank.sample(torch.tensor([0]), matrix, 8, 8)
    assert (sampled == 77).all() and inside[0, 0].sum() == 16 and not inside[0, 0, 0, 0]


def test_shrinking_averages_instead_of_skipping_pixels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    matrix = torch.tensor([[[8.0, 0, 0], [0, 8.0, 0]]])
    sampled, _ = PictureBank([stripes]).sample(torch.tensor([0]), matrix, 8, 8)
    assert torch.all((sampled - 100).abs() < 2)
