"""Tests of the fast rasterizer against the exact one."""

import numpy as np

from retarget.render.fast_rasterizer import gather_corners, rasterize_fast
from retarget.render.rasterizer import barycentric_at, nearest_triangles


def bumpy_sphere() -> tuple[np.ndarray, np.ndarray]:
    """Return a closed surface: vertices (V, 3), y up, and triangles (T, 3), counter-clockwise from outside."""
    rows, columns = 24, 36
    down, turn = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    size = 1 + 0.2 * np.sin(3 * turn) * np.sin(down)
    vertices = np.stack([size * np.sin(down) * np.sin(turn), np.cos(down), size * np.sin(down) * np.cos(turn)], -1)
    n = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = n[:-1, :-1].ravel(), n[:-1, 1:].ravel(), n[1:, :-1].ravel(), n[1:, 1:].ravel()
    return vertices.reshape(-1, 3), np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def test_the_result_equals_that_of_the_exact_rasterizer():
    vertices, triangles = bumpy_sphere()
    points = vertices * (30, -30, -30) + (40.3, 35.1, 0)
    number, depth = nearest_triangles(points, triangles, 80, 70, True)
    drawn = rasterize_fast(gather_corners(points, triangles), 80, 70)
    missed = np.setxor1d(drawn.pixel, np.flatnonzero(number >= 0))
    assert len(missed) <= 3  # triangles are drawn slightly too large at the outline
    assert (drawn.triangle == number.ravel()[drawn.pixel]).mean() > 0.99
    expected = barycentric_at(points, triangles, drawn.triangle, drawn.pixel, 70)
    np.testing.assert_allclose(drawn.weight, expected, atol=1e-4)
    both = np.isfinite(depth) & np.isfinite(drawn.depth)
    assert np.abs(depth[both] - drawn.depth[both]).max() < 0.1 and np.isfinite(drawn.depth).sum() == len(drawn.pixel)


def test_a_large_triangle_fills_the_picture_and_its_back_is_culled():
    points = np.array([[-400.0, -400, 2], [-400, 900, 2], [900, -400, 2]])
    front = rasterize_fast(gather_corners(points, np.array([[0, 1, 2]])), 30, 40)
    assert len(front.pixel) == 1200 and np.abs(front.depth - 2).max() < 1e-3
    back = rasterize_fast(gather_corners(points, np.array([[0, 2, 1]])), 30, 40)
    assert len(back.pixel) == len(back.weight) == 0 and np.isinf(back.depth).all()
    both = rasterize_fast(gather_corners(points, np.array([[0, 2, 1]])), 30, 40, cull=False)
    np.testing.assert_allclose(both.weight[:, [0, 2, 1]], front.weight, atol=1e-5)
