"""A character that looks like a person: its form and colors change, its size and its performance do not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mfn.animation.people.looks import Person, personal_rigs
from mfn.animation.people.rig_likeness import (
    SUFFIX,
    Colors,
    RigLikeness,
    average_identity,
    load_likeness,
    personalize,
    recolor,
)
from retarget import Take, write_scene
from retarget.animation.pose import pose_vertices
from retarget.arkit import ARKIT_NAMES
from retarget.gltf.document import read_glb, write_glb
from retarget.gltf.merge import share_equal_views
from retarget.rig.avatars import AVATAR_NAMES, avatar_folder
from retarget.rig.load import load_rig
from retarget.rig.rig import Rig
from tests.helpers.characters import make_face

RED = Colors(*(np.array([0.6, 0.1, 0.1]) for _ in range(3)))
FRONTAL, ORIGIN = np.array([[0.0, 0, 0, 1]]), np.zeros((1, 3))


@pytest.fixture(scope="module")
def robot() -> Rig:
    return load_rig("robot")


@pytest.fixture(scope="module")
def likeness(robot: Rig) -> RigLikeness:
    found = load_likeness(robot)
    assert found is not None
    return found


def identity(likeness: RigLikeness, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.25, likeness.projection.shape[1])


def posed(rig: Rig, **weights: float) -> np.ndarray:
    coefficients = np.zeros((1, len(ARKIT_NAMES)), np.float32)
    for name, value in weights.items():
        coefficients[0, ARKIT_NAMES.index(name)] = value
    return pose_vertices(rig, coefficients, FRONTAL, ORIGIN)[0]


@pytest.mark.parametrize("name", AVATAR_NAMES)
def test_every_character_of_ours_can_look_like_a_person(name: str) -> None:
    rig = load_rig(name)
    found = load_likeness(rig)
    assert found is not None
    assert Path(rig.glb.path).stat().st_size + Path(rig.glb.path).with_suffix(SUFFIX).stat().st_size < 2_000_000
    for role in (1, 2, 3):
        assert sum((value == role).sum() for value in found.roles.values()) > 50


def test_zero_is_the_character_itself(robot: Rig, likeness: RigLikeness) -> None:
    same = personalize(robot, likeness, identity(likeness), RED, 0.0)
    np.testing.assert_allclose(posed(same), posed(robot), atol=1e-6)
    np.testing.assert_allclose(same.mesh.colors, robot.mesh.colors, atol=1 / 255)


def test_the_average_person_keeps_the_form(robot: Rig, likeness: RigLikeness) -> None:
    average = average_identity()
    assert average.shape == (likeness.projection.shape[1],) and np.abs(likeness.projection @ average).max() > 0.2
    same = personalize(robot, likeness, average, Colors(), 1.0)
    assert np.abs(same.mesh.positions - robot.mesh.positions).max() < 1e-6


def test_two_people_differ_and_a_character_keeps_its_size(robot: Rig, likeness: RigLikeness) -> None:
    first, second = (personalize(robot, likeness, identity(likeness, seed), Colors(), 1.0) for seed in (1, 2))
    assert np.linalg.norm(posed(first) - posed(second), axis=1).max() > 0.004
    for rig in (first, second):
        assert rig.scale == robot.scale
        np.testing.assert_allclose(np.ptp(posed(rig), axis=0), np.ptp(posed(robot), axis=0), rtol=0.2)
        np.testing.assert_allclose(rig.mesh.colors, robot.mesh.colors, atol=1 / 255)


def test_half_moves_half_as_far(robot: Rig, likeness: RigLikeness) -> None:
    person = identity(likeness) * 0.5  # small enough for the limits
    half, whole = (personalize(robot, likeness, person, Colors(), amount).mesh.positions for amount in (0.5, 1.0))
    np.testing.assert_allclose(half - robot.mesh.positions, (whole - robot.mesh.positions) / 2, atol=1e-5)


def test_shapes_move_a_personal_character_as_before(robot: Rig, likeness: RigLikeness) -> None:
    rig = personalize(robot, likeness, identity(likeness), RED, 1.0)
    before = posed(robot, jawOpen=0.7, eyeBlinkLeft=1) - posed(robot)
    np.testing.assert_allclose(posed(rig, jawOpen=0.7, eyeBlinkLeft=1) - posed(rig), before, atol=1e-5)
    assert rig.unmapped == ()


def test_an_eye_moves_as_a_whole(robot: Rig, likeness: RigLikeness) -> None:
    rig = personalize(robot, likeness, identity(likeness), RED, 1.0)
    for part in robot.mesh.parts:
        if robot.glb.document["nodes"][part.node]["name"] in ("leftEye", "rightEye"):
            moved = (posed(rig) - posed(robot))[part.start : part.stop]
            np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-6)


def test_colors_follow_their_role_and_leave_the_rest(robot: Rig, likeness: RigLikeness) -> None:
    own = np.array([likeness.reference[0], likeness.reference[0] * 0.7, [0.2, 0.2, 0.2]])
    painted = recolor(own, np.array([1, 1, 0], np.uint8), likeness, RED, 1.0)
    assert painted[0, 0] > 2 * painted[0, 1]
    assert painted[1].sum() < painted[0].sum()  # darker places stay darker
    np.testing.assert_array_equal(painted[2], own[2])
    unseen = recolor(own, np.array([1, 1, 0], np.uint8), likeness, Colors(), 1.0)
    np.testing.assert_allclose(unseen, own, atol=1e-6)


def test_a_crowd_shares_what_is_equal(robot: Rig, tmp_path: Path) -> None:
    people = [Person(np.random.default_rng(k).normal(0, 0.25, 64).astype(np.float32), RED) for k in range(3)]
    rigs = personal_rigs([robot], people, 0.7).rigs
    take = Take(
        time_s=np.zeros(3), actor=np.arange(3), coefficients=np.zeros((3, 52)), rotation=np.tile(FRONTAL, (3, 1)),
        translation=np.array([[-0.4, 0, -2], [0, 0, -2], [0.4, 0, -2]]),
    )  # fmt: skip
    write_scene(take, rigs, tmp_path / "crowd.glb")
    one = Path(robot.glb.path).stat().st_size
    assert (tmp_path / "crowd.glb").stat().st_size < 2.5 * one
    document = read_glb(tmp_path / "crowd.glb").document
    users = [accessor["bufferView"] for accessor in document["accessors"] if "bufferView" in accessor]
    assert all("byteStride" in document["bufferViews"][view] for view in users if document["bufferViews"][view].get("target") == 34962)
    assert load_rig(tmp_path / "crowd.glb").mesh.positions.shape[0] == 3 * len(robot.mesh.positions)


def test_sharing_changes_nothing_that_is_read(tmp_path: Path) -> None:
    glb = make_face()
    write_glb(glb, tmp_path / "before.glb")
    share_equal_views(glb)
    write_glb(glb, tmp_path / "after.glb")
    before, after = (load_rig(tmp_path / f"{name}.glb").mesh for name in ("before", "after"))
    np.testing.assert_array_equal(before.positions, after.positions)
    np.testing.assert_array_equal(before.parts[0].deltas, after.parts[0].deltas)


def test_other_rigs_stay_as_they_are_and_one_line_says_so(tmp_path: Path) -> None:
    write_glb(make_face(), tmp_path / "own.glb")
    rig = load_rig(tmp_path / "own.glb")
    result = personal_rigs([rig], [Person(np.zeros(64, np.float32), RED)], 1.0)
    assert result.rigs == [rig]
    assert result.notes == ["own: cannot look like a person; our characters can"]


def test_a_likeness_file_of_another_character_is_one_line(tmp_path: Path) -> None:
    shutil.copy(avatar_folder() / "robot.glb", tmp_path / "robot.glb")
    shutil.copy(avatar_folder() / f"lion{SUFFIX}", tmp_path / f"robot{SUFFIX}")
    with pytest.raises(ValueError, match=r"robot.likeness.npz: not the likeness file of robot .* vertices"):
        load_likeness(load_rig(tmp_path / "robot.glb"))
    (tmp_path / f"robot{SUFFIX}").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"not the likeness file of robot"):
        load_likeness(load_rig(tmp_path / "robot.glb"))


def test_the_file_of_the_character_is_not_changed(robot: Rig, likeness: RigLikeness) -> None:
    before = bytes(robot.glb.binary)
    personalize(robot, likeness, identity(likeness), RED, 1.0)
    assert bytes(robot.glb.binary) == before == bytes(read_glb(robot.glb.path).binary)
