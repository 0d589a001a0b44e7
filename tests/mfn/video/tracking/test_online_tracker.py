"""Tests of the online tracker: stable track numbers, low jitter, short delay."""

import numpy as np

from mfn.structures.camera import FRONTAL
from mfn.structures.faces import Faces
from mfn.video.tracking.online_tracker import MAX_GAP_S, Tracker
from retarget.geometry.rotations import rotation_about

RATE = 30


def faces_at(centers, expression=0.0, angle=0.0, size=100.0):
    """Return faces of `size` px at `centers` px, turned by `angle` radians about the vertical axis."""
    count = len(centers)
    center = np.array(centers, np.float32).reshape(count, 2)
    rotation = np.tile(FRONTAL @ rotation_about("y", np.float32(angle)), (count, 1, 1))
    return Faces(
        image=np.zeros(count),
        box=np.concatenate([center - size / 2, center + size / 2], 1),
        score=np.ones(count),
        rotation=rotation,
        scale=np.full(count, size * 5),
        center=center,
        identity=np.zeros((count, 3)),
        expression=np.full((count, 51), expression),
        track=np.full(count, -1),
    )


def test_track_numbers_do_not_depend_on_the_order():
    tracker, rng, first = Tracker(), np.random.default_rng(0), {}
    for k in range(30):
        centers = np.array([(100 + 3 * k, 100), (300, 100), (500 - 2 * k, 200)])
        order = rng.permutation(3)
        for person, track in zip(order.tolist(), tracker.update(faces_at(centers[order]), k / RATE).track.tolist(), strict=True):
            assert first.setdefault(person, track) == track
    assert sorted(first.values()) == [0, 1, 2]


def test_an_occluded_person_keeps_the_track_after_a_short_gap():
    tracker = Tracker()
    assert tracker.update(faces_at([(100, 100)]), 0.0).track.tolist() == [0]
    assert len(tracker.update(faces_at([]), 0.2)) == 0
    assert tracker.update(faces_at([(110, 100)]), 0.2 + 0.5 * MAX_GAP_S - 0.1).track.tolist() == [0]
    assert tracker.update(faces_at([(110, 100)]), 5.0).track.tolist() == [1]


def test_after_a_cut_a_face_at_the_same_place_is_another_person_and_not_smoothed():
    tracker = Tracker()
    for k in range(5):
        assert tracker.update(faces_at([(100, 100)], 0.1), k / RATE).track.tolist() == [0]
    tracker.cut()
    other = tracker.update(faces_at([(105, 100)], 0.9), 5 / RATE)
    assert other.track.tolist() == [1]
    np.testing.assert_allclose(other.expression, 0.9)
    assert tracker.update(faces_at([(105, 100)], 0.9), 6 / RATE).track.tolist() == [1]


def test_a_face_that_comes_back_has_the_same_number_where_numbers_are_used_again():
    tracker = Tracker(reuse=True)
    assert tracker.update(faces_at([(100, 100)]), 0.0).track.tolist() == [0]
    assert len(tracker.update(faces_at([]), 0.2)) == 0
    for time_s, x in ((1.0, 100), (2.5, 400), (3.2, 100), (60.0, 300)):  # also elsewhere, or after long
        assert tracker.update(faces_at([(x, 100)]), time_s).track.tolist() == [0]


def test_used_numbers_go_to_those_who_were_at_the_place_and_then_to_others():
    tracker = Tracker(reuse=True)
    assert tracker.update(faces_at([(100, 100), (300, 100)]), 0.0).track.tolist() == [0, 1]
    assert tracker.update(faces_at([(300, 100), (100, 100)]), 3.0).track.tolist() == [1, 0]  # both were away
    assert tracker.update(faces_at([(300, 100)]), 3.1).track.tolist() == [1]
    assert tracker.update(faces_at([(300, 100), (600, 100)]), 3.8).track.tolist() == [1, 0]
    assert tracker.update(faces_at([(300, 100), (600, 100), (900, 100)]), 3.9).track.tolist() == [1, 0, 2]


def run(tracker, *moments, first_s=0.0):
    """Return the numbers of faces at the given x, one list for each frame."""
    return [tracker.update(faces_at([(x, 100) for x in xs]), first_s + k / RATE).track.tolist() for k, xs in enumerate(moments)]


def test_a_bystander_does_not_get_the_number_of_a_person_who_is_missed_for_a_frame():
    assert run(Tracker(reuse=True), [100], [400], [400, 100]) == [[0], [1], [1, 0]]
    assert run(Tracker(reuse=True), [100], *[[400]] * 18, [400, 100])[-1] == [1, 0]  # 0.6 s


def test_a_newcomer_does_not_get_the_number_of_a_person_who_is_missed_for_a_frame():
    assert run(Tracker(reuse=True), [100, 300], [300, 600], [600, 100, 300]) == [[0, 1], [1, 2], [2, 0, 1]]


def test_people_who_jump_do_not_exchange_numbers():
    assert run(Tracker(reuse=True), [100, 400], [480, 180]) == [[0, 1], [1, 0]]
    tracker = Tracker(reuse=True)  # also after a while, and where they were is far
    assert run(tracker, [100, 900]) == [[0, 1]]
    assert run(tracker, [1200, 400], first_s=3.0) == [[1, 0]]


def test_who_walks_past_the_place_of_a_person_who_left_keeps_the_number():
    tracker = Tracker(reuse=True)
    assert run(tracker, [400, 100]) == [[0, 1]]
    assert run(tracker, *([100 + 45 * k] for k in range(12)), first_s=0.7) == [[1]] * 12
    tracker = Tracker(reuse=True)
    assert run(tracker, [400, 90]) == [[0, 1]]
    assert run(tracker, *([90 + 80 * k] for k in range(8)), first_s=0.7) == [[1]] * 8


def test_a_crowd_that_is_missed_for_a_frame_keeps_its_numbers():
    tracker, crowd = Tracker(reuse=True), [200 * k for k in range(250)]
    assert run(tracker, crowd, [x + 10**5 for x in crowd], crowd) == [[*range(250)], [*range(250, 500)], [*range(250)]]


def test_a_number_that_is_used_again_elsewhere_does_not_glide_there():
    tracker = Tracker(reuse=True)
    tracker.update(faces_at([(100, 100)], 0.1), 0.0)
    other = tracker.update(faces_at([(500, 100)], 0.9), 0.1)
    np.testing.assert_allclose(other.center, [[500, 100]])
    np.testing.assert_allclose(other.expression, 0.9)


def test_frames_without_faces():
    tracker = Tracker()
    for k in range(3):
        assert len(tracker.update(Faces.empty(3), k / RATE)) == 0
    assert len(tracker.update(faces_at([(100, 100)]), 1.0)) == 1


def test_the_jitter_of_a_still_face_is_reduced():
    rng, tracker = np.random.default_rng(1), Tracker()
    raw, smoothed = [], []
    for k in range(120):
        faces = faces_at([(100, 100)], 0.4, angle=rng.normal(0, 0.01))
        noisy = faces.replace(expression=faces.expression + rng.normal(0, 0.02, faces.expression.shape))
        out = tracker.update(noisy, k / RATE)
        raw.append(np.r_[noisy.expression[0], noisy.rotation[0].ravel()])
        smoothed.append(np.r_[out.expression[0], out.rotation[0].ravel()])
    before, after = (np.abs(np.diff(rows[30:], axis=0)).mean(0) for rows in (raw, smoothed))
    assert before[:51].mean() > 3 * after[:51].mean() and before[51:].mean() > 2 * after[51:].mean()


def test_a_blink_is_delayed_by_two_frames_at_most():
    """The eye closes within 0.1 s; two frames later the filter is close to the target."""
    tracker, out = Tracker(), []
    shape = np.interp(np.arange(40) / RATE, [0.5, 0.6, 0.7, 0.8], [0, 1, 1, 0])
    for k, value in enumerate(shape):
        out.append(float(tracker.update(faces_at([(100, 100)], value), k / RATE).expression[0, 0]))
    assert max(out) > 0.85 and np.argmax(np.array(out) > 0.5) - np.argmax(shape > 0.5) <= 2


def test_smoothed_rotations_are_rotations():
    tracker = Tracker()
    for k in range(60):
        rotation = tracker.update(faces_at([(100, 100)], angle=0.1 * k), k / RATE).rotation[0]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    target = FRONTAL @ rotation_about("y", np.float32(5.9))
    assert np.arccos((np.trace(target.T @ rotation) - 1) / 2) < 0.15  # 3 rad/s with a delay below 0.05 s


def test_a_frame_may_hold_any_number_of_faces():
    tracker, places = Tracker(), np.stack(np.meshgrid(np.arange(30), np.arange(20)), -1).reshape(-1, 2) * 120.0
    few = tracker.update(faces_at(places[:5]), 0).track
    many = tracker.update(faces_at(places, 0.5), 0.1)
    assert many.track[:5].tolist() == few.tolist() and len(set(many.track.tolist())) == 600
    assert tracker.update(faces_at(places), 0.2).track.tolist() == many.track.tolist()
