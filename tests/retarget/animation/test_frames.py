"""Whole frames: the rate of a take, and where its samples go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retarget.animation.frames import frame_rate, to_frames
from retarget.performance.take import Footage, Take
from tests.helpers.characters import make_take


def at(times, actor=0, fps=None):
    """A take of one actor whose jaw opens with time and whose head turns by time / 10 about y."""
    times = np.asarray(times, float)
    angle = times / 20
    zero = np.zeros(len(times))
    return Take(
        times,
        np.full(len(times), actor),
        np.tile(times[:, None] / 100, (1, 52)),
        np.stack([zero, np.sin(angle), zero, np.cos(angle)], 1),
        np.stack([times, zero, zero - 1], 1),
        Footage(fps=fps),
    )


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        (np.arange(50) / 25, 25),
        (5 + np.arange(300) * 1001 / 30000, 30000 / 1001),
        (np.round(np.arange(200) / 30, 3), 30),  # milliseconds
        (np.delete(np.arange(100) / 24, slice(20, 70)), 24),  # away in the middle
        (np.arange(60) / 7.5, 7.5),
        (np.cumsum(np.random.default_rng(0).uniform(0.02, 0.05, 200)), 28),  # a webcam
        ([3.0], 30),
        ([], 30),
    ],
)
def test_the_rate_is_found(times, rate):
    assert frame_rate(at(times)) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize("shift_s", [0, 0.003, 100])
def test_people_with_clocks_of_their_own(shift_s):
    """Two people at 60 frames a second, one at 30, and one who is seen for a moment, with noise in the time stamps."""
    times = np.arange(100) / 60
    takes = [at(times, 0), at(times + shift_s, 1), at(times[::2] + 2 * shift_s, 2), at([0.5, 0.501], 3)]
    assert frame_rate(Take.concatenate(takes)) == 60 and frame_rate(Take.concatenate(takes[2:])) == 30
    assert frame_rate(Take.concatenate([at([1.0]), at([1.003], 1)])) == 30


def test_the_footage_states_the_rate():
    assert frame_rate(at([0, 0.04], fps=50)) == 50


def webcam_steps(fps, sd_s):
    """Return the steps of a webcam whose time stamps jitter."""
    return np.random.default_rng(3).normal(1 / fps, sd_s, 20_000).clip(0.001).tolist()


@pytest.mark.parametrize(
    ("steps_s", "fps"),
    [
        ([1 / 30] * 12 + [0.5] * 3 + [1 / 30] * 12 + [0.25] * 4, 30),
        (([0.033, 0.034, 0.033] * 5 + [0.3] * 5) * 4, 30),
        ([0.0325] * 40 + [0.1] * 40, 30),
        ([0.0417] * 40 + [0.1] * 40, 24000 / 1001),
        ([1 / 37] * 40 + [0.1] * 40, 37),
        ([0.001] * 20 + [0.1] * 20, 60),
        ([0.033, 0.033, 0.034] * 20, None),
        ([1 / 30] * 60 + [1 / 15] * 3, None),  # a few lost frames
        ([1 / 30] * 9 + [0.5] + [1 / 30] * 9, None),
        (([1 / 60] + [1 / 30] * 15) * 40, None),
        (webcam_steps(30, 0.008), None),
        (webcam_steps(25, 0.012), None),
        ([2.0] * 5, None),
        ([1 / 240] * 50, None),
        ([], None),
    ],
    ids=[
        *("pauses", "rounded", "near 30", "film", "unusual", "at most 60", "regular but rounded", "a few lost", "short parts"),
        *("single short steps", "webcam", "slow webcam", "slow", "fast", "one moment"),
    ],
)
def test_footage_of_a_varying_rate_has_the_rate_of_its_fast_parts(steps_s, fps):
    mean = len(steps_s) / sum(steps_s) if steps_s else 25.0
    one, other = (at(np.cumsum([shift, *steps_s]), actor, fps=mean) for actor, shift in enumerate((0, 1e-12)))
    assert frame_rate(Take.concatenate([one, other])) == pytest.approx(mean if fps is None else fps, rel=1e-9)


def test_samples_on_frames_stay_as_they_are():
    take = make_take(3, 5)
    moved = to_frames(take[np.random.default_rng(1).permutation(15)], 29.97)
    order = np.lexsort((take.time_s, take.actor))
    for name in ("coefficients", "translation"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(take, name)[order])
    np.testing.assert_allclose(moved.rotation, take.rotation[order], atol=1e-6)
    np.testing.assert_allclose(moved.time_s, (take.time_s - 10)[order], atol=1e-9)
    assert moved.footage == Footage(fps=29.97)


@pytest.mark.parametrize("fps", [24, 60, 30000 / 1001])
def test_values_between_samples_lie_on_the_line(fps):
    times = np.cumsum(np.random.default_rng(2).uniform(0.01, 0.06, 100))
    moved = to_frames(at(times), fps)
    frames = moved.time_s * fps
    np.testing.assert_allclose(frames, np.round(frames), atol=1e-9)
    assert frames[0] == 0 and (np.diff(frames.round()) == 1).all() and moved.time_s[-1] + 1 / fps > np.ptp(times)
    true_s = moved.time_s + times[0]
    np.testing.assert_allclose(moved.translation[:, 0], true_s, atol=1e-5)
    np.testing.assert_allclose(2 * np.arctan2(moved.rotation[:, 1], moved.rotation[:, 3]), true_s / 10, atol=1e-5)


def test_who_is_away_gets_no_frames():
    late = at([1.0, 1.04, 1.08], actor=1)
    gap = at([0, 0.04, 0.08, 2.0, 2.02], actor=0)
    moved = to_frames(Take.concatenate([gap, late]), 25)
    assert np.round(moved.time_s[moved.actor == 0] * 25).tolist() == [0, 1, 2, 50]
    assert np.round(moved.time_s[moved.actor == 1] * 25).tolist() == [25, 26, 27]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="actor 7 has two samples at 1 s"):
        to_frames(at([1, 1], actor=7), 25)
    with pytest.raises(ValueError, match=r"frames \(expected at most .* give a smaller --fps"):
        to_frames(at(np.arange(5) * 1e6), 30)
    assert len(to_frames(replace(Take.empty()), 30)) == 0
