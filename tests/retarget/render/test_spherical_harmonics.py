"""Tests of the spherical harmonics."""

import numpy as np

from retarget.render.spherical_harmonics import HARMONIC_COUNT, harmonic_polynomials, spherical_harmonics


def sphere(count: int = 4000) -> np.ndarray:
    """Return evenly distributed unit directions (N, 3)."""
    step = np.arange(count) + 0.5
    height, angle = 1 - 2 * step / count, step * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), height, ring * np.sin(angle)], 1)


def test_the_functions_are_orthonormal_on_the_sphere() -> None:
    values = spherical_harmonics(sphere())
    gram = values.T @ values * 4 * np.pi / len(values)
    np.testing.assert_allclose(gram, np.eye(HARMONIC_COUNT), atol=5e-3)


def test_inputs_of_any_shape() -> None:
    directions = sphere(12).reshape(3, 4, 3)
    values = spherical_harmonics(directions)
    assert values.shape == (3, 4, HARMONIC_COUNT) and values.dtype == np.float32
    assert [part.shape for part in harmonic_polynomials(*np.moveaxis(directions, -1, 0))] == [(3, 4)] * HARMONIC_COUNT
    assert spherical_harmonics(np.zeros((0, 3))).shape == (0, HARMONIC_COUNT)
