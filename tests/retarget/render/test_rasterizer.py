"""Tests of the rasterizer against a loop over all pixels and triangles."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.render.rasterizer import nearest_triangles, rasterize
from tests.helpers.meshes import sphere


def slow_rasterize(points, triangles, height, width, cull=False):
    """Rasterize with a plain loop over pixels and triangles."""
    winner = np.full((height, width), -1)
    barycentric = np.zeros((height, width, 3))
    for i in range(height):
        for j in range(width):
            nearest = np.inf
            for number, (a, b, c) in enumerate(points[triangles].astype(float)):
                area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
                if area == 0 or (cull and area > 0):
                    continue
                x, y = j + 0.5, i + 0.5
                v = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
                w = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
                z = a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2])
                if min(1 - v - w, v, w) >= 0 and z < nearest:
                    nearest, winner[i, j], barycentric[i, j] = z, number, (1 - v - w, v, w)
    return winner, barycentric


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("spread", [3.0, 60.0])
def test_the_result_equals_that_of_the_plain_loop(cull, spread):
    rng = np.random.default_rng(0)
    center = rng.uniform(-5, 30, (40, 1, 3))
    points = (center + rng.normal(0, spread / 3, (40, 3, 3))).reshape(-1, 3)
    triangles = rng.permutation(120).reshape(40, 3)
    triangle, barycentric = rasterize(points, triangles, 21, 27, cull)
    expected, weights = slow_rasterize(points, triangles, 21, 27, cull)
    assert (triangle == expected).all()
    np.testing.assert_allclose(barycentric, weights, atol=1e-4)
    assert triangle.dtype == np.int32 and barycentric.dtype == np.float32


def test_the_size_of_portions_does_not_matter(monkeypatch):
    vertices, triangles = sphere()
    points = vertices * 20 + (20, 15, 0)
    whole = rasterize(points, triangles, 30, 40)[0]
    monkeypatch.setattr("retarget.render.rasterizer._ROWS_AT_ONCE", 17)
    monkeypatch.setattr("retarget.render.rasterizer._FRAGMENTS_AT_ONCE", 23)
    assert (rasterize(points, triangles, 30, 40)[0] == whole).all()


def test_a_closed_surface_has_no_gaps_and_shows_its_front():
    vertices, triangles = sphere(40, 60)
    points = vertices * 31.7 + (40.3, 39.1, 0)
    triangle, barycentric = rasterize(points, triangles, 80, 80, cull=True)
    y, x = np.mgrid[:80, :80] + 0.5
    inside = np.hypot(x - 40.3, y - 39.1) < 31.3
    assert (triangle[inside] >= 0).all()
    z = (points[triangles[triangle]][..., 2] * barycentric).sum(-1)
    assert (z[inside] <= 1e-6).all(), "counter-clockwise triangles face a viewer in the direction -z"
    assert (rasterize(points, triangles, 80, 80)[0][inside] == triangle[inside]).mean() > 0.99


@pytest.mark.parametrize(
    "points, triangles",
    [
        (np.zeros((0, 3)), np.zeros((0, 3), int)),
        (np.zeros((3, 3)), np.array([[0, 1, 2]])),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]])),
        (np.array([[1, 1, np.inf], [5, 1, 0], [1, 5, 0.0]]), np.array([[0, 1, 2]])),
        (np.array([[-9, -9, 0], [-5, -9, 0], [-9, -5, 0.0]]), np.array([[0, 1, 2]])),
        (np.array([[1e300, 0, 0], [0, 1e300, 0], [-1e300, 0, 0.0]]), np.array([[0, 1, 2]])),
    ],
)
def test_nothing_to_draw(points, triangles):
    triangle, barycentric = rasterize(points, triangles, 4, 6)
    assert triangle.shape == (4, 6) and (triangle == -1).all() and (barycentric == 0).all()


def test_huge_triangle_fills_the_picture():
    points = np.array([[-1e6, -1e6, 1], [3e6, -1e6, 1], [-1e6, 3e6, 1.0]])
    assert (rasterize(points, np.array([[0, 1, 2]]), 200, 300)[0] == 0).all()


def test_equal_depths_and_depth_peeling():
    square = np.array([[0, 0, 1], [4, 0, 1], [0, 4, 1], [4, 4, 1.0]])
    points = np.concatenate([square, square, square + np.array([0, 0, 1])])
    one = np.array([[0, 1, 2], [1, 3, 2]])
    triangles = np.concatenate([one, one + 4, one + 8])
    first, _ = rasterize(points, triangles, 4, 4)
    assert set(first.ravel()) == {0, 1}
    again, depth = nearest_triangles(points, triangles, 4, 4)
    assert (again == first).all() and (depth == 1).all()
    second, depth = nearest_triangles(points, triangles, 4, 4, behind=depth)
    assert set(second.ravel()) == {4, 5} and (depth == 2).all()
    assert (nearest_triangles(points, triangles, 4, 4, behind=depth)[0] == -1).all()


@pytest.mark.parametrize(
    "points, triangles, message",
    [
        (np.zeros((3, 2)), np.zeros((1, 3), int), "points: expected shape"),
        (np.zeros((3, 3)), np.zeros((1, 4), int), "triangles: expected shape"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), r"0\.\.2, got 0\.\.3"),
        (np.zeros((3, 3)), np.array([[0, 1, -1]]), "vertex numbers"),
    ],
)
def test_a_wrong_mesh_raises(points, triangles, message):
    with pytest.raises(ValueError, match=message):
        rasterize(points, triangles, 4, 4)
