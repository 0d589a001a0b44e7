"""Smooth pose, position and expression along each track with One Euro filters (Casiez et al., CHI 2012).

A One Euro filter is a low-pass filter whose cutoff frequency rises with speed: a still face does not tremble, and a
blink is not late. Times are seconds, so the frame rate may vary. All faces of a frame are filtered at once.

Letters: N faces of all frames together, n faces of one frame, C channels, T tracks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from retarget.geometry.rotations import matrix_to_rotation_vector, rotation_vector_to_matrix

CUTOFF_HZ = 0.8
BETA_HZ = 10.0
DERIVATIVE_CUTOFF_HZ = 3.0  # a blink lasts a tenth of a second
NOISE_SPEED = 0.2
MAX_GAP_S = 0.5
# What counts as one unit of motion, for channels of different kinds.
_CENTER_UNIT = 0.5  # of the height of the face's box
_LOG_SCALE_UNIT = 0.5
_ROTATION_UNIT_RAD = 1.0
_MIN_STEP_S = 1e-4

Floats = NDArray[np.float64]


class FilterSettings(NamedTuple):
    """Settings of the One Euro filters. A speed is in units per second; one unit is a whole expression weight."""

    cutoff_hz: float = CUTOFF_HZ  # of a still face
    beta_hz: float = BETA_HZ  # rise of the cutoff with each unit per second
    noise_speed: float = NOISE_SPEED  # speed that noise alone causes; slower motion counts as still


class Signals(NamedTuple):
    """Channels of N faces: the expression, the center (px) and the logarithm of the scale."""

    values: Floats  # (N, C)
    unit: Floats  # (N, C): what counts as one unit of motion


class Filtered(NamedTuple):
    """Filtered channels and rotations of n faces."""

    values: Floats  # (n, C)
    rotation: Floats  # (n, 3, 3)


def smooth_faces(
    faces: Faces, time_s: NDArray[Any], cuts: NDArray[np.bool_] | None = None, settings: FilterSettings | None = None
) -> Faces:
    """Smooth the motion of every track.

    Args:
        faces: N faces of a clip: `image` is the frame, `track` the person. Faces of track -1 stay as they are.
        time_s: (F,) time of each frame, seconds.
        cuts: (F,) True where a new shot begins. The filters start again there.
        settings: Settings of the filters.

    Returns:
        The same faces, ordered by frame, with smoothed expression, center, scale and rotation. Box, identity and score
        are unchanged.
    """
    if not len(faces):
        return faces
    faces = faces[np.argsort(faces.image, kind="stable")]
    tracked = np.flatnonzero(faces.track >= 0)
    names, slot = np.unique(faces.track[tracked], return_inverse=True)
    values, unit = faces_to_signals(faces)
    rotation = faces.rotation.astype(np.float64)
    shot = np.zeros(len(time_s), np.int64) if cuts is None else np.cumsum(cuts)
    state = OneEuro(len(names), values.shape[1], settings)
    last_shot = 0
    starts = np.flatnonzero(np.diff(faces.image[tracked], prepend=-1))
    for group in np.split(np.arange(len(tracked)), starts[1:]) if len(tracked) else []:
        rows, frame = tracked[group], int(faces.image[tracked[group[0]]])
        if shot[frame] != last_shot:  # compared with the last frame that had faces, which may lie further back
            state.reset()
        last_shot = shot[frame]
        filtered = state(slot[group], values[rows], unit[rows], rotation[rows], float(time_s[frame]))
        values[rows], rotation[rows] = filtered
    return signals_to_faces(faces, values, rotation)


class OneEuro:
    """Filters of T people, each with C channels and a rotation."""

    def __init__(self, people: int, channels: int, settings: FilterSettings | None = None) -> None:
        """Start without history.

        Args:
            people: T.
            channels: C.
            settings: Settings of all filters.
        """
        self.settings = settings or FilterSettings()
        self._time_s = np.full(people, -np.inf)
        self._values, self._slope = np.zeros((people, channels)), np.zeros((people, channels))
        self._rotation, self._spin = np.tile(np.eye(3), (people, 1, 1)), np.zeros((people, 3))

    def grow(self, people: int) -> None:
        """Append filters without history, up to `people` in total."""
        more = OneEuro(people - len(self._time_s), self._values.shape[1], self.settings)
        for name in ("_time_s", "_values", "_slope", "_rotation", "_spin"):
            setattr(self, name, np.concatenate([getattr(self, name), getattr(more, name)]))

    def reset(self, slot: NDArray[Any] | slice = slice(None)) -> None:
        """Start the filters of some people, or of all, again with their next values."""
        self._time_s[slot] = -np.inf

    def __call__(self, slot: NDArray[Any], values: Floats, unit: Floats, rotation: Floats, time_s: float) -> Filtered:
        """Filter the faces of one moment.

        Args:
            slot: (n,) which of the T people each row is; nobody twice.
            values: (n, C) channels.
            unit: (n, C) what counts as one unit of motion in each channel.
            rotation: (n, 3, 3) rotation matrices.
            time_s: The time, seconds. It has to rise from call to call.

        Returns:
            The filtered channels and rotations. A person unseen for more than `MAX_GAP_S` starts again.
        """
        step_s = time_s - self._time_s[slot]
        new = ~(step_s <= MAX_GAP_S)
        step_s = np.where(new, 1.0, np.maximum(step_s, _MIN_STEP_S))[:, None]
        last_values, last_rotation = self._values[slot], self._rotation[slot]
        change = np.where(new[:, None], 0.0, values - last_values)
        slope = np.where(new[:, None], 0.0, self._slope[slot])
        slope += low_pass_gain(DERIVATIVE_CUTOFF_HZ, step_s) * (change / step_s / unit - slope)
        smoothed = last_values + low_pass_gain(self._cutoff_hz(np.abs(slope)), step_s) * change
        values = np.where(new[:, None], values, smoothed)
        turn = np.where(new[:, None], 0.0, matrix_to_rotation_vector(last_rotation.transpose(0, 2, 1) @ rotation))
        spin = np.where(new[:, None], 0.0, self._spin[slot])
        spin += low_pass_gain(DERIVATIVE_CUTOFF_HZ, step_s) * (turn / step_s / _ROTATION_UNIT_RAD - spin)
        share = low_pass_gain(self._cutoff_hz(np.linalg.norm(spin, axis=1, keepdims=True)), step_s)
        rotation = np.where(new[:, None, None], rotation, last_rotation @ rotation_vector_to_matrix(turn * share))
        self._time_s[slot], self._values[slot], self._slope[slot] = time_s, values, slope
        self._rotation[slot], self._spin[slot] = rotation, spin
        return Filtered(values, rotation)

    def _cutoff_hz(self, speed: Floats) -> Floats:
        cutoff_hz, beta_hz, noise_speed = self.settings
        return np.asarray(cutoff_hz + beta_hz * np.maximum(speed - noise_speed, 0))


def faces_to_signals(faces: Faces) -> Signals:
    """Convert N faces to channels that can be filtered: C = 51 + 3."""
    log_scale = np.log(faces.scale.clip(1e-6))[:, None]
    values = np.concatenate([faces.expression, faces.center, log_scale], 1).astype(np.float64)
    center_unit = (faces.box[:, 3] - faces.box[:, 1]).clip(1)[:, None] * _CENTER_UNIT
    units = [np.ones_like(faces.expression), center_unit, center_unit, np.full_like(log_scale, _LOG_SCALE_UNIT)]
    return Signals(values, np.concatenate(units, 1).astype(np.float64))


def signals_to_faces(faces: Faces, values: Floats, rotation: Floats) -> Faces:
    """Return the faces with other channels (N, C) and rotations (N, 3, 3). The inverse of `faces_to_signals`."""
    size = faces.expression.shape[1]
    return faces.replace(
        expression=values[:, :size].clip(0, 1),
        center=values[:, size : size + 2],
        scale=np.exp(values[:, size + 2]),
        rotation=rotation,
    )


def low_pass_gain(cutoff_hz: Floats | float, step_s: Floats) -> Floats:
    """Return the share of a step that a first-order low-pass filter follows within `step_s` seconds, 0 to 1."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.maximum(cutoff_hz, 1e-9) * step_s)))
