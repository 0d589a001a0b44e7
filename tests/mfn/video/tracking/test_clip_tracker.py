"""Tests of clip tracking, false detections and smoothing on clips."""

import numpy as np
import pytest

from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from mfn.video.one_euro import smooth_faces
from mfn.video.tracking.clip_tracker import track_clip


def faces_on_paths(paths: np.ndarray, visible: np.ndarray | None = None, noise: float = 0.0) -> Faces:
    """Return the faces of P people with 40 px boxes on paths (F, P, 2) in px, frame by frame.

    Args:
        paths: Centers of the faces.
        visible: (F, P) False where a face is not detected.
        noise: Standard deviation of the angles in radians and of the weights.
    """
    frames, people = paths.shape[:2]
    visible = np.ones((frames, people), bool) if visible is None else visible
    frame, person = np.nonzero(visible)
    center = paths[frame, person]
    random = np.random.default_rng(0)
    n = len(center)
    return Faces(
        image=frame,
        box=np.concatenate([center - 20, center + 20], 1),
        score=np.ones(n),
        rotation=rotation_from_euler(random.normal(0, noise + 1e-9, (n, 3))),
        scale=np.full(n, 200.0),
        center=center,
        identity=person[:, None],
        expression=np.clip(0.5 + random.normal(0, noise + 1e-9, (n, 51)), 0, 1),
        track=np.full(n, -1),
    )


def two_paths(frames: int = 30) -> np.ndarray:
    """Return the paths (F, 2, 2) of two people who walk past each other at different heights."""
    x = np.linspace(50, 350, frames)
    return np.stack([np.stack([x, np.full(frames, 100)], 1), np.stack([400 - x, np.full(frames, 160)], 1)], 1)


TIME = np.arange(30) / 30


def test_each_person_is_one_track():
    faces = track_clip(faces_on_paths(two_paths()), TIME)
    for person in range(2):
        assert len(set(faces.track[faces.identity[:, 0] == person].tolist())) == 1
    assert len(set(faces.track.tolist())) == 2


def test_a_person_whose_identity_is_misread_in_a_yawn_stays_in_the_clip():
    """The identity hardly changes but for four frames, in which the face stays where it is."""
    frames = 300
    faces = faces_on_paths(np.tile([[[200.0, 150.0]]], (frames, 1, 1)))
    identity = np.random.default_rng(2).normal(0, 0.002, (frames, 64))
    identity[150:154] += np.random.default_rng(3).normal(0, 0.4, 64)
    tracked = track_clip(faces.replace(identity=identity), np.arange(frames) / 30)
    assert len(tracked) == frames and set(tracked.track.tolist()) == {0}


def test_another_person_in_the_same_place_is_told_by_the_identity():
    """There is no cut, and the box stays where it is. The first quarter of a second may still count as the person before."""
    frames, other = 300, np.random.default_rng(3).normal(0, 0.4, 64)
    faces = faces_on_paths(np.tile([[[200.0, 150.0]]], (frames, 1, 1)))
    identity = np.random.default_rng(2).normal(0, 0.002, (frames, 64)) + np.where(np.arange(frames) < 250, 0, 1)[:, None] * other
    tracked = track_clip(faces.replace(identity=identity), np.arange(frames) / 30)
    assert len(tracked) == frames
    assert set(tracked.track[:250].tolist()) == {0} and set(tracked.track[259:].tolist()) == {1}


def test_the_order_of_rows_does_not_matter():
    faces = faces_on_paths(two_paths())
    shuffled = faces[np.random.default_rng(1).permutation(len(faces))]
    tracked = track_clip(shuffled, TIME)
    assert (np.diff(tracked.image) >= 0).all()
    for person in range(2):
        assert len(set(tracked.track[tracked.identity[:, 0] == person].tolist())) == 1


def test_a_person_returns_to_the_same_track_after_a_gap_if_the_identity_is_similar():
    still = np.tile(np.array([[[100.0, 100.0]]]), (150, 1, 1))
    time_s, visible = np.arange(150) / 30, np.ones((150, 1), bool)
    visible[10:40] = False
    assert len(set(track_clip(faces_on_paths(still, visible), time_s).track.tolist())) == 1
    visible[10:120] = False
    faces, random = faces_on_paths(still, visible), np.random.default_rng(4)
    faces = faces.replace(identity=random.normal(0, 0.04, (len(faces), 64)))
    assert len(set(track_clip(faces, time_s).track.tolist())) == 1
    other = faces.replace(identity=faces.identity + np.where(faces.image[:, None] < 60, 0, 0.2))
    assert len(set(track_clip(other, time_s).track.tolist())) == 2


def test_two_people_keep_their_tracks_when_a_cut_swaps_them():
    paths = np.tile(np.array([[[100.0, 100.0], [300.0, 100.0]]]), (60, 1, 1))
    paths[30:] = paths[30:, ::-1]
    faces, time_s = faces_on_paths(paths), np.arange(60) / 30
    person = faces.identity[:, 0]
    faces = faces.replace(identity=0.3 * person[:, None] + np.random.default_rng(3).normal(0, 0.05, (len(faces), 64)))
    tracked = track_clip(faces, time_s, np.arange(60) == 30)
    for one in range(2):
        assert len(set(tracked.track[person == one].tolist())) == 1
    assert len(set(tracked.track.tolist())) == 2


def test_crossing_paths_are_separated_by_speed():
    """Two people cross at the same height, one is occluded for a third of a second, and the identities are equal."""
    x = np.linspace(50, 350, 60)
    paths = np.stack([np.stack([x, np.full(60, 100.0)], 1), np.stack([400 - x, np.full(60, 100.0)], 1)], 1)
    visible = np.ones((60, 2), bool)
    visible[25:35, 1] = False
    faces = faces_on_paths(paths, visible)
    person = faces.identity[:, 0]
    tracked = track_clip(faces.replace(identity=np.zeros((len(faces), 4))), np.arange(60) / 30)
    assert [len(set(tracked.track[person == one].tolist())) for one in range(2)] == [1, 1]


def tracks_of(visible: list[int], score: float = 0.9, frames: int = 60, people: int | None = None) -> list[int]:
    """Return the tracks of a clip of 2 s: of one person who is always visible, and of a face in some of the frames."""
    paths, seen = two_paths(frames), np.zeros((frames, 2), bool)
    seen[:, 1], seen[visible, 0] = True, True
    faces = faces_on_paths(paths, seen)
    faces = faces.replace(score=np.where(faces.identity[:, 0] == 0, score, 0.9))
    return sorted(set(track_clip(faces, np.arange(frames) / 30, people=people).track.tolist()))


def test_faces_of_less_than_a_quarter_of_a_second_are_dropped():
    assert tracks_of(list(range(20, 27))) == [0]
    assert tracks_of(list(range(20, 28))) == [0, 1]


def test_time_is_summed_over_the_frames_and_not_from_the_first_to_the_last():
    assert tracks_of([0, 20, 40, 59]) == [0]
    assert tracks_of(list(range(0, 60, 3))) == [0]  # long enough, but in a third of the frames only
    assert tracks_of([i for i in range(60) if i % 3]) == [0, 1]


def test_a_face_of_low_score_among_people_of_high_score_has_to_last_longer():
    assert tracks_of(list(range(20, 40)), score=0.6) == [0]
    assert tracks_of(list(range(20, 40)), score=0.8) == [0, 1]
    assert tracks_of(list(range(10, 50)), score=0.6) == [0, 1]


def test_a_clip_of_low_scores_keeps_its_people():
    faces = faces_on_paths(two_paths()).replace(score=np.full(60, 0.6))
    assert set(track_clip(faces, TIME).track.tolist()) == {0, 1}


def test_a_burst_keeps_all_faces():
    faces = faces_on_paths(two_paths(), np.arange(30)[:, None] % 3 == np.arange(2))
    assert len(track_clip(faces, TIME)) == 0 and len(track_clip(faces, TIME, drop_false=False)) == len(faces)


def test_one_frame_is_a_clip():
    faces = faces_on_paths(two_paths()[:1])
    assert track_clip(faces, np.zeros(1)).track.tolist() == [0, 1]


def test_strangers_are_not_joined_across_a_cut_unless_the_number_of_people_says_so():
    """One person before the cut, another one at the same place after it."""
    still = np.tile(np.array([[[100.0, 100.0]]]), (60, 1, 1))
    faces, random = faces_on_paths(still), np.random.default_rng(0)
    after = faces.image >= 30
    shift = np.where(after[:, None], random.normal(0, 0.13, 64), 0)
    faces = faces.replace(identity=shift + random.normal(0, 0.04, (60, 64)))
    time_s, cuts = np.arange(60) / 30, np.arange(60) == 30
    assert len(set(track_clip(faces, time_s, cuts).track.tolist())) == 2
    assert len(set(track_clip(faces, time_s, cuts, people=1).track.tolist())) == 1
    same = faces.replace(identity=random.normal(0, 0.04, (60, 64)))
    assert len(set(track_clip(same, time_s, cuts).track.tolist())) == 1


@pytest.mark.parametrize("function", [track_clip, smooth_faces])
def test_no_faces(function):
    assert len(function(Faces.empty(2), TIME)) == 0


def test_smoothing_reduces_the_jitter_of_a_still_face():
    still = np.tile(np.array([[[100.0, 100.0]]]), (60, 1, 1))
    time_s = np.arange(60) / 30
    noisy = faces_on_paths(still, noise=0.03).replace(track=np.zeros(60))
    smoothed = smooth_faces(noisy, time_s)

    def jitter(values: np.ndarray) -> float:
        return float(np.abs(np.diff(values[10:], axis=0)).mean())

    assert jitter(smoothed.expression) < 0.5 * jitter(noisy.expression)
    assert jitter(smoothed.rotation) < 0.5 * jitter(noisy.rotation)
    product = smoothed.rotation @ smoothed.rotation.transpose(0, 2, 1)
    np.testing.assert_allclose(product, np.tile(np.eye(3), (60, 1, 1)), atol=1e-5)


def test_smoothing_follows_a_blink():
    """A blink of 4 frames at 30 frames/s keeps most of its height and is at most 2 frames late."""
    still = np.tile(np.array([[[100.0, 100.0]]]), (60, 1, 1))
    time_s = np.arange(60) / 30
    faces = faces_on_paths(still).replace(track=np.zeros(60))
    expression = np.zeros((60, 51), np.float32)
    expression[30:34] = 1
    smoothed = smooth_faces(faces.replace(expression=expression), time_s).expression[:, 0]
    assert smoothed.max() > 0.8 and 30 <= smoothed.argmax() <= 35 and smoothed[40] < 0.1


def test_people_are_smoothed_separately():
    tracked = track_clip(faces_on_paths(two_paths(), noise=0.02), TIME)
    together = smooth_faces(tracked, TIME)
    alone = smooth_faces(tracked[tracked.track == 1], TIME)
    np.testing.assert_allclose(together[together.track == 1].expression, alone.expression, atol=1e-6)
