"""Samples of a pixel that see one smooth surface share a color; creases and other surfaces do not."""

from __future__ import annotations

import numpy as np

from retarget.gltf.materials import Material
from retarget.render.surface_samples import Surface, color_samples, share_samples

WHITE = Material(np.ones(4, np.float32), (), lit=False)


def surface(colors):
    """Two triangles of a square of 4 x 4 samples with common corners 1 and 2, and one that has none of them."""
    points = np.array([[0, 0, -1], [4, 0, -1], [0, 4, -1], [4, 4, -1], [0, 0, -2], [4, 0, -2], [0, 4, -2.0]])
    values = np.zeros((7, 9), np.float32)
    values[:, 2], values[:, 5:] = -1, 1
    values[:, 5:8] = np.array(colors)[:, None]
    triangles = np.array([[0, 2, 1], [1, 2, 3], [4, 6, 5]])
    return Surface([WHITE], points, values, triangles, np.zeros(3, int), np.zeros(3, bool), {})


def test_one_color_for_neighbors_that_look_alike():
    seen = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [2, 2, -1, -1], [0, 1, -1, 2]], np.int32)  # 2 x 2 pixels
    flat = share_samples(seen, surface([1] * 7))
    assert flat.uniform == 1 and flat.pixel.tolist() == [0, 1, 2, 3]
    assert flat.triangle.tolist()[0] == 0 and sorted(flat.triangle.tolist()) == [0, 0, 0, 2, 2]
    number = dict(zip(flat.pixel[1:].tolist(), flat.slot.T.tolist(), strict=True))
    assert len(set(number[1])) == 1, "both triangles of the square share one color"
    assert number[2][0] == number[2][1] != number[2][2] == number[2][3], "another surface has its own"
    none = len(flat.triangle)
    assert number[3][0] == none == number[3][1] and number[3][2] == none != number[3][3]
    colors = color_samples(surface([1] * 7), flat)
    assert colors[:-1].min() == 1 and (colors[-1] == 0).all()


def test_neighbors_of_different_colors_keep_them():
    seen = np.array([[0, 1], [0, 1]], np.int32)
    painted = share_samples(seen, surface([1, 1, 1, 0, 1, 1, 1]))
    assert sorted(painted.triangle.tolist()) == [0, 1]


def test_weights_are_linear_in_the_scene():
    """A strip that runs away from the viewer: the middle on the screen is nearer to the near end."""
    values = np.zeros((3, 9), np.float32)
    values[:, 2], values[:, 8] = -1, 1
    values[2, 5:8] = 1  # white at the far end
    points = np.array([[0, 0, -1], [8, 0, -1], [0, 8, -0.25]])
    strip = Surface([WHITE], points, values, np.array([[0, 2, 1]]), np.zeros(1, int), np.zeros(1, bool), {})
    seen = np.full((8, 8), -1, np.int32)
    seen[4, 0] = 0
    color = color_samples(strip, share_samples(seen, strip))[0]
    on_screen = 4.5 / 8
    expected = on_screen * 0.25 / (on_screen * 0.25 + (1 - on_screen))
    np.testing.assert_allclose(color[:3], expected, atol=1e-6)
