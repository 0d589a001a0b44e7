"""The CSV files that the Live Link Face app records.

A CSV file and a UDP packet order the values differently: the app writes JawRight before JawLeft and MouthRight before
MouthLeft into its CSV. So columns are found by name, never by position.

Letters: R rows with a face, U columns that are used.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.io.files import atomic_write, check_file, decode_recording
from retarget.performance.livelink import (
    ANGLE_NAMES,
    DEFAULT_DISTANCE_M,
    FRAMES_PER_SECOND,
    PACKET_NAMES,
    SECONDS_PER_DAY,
    angles_to_quaternion,
    take_to_values,
)
from retarget.performance.take import Take

_log = logging.getLogger(__name__)
_SWAPPED = {"JawLeft": "JawRight", "MouthLeft": "MouthRight"}
_SWAPPED |= {right: left for left, right in _SWAPPED.items()}
CSV_NAMES = tuple(_SWAPPED.get(name, name) for name in PACKET_NAMES)
"""The 61 value columns of a CSV file in the app's order."""

_POSSIBLE_RATES = (60, 50, 48, 30, 25, 24, 100, 120, 240)  # frames a second; of rates that fit equally, the first is used
_MAX_ROWS_PER_SECOND = 61.0  # a phone tracks 60 times a second; steps of half a frame mean time codes of 30


class _Columns(NamedTuple):
    """Where the columns of a CSV file are. names: ARKit's name of each column or None; angles: lower-case angle name
    to column; used: the columns to read; time: the time code; face_flag: BlendShapeCount, 0 in rows without a face."""

    names: list[str | None]
    angles: dict[str, int]
    used: list[int]
    time: int
    time_name: str
    face_flag: int


class _Table(NamedTuple):
    """values: (R, U) the used columns. time_codes: (R, 4) hours, minutes, seconds, frames (NaN: plain seconds)."""

    values: NDArray[np.float64]
    time_codes: NDArray[np.float64]


def write_csv(take: Take, path: str | os.PathLike[str]) -> None:
    """Write one person's take as the app would record it.

    Args:
        take: Samples of a single actor, in any order.
        path: The file. Times become time codes with 60 frames a second and thousandths of a frame. Hours are those of a day.

    Raises:
        ValueError: The take has several actors.
    """
    if len(take.actors()) > 1:
        raise ValueError(f"{path}: a Live Link CSV holds one person, got {len(take.actors())}")
    take = take[np.argsort(take.time_s, kind="stable")]
    text = io.StringIO()
    text.write(f"Timecode,BlendShapeCount,{','.join(CSV_NAMES)}\n")
    values = take_to_values(take)[:, [PACKET_NAMES.index(name) for name in CSV_NAMES]]
    for time_s, row in zip(take.time_s - min(0.0, take.time_s.min(initial=0)), values.tolist(), strict=True):
        text.write(f"{_time_code(time_s)},{len(CSV_NAMES)},{','.join(f'{value:.8f}' for value in row)}\n")
    atomic_write(path, text.getvalue().encode())


def read_csv(path: str | os.PathLike[str], actor: int = 0, code_rate: float | None = None) -> Take:
    """Read one person's recording.

    Args:
        path: A CSV file with a time column and columns that bear ARKit's names in any order and spelling, separated
            by commas, semicolons or tabs.
        actor: The actor of all samples.
        code_rate: Frames a second of the time codes. None: it is found from the steps between rows.

    Returns:
        The take, DEFAULT_DISTANCE_M in front of the camera. Rows without a face (BlendShapeCount 0) and rows whose
        time does not increase are dropped. So is the last row of a recording that was cut off in it, with a warning.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is something else, or a row cannot be read. The message is one line.
    """
    check_file(path, "a Live Link Face CSV")
    try:
        text = decode_recording(Path(path).read_bytes())
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV that can be read ({error})") from None
    columns = _find_columns(path, [name.strip() for name in rows[0]] if rows else [])
    table = _read_table(path, rows[1:], columns, may_be_cut_off=not text.endswith(("\n", "\r")))
    index = {column: k for k, column in enumerate(columns.used)}
    count = len(table.values)
    coefficients = np.zeros((count, len(ARKIT_NAMES)))
    for number, name in enumerate(ARKIT_NAMES):
        same = [index[k] for k, other in enumerate(columns.names) if other == name]
        coefficients[:, number] = table.values[:, same].mean(axis=1) if same else 0
    head = np.zeros((count, 3))
    for number, name in enumerate(ANGLE_NAMES[:3]):
        if name.lower() in columns.angles:
            head[:, number] = table.values[:, index[columns.angles[name.lower()]]]
    time_s = codes_to_seconds(table.time_codes, may_count_frames=columns.time_name == "timecode", rate=code_rate)
    increases = time_s > np.maximum.accumulate(np.concatenate([[-np.inf], time_s[:-1]]))
    take = Take(
        time_s=time_s,
        actor=np.full(count, actor, np.int32),
        coefficients=coefficients.clip(0, 1).astype(np.float32),
        rotation=angles_to_quaternion(head).astype(np.float32),
        translation=np.tile(np.array([0.0, 0.0, -DEFAULT_DISTANCE_M], np.float32), (count, 1)),
    )
    return take[increases]


def _find_columns(path: str | os.PathLike[str], header: list[str]) -> _Columns:
    names = [canonical_name(name) for name in header]
    time = next((k for k, name in enumerate(header) if name.lower() in ("timecode", "time_s")), None)
    if time is None or not any(names):
        raise ValueError(f"{path}: not a Live Link Face CSV (expected the columns Timecode, EyeBlinkLeft, JawOpen …)")
    angles = {name.lower(): k for k, name in enumerate(header) if name in ANGLE_NAMES}
    used = [k for k, name in enumerate(names) if name] + list(angles.values())
    face_flag = next((k for k, name in enumerate(header) if name.lower() == "blendshapecount"), len(header))
    return _Columns(names, angles, used, time, header[time].lower(), face_flag)


def _read_table(
    path: str | os.PathLike[str], rows: list[list[str]], columns: _Columns, may_be_cut_off: bool
) -> _Table:
    """The numbers of all rows. Empty rows and rows without a face are dropped. may_be_cut_off: no line break ends the last row."""
    table: list[list[float]] = []
    codes: list[list[float]] = []
    for number, row in enumerate(rows):
        has_no_face = len(row) > columns.face_flag and row[columns.face_flag].strip() == "0"
        if not any(map(str.strip, row)) or has_no_face:
            continue
        try:
            values = [float(row[k].replace(",", ".")) for k in columns.used]
            parts = [float(part) for part in re.split("[:;]", row[columns.time].replace(",", "."))]
        except (ValueError, IndexError):
            values, parts = [], []
        parts = [0, 0, parts[0], np.nan] if len(parts) == 1 else parts
        is_valid = len(parts) == 4 and all(abs(part) < 1e9 for part in parts[:3]) and not np.isinf(parts[3])
        if not is_valid or not np.isfinite(values).all():
            if may_be_cut_off and number == len(rows) - 1 and table:
                _log.warning("%s: the file ends early: its last row (%d) is incomplete and was left out", path, number + 2)
                break
            raise ValueError(
                f"{path}: row {number + 2} cannot be read (expected a time code such as 00:00:01:30.000 and numbers)"
            )
        table.append(values)
        codes.append(parts)
    values_array = np.array(table, np.float64).reshape(-1, len(columns.used))
    return _Table(values_array, np.array(codes, np.float64).reshape(-1, 4))


def _time_code(time_s: float) -> str:
    """Format a time as HH:MM:SS:FF.fff with thousandths of a frame. After 24 hours it begins again."""
    seconds, part = divmod(round(time_s * FRAMES_PER_SECOND * 1000), FRAMES_PER_SECOND * 1000)
    minutes, hours = seconds // 60, seconds // 3600
    return f"{hours % 24:02d}:{minutes % 60:02d}:{seconds % 60:02d}:{part // 1000:02d}.{part % 1000:03d}"


def codes_to_seconds(codes: NDArray[np.float64], may_count_frames: bool, rate: float | None = None) -> NDArray[np.float64]:
    """Convert time codes to seconds.

    Args:
        codes: (R, 4) hours, minutes, seconds and frames. NaN frames: the seconds are plain numbers.
        may_count_frames: Plain numbers 1, 2, 3 … are frames at 60 a second, not seconds.
        rate: Frames a second of the codes. None: see `_code_rate`.

    Returns:
        (R,) seconds. Midnight does not turn the time back.
    """
    whole: NDArray[np.float64] = codes[:, 0] * 3600 + codes[:, 1] * 60 + codes[:, 2]
    if not len(codes) or np.isnan(codes[:, 3]).any():
        is_count = may_count_frames and len(codes) > 2 and (np.diff(whole) == 1).all()
        return whole / (rate or FRAMES_PER_SECOND) if is_count else whole
    whole = whole + SECONDS_PER_DAY * np.concatenate([[0], np.cumsum(np.diff(whole) < -SECONDS_PER_DAY / 2)])
    return whole + codes[:, 3] / (rate or _code_rate(whole, codes[:, 3]))


def _code_rate(whole: NDArray[np.float64], frames: NDArray[np.float64]) -> float:
    """Find how many frames a second time codes have, from whole seconds (R,) and frames (R,). The file does not state it.

    The rate with the most even steps is used. Within one second all rates are equally even. Then it is the first of
    `_POSSIBLE_RATES` at which a phone can make rows so fast: 60, unless the steps are shorter than a frame.
    """
    found: list[tuple[float, float, float]] = []  # unevenness, rows a second, rate
    for rate in _POSSIBLE_RATES:
        steps = np.diff(whole + frames / rate)
        steps = steps[steps > 0]
        if len(steps) and frames.max() < rate:
            found.append((float(np.std(steps) / np.mean(steps)), float(1 / np.median(steps)), float(rate)))
    least = min((unevenness for unevenness, _, _ in found), default=0.0)
    even = [(speed, rate) for unevenness, speed, rate in found if unevenness <= least + 1e-3]
    possible = [rate for speed, rate in even if speed <= _MAX_ROWS_PER_SECOND]
    return (possible or [rate for _, rate in even] or [float(FRAMES_PER_SECOND)])[0]
