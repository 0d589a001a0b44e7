"""Tests of `retarget.render.shading`."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.render.rasterizer import nearest_triangles
from retarget.render.shading import compose, downsample, linear_to_srgb, shade, srgb_to_linear
from tests.helpers.meshes import sphere


def test_the_light_comes_from_above() -> None:
    color = np.full((2, 3), 0.5)
    lit = shade(color, np.array([[0, -1, 0], [0, 1, 0.0]]))
    assert (lit[0] > lit[1]).all()


def test_srgb_round_trip() -> None:
    value = np.linspace(0, 1, 256)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(value)), value, atol=1e-5)
    assert srgb_to_linear(np.array(0.5)) == pytest.approx(0.2140, abs=1e-3)


def test_downsampling_smooths_edges_and_compose_keeps_the_background() -> None:
    vertices, triangles = sphere(20, 30)
    triangle, _ = nearest_triangles(vertices * 20 + (32, 24, 0), triangles, 48, 64)
    layer = downsample(np.repeat((triangle >= 0)[..., None], 4, 2).astype(np.float32), 2)
    edge = (layer[..., 3] > 0) & (layer[..., 3] < 1)
    assert layer.shape == (24, 32, 4) and edge.any() and layer[12, 16, 3] == 1
    photo = np.random.default_rng(0).integers(0, 200, (24, 32, 3), dtype=np.uint8)
    mixed = compose(layer, photo)
    outside = layer[..., 3] == 0
    assert (mixed[outside] == photo[outside]).all() and (mixed[12, 16] == 255).all()
    assert ((mixed > photo) | outside[..., None]).all()
