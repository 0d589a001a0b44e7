"""Live Link Face: the CSV that Epic's phone app records and the UDP packets that it sends to Unreal.

Both hold the 52 coefficients and nine angles in radians, in two different orders: the app writes JawRight before
JawLeft and MouthRight before MouthLeft into its CSV. Angles of head and eyes: yaw towards the subject's left, pitch
up, roll towards the subject's right shoulder, turned in this order (as an Unreal rotator), seen from the camera. What
travels has no place: a reader puts people a metre before the camera.
"""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import struct
import uuid
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, EYE_TURN_RAD, canonical_name
from retarget.geometry.node_tree import Floats, matrix_to_quaternion, quaternion_to_matrix, rotation_about
from retarget.io.files import atomic_write, check_file, decode_text
from retarget.performance.take import Take

ANGLE_NAMES = (
    *("HeadYaw", "HeadPitch", "HeadRoll"),
    *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
)
PACKET_NAMES = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES) + ANGLE_NAMES
_SWAPPED = {"JawLeft": "JawRight", "MouthLeft": "MouthRight"}
_SWAPPED |= {right: left for left, right in _SWAPPED.items()}
CSV_NAMES = tuple(_SWAPPED.get(name, name) for name in PACKET_NAMES)

PORT = 11111
RATE = 60  # of the time code: the app's own
AWAY_M = 1.0
_VERSION = 6
_DAY_S = 86400
_RATES = (60, 24, 25, 30, 48, 50, 100, 120, 240)


def to_angles(rotation: Floats) -> NDArray[np.float64]:
    """Quaternions (N, 4) x y z w of `Take` -> yaw, pitch, roll (N, 3) in radians."""
    m = quaternion_to_matrix(np.asarray(rotation, np.float64).reshape(-1, 4))
    yaw, pitch = np.arctan2(m[:, 0, 2], m[:, 2, 2]), np.arcsin(np.clip(m[:, 1, 2], -1, 1))
    return np.stack([yaw, pitch, np.arctan2(m[:, 1, 0], m[:, 1, 1])], axis=1)


def from_angles(angles: Floats) -> NDArray[np.float64]:
    """Yaw, pitch, roll (N, 3) in radians -> quaternions (N, 4)."""
    yaw, pitch, roll = np.asarray(angles, np.float64).reshape(-1, 3).T
    return matrix_to_quaternion(rotation_about(1, yaw) @ rotation_about(0, -pitch) @ rotation_about(2, roll))


def to_values(take: Take) -> NDArray[np.float32]:
    """The 61 numbers of each sample (S, 61) in PACKET_NAMES order."""
    value = {name: take.coefficients[:, column] for column, name in enumerate(ARKIT_NAMES)}
    angles = np.zeros((len(take), 9))
    angles[:, :3] = to_angles(take.rotation)
    angles[:, 3] = (value["eyeLookOutLeft"] - value["eyeLookInLeft"]) * EYE_TURN_RAD[0]
    angles[:, 6] = (value["eyeLookInRight"] - value["eyeLookOutRight"]) * EYE_TURN_RAD[0]
    for column, side in ((4, "Left"), (7, "Right")):
        angles[:, column] = (value[f"eyeLookUp{side}"] - value[f"eyeLookDown{side}"]) * EYE_TURN_RAD[1]
    return np.concatenate([take.coefficients, angles], axis=1).astype(np.float32)


def encode_packet(values: Floats, time_s: float, subject: str, device: str) -> bytes:
    """One person's datagram: 61 values in PACKET_NAMES order, big-endian throughout.

    Version (1 byte), device and subject (length and UTF-8 each), frame number, part of a frame, frames a second as a
    fraction, count of values (1 byte), values.
    """
    frame = max(0.0, time_s) % _DAY_S * RATE
    texts = [text.encode()[:255] for text in (device, subject)]
    head = b"".join(struct.pack(">i", len(text)) + text for text in texts)
    clock = struct.pack(">ifii", int(frame), frame - int(frame), RATE, 1)
    return struct.pack(">B", _VERSION) + head + clock + struct.pack(">B61f", 61, *map(float, values))


class LiveLinkSender:
    """Sends moments of a take to Unreal, each person a subject of their own ("mfn 0", "mfn 1" …) on one port."""

    def __init__(self, host: str = "127.0.0.1", port: int = PORT, subject: str = "mfn") -> None:
        self.subject = subject
        self._address, self._socket = open_udp(host, port)

    def send(self, take: Take) -> int:
        """One packet for each sample; how many were sent."""
        for values, time_s, actor in zip(to_values(take), take.time_s, take.actor, strict=True):
            name = f"{self.subject} {actor}"
            device = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))  # the same person is the same device, always
            self._socket.sendto(encode_packet(values, float(time_s), name, device), self._address)
        return len(take)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def open_udp(host: str, port: int) -> tuple[tuple[str, int], socket.socket]:
    """A socket to send datagrams, and the address with the host looked up once."""
    if not 1 <= port <= 65535:
        raise ValueError(f"port {port}: expected 1 to 65535")
    try:
        found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError):
        raise ValueError(f"{host[:80]}: no such host (expected a name or an address such as 192.168.1.20)") from None
    return (str(found[0][4][0]), port), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def write_csv(take: Take, path: str | os.PathLike[str]) -> None:
    """One person's take as the app would record it; its true times become time codes of 60 frames a second with
    thousandths."""
    if len(take.actors()) > 1:
        raise ValueError(f"{path}: a Live Link CSV holds one person, got {len(take.actors())}")
    take = take[np.argsort(take.time_s, kind="stable")]
    text = io.StringIO()
    text.write(f"Timecode,BlendShapeCount,{','.join(CSV_NAMES)}\n")
    values = to_values(take)[:, [PACKET_NAMES.index(name) for name in CSV_NAMES]]
    for time_s, row in zip(take.time_s - min(0.0, take.time_s.min(initial=0)), values.tolist(), strict=True):
        text.write(f"{_time_code(time_s)},{len(CSV_NAMES)},{','.join(f'{value:.8f}' for value in row)}\n")
    atomic_write(path, text.getvalue().encode())


def read_csv(path: str | os.PathLike[str], actor: int = 0) -> Take:
    """A recording of the app, or anything with a time code and columns that bear ARKit's names in any order and
    spelling, between commas, semicolons or tabs. Rows without a face (BlendShapeCount 0) and such whose time does not
    go on are left out."""
    check_file(path, "a Live Link Face CSV")
    try:
        text = decode_text(Path(path).read_bytes())
        between = max(",;\t", key=text.partition("\n")[0].count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=between))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV that can be read ({error})") from None
    header = [name.strip() for name in rows[0]] if rows else []
    names = [canonical_name(name) for name in header]
    clock = next((k for k, name in enumerate(header) if name.lower() in ("timecode", "time_s")), None)
    if clock is None or not any(names):
        raise ValueError(f"{path}: not a Live Link Face CSV (expected the columns Timecode, EyeBlinkLeft, JawOpen …)")
    angles = {name.lower(): k for k, name in enumerate(header) if name in ANGLE_NAMES}
    used = [k for k, name in enumerate(names) if name] + list(angles.values())
    counted = next((k for k, name in enumerate(header) if name.lower() == "blendshapecount"), len(header))
    table, codes = _table(path, rows[1:], used, clock, counted)
    column = {k: place for place, k in enumerate(used)}
    coefficients = np.zeros((len(table), len(ARKIT_NAMES)))
    for number, name in enumerate(ARKIT_NAMES):
        same = [column[k] for k, other in enumerate(names) if other == name]
        coefficients[:, number] = table[:, same].mean(axis=1) if same else 0
    head = np.zeros((len(table), 3))
    for number, name in enumerate(ANGLE_NAMES[:3]):
        if name.lower() in angles:
            head[:, number] = table[:, column[angles[name.lower()]]]
    time_s = _seconds(codes, of_frames=header[clock].lower() == "timecode")
    goes_on = time_s > np.maximum.accumulate(np.concatenate([[-np.inf], time_s[:-1]]))
    place = np.tile([0.0, 0.0, -AWAY_M], (len(table), 1))
    who = np.full(len(table), actor)
    return Take(time_s, who, coefficients.clip(0, 1), from_angles(head), place)[goes_on]  # type: ignore[arg-type]


def _table(
    path: str | os.PathLike[str], rows: list[list[str]], used: list[int], clock: int, counted: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns `used` (R, U) as numbers and the time codes (R, 4): hours, minutes, seconds, frames. Left out are rows
    whose column `counted` says that there is nothing, and empty ones."""
    table, codes = [], []
    for number, row in enumerate(rows):
        if not any(map(str.strip, row)) or (len(row) > counted and row[counted].strip() == "0"):
            continue
        try:
            values = [float(row[k].replace(",", ".")) for k in used]
            parts = [float(part) for part in re.split("[:;]", row[clock].replace(",", "."))]
        except (ValueError, IndexError):
            values, parts = [], []
        parts = [0, 0, parts[0], np.nan] if len(parts) == 1 else parts
        sane = len(parts) == 4 and all(abs(part) < 1e9 for part in parts[:3]) and not np.isinf(parts[3])
        if not sane or not np.isfinite(values).all():
            raise ValueError(
                f"{path}: row {number + 2} cannot be read (expected a time code such as 00:00:01:30.000 and numbers)"
            )
        table.append(values)
        codes.append(parts)
    return np.array(table, np.float64).reshape(-1, len(used)), np.array(codes, np.float64).reshape(-1, 4)


def _time_code(time_s: float) -> str:
    seconds, part = divmod(round(time_s * RATE * 1000), RATE * 1000)
    minutes, hours = seconds // 60, seconds // 3600
    return f"{hours:02d}:{minutes % 60:02d}:{seconds % 60:02d}:{part // 1000:02d}.{part % 1000:03d}"


def _seconds(codes: NDArray[np.float64], of_frames: bool) -> NDArray[np.float64]:
    """Time codes (R, 4) -> (R,) seconds. How many frames make a second is not in the file: the rate that makes the
    steps most even. Midnight does not turn back time. NaN frames: the seconds are plain numbers; of_frames: or count
    frames, if they are 1, 2, 3 and so on."""
    whole = codes[:, 0] * 3600 + codes[:, 1] * 60 + codes[:, 2]
    if not len(codes) or np.isnan(codes[:, 3]).any():
        counts = of_frames and len(codes) > 2 and (np.diff(whole) == 1).all()
        return whole / RATE if counts else whole
    whole = whole + _DAY_S * np.concatenate([[0], np.cumsum(np.diff(whole) < -_DAY_S / 2)])
    best, least = whole + codes[:, 3] / RATE, np.inf
    for rate in _RATES:
        if codes[:, 3].max() >= rate:
            continue
        time_s = whole + codes[:, 3] / rate
        steps = np.diff(time_s)
        unevenness = np.std(steps) / max(np.mean(steps), 1e-9) if len(steps) else 0.0
        if unevenness < least - 1e-3:
            best, least = time_s, unevenness
    return best
