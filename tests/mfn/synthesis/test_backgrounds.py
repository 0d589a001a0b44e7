"""Drawn pictures without faces."""

import numpy as np
import pytest

from mfn.synthesis.backgrounds import clouds, random_background, still_life, tiles


@pytest.mark.parametrize("draw", [clouds, tiles, still_life, random_background])
def test_backgrounds_have_the_asked_size_and_are_repeatable(draw):
    first, second, other = (draw(40, 56, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.shape == (40, 56, 3) and first.dtype == np.uint8
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_backgrounds_differ_in_color_and_structure():
    pictures = [random_background(48, 48, np.random.default_rng(seed)) for seed in range(24)]
    colors = np.array([picture.mean((0, 1)) for picture in pictures])
    assert colors.std(0).min() > 15 and max(picture.std() for picture in pictures) > 30
