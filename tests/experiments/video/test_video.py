"""The simulation behind the tracking figures, and the figures of smoothing."""

import numpy as np
import pytest

from experiments.video import smoothing, tracking
from mfn.structures.faces import Faces
from retarget.geometry.rotations import rotation_about
from tests.helpers.experiments import one_face


def test_a_simulated_clip_is_the_same_for_a_seed_and_in_the_order_of_frames():
    one, two = tracking.simulate(4, 200, 3, cuts=1), tracking.simulate(4, 200, 3, cuts=1)
    np.testing.assert_array_equal(one.faces.box, two.faces.box)
    assert (np.diff(one.faces.image) >= 0).all() and one.new_shot.nonzero()[0].tolist() == [100]
    assert 0.5 < len(one.faces) / 800 < 0.95 and set(one.person.tolist()) == {0, 1, 2, 3}


def test_people_change_places_at_a_cut():
    clip = tracking.simulate(4, 200, 0, cuts=1)
    steps = []
    for person in range(4):
        rows = clip.faces[clip.person == person]
        near = np.diff(rows.image) == 1
        steps.append(np.linalg.norm(np.diff(rows.center, axis=0), axis=1)[near & (rows.image[1:] != 100)].max())
    assert max(steps) < 60


def test_switches_are_counted_for_people_and_for_tracks():
    person = np.array([0, 1, 0, 1, 0, 1])
    assert tracking.count_switches(np.array([5, 6, 5, 6, 5, 6]), person) == 0
    assert tracking.count_switches(np.array([5, 6, 6, 5, 6, 5]), person) == 4
    assert tracking.count_switches(np.array([5, 6, 7, 6, 7, 6]), person) == 1


def test_standard_measures_of_a_perfect_and_a_broken_track():
    pytest.importorskip("motmetrics")
    faces = Faces.concatenate([one_face((0, 0, 9, 9)).replace(image=np.array([i])) for i in range(4)])
    clip = tracking.SimulatedClip(faces, np.zeros(4, np.int64), np.zeros(4, bool))
    perfect = faces.replace(track=np.full(4, 7))
    assert tracking.standard_measures([tracking.accumulate(clip, perfect, clip.person)]) == {"idf1": 1, "mota": 1}
    broken = faces.replace(track=np.array([7, 7, 8, 8]))
    assert tracking.standard_measures([tracking.accumulate(clip, broken, clip.person)]) == {"idf1": 0.5, "mota": 0.75}


def test_the_tracker_is_measured():
    pytest.importorskip("motmetrics")
    figures = tracking.measure(3, 200, [0], cuts=0)
    assert figures["people"] == 3 and figures["switches_by_seed"] == [0] and figures["idf1"] > 0.9


def still_faces(count: int, noise: float = 0.0) -> Faces:
    rng = np.random.default_rng(0)
    faces = Faces.concatenate([one_face((100, 100, 200, 220)).replace(image=np.array([i])) for i in range(count)])
    return faces.replace(track=np.zeros(count), center=faces.center + rng.normal(0, noise, (count, 2)).astype(np.float32))


def test_jitter_of_a_face_that_moves_evenly():
    faces = still_faces(5)
    turned = np.stack([faces.rotation[0] @ rotation_about("y", np.radians(2.0 * i)) for i in range(5)])
    moved = faces.center + np.arange(5)[:, None] * np.array([3.0, 4.0])
    figures = smoothing.jitter(faces.replace(rotation=turned, center=moved, expression=np.arange(5.0)[:, None] * np.full(51, 0.1)))
    assert figures == {"weight": pytest.approx(0.1), "angle_deg": pytest.approx(2, abs=1e-3), "center_px": pytest.approx(5)}


def test_a_crossing_lies_between_two_frames():
    values = np.array([0, 0.25, 1.0, 0.75, 0.0])
    assert smoothing.crossing(values, 0.5, rising=True) == pytest.approx(1 + 1 / 3)
    assert smoothing.crossing(values, 0.5, rising=False) == pytest.approx(3 + 1 / 3)
    assert np.isnan(smoothing.crossing(np.array([0.2, 0.1]), 0.5, rising=False))


def test_a_blink_survives_smoothing_and_jitter_does_not():
    faces, time_s = still_faces(60, noise=0.5), np.arange(60) / smoothing.FPS
    figures = smoothing.blink(faces, time_s)
    assert figures["peak"] > 0.8 and 0 <= figures["closing_delay_frames"] < 1
    result = smoothing.measure(np.zeros((8, 8, 3), np.uint8), 40, lambda picture: one_face((100, 100, 200, 220)))
    assert set(result) == {"raw", "smoothed", "reduction", "blink"} and result["raw"]["weight"] == 0
