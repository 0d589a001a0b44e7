"""Tests of `retarget.geometry.laplacian`."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.meshes import sphere

sparse = pytest.importorskip("scipy.sparse")

from retarget.geometry.laplacian import factorize, gradient_operator  # noqa: E402
from retarget.geometry.mesh import triangle_normals  # noqa: E402


def test_the_gradient_of_a_linear_function_is_its_slope_along_the_surface() -> None:
    vertices, triangles = sphere(12, 16)
    slope = np.array([1.0, -2, 0.5])
    found = gradient_operator(vertices, triangles)
    gradient = (found.matrix @ (vertices @ slope)).reshape(-1, 3)
    normal = triangle_normals(vertices, triangles).normal
    expected = slope - (normal @ slope)[:, None] * normal
    usable = found.area > 0
    np.testing.assert_allclose(gradient[usable], expected[usable], atol=1e-9)
    assert (gradient[~usable] == 0).all()


def test_factorize_solves_for_several_right_hand_sides() -> None:
    matrix = np.array([[4.0, 1, 0], [1, 3, 1], [0, 1, 5]])
    right = np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(matrix @ factorize(sparse.csr_matrix(matrix))(right), right)
