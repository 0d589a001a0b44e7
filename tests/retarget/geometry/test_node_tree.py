"""Quaternions, node trees."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.geometry.node_tree import (
    affine,
    below,
    local_matrix,
    matrix_to_quaternion,
    parents_of,
    part_of_turn,
    pure_rotation,
    quaternion_to_matrix,
    roots_of,
    rotation_about,
    turn_about,
    world_matrices,
)
from tests.helpers.characters import make_body


def test_quaternion_round_trip():
    quaternion = np.random.default_rng(0).normal(size=(500, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    back = matrix_to_quaternion(quaternion_to_matrix(quaternion))
    np.testing.assert_allclose(back * np.sign(back[:, 3:]), quaternion * np.sign(quaternion[:, 3:]), atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns(axis):
    matrix = rotation_about(axis, np.array(np.pi))
    np.testing.assert_allclose(np.abs(matrix_to_quaternion(matrix)), np.eye(4)[axis], atol=1e-8)
    np.testing.assert_allclose(quaternion_to_matrix(matrix_to_quaternion(matrix)), matrix, atol=1e-8)


def test_right_handed():
    np.testing.assert_allclose(rotation_about(1, np.array(np.pi / 2)) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_about(0, np.array(np.pi / 2)) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    assert rotation_about(2, np.zeros((3, 0))).shape == (3, 0, 3, 3) and matrix_to_quaternion(
        np.zeros((0, 3, 3))
    ).shape == (0, 4)


def test_part_of_a_turn():
    turn = rotation_about(1, np.array([0.6, 0, 2.4])) @ rotation_about(0, np.array([0.2, 0, 0]))
    half = part_of_turn(turn, 0.5)
    np.testing.assert_allclose(half @ half, turn, atol=1e-12)
    np.testing.assert_allclose(part_of_turn(turn, 1), turn, atol=1e-12)
    np.testing.assert_allclose(part_of_turn(turn[2], 0.25), rotation_about(1, np.array(0.6)), atol=1e-12)
    assert part_of_turn(np.zeros((0, 3, 3)), 0.4).shape == (0, 3, 3)


def test_turn_about_keeps_the_point():
    point, turn = np.array([1.0, 2, 3]), rotation_about(1, np.array([0.3, 1.0]))
    moved = turn_about(point, turn) @ np.append(point, 1)
    np.testing.assert_allclose(moved[:, :3], [point, point])


def test_tree():
    document = make_body().document
    assert roots_of(document) == [0, 9] and list(parents_of(document)) == [-1, 0, 1, 2, 2, 0, 5, 0, 7, -1]
    assert sorted(below(document, [1])) == [1, 2, 3, 4]
    world = world_matrices(document)
    np.testing.assert_allclose(world[0, :3, 3], [0, 1, 0])
    np.testing.assert_allclose(world[2], world[1] @ local_matrix(document["nodes"][2]))
    assert world_matrices({}).shape == (0, 4, 4)


def test_matrix_nodes_and_scale():
    turn = rotation_about(1, np.array(0.7))
    matrix = affine(turn * (2, 3, 4), (1, 2, 3))
    np.testing.assert_allclose(local_matrix({"matrix": matrix.T.ravel().tolist()}), matrix)
    trs = {"translation": [1, 2, 3], "rotation": matrix_to_quaternion(turn).tolist(), "scale": [2, 3, 4]}
    np.testing.assert_allclose(local_matrix(trs), matrix, atol=1e-12)
    np.testing.assert_allclose(pure_rotation(affine(turn * 5, (1, 1, 1))), turn, atol=1e-12)
