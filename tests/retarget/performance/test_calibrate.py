import numpy as np

from retarget.arkit import ARKIT_NAMES
from retarget.cli import main
from retarget.performance.calibrate import MIN_SAMPLES, apply_calibration, calibrate, learn_calibration
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
        assert abs(np.median(mine[:, GAZE]) - 0.4) < 0.01  # a gaze has no resting value


def test_again_changes_hardly_anything():
    once = calibrate(two_people())
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
