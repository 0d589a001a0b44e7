"""Tests of `retarget.geometry.rotations`."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.geometry.rotations import (
    Axis,
    affine_matrix,
    fit_similarity,
    matrix_to_quaternion,
    matrix_to_rotation_vector,
    nearest_orthogonal,
    nearest_rotation,
    quaternion_to_matrix,
    quaternion_to_rotation_vector,
    relative_quaternion,
    rotation_about,
    rotation_about_point,
    rotation_between,
    rotation_vector_to_matrix,
    scale_rotation,
    shortest_path_signs,
    split_scale,
)

RNG = np.random.default_rng(0)


def random_quaternions(count: int) -> np.ndarray:
    quaternion = RNG.normal(size=(count, 4))
    return quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)


def test_quaternion_round_trip() -> None:
    quaternion = random_quaternions(500)
    back = matrix_to_quaternion(quaternion_to_matrix(quaternion))
    np.testing.assert_allclose(back, quaternion * np.sign(quaternion[:, 3:]), atol=1e-9)


def test_quaternions_of_any_length_and_any_batch() -> None:
    quaternion = random_quaternions(6)
    expected = quaternion_to_matrix(quaternion)
    np.testing.assert_allclose(quaternion_to_matrix(7 * quaternion.reshape(2, 3, 4)), expected.reshape(2, 3, 3, 3))
    assert quaternion_to_matrix(np.zeros((0, 4))).shape == (0, 3, 3)
    assert matrix_to_quaternion(np.zeros((0, 3, 3))).shape == (0, 4)


@pytest.mark.parametrize(("axis", "number"), [("x", 0), ("y", 1), ("z", 2)])
def test_half_turns(axis: Axis, number: int) -> None:
    matrix = rotation_about(axis, np.pi)
    np.testing.assert_allclose(np.abs(matrix_to_quaternion(matrix)), np.eye(4)[number], atol=1e-8)
    np.testing.assert_allclose(quaternion_to_matrix(matrix_to_quaternion(matrix)), matrix, atol=1e-8)


def test_rotations_are_right_handed() -> None:
    np.testing.assert_allclose(rotation_about("x", np.pi / 2) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(rotation_about("y", np.pi / 2) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation_about("z", np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    assert rotation_about("z", np.zeros((3, 0))).shape == (3, 0, 3, 3)
    assert rotation_about("z", np.float32(1)).dtype == np.float32


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 0.5, np.pi - 1e-6])
def test_rotation_vector_round_trip(angle: float) -> None:
    axis = RNG.normal(size=(40, 3))
    vector = angle * axis / np.linalg.norm(axis, axis=1, keepdims=True)
    np.testing.assert_allclose(matrix_to_rotation_vector(rotation_vector_to_matrix(vector)), vector, atol=1e-9)


def test_a_relative_quaternion_leads_from_the_first_to_the_second() -> None:
    first, second = random_quaternions(20), random_quaternions(20)
    turn = quaternion_to_matrix(relative_quaternion(first, second))
    np.testing.assert_allclose(quaternion_to_matrix(first) @ turn, quaternion_to_matrix(second), atol=1e-12)
    one_to_many = quaternion_to_rotation_vector(relative_quaternion(first[0], second))
    assert one_to_many.shape == (20, 3) and (np.linalg.norm(one_to_many, axis=1) <= np.pi).all()


def test_scale_rotation() -> None:
    turn = rotation_about("y", np.array([0.6, 0, 2.4])) @ rotation_about("x", np.array([0.2, 0, 0]))
    half = scale_rotation(turn, 0.5)
    np.testing.assert_allclose(half @ half, turn, atol=1e-12)
    np.testing.assert_allclose(scale_rotation(turn, 1), turn, atol=1e-12)
    np.testing.assert_allclose(scale_rotation(turn[2], 0.25), rotation_about("y", 0.6), atol=1e-12)
    assert scale_rotation(np.zeros((0, 3, 3)), 0.4).shape == (0, 3, 3)


def test_rotation_between_turns_one_vector_to_the_other() -> None:
    start, end = np.array([0.6, 0.8, 0]), np.array([0, 0.6, -0.8])
    turn = rotation_between(start, end)
    np.testing.assert_allclose(turn @ start, end, atol=1e-12)
    assert np.linalg.norm(matrix_to_rotation_vector(turn)) == pytest.approx(np.arccos(start @ end))
    np.testing.assert_allclose(rotation_between(start, np.stack([end, start])), [turn, np.eye(3)], atol=1e-12)
    assert rotation_between(start, np.zeros((0, 3))).shape == (0, 3, 3)


def test_rotation_about_a_point_keeps_the_point() -> None:
    point, turn = np.array([1.0, 2, 3]), rotation_about("y", np.array([0.3, 1.0]))
    moved = rotation_about_point(point, turn) @ np.append(point, 1)
    np.testing.assert_allclose(moved[:, :3], [point, point])


def test_nearest_rotation_removes_scale_and_reflection() -> None:
    turn = rotation_about("y", np.array([0.7, -2.0]))
    np.testing.assert_allclose(nearest_rotation(affine_matrix(turn * 5, np.ones((2, 3)))), turn, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(nearest_rotation(turn * [1, 1, -2])), 1)


def test_nearest_orthogonal_keeps_reflections() -> None:
    turn = quaternion_to_matrix(random_quaternions(5))
    for sign in (1, -1):
        mirrored = turn * [sign, 1, 1]
        np.testing.assert_allclose(nearest_orthogonal(mirrored * [3.0]), mirrored, atol=1e-9)


def test_split_scale_puts_mirrored_maps_together_again() -> None:
    turn = quaternion_to_matrix(random_quaternions(100))
    for scale in ([1, 1, 1], [-1, 1, 1], [1, -1, 1], [-2, -2, -2], [0.5, 1, -3], [-1, -1, 1]):
        rotation, found = split_scale(affine_matrix(turn * scale, np.ones((100, 3))))
        np.testing.assert_allclose(np.linalg.det(rotation), 1)
        np.testing.assert_allclose(rotation * found[:, None], turn * scale, atol=1e-9)


def test_fit_similarity_recovers_many_transforms() -> None:
    points, turn = RNG.normal(size=(9, 3)), quaternion_to_matrix(random_quaternions(4))
    target = 3 * points @ turn.transpose(0, 2, 1) + [1, 2, 3]
    scale, rotation, translation = fit_similarity(points, target)
    np.testing.assert_allclose(scale, np.full(4, 3))
    np.testing.assert_allclose(rotation, turn, atol=1e-9)
    np.testing.assert_allclose(translation, np.tile([1, 2, 3], (4, 1)), atol=1e-9)


def test_fit_similarity_ignores_points_of_no_weight_and_makes_no_reflection() -> None:
    points = RNG.normal(size=(9, 3))
    target = 2 * points
    target[0] += 50
    found = fit_similarity(points, target, np.array([0.0] + [1.0] * 8))
    assert found.scale == pytest.approx(2)
    np.testing.assert_allclose(found.rotation, np.eye(3), atol=1e-9)
    assert np.linalg.det(fit_similarity(points, points * [-1, 1, 1]).rotation) == pytest.approx(1)


def test_neighbors_take_the_shortest_path():
    turns = matrix_to_quaternion(rotation_about("y", np.linspace(0, 4 * np.pi, 50)))  # its signs jump
    found = shortest_path_signs(turns)
    assert ((turns[1:] * turns[:-1]).sum(1) < 0).any() and ((found[1:] * found[:-1]).sum(1) > 0.9).all()
    np.testing.assert_allclose(quaternion_to_matrix(found), quaternion_to_matrix(turns), atol=1e-12)
    assert shortest_path_signs(turns[:1]).tolist() == turns[:1].tolist()
