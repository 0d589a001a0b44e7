"""Rigs that do not face +z: the direction is found from the face, and the rig is turned."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from retarget.animation.pose import pose_vertices
from retarget.arkit import ARKIT_NAMES
from retarget.cli.report import describe_rig
from retarget.geometry.rotations import matrix_to_quaternion
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import Glb, write_glb
from retarget.rig.load import load_rig
from retarget.rig.measure import find_facing
from tests.helpers.characters import ball, make_take

PLACES = {"eyeBlinkLeft": (0.035, 0.03), "eyeBlinkRight": (-0.035, 0.03), "mouthSmileLeft": (0.02, -0.04), "mouthPucker": (0.0, -0.04)}
QUARTERS = [np.eye(3)[list(order)] * signs for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]
QUARTERS = [turn for turn in QUARTERS if np.linalg.det(turn) > 0]


def make_head(turn, places=PLACES, eyes=False, chest_m=0.0) -> Glb:
    """A ball of 0.2 m with eyelids and lips in front, turned as a whole. chest_m: what the same mesh has below it."""
    points, triangles, normals = ball(0.1, rings=25, sides=36)
    points = np.where(points[:, 1:2] < -0.09, points - (0, chest_m, 0), points)
    deltas = [0.01 * (np.linalg.norm(points - (x, y, 0.09), axis=1) < 0.03)[:, None] * (0, -1, 0) for x, y in places.values()]
    part = Part(points, triangles, normals, deltas=np.array(deltas))
    inside = [Node("leftEye", (0.03, 0.03, 0.08)), Node("rightEye", (-0.03, 0.03, 0.08))] if eyes else []
    rotation = tuple(matrix_to_quaternion(turn))
    nodes = [Node("all", (0.3, 0.1, 0.2), rotation, [1, 2, *range(3, 3 + len(inside))]), Node("head"), Node("face", shape=0), *inside]
    return build_glb(nodes, [Shape("face", [part], list(places))])


@pytest.fixture(scope="module", params=[False, True])
def straight(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("heads") / "a.glb"
    write_glb(make_head(np.eye(3), eyes=request.param), path)
    return load_rig(path)


def test_every_quarter_is_turned_back(straight, tmp_path):
    assert len(QUARTERS) == 24 and not any(line.startswith("turned") for line in describe_rig(straight))
    take = make_take(2)
    expected = pose_vertices(straight, take.coefficients, take.rotation, take.translation)
    for turn in QUARTERS:
        write_glb(make_head(turn, eyes=straight.eyes is not None), tmp_path / "b.glb")
        rig = load_rig(tmp_path / "b.glb")
        np.testing.assert_allclose(rig.front_rotation, turn.T, atol=1e-12)
        assert rig.scale == straight.scale
        np.testing.assert_allclose(pose_vertices(rig, take.coefficients, take.rotation, take.translation), expected, atol=1e-6)


@pytest.mark.parametrize("mouth", ["jawOpen", "mouthClose", "mouthOpen"])
def test_a_jaw_tells_where_the_mouth_is(mouth, tmp_path):
    places = {**{name: place for name, place in PLACES.items() if "Blink" in name}, mouth: (0.0, -0.06)}
    for turn in QUARTERS:
        write_glb(make_head(turn, places), tmp_path / "a.glb")
        rig = load_rig(tmp_path / "a.glb")
        np.testing.assert_allclose(rig.front_rotation, turn.T, atol=1e-12)
        assert rig.remarks == ()


def test_lids_without_a_mouth_leave_it_open(tmp_path):
    write_glb(make_head(np.eye(3), {name: place for name, place in PLACES.items() if "Blink" in name}), tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert rig.remarks == ("it is not clear which way it faces; it is taken to face +z",)
    write_glb(make_head(np.eye(3), {"jawOpen": (0.0, -0.06)}), tmp_path / "a.glb")
    assert load_rig(tmp_path / "a.glb").remarks == ()


@pytest.mark.parametrize("name", ["robot", "lion", "person", "monster"])
def test_jaws_of_our_characters(name):
    rig = load_rig(name)
    drives = rig.matrix != 0
    for row, shape in enumerate(ARKIT_NAMES):
        drives[row] &= shape.startswith(("eyeBlink", "jawOpen"))
    facing = find_facing(rig.mesh, rig.morphs, drives)
    assert facing.is_measured and (facing.rotation == np.eye(3)).all()


def test_it_is_said(tmp_path):
    write_glb(make_head(np.diag([-1.0, 1, -1])), tmp_path / "a.glb")
    assert "turned               it faces -z, its top is +y" in describe_rig(load_rig(tmp_path / "a.glb"))


@pytest.mark.parametrize(
    "change",
    [
        {"eyeBlinkLeft": (-0.035, 0.03), "eyeBlinkRight": (0.035, 0.03)},  # left and right as the viewer sees them
        {"eyeBlinkLeft": None},
        {"mouthSmileLeft": (0.0, 0.09), "mouthPucker": (0.0, 0.09)},  # a mouth above the eyes
        {"mouthSmileLeft": (0.035, 0.03), "mouthPucker": (-0.035, 0.03)},
    ],
)
def test_no_turn_unless_all_is_clear(change, tmp_path):
    places = {name: place for name, place in {**PLACES, **change}.items() if place}
    for turn in (np.eye(3), np.diag([-1.0, 1, -1])):
        write_glb(make_head(turn, places), tmp_path / "a.glb")
        assert (load_rig(tmp_path / "a.glb").front_rotation == np.eye(3)).all()


@pytest.mark.parametrize("unit", [1, 0.01, 39.4])
def test_a_bust_without_skeleton_is_as_large_as_a_person(unit, tmp_path):
    glb = make_head(np.eye(3), chest_m=0.4)
    glb.document["nodes"][0].update(scale=[1 / unit] * 3)
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    assert np.ptp(rig.mesh.rest_positions()[:, 1]) == pytest.approx(0.6 / unit)
    assert rig.scale == pytest.approx(unit, rel=0.15)
    np.testing.assert_allclose(rig.eye_center * unit, np.array((0.3 * unit, 0.1 * unit + 0.03, 0.2 * unit + 0.09)), atol=0.02)


@pytest.mark.parametrize("unit", [0.01, 39.4])
def test_a_head_with_eyes_close_together_is_no_bust(unit, tmp_path):
    places = {**PLACES, "eyeBlinkLeft": (0.024, 0.03), "eyeBlinkRight": (-0.024, 0.03)}
    glb = make_head(np.eye(3), places, chest_m=0.03)
    glb.document["nodes"][0].update(scale=[1 / unit] * 3)
    write_glb(glb, tmp_path / "a.glb")
    assert load_rig(tmp_path / "a.glb").scale == pytest.approx(unit * 0.24 / 0.23)


def test_a_bust_without_lids_is_measured_by_its_box(tmp_path):
    places = {name: place for name, place in PLACES.items() if "Blink" not in name}
    write_glb(make_head(np.eye(3), places, chest_m=0.4), tmp_path / "a.glb")
    assert load_rig(tmp_path / "a.glb").scale == pytest.approx(0.24 / 0.6)
