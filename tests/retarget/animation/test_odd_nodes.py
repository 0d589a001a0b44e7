"""Nodes that are stored in an unusual way, or hang in an unusual place, move in a scene as in pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.animation.scene import write_scene
from retarget.geometry.rotations import affine_matrix, quaternion_to_matrix
from retarget.gltf.accessors import TRIANGLE_INDICES, VERTEX_ATTRIBUTES, add_accessor
from retarget.gltf.document import Glb, add, read_glb, write_glb
from retarget.gltf.node_tree import world_matrices
from retarget.performance.take import Take
from retarget.rig.load import load_rig
from retarget.rig.rig import Rig
from tests.helpers.characters import ball, make_body, make_face, make_take
from tests.helpers.skeletons import node_number


def loaded(glb: Glb, tmp_path) -> Rig:
    write_glb(glb, tmp_path / "a.glb")
    return load_rig(tmp_path / "a.glb")


def eyes_of(rig: Rig, take: Take, tmp_path) -> tuple[np.ndarray, np.ndarray]:
    """The eye vertices (V, 3) of a picture and of a written scene, for a take of one moment."""
    picture = pose_vertices(rig, take.coefficients, take.rotation, take.translation)[0]
    write_scene(take, [rig], tmp_path / "out.glb")
    document = read_glb(tmp_path / "out.glb").document
    world = {node.get("name"): matrix for node, matrix in zip(document["nodes"], world_matrices(document), strict=True)}
    drawn, written = [], []
    for number in rig.eyes or ():
        (part,) = [part for part in rig.mesh.parts if part.node == number]
        drawn.append(picture[part.start : part.stop])
        rest = rig.mesh.rest_positions()[part.start : part.stop] - rig.world[number, :3, 3]
        local = rest @ np.linalg.inv(rig.world[number, :3, :3]).T
        matrix = world[rig.glb.document["nodes"][number]["name"]]
        written.append(local @ matrix[:3, :3].T + matrix[:3, 3])
    return np.concatenate(drawn), np.concatenate(written)


@pytest.mark.parametrize("seed", range(5))
def test_a_mirrored_and_turned_eye_that_is_stored_as_a_matrix(seed, tmp_path):
    glb = make_face()
    turn = quaternion_to_matrix(np.random.default_rng(seed).normal(size=4)) * [-1, 1, 1]
    for number in (2, 3):
        eye = glb.document["nodes"][number]
        eye["matrix"] = affine_matrix(turn, eye.pop("translation")).T.ravel().tolist()
    drawn, written = eyes_of(loaded(glb, tmp_path), make_take(1, seed=seed), tmp_path)
    np.testing.assert_allclose(written, drawn, atol=2e-6)


@pytest.mark.parametrize("above", ["Hips", "Neck"])
@pytest.mark.parametrize("eyes_turn", [True, False])
def test_eyes_that_hang_beside_the_head_move_with_it(above, eyes_turn, tmp_path):
    glb = make_body()
    nodes = glb.document["nodes"]
    eye = ball(0.012)
    attributes = {"POSITION": add_accessor(glb, eye.points.astype(np.float32), VERTEX_ATTRIBUTES)}
    indices = add_accessor(glb, eye.triangles.astype(np.uint16).ravel(), TRIANGLE_INDICES)
    mesh = add(glb, "meshes", {"primitives": [{"attributes": attributes, "indices": indices}]})
    world, parent = world_matrices(glb.document), node_number(glb, above)
    for number in (3, 4):
        nodes[number] |= {"mesh": mesh, "translation": (np.linalg.inv(world[parent]) @ world[number])[:3, 3].tolist()}
    nodes[2].pop("children")
    nodes[parent]["children"] = [*nodes[parent]["children"], 3, 4]
    rig = replace(loaded(glb, tmp_path), eyes_turn=eyes_turn)
    assert rig.has_body and rig.eyes == (3, 4)
    drawn, written = eyes_of(rig, make_take(1, seed=3), tmp_path)
    np.testing.assert_allclose(written, drawn, atol=2e-6)
