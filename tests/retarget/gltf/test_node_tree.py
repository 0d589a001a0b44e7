"""Tests of `retarget.gltf.node_tree`."""

from __future__ import annotations

import numpy as np

from retarget.geometry.rotations import affine_matrix, matrix_to_quaternion, rotation_about
from retarget.gltf.node_tree import (
    local_matrix,
    normalized_name,
    parent_indices,
    root_nodes,
    subtree,
    world_matrices,
)
from tests.helpers.characters import make_body


def test_tree_of_a_body() -> None:
    document = make_body().document
    assert root_nodes(document) == [0, 9]
    assert parent_indices(document).tolist() == [-1, 0, 1, 2, 2, 0, 5, 0, 7, -1]
    assert sorted(subtree(document, [1])) == [1, 2, 3, 4]
    world = world_matrices(document)
    np.testing.assert_allclose(world[0, :3, 3], [0, 1, 0])
    np.testing.assert_allclose(world[2], world[1] @ local_matrix(document["nodes"][2]))


def test_an_empty_document_has_no_nodes() -> None:
    assert world_matrices({}).shape == (0, 4, 4)
    assert root_nodes({}) == [] and parent_indices({}).shape == (0,)


def test_a_matrix_and_its_parts_are_the_same_transform() -> None:
    rotation = rotation_about("y", 0.7)
    matrix = affine_matrix(rotation * (2, 3, 4), (1, 2, 3))
    np.testing.assert_allclose(local_matrix({"matrix": matrix.T.ravel().tolist()}), matrix)
    parts = {"translation": [1, 2, 3], "rotation": matrix_to_quaternion(rotation).tolist(), "scale": [2, 3, 4]}
    np.testing.assert_allclose(local_matrix(parts), matrix, atol=1e-12)


def test_normalized_name() -> None:
    assert normalized_name({"name": "mixamorig:Left_Eye.001"}) == "mixamoriglefteye001"
    assert normalized_name({}) == ""
