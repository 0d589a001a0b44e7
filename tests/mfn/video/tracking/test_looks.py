"""Tests of looks: samples, their comparison, and tracks across cuts."""

import numpy as np
import pytest

from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from mfn.video.tracking.clip_tracker import track_clip
from mfn.video.tracking.look_samples import SAMPLES, look_samples
from mfn.video.tracking.looks import LooksOfClip, default_looks, mean_looks

SIZE = 240
ONCE = np.ones(1)


def one_face(center: tuple[float, float] = (120.0, 100.0), yaw: float = 0.0) -> Faces:
    """Return a face of about 80 px in a picture of SIZE x SIZE."""
    box = np.array([[center[0] - 35, center[1] - 40, center[0] + 35, center[1] + 45]])
    return Faces(
        image=np.zeros(1),
        box=box,
        score=np.ones(1),
        rotation=rotation_from_euler(np.array([[0.0, yaw, 0.0]])),
        scale=np.full(1, 500.0),
        center=np.array([center]),
        identity=np.zeros((1, 64)),
        expression=np.zeros((1, 51)),
        track=np.full(1, -1),
    )


def portrait(hair: tuple[int, int, int], skin: tuple[int, int, int], clothes: tuple[int, int, int], seed: int) -> np.ndarray:
    """Paint a person in blocks, with some noise."""
    picture = np.full((SIZE, SIZE, 3), 128, np.int64)
    picture[20:80, 70:170], picture[70:160, 80:160], picture[160:] = hair, skin, clothes
    return np.clip(picture + np.random.default_rng(seed).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


FIRST = (30, 20, 15), (190, 140, 110), (20, 30, 120)
SECOND = (215, 190, 130), (235, 200, 180), (200, 40, 40)


def described(look: tuple[tuple[int, int, int], ...], seed: int) -> np.ndarray:
    return default_looks().describe(portrait(*look, seed), one_face())


def test_one_person_looks_alike_and_another_does_not():
    looks = default_looks()
    known = described(FIRST, 0)
    same = looks.ratio(known, described(FIRST, 1), ONCE, ONCE)
    other = looks.ratio(known, described(SECOND, 1), ONCE, ONCE)
    assert same.shape == (1,) and same[0] > 1 and other[0] < -1


def test_more_shots_make_the_comparison_surer():
    looks, known = default_looks(), described(FIRST, 0)
    once = looks.ratio(known, described(FIRST, 1), ONCE, ONCE)
    assert looks.ratio(known, described(FIRST, 1), 3 * ONCE, 3 * ONCE)[0] > once[0]


def test_unknown_looks_say_nothing():
    looks = default_looks()
    unknown = np.full((2, looks.size), np.nan)
    assert (looks.ratio(unknown[:, None], np.zeros((1, 3, looks.size)), ONCE, ONCE) == np.zeros((2, 3))).all()


def test_a_large_picture_gives_the_same_samples_as_a_small_one():
    picture = portrait(*FIRST, 0)
    face = one_face()
    large = face.replace(scale=face.scale * 4, center=face.center * 4, box=face.box * 4)
    small = look_samples(picture, face)
    assert small.shape == (1, SAMPLES) and np.isfinite(small).all()
    difference = np.abs(look_samples(picture.repeat(4, 0).repeat(4, 1), large) - small)
    assert np.median(difference) < 0.25


def test_a_face_outside_the_picture_has_no_looks():
    picture = portrait(*FIRST, 0)
    assert np.isnan(look_samples(picture, one_face((-900.0, 100.0)))).all()
    assert np.isfinite(look_samples(picture, one_face((2.0, 238.0)))).all()
    assert look_samples(picture, Faces.empty(64)).shape == (0, SAMPLES)


def test_a_clip_is_looked_at_every_few_frames():
    clip, picture = LooksOfClip(), portrait(*FIRST, 0)
    for frame in range(13):
        clip.add(picture, one_face() if frame != 6 else Faces.empty(64), frame / 30)
    known = np.isfinite(clip.numbers()).all(1)
    assert known.shape == (12,) and np.flatnonzero(known).tolist() == [0, 6]  # frame 7 comes at once, because 6 had no face
    later = LooksOfClip(known=[clip.numbers()])
    assert (np.isfinite(later.numbers()).all(1) == known).all()


def test_looks_that_may_not_be_read_have_no_numbers(monkeypatch):
    monkeypatch.setattr("mfn.video.tracking.looks.default_looks", None)
    clip = LooksOfClip(read=False)
    clip.add(portrait(*FIRST, 0), one_face(), 0.0)
    assert clip.numbers().shape == (1, 0)


def test_the_mean_of_a_tracklet_leaves_out_what_was_not_looked_at():
    looks = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0], [np.nan, np.nan]])
    mean = mean_looks(looks, np.array([0, 0, 0, 1]), 2)
    assert mean[0].tolist() == [2, 3] and np.isnan(mean[1]).all()


def people_before_and_after_a_cut() -> tuple[Faces, np.ndarray, np.ndarray]:
    """Return one face in each of 60 frames, a cut in the middle, and identities that say nothing."""
    faces = Faces.concatenate([one_face() for _ in range(60)])
    identity = np.random.default_rng(0).normal(0, 0.04, (60, 64))
    return faces.replace(image=np.arange(60), identity=identity), np.arange(60) / 30, np.arange(60) == 30


@pytest.mark.parametrize("after, tracks", [(FIRST, 1), (SECOND, 2)])
def test_looks_tell_strangers_apart_across_a_cut(after, tracks):
    faces, time_s, cuts = people_before_and_after_a_cut()
    looks = np.full((60, default_looks().size), np.nan, np.float32)
    for frame in range(0, 60, 6):
        looks[frame] = described(FIRST if frame < 30 else after, frame)
    shuffled = np.random.default_rng(1).permutation(60)
    assert len(set(track_clip(faces[shuffled], time_s, cuts, looks=looks[shuffled]).track.tolist())) == tracks
    assert len(set(track_clip(faces, time_s, cuts).track.tolist())) == 1
    assert len(set(track_clip(faces, time_s, cuts, looks=np.full_like(looks, np.nan)).track.tolist())) == 1


def test_a_damaged_file_is_named(tmp_path):
    from mfn.video.tracking.looks import Looks

    file = tmp_path / "looks.npz"
    file.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"looks\.npz: not a file of looks"):
        Looks.load(file)
    numbers = {"format": np.array(1), "share": np.array(1.0), "within": np.ones(2), "between": np.ones(2)}
    np.savez(file, mean=np.zeros(3), projection=np.zeros((3, 2)), **numbers)
    with pytest.raises(ValueError, match=rf"expected format 1 and \({SAMPLES}, 2\) numbers, got 1 and \(3, 2\)"):
        Looks.load(file)
