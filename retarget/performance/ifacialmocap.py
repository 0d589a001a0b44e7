"""iFacialMocap: the text that this phone app sends over UDP, read, written and received.

One sample is `NAME-VALUE|…|=head#X,Y,Z,x,y,z|rightEye#X,Y,Z|leftEye#X,Y,Z|` (https://www.ifacialmocap.com/for-developer).
Values are whole percents from 0 to 100. Data version 2 writes `NAME&VALUE`, so that a value may be negative. Names end in _L and _R, the
subject's left and right. Angles are in degrees about ARKit's axes, which are those of `Take`: X turns down, Y to the
subject's left, Z tilts to the right shoulder. A head turns by Z first, then X, then Y, as in Unity. Its position is in
meters from the camera.

The text has no time: the app sends 60 samples a second. Our files have one sample a line, with the field `time&SECONDS`;
programs skip fields that they do not know.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, PHONE_EYE_TURN_RAD, canonical_name, eye_angles
from retarget.geometry.rotations import Floats, matrix_to_quaternion, quaternion_to_matrix, rotation_about
from retarget.performance.take import Take
from retarget.performance.udp import DatagramSender, PortPerPerson, open_udp

DEFAULT_PORT = 49983
FRAMES_PER_SECOND = 60
DataVersion = Literal[1, 2]

_START = "iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719|sendDataVersion=v2"  # asks the app for data
_ASK_AGAIN_S = 2.0
_RETRY_S = 0.1
_TCP_END = "___iFacialMocap"  # ends each sample that comes over TCP
_VALUE = re.compile(r"([A-Za-z_]+)[-&](-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)")
_MAX_DATAGRAM_BYTES = 65535


class Sample(NamedTuple):
    """What one sample says. time_s is NaN if it has no time; position is in meters, in the axes of `Take`."""

    time_s: float
    coefficients: NDArray[np.float32]
    rotation: NDArray[np.float64]
    position: NDArray[np.float64]


def encode(take: Take, row: int, version: DataVersion = 1) -> str:
    """Encode one sample of a take as the app does."""
    mark = "-" if version == 1 else "&"
    percents = np.rint(take.coefficients[row] * 100).astype(int)
    if version == 1:
        percents = percents.clip(0)
    fields = [f"{_app_name(name)}{mark}{value}" for name, value in zip(ARKIT_NAMES, percents.tolist(), strict=True)]
    head = [*_euler_deg(take.rotation[row]), *take.translation[row].tolist()]
    eyes = np.rad2deg(eye_angles(take.coefficients[row][None], PHONE_EYE_TURN_RAD)[0]).tolist()
    left, right = ((down, to_left, 0.0) for to_left, down in eyes)
    places = [("=head", head), ("rightEye", right), ("leftEye", left)]
    fields += [f"{name}#{','.join(f'{value:.6f}' for value in values)}" for name, values in places]
    return "|".join(fields) + "|"


def decode(text: str) -> Sample | None:
    """Decode one sample of either data version. Unknown fields are skipped; None if there is no weight in it."""
    coefficients, times = np.zeros(len(ARKIT_NAMES), np.float32), [np.nan]
    head = np.zeros(6)
    found = False
    for field in text.replace(_TCP_END, "").split("|"):
        name, _, numbers = field.strip().partition("#")
        if name == "=head":
            head = _numbers(numbers, 6)
        elif (match := _VALUE.fullmatch(name)) is not None and not numbers:
            if match[1] == "time":
                times.append(float(match[2]))
            elif (known := canonical_name(match[1])) is not None:
                coefficients[ARKIT_NAMES.index(known)] = min(max(float(match[2]) / 100, 0.0), 1.0)
                found = True
    x, y, z = np.deg2rad(head[:3])
    rotation = matrix_to_quaternion(rotation_about("y", y) @ rotation_about("x", x) @ rotation_about("z", z))
    return Sample(times[-1], coefficients, rotation, head[3:]) if found else None


def samples_to_take(samples: Sequence[Sample], actor: int = 0) -> Take:
    """Join samples to a take. Samples without a time follow each other 60 times a second."""
    own = np.array([sample.time_s for sample in samples], np.float64)
    counted = np.arange(len(samples)) / FRAMES_PER_SECOND
    return Take(
        time_s=np.where(np.isnan(own), counted, own),
        actor=np.full(len(samples), actor, np.int32),
        coefficients=np.array([sample.coefficients for sample in samples], np.float32).reshape(-1, len(ARKIT_NAMES)),
        rotation=np.array([sample.rotation for sample in samples], np.float32).reshape(-1, 4),
        translation=np.array([sample.position for sample in samples], np.float32).reshape(-1, 3),
    )


def to_text(take: Take) -> str:
    """Format the take of one person as text, one sample a line, data version 2 with times. Weights are rounded to 1 %.

    Raises:
        ValueError: The take has several actors.
    """
    if len(take.actors()) > 1:
        raise ValueError(f"iFacialMocap text holds one person, got {len(take.actors())}")
    rows = np.argsort(take.time_s, kind="stable")
    return "".join(f"time&{take.time_s[row]:.6f}|{encode(take, int(row), 2)}\n" for row in rows)


def from_text(text: str, source: str) -> Take:
    """Read recorded samples, one a line.

    Args:
        text: The samples.
        source: Name of the file, for messages.

    Raises:
        ValueError: A line is no sample. The message is one line.
    """
    samples = []
    for number, line in enumerate(text.replace(_TCP_END, "\n").splitlines(), 1):
        if not line.strip():
            continue
        try:
            sample = decode(line)
        except ValueError as error:
            raise ValueError(f"{source}: line {number}: {error}") from None
        if sample is None:
            raise ValueError(f"{source}: line {number} is no iFacialMocap sample (expected jawOpen-12|…|=head#X,Y,Z,x,y,z|…)")
        samples.append(sample)
    return samples_to_take(samples)


def receive(phone: str, seconds: float | None, port: int = DEFAULT_PORT, listen: str = "") -> Iterator[Sample]:
    """Ask the phone app for data and yield its samples with their times of arrival, from 0 on.

    Args:
        phone: Address of the phone.
        seconds: When to end, from the first sample on; None: never.
        port: The phone's port, and the one on which the answers arrive.
        listen: Our own address on which the answers arrive; empty for all.

    Raises:
        ValueError: The phone's address is not known, or another program has the port.

    While the network is away it goes on asking, so that a short break of the Wi-Fi does not end a recording.
    """
    target = open_udp(phone, port)
    with target.socket as listener:
        try:
            listener.bind((listen, port))
        except OSError:
            raise ValueError(f"port {port}: another program listens there already; close it first") from None
        listener.settimeout(0.5)
        asked_s, start_s = -np.inf, None
        while True:
            now_s = time.perf_counter()
            if start_s is not None and seconds is not None and now_s - start_s >= seconds:
                return
            if now_s - asked_s > _ASK_AGAIN_S:
                with suppress(OSError):  # the network is away: ask again later
                    listener.sendto(_START.encode(), target.address)
                asked_s = now_s
            sample = _next_sample(listener)
            if sample is not None:
                asked_s = time.perf_counter()
                start_s = asked_s if start_s is None else start_s
                yield sample._replace(time_s=asked_s - start_s)


class IFacialMocapSender:
    """Sends samples as the phone app does, each actor to a port."""

    def __init__(self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, people: int = 1, version: DataVersion = 1) -> None:
        """Open a socket.

        Args:
            host: Name or address of the machine on which the program runs.
            port: The port of the first person. The others get the ports after it.
            people: How many people are sent at the same time, 1 to 64.
            version: The data version.

        Raises:
            ValueError: The host is not known, or a port or the number of people is out of range.
        """
        self.version = version
        self._ports = PortPerPerson(host, port, people)
        self._datagrams = DatagramSender(self._ports.socket)

    def send(self, take: Take) -> int:
        """Send each sample of one moment whose actor has a port. Returns how many the network took."""
        addresses = self._ports.assign(take)
        return sum(self._datagrams.send(encode(take, row, self.version).encode(), address) for row, address in addresses.items())

    def close(self) -> None:
        """Close the socket."""
        self._datagrams.socket.close()


def _app_name(name: str) -> str:
    """Return the app's name of a coefficient: eyeBlink_L, but jawLeft and mouthLeft as in ARKit."""
    for side in ("Left", "Right"):
        if name.endswith(side) and name not in (f"jaw{side}", f"mouth{side}"):
            return f"{name.removesuffix(side)}_{side[0]}"
    return name


def _euler_deg(rotation: Floats) -> list[float]:
    """Return X, Y, Z (degrees) of a head rotation x y z w: the matrix is that of Y, times that of X, times that of Z."""
    m = quaternion_to_matrix(rotation)
    x, y = np.arcsin(np.clip(-m[1, 2], -1, 1)), np.arctan2(m[0, 2], m[2, 2])
    return [float(np.rad2deg(angle)) for angle in (x, y, np.arctan2(m[1, 0], m[1, 1]))]


def _numbers(text: str, count: int) -> NDArray[np.float64]:
    """Read `count` numbers separated by commas.

    Raises:
        ValueError: There are more or fewer, or one is no number.
    """
    try:
        values = np.array([float(part) for part in text.split(",")])
    except ValueError:
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise ValueError(f"=head#{text[:60]}: expected {count} numbers")
    return values


def _next_sample(listener: socket.socket) -> Sample | None:
    """Wait for a datagram. None if none came, or if it is no sample."""
    try:
        return decode(listener.recv(_MAX_DATAGRAM_BYTES).decode())
    except (TimeoutError, UnicodeDecodeError, ValueError):
        return None
    except OSError:  # the network is away: try again later
        time.sleep(_RETRY_S)
        return None
