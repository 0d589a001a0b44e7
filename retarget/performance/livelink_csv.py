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
from retarget.performance.take import Take, unit_weights

_log = logging.getLogger(__name__)
_SWAPPED = {"JawLeft": "JawRight", "MouthLeft": "MouthRight"}
_SWAPPED |= {right: left for left, right in _SWAPPED.items()}
CSV_NAMES = tuple(_SWAPPED.get(name, name) for name in PACKET_NAMES)
"""The 61 value columns of a CSV file in the app's order."""

_POSSIBLE_RATES = (60, 50, 48, 30, 25, 24, 100, 120, 240)  # frames a second; of rates that fit equally, the first is used
_MAX_ROWS_PER_SECOND = 61.0  # a phone tracks 60 times a second; steps of half a frame mean time codes of 30
_NTSC = 1.001  # 29.97 frames a second are 30 / 1.001
_SAME_RATE = 3e-4  # relative difference; 23.976 is also written 23.98
_DROP_FRAME_RATES = (30, 60)
_MIN_RESTART_S = 1.0  # time codes that go back farther, and stay there, begin another recording
_MIN_RESTART_ROWS = 5  # that stay there; fewer are wrong codes
_MAX_MIDNIGHT_STEP_S = 3600.0  # longer steps are no midnight: the clock goes back
_MAX_STEP_S = 2.0  # longer steps are pauses or wrong codes, and say nothing of the rate


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
    """values: (R, U) the used columns. time_codes: (R, 4) hours, minutes, seconds, frames (NaN: plain seconds).
    is_drop_frame: whether all time codes are of the drop-frame kind."""

    values: NDArray[np.float64]
    time_codes: NDArray[np.float64]
    is_drop_frame: bool


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
        The take, DEFAULT_DISTANCE_M in front of the camera. Rows without a face (BlendShapeCount 0) are dropped. With a warning, so
        are rows whose time does not increase, rows that cannot be read, and the last row of a recording that was cut off in it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is something else, half of its rows or more cannot be read, or its times are seconds and `code_rate` is
            given. The message is one line.

    Where time codes jump back by more than a second, another recording begins. It goes on one frame after the last row.
    Weights from 0 to 100 are percents. A warning says so.
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
    count = len(table.values)
    coefficients, head = _weights_and_angles(table, columns)
    may_count_frames = columns.time_name == "timecode"
    try:
        time_s = codes_to_seconds(table.time_codes, may_count_frames, code_rate, table.is_drop_frame)
        weights = unit_weights(coefficients, str(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    time_s = _join_recordings(path, time_s)
    increases = time_s > np.maximum.accumulate(np.concatenate([[-np.inf], time_s[:-1]]))
    if not increases.all():
        _log.warning("%s: %d of %d rows are not later than a row before them and were left out", path, (~increases).sum(), count)
    take = Take(
        time_s=time_s,
        actor=np.full(count, actor, np.int32),
        coefficients=weights.astype(np.float32),
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
    bad: list[int] = []
    is_drop_frame = True
    for number, row in enumerate(rows, 2):
        has_no_face = len(row) > columns.face_flag and row[columns.face_flag].strip() == "0"
        if not any(map(str.strip, row)) or has_no_face:
            continue
        try:
            values, parts = _read_row(row, columns)
        except (ValueError, IndexError):
            if may_be_cut_off and number == len(rows) + 1 and table:
                _log.warning("%s: the file ends early: its last row (%d) is incomplete and was left out", path, number)
            else:
                bad.append(number)
            continue
        table.append(values)
        codes.append(parts)
        is_drop_frame = is_drop_frame and is_drop_frame_code(row[columns.time])
    if bad and len(bad) >= len(table):
        raise ValueError(f"{path}: row {bad[0]} cannot be read (expected a time code such as 00:00:01:30.000 and numbers)")
    if bad:
        rows_of = f"{len(bad)} of {len(bad) + len(table)} rows"
        _log.warning("%s: %s cannot be read and were left out, the first is row %d", path, rows_of, bad[0])
    values_array = np.array(table, np.float64).reshape(-1, len(columns.used))
    return _Table(values_array, np.array(codes, np.float64).reshape(-1, 4), is_drop_frame)


def _weights_and_angles(table: _Table, columns: _Columns) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The coefficients (R, 52) and the angles of the head (R, 3) of all rows; 0 where there is no column for them."""
    index = {column: k for k, column in enumerate(columns.used)}
    coefficients = np.zeros((len(table.values), len(ARKIT_NAMES)))
    for number, name in enumerate(ARKIT_NAMES):
        same = [index[k] for k, other in enumerate(columns.names) if other == name]
        coefficients[:, number] = table.values[:, same].mean(axis=1) if same else 0
    head = np.zeros((len(table.values), 3))
    for number, name in enumerate(ANGLE_NAMES[:3]):
        if name.lower() in columns.angles:
            head[:, number] = table.values[:, index[columns.angles[name.lower()]]]
    return coefficients, head


def _read_row(row: list[str], columns: _Columns) -> tuple[list[float], list[float]]:
    """The values of the used columns, and the four parts of the time code. Raises ValueError or IndexError."""
    values = [float(row[k].replace(",", ".")) for k in columns.used]
    parts = [float(part) for part in re.split("[:;]", row[columns.time].replace(",", "."))]
    parts = [0, 0, parts[0], np.nan] if len(parts) == 1 else parts
    is_valid = len(parts) == 4 and all(abs(part) < 1e9 for part in parts[:3]) and not np.isinf(parts[3])
    if not is_valid or not np.isfinite(values).all():
        raise ValueError
    return values, parts


def _join_recordings(path: str | os.PathLike[str], time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let each recording of a file go on one frame after the one before it. A few rows that are too early begin none."""
    steps = np.diff(time_s)
    starts = [
        row for row in np.flatnonzero(steps < -_MIN_RESTART_S) + 1
        if len(time_s) >= row + _MIN_RESTART_ROWS and time_s[row : row + _MIN_RESTART_ROWS].max() <= time_s[row - 1]
    ]  # fmt: skip
    if not starts:
        return time_s
    _log.warning(
        "%s: its time goes back, first after %.3f s; it is read as %d recordings that follow each other",
        *(path, time_s[starts[0] - 1], len(starts) + 1),
    )
    frame_s = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1 / FRAMES_PER_SECOND
    parts = np.split(time_s, starts)
    for k in range(1, len(parts)):
        parts[k] = parts[k] - parts[k][0] + parts[k - 1].max() + frame_s
    return np.concatenate(parts)


def _time_code(time_s: float) -> str:
    """Format a time as HH:MM:SS:FF.fff with thousandths of a frame. After 24 hours it begins again."""
    seconds, part = divmod(round(time_s * FRAMES_PER_SECOND * 1000), FRAMES_PER_SECOND * 1000)
    minutes, hours = seconds // 60, seconds // 3600
    return f"{hours % 24:02d}:{minutes % 60:02d}:{seconds % 60:02d}:{part // 1000:02d}.{part % 1000:03d}"


def is_drop_frame_code(code: str) -> bool:
    """Return whether a time code is of the drop-frame kind: a semicolon stands before its frames."""
    return code.rfind(";") > code.rfind(":")


def codes_to_seconds(
    codes: NDArray[np.float64], may_count_frames: bool, rate: float | None = None, is_drop_frame: bool = False
) -> NDArray[np.float64]:
    """Convert time codes to seconds.

    Args:
        codes: (R, 4) hours, minutes, seconds and frames. NaN frames: the seconds are plain numbers.
        may_count_frames: Plain numbers 1, 2, 3 … are frames at 60 a second, not seconds.
        rate: Frames a second of the codes. None: see `_code_rate`.
        is_drop_frame: Codes of 30 or 60 frames mean 29.97 or 59.94, and leave out some numbers each minute.

    Returns:
        (R,) seconds. Midnight does not turn the time back.

    Raises:
        ValueError: The times are plain seconds, and `rate` is given.
    """
    whole: NDArray[np.float64] = codes[:, 0] * 3600 + codes[:, 1] * 60 + codes[:, 2]
    if not len(codes) or np.isnan(codes[:, 3]).any():
        is_count = may_count_frames and len(codes) > 2 and (np.diff(whole) == 1).all()
        if rate is not None and len(codes) and not is_count:
            raise ValueError("its times are seconds, not time codes, and need no --code-rate; leave it out")
        return whole / (rate or FRAMES_PER_SECOND) if is_count else whole
    whole = whole + SECONDS_PER_DAY * np.concatenate([[0], np.cumsum(np.diff(whole) < _MAX_MIDNIGHT_STEP_S - SECONDS_PER_DAY)])
    return _code_seconds(whole, codes[:, 3], rate or _code_rate(whole, codes[:, 3], is_drop_frame), is_drop_frame)


def _code_seconds(
    whole: NDArray[np.float64], frames: NDArray[np.float64], rate: float, is_drop_frame: bool
) -> NDArray[np.float64]:
    """Seconds of time codes: whole seconds (R,) and frames (R,).

    At 29.97 a code counts 30 frames a second, so that one second of it takes 1.001 s. Drop-frame codes leave out the first two
    numbers of each minute (59.94: four), but not of each tenth minute, and so keep to the clock (SMPTE 12M).
    """
    nominal = round(rate * _NTSC)
    has_dropped = is_drop_frame and nominal in _DROP_FRAME_RATES
    if not has_dropped and abs(rate * _NTSC - nominal) >= _SAME_RATE * nominal:
        return whole + frames / rate
    count = whole * nominal + frames
    if has_dropped:
        minutes = whole // 60
        count -= nominal // 15 * (minutes - minutes // 10)
    return count * _NTSC / nominal


def _code_rate(whole: NDArray[np.float64], frames: NDArray[np.float64], is_drop_frame: bool) -> float:
    """Find how many frames a second time codes have, from whole seconds (R,) and frames (R,). The file does not state it.

    The rate with the most even steps is used. Within one second all rates are equally even. Then it is the first of
    `_POSSIBLE_RATES` at which a phone can make rows so fast: 60, unless the steps are shorter than a frame.
    """
    found: list[tuple[float, float, float]] = []  # unevenness, rows a second, rate
    for rate in _POSSIBLE_RATES:
        steps = np.diff(_code_seconds(whole, frames, rate, is_drop_frame))
        steps = steps[steps > 0]
        steps = steps[steps < _MAX_STEP_S] if (steps < _MAX_STEP_S).any() else steps
        if len(steps) and frames.max() < rate:
            found.append((float(np.std(steps) / np.mean(steps)), float(1 / np.median(steps)), float(rate)))
    least = min((unevenness for unevenness, _, _ in found), default=0.0)
    even = [(speed, rate) for unevenness, speed, rate in found if unevenness <= least + 1e-3]
    possible = [rate for speed, rate in even if speed <= _MAX_ROWS_PER_SECOND]
    return (possible or [rate for _, rate in even] or [float(FRAMES_PER_SECOND)])[0]
