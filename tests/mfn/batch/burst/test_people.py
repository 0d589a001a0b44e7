import numpy as np
import pytest

from mfn.batch.burst.people import camera_shift, track_people
from mfn.structures.faces import Faces
from tests.helpers.faces import random_faces

PLACES = np.array([[100, 100], [300, 120], [500, 90], [700, 130]], np.float32)


def shot(*people: int, shift=(0, 0), seed=0) -> Faces:
    """Return faces of some of four people, each with an identity of its own, 80 px high."""
    faces = random_faces(4)
    identity = np.eye(4, faces.identity.shape[1]) * 6 + np.random.default_rng(seed).normal(size=faces.identity.shape) * 0.1
    middle = PLACES + np.array(shift) + np.random.default_rng(seed).normal(size=(4, 2)) * 5
    return faces.replace(box=np.concatenate([middle - 40, middle + 40], 1), identity=identity)[list(people)]


def people_of(*shots: Faces) -> list[list[int]]:
    tracked = track_people(shots)
    assert np.array_equal(tracked.box, np.concatenate([s.box for s in shots]))
    return [tracked.track[tracked.image == s].tolist() for s in range(len(shots))]


def test_people_are_found_again_in_any_order_and_though_the_camera_moves():
    assert people_of(shot(0, 1, 2, 3), shot(3, 1, 0, 2, shift=(150, 30), seed=1)) == [[0, 1, 2, 3], [3, 1, 0, 2]]


def test_somebody_who_is_missing_in_a_shot_keeps_the_number():
    assert people_of(shot(0, 1, 2), shot(0, 2, seed=1), shot(2, 1, 0, seed=2)) == [[0, 1, 2], [0, 2], [2, 1, 0]]


def test_shots_without_faces():
    assert people_of(shot(), shot(0, 1), shot()) == [[], [0, 1], []]
    assert len(track_people([])) == 0


def test_the_shift_of_most_faces_wins():
    known, moved = shot(0, 1, 2, 3).box, shot(0, 1, 2, 3).box - np.float32(60)
    moved[3] += 400  # one person has walked away
    assert camera_shift(known, moved) == pytest.approx([60, 60])
    assert camera_shift(known, known) == pytest.approx([0, 0])
