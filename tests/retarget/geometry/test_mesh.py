"""Tests of `retarget.geometry.mesh`."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.geometry.mesh import boundary_vertices, triangle_normals, vertex_areas, vertex_normals
from tests.helpers.meshes import sphere


def test_normals_of_many_meshes_are_those_of_one() -> None:
    vertices, triangles = sphere(30, 40)
    normals = vertex_normals(vertices, triangles)
    assert ((normals * vertices).sum(1) > 0.99).all()
    many = vertex_normals(np.stack([vertices, 2 * vertices, vertices * (1, 2, 3)]), triangles)
    np.testing.assert_allclose(many[:2], np.stack([normals, normals]), atol=1e-6)
    np.testing.assert_allclose(many[2], vertex_normals(vertices * (1, 2, 3), triangles), atol=1e-6)


def test_normals_of_nothing() -> None:
    _, triangles = sphere(3, 4)
    assert vertex_normals(np.zeros((0, 4, 3)), triangles[:0]).shape == (0, 4, 3)
    assert (vertex_normals(np.ones((2, 3)), np.zeros((0, 3), int)) == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normals_keep_the_precision_of_the_vertices(dtype: type[np.floating]) -> None:
    vertices, triangles = sphere(5, 6)
    assert vertex_normals(vertices.astype(dtype), triangles).dtype == dtype


def test_areas_of_vertices_sum_to_those_of_triangles() -> None:
    vertices, triangles = sphere(30, 40)
    total = triangle_normals(vertices, triangles).area.sum()
    assert vertex_areas(vertices, triangles).sum() == pytest.approx(total)
    assert total == pytest.approx(4 * np.pi, rel=0.02)


def test_a_triangle_without_area_has_no_normal() -> None:
    found = triangle_normals(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert (found.normal == 0).all() and found.area.tolist() == [0]


def test_boundary_of_a_square() -> None:
    triangles = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])  # four corners and the middle
    assert boundary_vertices(6, triangles).tolist() == [True, True, True, True, False, False]


def test_edges_and_pieces() -> None:
    pytest.importorskip("scipy")
    from retarget.geometry.mesh import connected_pieces, edge_graph

    points = np.array([[0.0, 0, 0], [3, 0, 0], [0, 4, 0], [9, 9, 9], [9, 9, 8], [9, 8, 9]])
    triangles = np.array([[0, 1, 2], [3, 4, 5]])
    graph = edge_graph(points, triangles).toarray()
    assert graph[1, 2] == graph[2, 1] == 5 and graph[0, 3] == 0
    assert connected_pieces(6, triangles).tolist() == [0, 0, 0, 1, 1, 1]


def test_a_slit_has_two_sides() -> None:
    """Two strips that touch in a line and are joined at both ends: the points of the line lie on different sides."""
    pytest.importorskip("scipy")
    from retarget.geometry.closest_point import ClosestPointIndex
    from retarget.geometry.mesh import edge_graph, slit_sides

    x = np.linspace(0, 1, 11)
    upper, lower = np.stack([x, x * 0 + 1, x * 0], 1), np.stack([x, x * 0 - 1, x * 0], 1)
    points = np.concatenate([upper, upper * [1, 0, 0], lower * [1, 0, 0], lower])
    strip = [[k, k + 1, k + 11] for k in range(10)] + [[k + 1, k + 12, k + 11] for k in range(10)]
    triangles = np.concatenate([np.array(strip), np.array(strip) + 22])
    ends = np.array([[11, 22, 33], [21, 32, 43]])
    sides = slit_sides(edge_graph(points, np.concatenate([triangles, ends])), [(16, 27, 0.5)])
    assert sides[16, 0] > 0.9 and sides[27, 0] < -0.9 and abs(sides[11, 0]) < 0.6
    index = ClosestPointIndex(points, triangles, sides, 0.0, 1.0)
    found = index.closest(points[[27]], np.zeros((1, 3)), sides[[27]])
    assert index.triangles[found.triangle[0]].min() >= 22
