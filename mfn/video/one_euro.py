"""Calm values along each track: One Euro filters (Casiez et al., CHI 2012) in seconds, for all faces of a frame at once.

A still face is held by a low cutoff; the faster a channel moves, the higher its cutoff, so that a blink comes through.
Letters: N faces of all frames together, n faces of one frame, C channels, T tracks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.faces import Faces
from retarget.geometry.rotations import matrix_to_rotation_vector, rotation_vector_to_matrix

CUTOFF_HZ = 0.8  # of a still face
SPEED = 10.0  # Hz more for each unit a second
SLOPE_HZ = 3.0  # of the speed itself: a blink is over in a tenth of a second
QUIET = 0.2  # units a second that noise alone moves; slower than that counts as still
FORGET_S = 0.5  # somebody unseen for longer begins anew
_PX = 0.5  # a place that moves by this part of the face's height counts as one unit
_LOG_SCALE = 0.5
_ANGLE = 1.0  # radians

Floats = NDArray[np.float64]


class Filter(NamedTuple):
    """cutoff_hz: of a still face; speed: how much it rises with motion; quiet: units a second that are still noise."""

    cutoff_hz: float = CUTOFF_HZ
    speed: float = SPEED
    quiet: float = QUIET


def smooth_faces(
    faces: Faces, time_s: NDArray, cuts: NDArray[np.bool_] | None = None, settings: Filter | None = None
) -> Faces:
    """The same rows, ordered by frame, with calm expression, center, scale and rotation; box, identity, score stay.

    faces: N rows, `image` the frame, `track` whom they belong to (-1: each for itself, left alone); time_s: (F,)
    seconds of the frames; cuts: (F,) whether a new shot begins there, where everybody's filter begins anew.
    """
    if not len(faces):
        return faces
    faces = faces[np.argsort(faces.image, kind="stable")]
    known = np.flatnonzero(faces.track >= 0)
    names, slot = np.unique(faces.track[known], return_inverse=True)
    values, unit = faces_to_signals(faces)
    rotation = faces.rotation.astype(np.float64)
    shot = np.zeros(len(time_s), int) if cuts is None else np.cumsum(cuts)
    state = OneEuro(len(names), values.shape[1], settings or Filter())
    before = 0
    starts = np.flatnonzero(np.diff(faces.image[known], prepend=-1))
    for mine in np.split(np.arange(len(known)), starts[1:]) if len(known) else []:
        rows, frame = known[mine], int(faces.image[known[mine[0]]])
        if shot[frame] != before:  # since the last frame with faces, which may lie further back
            state.forget()
        before = shot[frame]
        values[rows], rotation[rows] = state(slot[mine], values[rows], unit[rows], rotation[rows], float(time_s[frame]))
    return signals_to_faces(faces, values, rotation)


class OneEuro:
    """The filters' state for T people of C channels and a rotation each."""

    def __init__(self, people: int, channels: int, settings: Filter | None = None) -> None:
        self.settings = settings or Filter()
        self._time_s = np.full(people, -np.inf)
        self._values, self._slope = np.zeros((people, channels)), np.zeros((people, channels))
        self._rotation, self._spin = np.tile(np.eye(3), (people, 1, 1)), np.zeros((people, 3))

    def forget(self) -> None:
        """Everybody begins anew with their next values."""
        self._time_s[:] = -np.inf

    def __call__(
        self, slot: NDArray, values: Floats, unit: Floats, rotation: Floats, time_s: float
    ) -> tuple[Floats, Floats]:
        """One moment: slot (n,) which of the T each row is, no one twice; values, unit (n, C), unit being what counts
        as one; rotation (n, 3, 3) -> the same two, filtered."""
        step = time_s - self._time_s[slot]
        new = ~(step <= FORGET_S)
        step = np.where(new, 1.0, np.maximum(step, 1e-4))[:, None]
        before, turned = self._values[slot], self._rotation[slot]
        change = np.where(new[:, None], 0.0, values - before)
        slope = np.where(new[:, None], 0.0, self._slope[slot])
        slope += gain(SLOPE_HZ, step) * (change / step / unit - slope)
        values = np.where(new[:, None], values, before + gain(self._cutoff(np.abs(slope)), step) * change)
        way = np.where(new[:, None], 0.0, matrix_to_rotation_vector(turned.transpose(0, 2, 1) @ rotation))
        spin = np.where(new[:, None], 0.0, self._spin[slot])
        spin += gain(SLOPE_HZ, step) * (way / step / _ANGLE - spin)
        cutoff = self._cutoff(np.linalg.norm(spin, axis=1, keepdims=True))
        rotation = np.where(new[:, None, None], rotation, turned @ rotation_vector_to_matrix(way * gain(cutoff, step)))
        self._time_s[slot], self._values[slot], self._slope[slot] = time_s, values, slope
        self._rotation[slot], self._spin[slot] = rotation, spin
        return values, rotation

    def _cutoff(self, pace: Floats) -> Floats:
        cutoff_hz, speed, quiet = self.settings
        return cutoff_hz + speed * np.maximum(pace - quiet, 0)


def faces_to_signals(faces: Faces) -> tuple[Floats, Floats]:
    """(N, 51 + 3) expression, center, log of the scale; and what counts as one unit of each."""
    log_scale = np.log(faces.scale.clip(1e-6))[:, None]
    values = np.concatenate([faces.expression, faces.center, log_scale], 1).astype(np.float64)
    height = (faces.box[:, 3] - faces.box[:, 1]).clip(1)[:, None] * _PX
    ones = np.ones_like(faces.expression)
    return values, np.concatenate([ones, height, height, np.full_like(log_scale, _LOG_SCALE)], 1).astype(np.float64)


def signals_to_faces(faces: Faces, values: Floats, rotation: Floats) -> Faces:
    """The faces with other values (N, 51 + 3) and rotations."""
    size = faces.expression.shape[1]
    return faces.replace(
        expression=values[:, :size].clip(0, 1),
        center=values[:, size : size + 2],
        scale=np.exp(values[:, size + 2]),
        rotation=rotation,
    )


def gain(cutoff_hz: Floats | float, step_s: Floats) -> Floats:
    """How much of the way a first-order low-pass filter goes in step_s."""
    return 1 / (1 + 1 / (2 * np.pi * np.maximum(cutoff_hz, 1e-9) * step_s))
