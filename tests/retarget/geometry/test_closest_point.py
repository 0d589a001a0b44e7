"""Tests of `retarget.geometry.closest_point`."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.geometry.closest_point import ClosestPointIndex, closest_in_triangle
from tests.helpers.meshes import sphere


def test_closest_in_triangle_against_many_samples() -> None:
    rng = np.random.default_rng(1)
    corners, points = rng.normal(size=(50, 3, 3)), rng.normal(size=(50, 3))
    weight = closest_in_triangle(points, corners)
    assert (weight >= -1e-9).all() and np.allclose(weight.sum(1), 1)
    distance = np.linalg.norm((corners * weight[..., None]).sum(1) - points, axis=1)
    samples = rng.dirichlet([0.7, 0.7, 0.7], 4000)
    best = np.linalg.norm(np.einsum("sk,tki->tsi", samples, corners) - points[:, None], axis=2).min(1)
    assert (distance <= best + 1e-9).all() and (best - distance).max() < 0.1


def test_closest_points_on_a_sphere() -> None:
    pytest.importorskip("scipy")
    vertices, triangles = sphere(30, 40)
    used = np.unique(triangles)
    index = ClosestPointIndex(vertices, triangles, np.zeros((len(vertices), 0)), 0.0, 0.0)
    found = index.closest(2 * vertices[used], vertices[used], np.zeros((len(used), 0)))
    np.testing.assert_allclose(found.distance, 1, atol=0.02)
    np.testing.assert_allclose(index.interpolate(found, vertices), vertices[used], atol=0.02)


def test_a_point_beyond_the_boundary_is_known() -> None:
    pytest.importorskip("scipy")
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    index = ClosestPointIndex(points, np.array([[0, 1, 2]]), np.zeros((3, 0)), 0.0, 0.0)
    found = index.closest(np.array([[0.2, 0.2, 1], [-1, 0.5, 0]]), np.zeros((2, 3)), np.zeros((2, 0)))
    assert index.on_boundary(found).tolist() == [True, True]  # all corners of one triangle lie on the boundary
    np.testing.assert_allclose(found.distance, [1, 1])
