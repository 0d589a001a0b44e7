"""`mfn.track` and `mfn.Tracker` as a user calls them."""

import numpy as np
import pytest

from mfn.inference.predictor import Predictor
from mfn.video import track as track_module
from mfn.video.track import track
from mfn.video.tracking.online_tracker import Tracker


@pytest.fixture(scope="module")
def predictor(spots):
    return Predictor.load(spots, min_face_px=24, threads=1)


def frames(count=6):
    """Yield frames with one white spot that moves to the right and one that stays."""
    for k in range(count):
        image = np.zeros((384, 640, 3), np.uint8)
        image[80:88, 160 + 8 * k : 168 + 8 * k] = image[240:248, 480:488] = 255
        yield k / 30, image


def test_a_clip_gives_one_item_for_each_frame(clip, predictor):
    result = list(track(clip, predictor))
    assert len(result) == 20
    assert [set(faces.image.tolist()) for faces in result if len(faces)] == [{k} for k, faces in enumerate(result) if len(faces)]
    assert {number for faces in result for number in faces.track.tolist()} <= set(range(len(result)))


def test_people_in_frames_of_the_caller_keep_their_tracks(predictor):
    result = list(track(frames(), predictor))
    assert [len(faces) for faces in result] == [2] * 6
    by_side = [faces.track[np.argsort(faces.box[:, 0])].tolist() for faces in result]
    assert by_side == [by_side[0]] * 6 and sorted(by_side[0]) == [0, 1]


def test_a_cut_begins_new_tracks(predictor):
    def two_shots():
        for k in range(8):
            image = np.full((384, 640, 3), 0 if k < 4 else 120, np.uint8)
            image[80:88, 160:168] = 255
            yield k / 30, image

    assert [faces.track.tolist() for faces in track(two_shots(), predictor)] == [[0]] * 4 + [[1]] * 4


def shades(*grays):
    """Yield gray frames with a white spot, all in one array."""
    image = np.empty((384, 640, 3), np.uint8)
    for k, gray in enumerate(grays):
        image[:] = gray
        image[80:88, 160:168] = 255
        yield k / 30, image


@pytest.mark.parametrize("grays", [[90, 90, 200, 90, 90], [90, 200, 90, 200, 90], [90, 200, 90]])
def test_a_flash_of_one_frame_begins_no_new_tracks(predictor, grays):
    result = list(track(shades(*grays), predictor))
    assert [faces.track.tolist() for faces in result] == [[0]] * len(grays)
    assert [faces.image.tolist() for faces in result] == [[k] for k in range(len(grays))]


def test_a_cut_after_a_flash_and_one_at_the_last_frame_begin_new_tracks(predictor):
    result = list(track(shades(90, 90, 200, 90, 90, 10, 10, 10, 10, 150), predictor))
    assert [faces.track.tolist() for faces in result] == [[0]] * 5 + [[1]] * 4 + [[2]]


def test_a_change_of_the_light_of_a_camera_begins_no_new_tracks(predictor, monkeypatch):
    monkeypatch.setattr(track_module, "open_source", lambda _: shades(*[90] * 4, *[200] * 4))
    assert [faces.track.tolist() for faces in track(0, predictor)] == [[0]] * 8
    assert [faces.track.tolist() for faces in track("clip.mp4", predictor)] == [[0]] * 4 + [[1]] * 4


def test_frames_are_read_one_by_one(predictor):
    read = []

    def counted_frames():
        for number, frame in enumerate(frames()):
            read.append(number)
            yield frame

    iterator = track(counted_frames(), predictor)
    next(iterator)
    assert read == [0]


def test_without_smoothing_the_faces_are_those_of_the_predictor(predictor):
    (time_s, image) = list(frames(3))[2]
    plain = list(track(frames(3), predictor, smooth=False))[2]
    np.testing.assert_array_equal(plain.box, predictor(image).box)
    np.testing.assert_array_equal(plain.expression, predictor(image).expression)


def test_a_tracker_in_a_loop_of_the_caller(predictor):
    tracker = Tracker()
    result = [tracker.update(predictor(image), time_s) for time_s, image in frames()]
    assert all(set(faces.track.tolist()) == {0, 1} for faces in result)


def test_a_missing_file_is_reported_before_the_loop(predictor, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        track(tmp_path / "none.mp4", predictor)
