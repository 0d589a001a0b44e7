import time

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


def rows_of_people(count: int, seed: int) -> np.ndarray:
    """Return the boxes (count, 4) of faces of about 60 px in rows of 20, in px."""
    random, number = np.random.default_rng(seed), np.arange(count)
    height = 60 * np.exp(random.normal(0, 0.2, (count, 1)))
    middle = np.stack([number % 20 * 90, number // 20 * 100], 1) + random.normal(0, 5, (count, 2))
    return np.concatenate([middle - height / 2, middle + height / 2], 1).astype(np.float32)


def every_shift_tried(known: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return what `camera_shift` is to find: count the faces for each shift."""
    middle, tall = (known[:, :2].astype(float) + known[:, 2:]) / 2, known[:, 3].astype(float) - known[:, 1]
    own, height = (box[:, :2].astype(float) + box[:, 2:]) / 2, box[:, 3].astype(float) - box[:, 1]
    ratio = height[:, None] / tall
    alike = (ratio < 1.5) & (ratio > 1 / 1.5)
    shifts = np.concatenate([np.zeros((1, 2)), (middle - own[:, None])[alike]])
    counts = np.array([(alike & (np.abs(own[:, None] + s - middle).max(-1) < 0.6 * tall)).any(1).sum() for s in shifts])
    best = shifts[counts == counts.max()]
    return best[np.argmin(np.linalg.norm(best, axis=1))]


@pytest.mark.parametrize("seed", range(8))
def test_the_shift_is_the_best_of_all(seed):
    random = np.random.default_rng(seed)
    known = rows_of_people(int(random.integers(2, 30)), seed)
    box = known[random.permutation(len(known))[: len(known) * 3 // 4 + 1]] + np.tile(random.normal(0, 80, 2), 2)
    box = (box + random.normal(0, 9, (len(box), 1))).astype(np.float32)
    assert np.array_equal(camera_shift(known, box), every_shift_tried(known, box))
    far = known[:1] * np.float32(5)
    assert np.array_equal(camera_shift(known, far), [0, 0]), "no face has the size of another"


def test_a_large_group_does_not_take_long():
    """Before, 200 faces took more than a minute."""
    known = rows_of_people(200, 0)
    start_s = time.process_time()
    shift = camera_shift(known, known - np.float32([50, 30, 50, 30]))
    assert shift == pytest.approx([50, 30], abs=0.01) and time.process_time() - start_s < 15
