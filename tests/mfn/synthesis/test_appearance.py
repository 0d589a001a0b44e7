"""Appearances have colors in range and repeat with the same seed."""

import dataclasses

import numpy as np
import pytest

from mfn.synthesis.appearance import SKIN_COLORS, light_to_srgb, palette_appearances, random_appearance, srgb_to_light

COLORS = ("skin", "hair", "iris", "lips", "shirt", "cloth")


def test_random_appearances_are_in_range() -> None:
    rng = np.random.default_rng(0)
    people = [random_appearance(rng) for _ in range(100)]
    for name in COLORS:
        colors = np.stack([getattr(person, name) for person in people])
        assert colors.shape == (100, 3) and colors.min() >= 0 and colors.max() <= 1, name
    for name in ("brow", "lashes", "blush", "age", "freckles", "eye_shadow", "jaw_beard", "long_hair"):
        amounts = [getattr(person, name) for person in people]
        assert min(amounts) >= 0 and max(amounts) <= 1, name
    assert {person.cover for person in people} == {"none", "beanie", "cap"}


def test_the_same_seed_makes_the_same_person() -> None:
    first, second = (dataclasses.asdict(random_appearance(np.random.default_rng(3))) for _ in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


def test_palette_appearances_have_the_colors_of_the_palettes() -> None:
    people = palette_appearances(20, np.random.default_rng(1))
    skins = np.stack([light_to_srgb(person.skin) for person in people])
    distance = np.abs(skins[:, None] - np.array(SKIN_COLORS)[None]).max(2).min(1)
    assert len(people) == 20 and distance.max() < 1e-5
    assert palette_appearances(0, np.random.default_rng(1)) == []


def test_conversion_to_light_and_back() -> None:
    color = np.array([0.0, 0.2, 1.0], np.float32)
    np.testing.assert_allclose(light_to_srgb(srgb_to_light(color)), color, atol=1e-6)
    assert srgb_to_light((0.5, 0.5, 0.5))[0] == pytest.approx(0.5**2.2)
