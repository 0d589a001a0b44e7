"""Tests of the One Euro filter on faces."""

import numpy as np

from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from mfn.video.one_euro import OneEuro, smooth_faces
from retarget.geometry.rotations import matrix_to_rotation_vector, rotation_vector_to_matrix


def people(frames: int, count: int, seed: int = 0) -> Faces:
    """Return `count` people in each of `frames` frames, with noise."""
    random, n = np.random.default_rng(seed), frames * count
    center = random.normal(100, 0.5, (n, 2))
    return Faces(
        image=np.repeat(np.arange(frames), count),
        box=np.concatenate([center - 20, center + 20], 1),
        score=np.ones(n),
        rotation=rotation_from_euler(random.normal(0, 0.01, (n, 3))),
        scale=np.full(n, 200.0),
        center=center,
        identity=np.zeros((n, 2)),
        expression=np.clip(random.normal(0.5, 0.01, (n, 51)), 0, 1),
        track=np.tile(np.arange(count), frames),
    )


def test_rotation_vector_round_trip():
    vector = np.concatenate([np.random.default_rng(0).normal(0, 0.9, (50, 3)), np.zeros((1, 3)), np.eye(3) * 1e-7])
    np.testing.assert_allclose(matrix_to_rotation_vector(rotation_vector_to_matrix(vector)), vector, atol=1e-6)


def test_a_full_turn_is_smoothed_without_a_jump():
    """A full turn about the vertical axis, in which Euler angles would jump."""
    angle = np.linspace(0, 2 * np.pi, 91)
    faces = people(91, 1).replace(rotation=rotation_vector_to_matrix(np.outer(angle, (0, 1, 0))))
    turned = smooth_faces(faces, np.arange(91) / 30).rotation.astype(float)
    steps = np.linalg.norm(matrix_to_rotation_vector(turned[:-1].transpose(0, 2, 1) @ turned[1:]), axis=1)
    assert steps[10:].min() > 0.03 and steps.max() < 0.15
    np.testing.assert_allclose(turned @ turned.transpose(0, 2, 1), np.tile(np.eye(3), (91, 1, 1)), atol=1e-5)


def test_all_people_at_once_equal_one_by_one():
    faces, time_s = people(20, 7), np.arange(20) / 30
    together = smooth_faces(faces, time_s)
    for track in range(7):
        alone = smooth_faces(faces[faces.track == track], time_s)
        np.testing.assert_allclose(together[together.track == track].expression, alone.expression, atol=1e-6)
        np.testing.assert_allclose(together[together.track == track].rotation, alone.rotation, atol=1e-6)


def test_the_filter_depends_on_seconds_not_on_frames():
    """One second at 30 and at 60 frames/s ends at nearly the same value."""
    ends = []
    for rate in (30, 60):
        state = OneEuro(1, 1)
        for i in range(rate):
            value, _ = state(np.array([0]), np.full((1, 1), 0.1 * (i > 0)), np.ones((1, 1)), np.eye(3)[None], i / rate)
        ends.append(float(value[0, 0]))
    assert abs(ends[0] - ends[1]) < 0.005


def test_cuts_and_long_gaps_reset_the_filter():
    faces = people(40, 1)
    expression = np.where(faces.image[:, None] < 20, 0.1, 0.6) * np.ones((40, 51))
    faces, time_s = faces.replace(expression=expression), np.arange(40) / 30
    assert smooth_faces(faces, time_s, np.arange(40) == 20).expression[20, 0] == np.float32(0.6)
    later = time_s + 2 * (np.arange(40) >= 20)
    assert smooth_faces(faces, later).expression[20, 0] == np.float32(0.6)


def test_a_cut_in_a_frame_without_faces_resets_the_filter():
    faces = people(10, 1)
    faces = faces[faces.image != 5]
    smoothed = smooth_faces(faces, np.arange(10) / 30, np.arange(10) == 5)
    np.testing.assert_allclose(smoothed.expression[5], faces.expression[5], atol=1e-6)


def test_faces_without_a_track_are_not_smoothed():
    faces = people(5, 2).replace(track=np.full(10, -1))
    np.testing.assert_allclose(smooth_faces(faces, np.arange(5) / 30).expression, faces.expression)
