"""Rotated faces reach full profile, and no face is rotated further than its picture allows."""


import numpy as np

from experiments.data_generation.profiles import MAX_NOD_DEG, MAX_TURN, MAX_YAW, draw_turn
from mfn.structures.camera import euler_from_rotation, rotation_from_euler
from mfn.structures.faces import Faces


def looking(yaw_deg: np.ndarray) -> Faces:
    """Return faces with these yaws."""
    count = len(yaw_deg)
    angles = np.radians(np.stack([np.zeros(count), yaw_deg, np.zeros(count)], 1))
    return Faces(
        image=np.arange(count), box=np.zeros((count, 4)), score=np.ones(count), rotation=rotation_from_euler(angles),
        scale=np.ones(count), center=np.zeros((count, 2)), identity=np.zeros((count, 64)), expression=np.zeros((count, 51)),
        track=np.full(count, -1),
    )  # fmt: skip


def test_faces_are_turned_to_every_yaw():
    faces, rng = looking(np.linspace(-40, 40, 81)), np.random.default_rng(0)
    before, after, nods = [], [], []
    for _ in range(600):
        row, turn = draw_turn(faces, 0.0, rng)
        before.append(faces.rotation[row])
        after.append(turn @ faces.rotation[row])
        nods.append(np.degrees(np.arcsin(turn[2, 1])))
    facing = np.degrees(np.arccos(np.clip(-np.array(after)[:, 2, 2], -1, 1)))  # of the nose and the camera's axis
    assert (facing > 80).mean() > 0.15 and facing.max() < np.degrees(MAX_YAW) + 15
    was, now = (euler_from_rotation(np.array(r))[:, 1] for r in (before, after))
    clear = (np.abs(was) > np.radians(5)) & (facing < 80)
    assert (np.sign(was[clear]) == np.sign(now[clear])).all(), "a face is rotated further to the side that it looks to"
    assert 0.1 < (np.abs(nods) > 20).mean() < 0.3 and np.abs(nods).max() < max(MAX_NOD_DEG, 5 * 9), "some of them look up or down as well"
    needed = np.arccos(np.clip((np.einsum("nij,nij->n", np.array(before), np.array(after)) - 1) / 2, -1, 1))
    assert np.quantile(needed, 0.9) < MAX_TURN + np.radians(12)


def test_a_pack_of_frontal_faces_alone_still_works():
    row, turn = draw_turn(looking(np.array([0.0, 3.0])), 0.0, np.random.default_rng(1))
    assert row in (0, 1) and np.allclose(turn @ turn.T, np.eye(3), atol=1e-5)
