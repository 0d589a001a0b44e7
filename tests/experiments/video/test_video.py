"""The simulation behind the tracking figures, and the figures of smoothing."""

import numpy as np
import pytest

from experiments.video import identity, looks, simulated_crowds, smoothing, trackers, tracking
from mfn.structures.faces import Faces
from retarget.geometry.rotations import rotation_about
from tests.helpers.experiments import one_face


def test_a_simulated_clip_is_the_same_for_a_seed_and_in_the_order_of_frames():
    one, two = simulated_crowds.simulate(4, 200, 3, cuts=1), simulated_crowds.simulate(4, 200, 3, cuts=1)
    np.testing.assert_array_equal(one.faces.box, two.faces.box)
    assert (np.diff(one.faces.image) >= 0).all() and one.new_shot.nonzero()[0].tolist() == [100]
    assert 0.5 < len(one.faces) / 800 < 0.95 and set(one.person.tolist()) == {0, 1, 2, 3}


def test_false_faces_have_low_scores_and_one_person_is_in_a_shot_of_a_dialogue():
    clip = simulated_crowds.simulate(2, 200, 1, cuts=3, false=4, dialogue=True)
    nobody = clip.person == simulated_crowds.NOBODY
    assert nobody.any() and clip.faces.score[nobody].mean() < clip.faces.score[~nobody].mean() - 0.1
    shot = clip.faces.image // 50
    assert (clip.person[~nobody] == shot[~nobody] % 2).all()


def test_people_change_places_at_a_cut():
    clip = simulated_crowds.simulate(4, 200, 0, cuts=1)
    steps = []
    for person in range(4):
        rows = clip.faces[clip.person == person]
        near = np.diff(rows.image) == 1
        steps.append(np.linalg.norm(np.diff(rows.center, axis=0), axis=1)[near & (rows.image[1:] != 100)].max())
    assert max(steps) < 60


def test_standard_measures_of_a_perfect_and_a_broken_track():
    pytest.importorskip("motmetrics")
    frame, person = np.arange(6), np.array([0, 0, 0, 0, simulated_crowds.NOBODY, simulated_crowds.NOBODY])
    perfect = trackers.Measured(frame, person, np.array([7, 7, 7, 7, -1, -1]))
    figures = trackers.standard_measures([perfect])
    assert figures["idf1"] == figures["mota"] == 1 and figures["tracks_mean"] == 1 and figures["tracks_of_several"] == 0
    broken = trackers.Measured(frame, person, np.array([7, 7, 8, 8, 9, 9]))
    figures = trackers.standard_measures([broken])
    assert figures["switches"] == 1 and figures["false_positives"] == 2 and figures["tracks_of_nobody"] == 1 and figures["mota"] == 0.25
    glued = trackers.Measured(np.arange(4), np.array([0, 0, 1, 1]), np.array([7, 7, 7, 7]))
    assert trackers.standard_measures([glued])["tracks_of_several"] == 1


def test_hota_by_hand():
    frame, person = np.arange(6), np.array([0, 0, 0, 0, simulated_crowds.NOBODY, simulated_crowds.NOBODY])
    assert trackers.hota([trackers.Measured(frame, person, np.array([7, 7, 7, 7, -1, -1]))])["hota"] == 1
    # Two tracks of two frames each, of a person of four: each match is associated in 2 of 4 frames. Two false faces are tracked.
    halves = trackers.hota([trackers.Measured(frame, person, np.array([7, 7, 8, 8, 9, 9]))])
    assert halves["association_accuracy"] == 0.5 and halves["detection_accuracy"] == pytest.approx(4 / 6, abs=1e-4)
    # One person seen in three of four frames: 3 matches, each associated in 3 of 4.
    missed = trackers.hota([trackers.Measured(np.arange(4), np.zeros(4, int), np.array([1, 1, 1, -1]))])
    assert missed == {"hota": 0.75, "detection_accuracy": 0.75, "association_accuracy": 0.75}


def test_the_trackers_are_measured():
    pytest.importorskip("motmetrics")
    pytest.importorskip("trackers")
    case = tracking.Case(people=2, cuts=0, false=1)
    for name, tracker in trackers.all_trackers().items():
        figures = tracking.measure(tracker, case, 200, [0])
        assert figures["people_mean"] == 2 and figures["idf1"] > (0.9 if name == "mfn" else 0.5)


def test_identities_of_people_are_compared():
    rng = np.random.default_rng(0)
    person, video = np.repeat(np.arange(30), 6), np.tile([0, 0, 0, 1, 1, 1], 30)
    true, of_video = rng.normal(0, 1, (30, 8)), rng.normal(0, 0.5, (30, 2, 8))
    faces = true[person] + of_video[person, video] + rng.normal(0, 0.4, (180, 8))
    figures = identity.measure(identity.People(faces, person.astype(str), video))
    sd = figures["sd_of_a_coefficient"]
    assert abs(sd["same video"] - 0.4) < 0.04 and abs(sd["other video"] - 0.64) < 0.06 and sd["other person"] > 1
    assert figures["area_under_curve"]["same video"] > figures["area_under_curve"]["other video"] > 0.8
    assert 0.5 < figures["independent_share"] < 1.6 and 6 < figures["independent_dimensions"]["same video"] <= 8


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


def test_what_is_learned_of_looks_tells_left_out_people_apart():
    random = np.random.default_rng(0)
    people, frames, samples = 60, 4, 160
    person = np.repeat(np.arange(people), frames)
    video = np.tile(np.repeat([0, 1], frames // 2), people)
    shape = random.normal(0, 1, (12, samples))  # people differ in twelve of many dimensions
    values = random.normal(0, 1, (people, 12))[person] @ shape + random.normal(0, 1, (people * frames, samples))
    portraits = looks.Portraits(values, np.char.add("p", person.astype(str)), video)
    part, numbers = looks.parts_of(portraits.person), np.zeros((len(person), looks.NUMBERS))
    for number in range(looks.PARTS):
        own = part == number
        numbers[own] = looks.learn_without_part(portraits, part, number)(values[own])
    learned, figures = looks.to_looks(looks.learn(portraits), numbers, looks.all_pairs(portraits, part))
    assert min(figures["area_under_curve"].values()) > 0.95 and learned.share > 0
    assert figures["median_ratio"]["other_person"] < 0 < figures["median_ratio"]["other_video"]


@pytest.mark.parametrize(
    "pack, name, expected",
    [("lfw", "Ann_Lee/Ann_Lee_0002.jpg", ("ann_lee", 7)), ("youtube", "Ann_Lee_31.jpg", ("ann_lee", 3))],
)
def test_names_of_pictures_tell_person_and_video(pack, name, expected):
    assert looks.split_name(pack, name, 7) == expected
