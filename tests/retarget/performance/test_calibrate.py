from dataclasses import replace

import numpy as np

from retarget.arkit import ARKIT_NAMES
from retarget.cli import main
from retarget.performance.calibrate import (
    MAX_GAZE_OFFSET,
    MAX_SIDE_DIFFERENCE,
    MIN_SAMPLES,
    StreamCalibration,
    apply_calibration,
    calibrate,
    calibration_from_neutral,
    learn_calibration,
)
from retarget.performance.take import Take

BROW, SMILE, GAZE = (ARKIT_NAMES.index(name) for name in ("browInnerUp", "mouthSmileLeft", "eyeLookInLeft"))


def two_people(samples: int = 200) -> Take:
    """Brows of actor 3 rest at 0.3, of actor 7 at 0.1; both smile to 0.9 for a third of the time."""
    time_s = np.arange(samples) / 30
    smile = np.where((np.arange(samples) % 90) < 30, 0.9, 0.05)
    coefficients = np.zeros((2, samples, 52))
    coefficients[:, :, SMILE], coefficients[:, :, GAZE] = smile, 0.4
    coefficients[0, :, BROW], coefficients[1, :, BROW] = 0.3, 0.1
    coefficients += np.random.default_rng(0).normal(0, 0.005, coefficients.shape)
    n = 2 * samples
    return Take(
        np.tile(time_s, 2),
        np.repeat([3, 7], samples),
        coefficients.reshape(n, 52).clip(0, 1),
        np.tile([0, 0, 0, 1.0], (n, 1)),
        np.zeros((n, 3)),
    )


def test_a_resting_face_rests_and_a_smile_stays_wide():
    take = two_people()
    calm = calibrate(take)
    for actor in (3, 7):
        mine = calm.coefficients[calm.actor == actor]
        resting = mine[mine[:, SMILE] < 0.5]
        assert np.median(resting[:, BROW]) < 0.01 and np.median(resting[:, SMILE]) < 0.01
        assert abs(np.quantile(mine[:, SMILE], 0.99) - np.quantile(take.coefficients[:, SMILE], 0.99)) < 0.02
        assert abs(np.median(mine[:, GAZE]) - (0.4 - MAX_GAZE_OFFSET)) < 0.01  # who always looks aside keeps looking aside


def test_again_changes_hardly_anything():
    take = two_people()
    take.coefficients[:, GAZE] = 0.1  # within the limit of a gaze at rest
    once = calibrate(take)
    np.testing.assert_allclose(calibrate(once).coefficients, once.coefficients, atol=0.03)


def test_people_are_apart_and_order_does_not_matter():
    take = two_people()
    shuffled = take[np.random.default_rng(1).permutation(len(take))]
    one, other = learn_calibration(take), learn_calibration(shuffled)
    np.testing.assert_allclose(one.offset, other.offset)
    assert abs(one.offset[0, BROW] - 0.3) < 0.01 and abs(one.offset[1, BROW] - 0.1) < 0.01


def test_nobody_and_too_few():
    take = two_people()
    assert len(calibrate(take[:0])) == 0
    few = take[: MIN_SAMPLES - 1]
    np.testing.assert_array_equal(calibrate(few).coefficients, few.coefficients)
    others = apply_calibration(take[take.actor == 7], learn_calibration(take[take.actor == 3]))
    np.testing.assert_array_equal(others.coefficients, take.coefficients[take.actor == 7])


def test_the_command(tmp_path, capsys):
    two_people().save(tmp_path / "take.npz")
    assert main(["calibrate", str(tmp_path / "take.npz"), "--out", str(tmp_path / "calm.npz")]) == 0
    out = capsys.readouterr().out
    assert "person 3: offset" in out and "calm.npz" in out
    assert Take.load(tmp_path / "calm.npz").coefficients[:, BROW].mean() < 0.05
    assert main(["calibrate", str(tmp_path / "none.npz")]) == 1


def one_person(**weights: np.ndarray | float) -> Take:
    """200 samples of one actor in 10 s with these weights; the others are 0."""
    coefficients = np.zeros((200, 52))
    for name, values in weights.items():
        coefficients[:, ARKIT_NAMES.index(name)] = values
    return Take(np.arange(200) / 20, np.zeros(200, int), coefficients, np.tile([0, 0, 0, 1.0], (200, 1)), np.zeros((200, 3)))


def weight(take: Take, name: str) -> np.ndarray:
    return take.coefficients[:, ARKIT_NAMES.index(name)]


def test_a_long_raise_is_no_rest():
    raised = np.where(np.arange(200) < 160, 0.45, 0.05)  # for 8 of 10 s
    calm = calibrate(one_person(browInnerUp=raised))
    assert weight(calm, "browInnerUp")[:160].min() > 0.35 and weight(calm, "browInnerUp")[160:].max() < 0.06


def test_a_bad_sample_makes_no_permanent_wink():
    """The neutral photo shows the left eye half closed."""
    neutral = one_person(eyeBlinkLeft=0.5, eyeBlinkRight=0.05)[:1]
    calm = apply_calibration(one_person(eyeBlinkLeft=0.1, eyeBlinkRight=0.1), calibration_from_neutral(neutral))
    left, right = weight(calm, "eyeBlinkLeft"), weight(calm, "eyeBlinkRight")
    assert np.abs(left - right).max() <= MAX_SIDE_DIFFERENCE + 0.01
    closed = apply_calibration(one_person(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), calibration_from_neutral(neutral))
    assert weight(closed, "eyeBlinkLeft").min() > 0.99 and weight(closed, "eyeBlinkRight").min() > 0.99


def test_each_eye_gets_its_own_offsets():
    calibration = learn_calibration(one_person(eyeBlinkLeft=0.15, eyeBlinkRight=0.08))
    offset = dict(zip(ARKIT_NAMES, calibration.offset[0], strict=True))
    assert abs(offset["eyeBlinkLeft"] - 0.15) < 1e-6 and abs(offset["eyeBlinkRight"] - 0.08) < 1e-6


def test_a_gaze_at_rest_looks_ahead():
    """The left eye rests at 0.1 toward the nose and looks outward half of the time, beyond the middle."""
    aside = np.arange(200) % 3 == 0
    take = one_person(eyeLookInLeft=np.where(aside, 0, 0.1), eyeLookOutLeft=np.where(aside, 0.3, 0), eyeLookDownRight=0.15)
    calm = calibrate(take)
    assert weight(calm, "eyeLookInLeft").max() < 0.01 and weight(calm, "eyeLookDownRight").max() < 0.01
    np.testing.assert_allclose(weight(calm, "eyeLookOutLeft"), np.where(aside, 0.4, 0), atol=0.01)


def test_a_stream_is_calibrated_when_asked():
    stream, take = StreamCalibration(), one_person(mouthSmileLeft=0.2, mouthSmileRight=0.2)
    assert stream.set_neutral() == 0
    before = [stream.update(take[i]) for i in range(20)]
    assert weight(before[-1], "mouthSmileLeft")[0] == np.float32(0.2)
    assert stream.set_neutral() == 1
    assert weight(stream.update(take[20]), "mouthSmileLeft")[0] < 1e-6


def test_a_person_who_is_away_keeps_the_neutral_face():
    take = one_person(mouthSmileLeft=0.2, mouthSmileRight=0.2)
    stream, other = StreamCalibration(), replace(take, actor=take.actor + 1)
    stream.update(take[0])
    assert stream.set_neutral() == 1
    stream.update(other[60])
    assert stream.set_neutral() == 1
    assert [weight(stream.update(person[61]), "mouthSmileLeft")[0] < 1e-6 for person in (take, other)] == [True, True]
