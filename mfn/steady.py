"""Who is who and calm values, one frame after another: what a live picture needs, where the future is not known.

Letters: n faces of this frame, T people known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.faces import Faces
from mfn.nms import overlaps
from retarget.nodes import matrix_to_quaternion, quaternion_to_matrix

PATIENCE_S = 0.6  # how long a person may be hidden and is still the same
_OVERLAP = 0.3


class Steady:
    """Call it with each frame's faces and time: the same faces with `track` set, filtered by One Euro (Casiez et al.,
    CHI 2012): expression, place and size each for themselves, the rotation on the sphere."""

    def __init__(self, cutoff_hz: float = 1.5, speed: float = 12.0) -> None:
        """cutoff_hz: of a still face; speed: how much it rises with motion, for values of about one unit."""
        self.cutoff_hz, self.speed = cutoff_hz, speed
        self._track, self._next = np.zeros(0, np.int64), 0
        self._time_s, self._box = np.zeros(0), np.zeros((0, 4), np.float32)
        self._values, self._slopes = np.zeros((0, 0)), np.zeros((0, 0))  # (T, C) filtered; units a second
        self._rotation, self._spin = np.zeros((0, 3, 3)), np.zeros((0, 3))

    def __call__(self, faces: Faces, time_s: float) -> Faces:
        """faces: of one frame; time_s: rises from call to call."""
        self._forget(time_s)
        place, known = self._match(faces)
        self._admit(faces, place, known, time_s)
        step = np.maximum(time_s - self._time_s[place], 1e-4)[:, None]
        size = (faces.box[:, 3] - faces.box[:, 1]).clip(1)[:, None]
        values, unit = _to_values(faces), np.ones((1, faces.expression.shape[1] + 3)) + np.zeros((len(faces), 1))
        unit[:, -3:-1] = size
        slope = self._slopes[place]
        change = values - self._values[place]
        slope = slope + _gain(1.0, step) * (change / step / unit - slope)
        values = self._values[place] + _gain(self.cutoff_hz + self.speed * np.abs(slope), step) * change
        rotation, spin = self._turn(faces.rotation, place, step)
        self._values[place], self._slopes[place] = values, slope
        self._rotation[place], self._spin[place] = rotation, spin
        self._time_s[place], self._box[place] = time_s, faces.box
        return _from_values(faces, values).replace(rotation=rotation, track=self._track[place])

    def _turn(
        self, rotation: NDArray[np.float32], place: NDArray[np.int64], step: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Filtered rotations (n, 3, 3) and their speeds (n, 3) in radians a second."""
        before = self._rotation[place]
        way = _rotation_vector(before.transpose(0, 2, 1) @ rotation)
        spin = self._spin[place] + _gain(1.0, step) * (way / step - self._spin[place])
        pace = np.linalg.norm(spin, axis=1, keepdims=True)
        return before @ _rotation(way * _gain(self.cutoff_hz + self.speed * pace, step)), spin

    def _match(self, faces: Faces) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """(n,) which of the people known each face is, the best overlap first; (n,) whether it is one of them."""
        place = np.full(len(faces), -1)
        overlap = overlaps(faces.box, self._box)
        while overlap.size and overlap.max() > _OVERLAP:
            row, person = np.unravel_index(overlap.argmax(), overlap.shape)
            place[row] = person
            overlap[row], overlap[:, person] = 0, 0
        return place, place >= 0

    def _admit(self, faces: Faces, place: NDArray[np.int64], known: NDArray[np.bool_], time_s: float) -> None:
        """Newcomers get a row of the state, which begins as they are."""
        new = faces[~known]
        place[~known] = len(self._track) + np.arange(len(new))
        values = _to_values(new)
        if not len(self._values):
            self._values, self._slopes = np.zeros_like(values[:0]), np.zeros_like(values[:0])
        self._values = np.concatenate([self._values, values])
        self._slopes = np.concatenate([self._slopes, np.zeros_like(values)])
        self._rotation = np.concatenate([self._rotation, new.rotation])
        self._spin = np.concatenate([self._spin, np.zeros((len(new), 3))])
        self._track = np.concatenate([self._track, self._next + np.arange(len(new))])
        self._next += len(new)
        self._time_s = np.concatenate([self._time_s, np.full(len(new), time_s)])
        self._box = np.concatenate([self._box, new.box])

    def _forget(self, time_s: float) -> None:
        """People unseen for too long leave."""
        stay = time_s - self._time_s <= PATIENCE_S
        self._track, self._time_s, self._box = self._track[stay], self._time_s[stay], self._box[stay]
        self._rotation, self._spin = self._rotation[stay], self._spin[stay]
        self._values, self._slopes = self._values[stay], self._slopes[stay]


def _to_values(faces: Faces) -> NDArray[np.float64]:
    """(n, 51 + 3): expression, center, log of the scale."""
    log_scale = np.log(faces.scale.clip(1e-6))[:, None]
    return np.concatenate([faces.expression, faces.center, log_scale], 1).astype(np.float64)


def _from_values(faces: Faces, values: NDArray[np.float64]) -> Faces:
    expression = values[:, :-3].clip(0, 1)
    return faces.replace(expression=expression, center=values[:, -3:-1], scale=np.exp(values[:, -1]))


def _gain(cutoff_hz: NDArray[np.float64] | float, step_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a first-order low-pass filter."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))


def _rotation_vector(rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, 3, 3) -> axis times angle (n, 3)."""
    q = matrix_to_quaternion(rotation)
    sine = np.linalg.norm(q[:, :3], axis=1, keepdims=True)
    return q[:, :3] * np.where(sine > 1e-9, 2 * np.arctan2(sine, q[:, 3:]) / np.maximum(sine, 1e-9), 2.0)


def _rotation(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Axis times angle (n, 3) -> (n, 3, 3)."""
    angle = np.linalg.norm(vector, axis=1, keepdims=True)
    axis = vector * np.where(angle > 1e-9, np.sin(angle / 2) / np.maximum(angle, 1e-9), 0.5)
    return quaternion_to_matrix(np.concatenate([axis, np.cos(angle / 2)], 1))
