"""Interpret one frame of a JSON performance: its time, its faces, their coefficients and their pose.

A frame holds one face or several ("faces", "face_blendshapes"). A face holds coefficients by name
(`{"jawOpen": 0.4}`), as MediaPipe's categories, or as a list whose names stand at the top of the file. Names may be
spelled in every way that `arkit.canonical_name` knows. Other names (`_neutral`) are ignored. Where a file gives two
halves of one shape, their mean is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.geometry.rotations import matrix_to_quaternion, nearest_rotation
from retarget.geometry.weak_perspective import default_focal_px, place_heads
from retarget.performance.livelink_csv import codes_to_seconds, is_drop_frame_code

Json = dict[str, Any]

_COLUMN = {name: column for column, name in enumerate(ARKIT_NAMES)}
_COEFFICIENT_KEYS = (
    *("coefficients", "blendShapes", "blendshapes", "blend_shapes", "weights", "categories"),
    *("face_blendshapes", "expression"),
)
_FACE_LIST_KEYS = ("faces", "face_blendshapes", "faceBlendshapes")
_UNIT_S_BY_KEY = {"time_s": 1.0, "timestamp_ms": 1e-3, "timestampMs": 1e-3, "time_ms": 1e-3, "timeMs": 1e-3}  # the name states it
_TIME_KEYS = ("time", "t", "timestamp")  # seconds, milliseconds or microseconds: decided by the steps
_MAX_FRAME_STEP_S = 4.0
_TIME_CODE = re.compile(r"\d{1,8}[:;]\d\d?[:;]\d\d?([.,]\d+|[:;]\d{1,4}([.,]\d+)?)?", re.ASCII)
_PERSON_KEYS = ("face_id", "faceId", "id", "track")
_MATRIX_KEYS = ("facial_transformation_matrixes", "facialTransformationMatrixes")


class Pose(NamedTuple):
    """A head's pose in the scene. rotation: (4,) x y z w; translation: (3,) meters; None where it is not in the file."""

    rotation: NDArray[np.float64] | None
    translation: NDArray[np.float64] | None


class Person(NamedTuple):
    """The number or name by which a file tells a person from others. key: where it stands, such as "actor" or "id"."""

    key: str
    name: int | str


class _Time(NamedTuple):
    """The time that a frame states.

    Attributes:
        value: Seconds, or a number whose key does not state its unit.
        has_unit: Whether `value` is in seconds.
        code: Hours, minutes, seconds and frames, instead of a value.
        is_drop_frame: Whether the code is of the drop-frame kind.
    """

    value: float = math.nan
    has_unit: bool = True
    code: tuple[float, ...] | None = None
    is_drop_frame: bool = False


def times_s_of(frames: Sequence[Any]) -> list[float | ValueError | None]:
    """Return the time of each frame in seconds, or None where it has none, or an error where its times are something else.

    Args:
        frames: All frames of a file. What is no object has no time. A time is a number, a number as text, a time of day or time code
            (12:30:01.5, 00:00:01:12), or a date and time (2024-05-01T12:00:00.033). Blank text is no time.

    Numbers whose key does not state their unit are in the largest of seconds, milliseconds and microseconds in which the median step
    between frames is below 4 seconds. Time codes are read as those of a CSV file.
    """
    times = [_stated_time(frame) if isinstance(frame, dict) else None for frame in frames]
    stated = [time for time in times if isinstance(time, _Time)]
    steps = np.diff(np.unique([time.value for time in stated if not time.has_unit]))
    step = float(np.median(steps)) if len(steps) else 0.0
    unit_s = 1.0 if step < _MAX_FRAME_STEP_S else 1e-3 if step < _MAX_FRAME_STEP_S * 1e3 else 1e-6
    coded = [time for time in stated if time.code is not None]
    codes = np.array([time.code for time in coded], np.float64).reshape(-1, 4)
    is_drop_frame = all(time.is_drop_frame for time in coded)
    of_codes = iter(codes_to_seconds(codes, may_count_frames=False, is_drop_frame=is_drop_frame).tolist())
    result: list[float | ValueError | None] = []
    for time in times:
        if not isinstance(time, _Time):
            result.append(time)
        elif time.code is not None:
            result.append(next(of_codes))
        else:
            result.append(time.value if time.has_unit else time.value * unit_s)
    return result


def _stated_time(frame: Json) -> _Time | ValueError | None:
    """Return the first time of a frame that can be read, an error if none can, or None if it has none. Numbers go before text."""
    keys = [key for key in (*_UNIT_S_BY_KEY, *_TIME_KEYS) if not isinstance(frame.get(key), str) or frame[key].strip()]
    first_error: ValueError | None = None
    for key in (key for kind in ((int, float), str) for key in keys if isinstance(frame.get(key), kind)):
        try:
            return _read_time(key, frame[key])
        except ValueError as error:
            first_error = first_error or error
    return first_error


def _read_time(key: str, given: Any) -> _Time:
    """Read a time. Raises ValueError if it is none."""
    try:
        number = number_of(float(given) if isinstance(given, str) else given)
        return _Time(number * _UNIT_S_BY_KEY.get(key, 1.0), key in _UNIT_S_BY_KEY)
    except ValueError:
        if not isinstance(given, str):
            raise
    text = given.strip()
    if _TIME_CODE.fullmatch(text):
        parts = [float(part) for part in re.split("[:;]", text.replace(",", "."))]
        return _Time(code=(*parts, 0.0)[:4], is_drop_frame=len(parts) == 4 and is_drop_frame_code(text))
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return _Time((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())
    except (ValueError, OverflowError):
        expected = (
            "expected a number, a time such as 12:30:01.5 or 00:00:01:12, or a date and time such as 2024-05-01T12:00:00.033; "
            'or leave times out and state "fps"'
        )
        raise ValueError(f"{key} is {given[:40]!r} ({expected})") from None


def faces_of(frame: Json) -> list[Json]:
    """Return the faces of a frame, each as an object of its own."""
    for key in _FACE_LIST_KEYS:
        several = frame.get(key)
        if not isinstance(several, list):
            continue
        if several and isinstance(several[0], dict) and _is_category(several[0]):
            return [{**frame, "coefficients": several}]  # the categories of a single face
        faces = [face if isinstance(face, dict) else {"coefficients": face} for face in several]
        if "width" in frame and "height" in frame:
            faces = [{**face, "size": [frame["width"], frame["height"]]} for face in faces]
        matrices: list[Any] = next((frame[name] for name in _MATRIX_KEYS if isinstance(frame.get(name), list)), [])
        return [{**face, "matrix_cm": matrices[k]} if k < len(matrices) else face for k, face in enumerate(faces)]
    return [frame]


def person_of(face: Json, frame: Json) -> Person | None:
    """Return who a face is, or None if the file does not state it.

    Args:
        face: One face of a frame, as `faces_of` returns it.
        frame: The frame. Its own `id` is not that of a person.

    Raises:
        ValueError: The actor is no number that fits 32 bits.
    """
    actor = face.get("actor", frame.get("actor"))
    if actor is not None:
        number = int(number_of(actor))
        if abs(number) >= 1 << 31:
            raise ValueError("an actor's number does not fit 32 bits")
        return Person("actor", number)
    is_listed = not frame.keys() <= face.keys()
    for key in _PERSON_KEYS:
        value = face.get(key) if is_listed or key != "id" else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if (isinstance(value, str) and value) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return Person(key, value)
    return None


def coefficients_of(face: Json, names: list[str] | None) -> NDArray[np.float64] | None:
    """Return the ARKit coefficients of a face.

    Args:
        face: One face of a frame.
        names: The names of the coefficients, where faces are lists of numbers only.

    Returns:
        (52,) values as the file states them, in ARKIT_NAMES order, or None if the face has none of them.
    """
    given: Any = next((face[key] for key in _COEFFICIENT_KEYS if isinstance(face.get(key), (dict, list))), face)
    if isinstance(given, list) and all(isinstance(item, dict) for item in given):
        pairs = [(_category_name(item), _category_score(item)) for item in given]
    elif isinstance(given, list):
        if names is None or len(names) != len(given):
            raise ValueError(f"a face has {len(given)} weights for {len(names or [])} names (expected a name for each)")
        pairs = list(zip(names, given, strict=True))
    else:
        pairs = list(given.items())
    total, count = np.zeros(len(ARKIT_NAMES)), np.zeros(len(ARKIT_NAMES))
    for name, value in pairs:
        known = canonical_name(str(name))
        if known is not None:
            total[_COLUMN[known]] += number_of(value)
            count[_COLUMN[known]] += 1
    return total / np.maximum(count, 1) if count.any() else None


def pose_of(face: Json, focal_px: float | None = None) -> Pose:
    """Return the pose of a face in the axes of `Take`, as far as the file has it.

    Args:
        face: One face of a frame.
        focal_px: Focal length of the camera, px. None: `default_focal_px`. It places faces of a weak-perspective pose.

    MediaPipe's matrices are in centimeters and ARKit's transforms in meters; both already have the axes of `Take`.
    Faces of `mfn detect` have a weak-perspective pose: see `_weak_perspective_pose`.
    """
    for key, unit_m in (("matrix_cm", 0.01), ("transform", 1.0)):
        if key in face:
            given = face[key]
            matrix = _numbers(given["data"] if isinstance(given, dict) else given, 16).reshape(4, 4)
            is_row_major = np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-4)
            matrix = matrix if is_row_major else matrix.T
            return Pose(matrix_to_quaternion(nearest_rotation(matrix)), matrix[:3, 3] * unit_m)
    if {"rotation", "scale", "center", "size"} <= set(face):
        return _weak_perspective_pose(face, focal_px)
    if {"rotation", "scale", "center"} <= set(face) and np.size(face["rotation"]) == 9:
        raise ValueError('expected "width" and "height" of the picture beside "faces", as Faces.to_json(picture) writes them')
    rotation = _numbers(face["rotation"], 4) if "rotation" in face else None
    return Pose(rotation, _numbers(face["translation"], 3) if "translation" in face else None)


def _weak_perspective_pose(face: Json, focal_px: float | None) -> Pose:
    """Place a face that `mfn detect` wrote: scale in px per meter, center in px, rotation to a camera with y down."""
    size, center, scale = _numbers(face["size"], 2), _numbers(face["center"], 2), _numbers(face["scale"], 1)
    focal_px = default_focal_px(*size) if focal_px is None else focal_px
    if not focal_px > 0:
        raise ValueError(f"a picture of {size[0]:g} x {size[1]:g} px")
    rotation = nearest_rotation(_numbers(face["rotation"], 9).reshape(3, 3))
    head = place_heads(rotation, scale[0], center, size, focal_px)
    return Pose(matrix_to_quaternion(head.rotation), head.translation)


def number_of(value: Any) -> float:
    """Return a JSON value as a float. Raises ValueError if it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]!r} is no finite number")
    return float(value)


def _numbers(values: Any, count: int) -> NDArray[np.float64]:
    flat = np.array(values, np.float64).ravel()
    if flat.shape != (count,) or not (np.abs(flat) < 1e9).all():
        raise ValueError(f"expected {count} finite numbers, got {str(values)[:60]}")
    return flat


def _is_category(item: Json) -> bool:
    """Return whether an item is a coefficient with its name and value, not a face, which may have a name and a score too."""
    has_coefficients = any(isinstance(item.get(key), (dict, list)) for key in _COEFFICIENT_KEYS)
    return bool(_category_name(item)) and _category_score(item) is not None and not has_coefficients


def _category_name(category: Json) -> str:
    return str(next((category[k] for k in ("category_name", "categoryName", "name") if category.get(k)), ""))


def _category_score(category: Json) -> Any:
    return next((category[k] for k in ("score", "value", "weight") if k in category), None)
