"""Heads land where people's heads are."""

from __future__ import annotations

import numpy as np
import pytest

from retarget.animation.pose import assign_rigs, place_rig, pose_vertices
from retarget.geometry.rotations import affine_matrix, quaternion_to_matrix, rotation_about
from retarget.gltf.document import write_glb
from retarget.rig.load import load_rig
from tests.helpers.characters import make_face, make_take


@pytest.mark.parametrize("size", [1.0, 100.0])
def test_head_alone_moves_as_one(size, tmp_path):
    write_glb(make_face(size=size), tmp_path / "a.glb")
    rig, take = load_rig(tmp_path / "a.glb"), make_take(4)
    vertices = pose_vertices(rig, np.zeros((4, 52)), take.rotation, take.translation)
    expected = affine_matrix(quaternion_to_matrix(take.rotation) * rig.scale, take.translation)
    rest = rig.mesh.rest_positions() - rig.eye_center
    np.testing.assert_allclose(
        vertices, np.einsum("nij,vj->nvi", expected[:, :3, :3], rest) + expected[:, None, :3, 3], atol=1e-6
    )


def test_body_stays_upright_and_the_head_turns(body_path):
    rig, take = load_rig(body_path), make_take(5)
    root, neck, head = place_rig(rig, take.rotation, take.translation)
    np.testing.assert_allclose(root[:, :3, 1], np.tile([0, 1, 0], (5, 1)), atol=1e-12)
    turned = root[:, :3, :3] @ neck @ head
    assert (np.trace(neck, axis1=1, axis2=2) > np.trace(head, axis1=1, axis2=2)).all(), "the neck makes a part of the turn"
    np.testing.assert_allclose(turned, quaternion_to_matrix(take.rotation), atol=1e-6)
    vertices = pose_vertices(rig, np.zeros((5, 52)), take.rotation, take.translation)
    rest = rig.mesh.rest_positions()
    head = rig.mesh.group_weights[:, 1] == 1
    expected = np.einsum("nij,vj->nvi", turned, rest[head] - rig.eye_center) + take.translation[:, None]
    np.testing.assert_allclose(vertices[:, head], expected, atol=1e-6)
    assert (vertices[:, ~head, 1].max(axis=1) < vertices[:, head, 1].mean(axis=1)).all()


def test_looking_straight_ahead_is_at_rest(body_path):
    rig = load_rig(body_path)
    vertices = pose_vertices(rig, np.zeros((1, 52)), np.array([[0, 0, 0, 1.0]]), rig.eye_center[None])
    np.testing.assert_allclose(vertices[0], rig.mesh.rest_positions(), atol=1e-6)
    low, high = vertices[0].min(axis=0), vertices[0].max(axis=0)
    np.testing.assert_allclose([low, high], [[-0.3, 0.7, -0.3], [0.3, 1.7, 0.3]], atol=1e-3)


def test_many_is_one_empty_and_order(body_path, face_path):
    for path in (body_path, face_path):
        rig, take = load_rig(path), make_take(6)
        many = pose_vertices(rig, take.coefficients, take.rotation, take.translation)
        for k in range(6):
            one = pose_vertices(rig, take[k].coefficients, take[k].rotation, take[k].translation)
            np.testing.assert_allclose(one[0], many[k], atol=1e-6)
        assert pose_vertices(rig, np.zeros((0, 52)), np.zeros((0, 4)), np.zeros((0, 3))).shape == (0, many.shape[1], 3)


def test_morphs_move_their_vertices(face_path):
    rig = load_rig(face_path)
    still = np.zeros((2, 52))
    still[1, 17] = 1  # jawOpen
    here = np.tile([0, 0, 0, 1.0], (2, 1)), np.zeros((2, 3))
    vertices = pose_vertices(rig, still, *here)
    moved = np.abs(vertices[1] - vertices[0]).max(axis=1)
    assert (np.flatnonzero(moved > 1e-6) == np.arange(15)).all() and moved[:15] == pytest.approx(0.02, abs=1e-6)


def test_eyes_turn_in_place(face_path):
    rig = load_rig(face_path)
    given = np.zeros((1, 52))
    given[0, 3] = 1  # eyeLookOutLeft
    vertices = pose_vertices(rig, given, np.array([[0, 0, 0, 1.0]]), np.zeros((1, 3)))[0] + rig.eye_center
    left, right = rig.mesh.group_weights[:, 2] == 1, rig.mesh.group_weights[:, 3] == 1
    rest = rig.mesh.rest_positions()
    np.testing.assert_allclose(vertices[right], rest[right], atol=1e-7)
    turn = rotation_about("y", np.array(0.52))
    center = np.array([0.03, 0, 0.04])
    np.testing.assert_allclose(vertices[left], (rest[left] - center) @ turn.T + center, atol=1e-6)


def test_old_vrm_faces_the_other_way(tmp_path):
    glb = make_face()
    glb.document["extensions"] = {"VRM": {}}
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    vertices = pose_vertices(rig, np.zeros((1, 52)), np.array([[0, 0, 0, 1.0]]), np.zeros((1, 3)))[0]
    rest = rig.mesh.rest_positions() - rig.eye_center
    np.testing.assert_allclose(vertices, rest * (-1, 1, -1), atol=1e-6)


def test_rigs_in_turn():
    assert assign_rigs(np.array([7, 2, 9, 2]), ["a", "b"]) == {2: 0, 7: 1, 9: 0}
    assert assign_rigs(np.zeros(0, int), ["a"]) == {}
    with pytest.raises(ValueError, match="at least one character"):
        assign_rigs(np.array([1]), [])
