"""Move the samples of a take to whole frames: animators edit frames, not time stamps.

Letters: K samples of one actor, F frames.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from retarget.performance.take import Take

MAX_BRIDGED_GAP_S = 0.5
"""An actor who is not seen for longer is away meanwhile, and gets no frames."""
_DEFAULT_FPS = 30.0
_RATES = (15, 24000 / 1001, 24, 25, 30000 / 1001, 30, 48, 50, 60000 / 1001, 60, 100, 120, 240)
_SAME_RATE = 4e-4  # relative difference; 29.97 and 30 differ by 1e-3
_REGULAR = 0.05  # standard deviation of regular steps, relative to their mean
_MIN_FPS, _MAX_FPS = 1, 240
_RUN = 10  # steps in a row that make a fast part; single short ones are noise of the time stamps
_SHORT_STEP = 0.75  # steps of a fast part are shorter than this many mean ones, of the footage and of the samples
_SAME_STEP = 1.5  # fast parts whose mean step is up to this many times the shortest one are equally fast
_NEAR_USUAL = 0.03  # relative difference; time stamps are rounded
_MAX_VARIABLE_FPS = 60.0
_ON_FRAME = 1e-3  # a sample this near to a frame, in frames, is taken as it is
_MAX_FRAMES = 1 << 22


def frame_rate(take: Take) -> float:
    """Return the frames a second of a take: those of its footage, else an estimate from its time stamps.

    Footage of a varying rate states its mean rate. Then the rate of the fastest parts is taken, so that their motion is
    kept, but at most 60. A part has ten steps or more. The estimate is a usual rate (24, 25, 29.97, 30 …) where one fits. Irregular
    time stamps, such as a webcam's, give a whole number. People may have clocks of their own: the estimate is that of the fastest person,
    among those with ten steps or more if there are any.
    """
    if take.footage.fps is not None:
        return _of_fast_parts(take, take.footage.fps)
    steps = [part for part in _steps_of_actors(take) if len(part)]
    steps = [part for part in steps if len(part) >= _RUN] or steps
    return max(map(_rate_of_steps, steps), default=_DEFAULT_FPS)


def _steps_of_actors(take: Take) -> list[NDArray[np.float64]]:
    return [np.diff(np.unique(take.time_s[take.actor == actor])) for actor in take.actors()]


def _rate_of_steps(steps: NDArray[np.float64]) -> float:
    """Estimate frames a second from the steps between the samples of one actor, of which there is at least one."""
    middle = np.median(steps)
    regular = steps[(steps > 0.5 * middle) & (steps < 1.5 * middle)]  # without gaps
    rate = float(1 / regular.mean())
    usual = min(_RATES, key=lambda other: abs(other - rate))
    if abs(usual - rate) < _SAME_RATE * usual:
        return float(usual)
    irregular = regular.std() > _REGULAR * regular.mean()
    return float(np.clip(round(rate) if irregular else rate, _MIN_FPS, _MAX_FPS))


class TimedTake(NamedTuple):
    """A take at the times of a scene.

    Attributes:
        take: The samples on whole frames, see `to_frames`. After `_replace` of one actor, the other fields still describe the whole take.
        fps: Frames a second.
        end_s: Time of the last frame.
        footage_frame: The frame of the footage that belongs to time 0.
        footage_fps: Frames a second of the footage; their mean where they vary.
    """

    take: Take
    fps: float
    end_s: float
    footage_frame: int
    footage_fps: float


def on_frames(take: Take, fps: float | None = None) -> TimedTake:
    """Move a take to the frames of a scene.

    Args:
        take: The performance.
        fps: Frames a second of the scene. None: those of the take.

    Raises:
        ValueError: As in `to_frames`.
    """
    rate = frame_rate(take)
    footage_fps = rate if take.footage.fps is None else take.footage.fps
    start_s = float(take.time_s.min()) if len(take) else 0.0
    moved = to_frames(take, fps or rate)
    end_s = float(moved.time_s.max()) if len(take) else 0.0
    return TimedTake(moved, fps or rate, end_s, max(round(start_s * footage_fps), 0), footage_fps)


def _of_fast_parts(take: Take, mean_fps: float) -> float:
    """Return the frames a second of the fastest parts of a take, or the mean rate where it does not vary."""
    steps = _steps_of_actors(take)
    if not any(map(len, steps)):
        return mean_fps
    short_s = _SHORT_STEP * min(1 / mean_fps, float(np.concatenate(steps).mean()))
    runs = [sliding_window_view(part, _RUN) for part in steps if len(part) >= _RUN]
    fast_s = np.concatenate([np.zeros(0), *(run[(run < short_s).all(axis=1)].mean(axis=1) for run in runs)])
    if not len(fast_s):
        return mean_fps
    fps = 1 / float(fast_s[fast_s <= _SAME_STEP * fast_s.min()].mean())  # the mean, because time stamps are rounded
    usual = min(_RATES, key=lambda other: abs(other - fps))
    fps = usual if abs(usual - fps) < _NEAR_USUAL * usual else round(fps)
    return max(mean_fps, min(float(fps), _MAX_VARIABLE_FPS))


def to_frames(take: Take, fps: float) -> Take:
    """Move every actor's samples to whole frames, which are counted from the first sample of the take.

    Args:
        take: The performance.
        fps: Frames a second.

    Returns:
        A take with the samples at `frame / fps` seconds from its start on, sorted by actor and time. Its footage states `fps`. Values
        between two samples are interpolated; a sample on a frame keeps its values. Where an actor is away for longer than
        MAX_BRIDGED_GAP_S and three of its steps there are no samples.

    Raises:
        ValueError: An actor has two samples at one time, or there would be too many frames.
    """
    footage = replace(take.footage, fps=fps)
    if not len(take):
        return replace(take, footage=footage)
    start_s = take.time_s.min()
    parts = [_actor_to_frames(take[take.actor == actor], start_s, fps) for actor in take.actors()]
    return replace(Take.concatenate(parts), footage=footage)


def gap_limit_s(time_s: NDArray[np.floating]) -> float:
    """Return how long an actor with samples at these times (K,) may be unseen without being away, in seconds."""
    steps = np.diff(time_s)
    return max(MAX_BRIDGED_GAP_S, 3 * float(np.median(steps))) if len(steps) else MAX_BRIDGED_GAP_S


def _actor_to_frames(performance: Take, start_s: float, fps: float) -> Take:
    """The samples of one actor at whole frames."""
    performance = performance[np.argsort(performance.time_s, kind="stable")]
    steps = np.diff(performance.time_s)
    if (steps <= 0).any():
        repeated_s = performance.time_s[1:][steps <= 0][0]
        raise ValueError(f"actor {performance.actor[0]} has two samples at {repeated_s:g} s (expected one at each time)")
    place = (performance.time_s - start_s) * fps  # (K,) in frames
    frames = _frames_of(place, gap_limit_s(performance.time_s) * fps)
    after = np.searchsorted(place, frames).clip(1, max(len(place) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(place) - 1)
    width = np.maximum(place[after] - place[before], 1e-12)
    share = ((frames - place[before]) / width).clip(0, 1)
    share = np.where(np.abs(frames - place[before]) < _ON_FRAME, 0, share)
    share = np.where(np.abs(frames - place[after]) < _ON_FRAME, 1, share)[:, None].astype(np.float32)
    rotation = performance.rotation
    # Neighbors are near each other, so the straight line between quaternions is the arc.
    sign = np.where((rotation[before] * rotation[after]).sum(axis=1, keepdims=True) < 0, -1, 1).astype(np.float32)
    mixed = {
        name: (1 - share) * values[before] + share * values[after]
        for name, values in (("coefficients", performance.coefficients), ("translation", performance.translation))
    }
    return replace(
        performance,
        time_s=frames / fps,
        actor=np.full(len(frames), performance.actor[0], np.int32),
        rotation=(1 - share) * rotation[before] + share * sign * rotation[after],
        **mixed,
    )


def _frames_of(place: NDArray[np.float64], max_gap: float) -> NDArray[np.int64]:
    """The whole frames (F,) between samples at the places (K,) in frames. A piece between two gaps has at least one."""
    gaps = np.flatnonzero(np.diff(place) > max_gap)
    firsts, lasts = place[[0, *(gaps + 1)]], place[[*gaps, -1]]
    if (lasts - firsts).sum() > _MAX_FRAMES:
        raise ValueError(f"{(lasts - firsts).sum():.0f} frames (expected at most {_MAX_FRAMES}); give a smaller --fps")
    pieces = []
    for first, last in zip(firsts, lasts, strict=True):
        low, high = np.ceil(first - _ON_FRAME), np.floor(last + _ON_FRAME)
        pieces.append(np.arange(low, high + 1) if low <= high else np.array([np.round(first)]))
    return np.unique(np.concatenate(pieces)).astype(np.int64)
