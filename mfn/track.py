"""Who is who along a clip, and smoothing in time. A first version: boxes that overlap in frames are one person.

Letters: F frames, N faces of all frames together, T tracks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfn.faces import Faces
from mfn.nms import overlaps

PATIENCE_S = 0.6  # how long a person may be hidden
LEAST_S = 0.25  # shorter appearances are taken for mistakes


def track_faces(faces: Faces, time_s: NDArray, iou: float = 0.3) -> Faces:
    """The same faces with `track` set: greedily, the best overlap first, with each person's last box.

    faces: N rows whose `image` is the frame; time_s: (F,) of the frames. Rows are ordered by frame in the result.
    """
    faces = faces[np.argsort(faces.image, kind="stable")]
    track = np.full(len(faces), -1, np.int32)
    last_box, last_time = np.zeros((0, 4), np.float32), np.zeros(0)
    for frame in np.unique(faces.image):
        rows = np.flatnonzero(faces.image == frame)
        now = time_s[frame]
        overlap = overlaps(faces.box[rows], last_box) * (now - last_time <= PATIENCE_S)  # (n, T)
        while overlap.size and overlap.max() > iou:
            row, person = np.unravel_index(overlap.argmax(), overlap.shape)
            track[rows[row]] = person
            overlap[row], overlap[:, person] = 0, 0
        new = rows[track[rows] < 0]
        track[new] = len(last_box) + np.arange(len(new))
        last_box = np.concatenate([last_box, faces.box[new]])
        last_time = np.concatenate([last_time, np.full(len(new), now)])
        last_box[track[rows]], last_time[track[rows]] = faces.box[rows], now
    return faces.replace(track=track)


def drop_short(faces: Faces, time_s: NDArray, least_s: float = LEAST_S) -> Faces:
    """Without the tracks that last less than `least_s`, the others renumbered from 0 in the order they appear."""
    if not len(faces):
        return faces
    names, which = np.unique(faces.track, return_inverse=True)
    first, last = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    np.minimum.at(first, which, time_s[faces.image])
    np.maximum.at(last, which, time_s[faces.image])
    lasting = last - first >= min(least_s, float(np.ptp(time_s)) * 0.5)
    number = np.full(len(names), -1)
    order = np.flatnonzero(lasting)[np.argsort(first[lasting], kind="stable")]
    number[order] = np.arange(len(order))
    return faces.replace(track=number[which])[lasting[which]]


def smooth_faces(faces: Faces, time_s: NDArray, cutoff_hz: float = 1.5, speed: float = 12.0) -> Faces:
    """One Euro filter (Casiez et al., CHI 2012) along each track: calms a still face, hardly delays a fast one.

    Expression, position, size and rotation (its first two rows, made orthonormal again); cutoff_hz: of a still face;
    speed: how much the cutoff rises with motion, for values of about one unit.
    """
    from mfn.decode import rotation_from_rows

    if not len(faces):
        return faces
    size = (faces.box[:, 3] - faces.box[:, 1]).clip(1)[:, None]
    log_scale = np.log(faces.scale.clip(1e-6))[:, None]
    rows = faces.rotation[:, :2].reshape(-1, 6)
    values = np.concatenate([faces.expression, faces.center, log_scale, rows], 1).astype(np.float64)
    unit = np.concatenate([np.ones_like(faces.expression), size, size, np.ones_like(log_scale), np.ones_like(rows)], 1)
    for person in np.unique(faces.track):
        mine = np.flatnonzero(faces.track == person)
        mine = mine[np.argsort(faces.image[mine], kind="stable")]
        values[mine] = _one_euro(values[mine], unit[mine].mean(0), time_s[faces.image[mine]], cutoff_hz, speed)
    k = faces.expression.shape[1]
    return faces.replace(
        expression=values[:, :k].clip(0, 1),
        center=values[:, k : k + 2],
        scale=np.exp(values[:, k + 2]),
        rotation=rotation_from_rows(values[:, k + 3 :], np),
    )


def _one_euro(values: NDArray, unit: NDArray, time_s: NDArray, cutoff_hz: float, speed: float) -> NDArray:
    """Along the first axis: values (F, C), unit (C,) what counts as one, time_s (F,)."""
    out = values.copy()
    slope = np.zeros_like(values[0])
    for i in range(1, len(values)):
        step = max(float(time_s[i] - time_s[i - 1]), 1e-4)
        slope += _gain(1.0, step) * ((values[i] - out[i - 1]) / step / unit - slope)
        out[i] = out[i - 1] + _gain(cutoff_hz + speed * np.abs(slope), step) * (values[i] - out[i - 1])
    return out


def _gain(cutoff_hz: NDArray | float, step_s: float) -> NDArray | float:
    """Of a first-order low-pass filter."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))
