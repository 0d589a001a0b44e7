"""Scenes and crops that are composed on the CPU."""

import numpy as np
import pytest

pytest.importorskip("torch")
from mfn.training.device.cpu_compose import NOISE_SIDE_PX, Degrader, Pyramids, cover, jitter_colors, lower_resolution  # noqa: E402


def ramp(height: int = 64, width: int = 96) -> np.ndarray:
    """A picture whose red value is the column and whose green value is the row."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, 7)], 2).astype(np.uint8)


def test_a_window_shows_its_part_of_the_picture():
    matrix = np.array([[1.0, 0, 10], [0, 1.0, 5]])
    window = Pyramids([ramp()]).sample(0, matrix, 16)
    assert np.array_equal(window, ramp()[5:21, 10:26])


def test_a_mirrored_window_is_mirrored():
    matrix = np.array([[-1.0, 0, 26], [0, 1.0, 5]])
    window = Pyramids([ramp()]).sample(0, matrix, 16)
    assert np.array_equal(window, ramp()[5:21, 10:26][:, ::-1])


def test_a_shrunken_window_averages():
    checkers = np.indices((64, 64)).sum(0) % 2 * 255
    picture = np.repeat(checkers[:, :, None], 3, 2).astype(np.uint8)
    window = Pyramids([picture]).sample(0, np.array([[4.0, 0, 0], [0, 4.0, 0]]), 16)
    assert np.abs(window.astype(int) - 127).max() <= 1


def test_the_mask_is_where_the_picture_lies():
    pyramids = Pyramids([ramp()])
    assert pyramids.mask(0, np.array([[1.0, 0, 10], [0, 1.0, 5]]), 16) is None
    mask = pyramids.mask(0, np.array([[1.0, 0, -8], [0, 1.0, 0]]), 16)
    assert mask is not None
    assert (mask[:, 8:] == 255).all() and (mask[:, :7] == 0).all()


def test_effects_are_of_their_seed_and_keep_the_size():
    picture = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    effects = [
        jitter_colors,
        Degrader(),
        lambda x, rng: cover(x, np.zeros_like(x), rng),
        lambda x, rng: lower_resolution(x, 12, rng),
    ]
    for effect in effects:
        first, second = (effect(picture, np.random.default_rng(3)) for _ in range(2))
        assert np.array_equal(first, second)
        outputs = [effect(picture, np.random.default_rng(seed)) for seed in range(12)]
        assert all(out.shape == picture.shape and out.dtype == np.uint8 for out in outputs)
        assert any(not np.array_equal(out, picture) for out in outputs)


def test_noise_covers_a_picture_larger_than_its_table():
    degrade, picture = Degrader(), np.full((NOISE_SIDE_PX + 8, NOISE_SIDE_PX + 70, 3), 128, np.uint8)
    noisy = degrade._add_noise(picture, 10.0, np.random.default_rng(0))
    assert noisy.shape == picture.shape and noisy[-8:].std() > 5 and noisy[:, -70:].std() > 5


def test_a_cover_hides_a_part():
    picture = np.full((60, 60, 3), 200, np.uint8)
    shares = [(cover(picture, np.zeros_like(picture), np.random.default_rng(seed)) == 0).mean() for seed in range(20)]
    assert min(shares) > 0.005 and max(shares) < 0.5
