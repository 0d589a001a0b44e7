"""Live Link Face: the values, and the UDP packets that the phone app sends to Unreal.

A sample has 61 values: the 52 coefficients and nine angles in radians. The head and each eye have three angles: yaw
towards the subject's right, pitch down, roll towards the subject's left shoulder. The head's are relative to the camera,
the eyes' to the head. They are applied in this order, as by an Unreal rotator. The format has no position.

The signs are those of phone recordings: LeftEyeYaw falls with LookOut - LookIn, LeftEyePitch with LookUp - LookDown. The
app computes head and eyes in the same way, from rotations in ARKit's axes, so the head has these signs too.
"""

from __future__ import annotations

import struct
import uuid

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, PHONE_EYE_TURN_RAD, eye_angles
from retarget.geometry.rotations import Floats, matrix_to_quaternion, quaternion_to_matrix, rotation_about
from retarget.performance.take import Take
from retarget.performance.udp import DatagramSender, open_udp

ANGLE_NAMES = (
    *("HeadYaw", "HeadPitch", "HeadRoll"),
    *("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"),
)
PACKET_NAMES = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES) + ANGLE_NAMES
"""The 61 values of a packet in their order."""

DEFAULT_PORT = 11111
FRAMES_PER_SECOND = 60
"""Rate of the time code that we write, which is also the app's."""
DEFAULT_DISTANCE_M = 1.0
"""Distance from the camera to people whose position is not known."""
SECONDS_PER_DAY = 86400

_PACKET_VERSION = 6
_MAX_TEXT_BYTES = 255


def quaternion_to_angles(rotation: Floats) -> NDArray[np.float64]:
    """Convert head rotations to Live Link angles.

    Args:
        rotation: (N, 4) quaternions x y z w in the axes of `Take`.

    Returns:
        (N, 3) yaw, pitch and roll in radians.
    """
    m = quaternion_to_matrix(np.asarray(rotation, np.float64).reshape(-1, 4))
    yaw, pitch = -np.arctan2(m[:, 0, 2], m[:, 2, 2]), np.arcsin(np.clip(-m[:, 1, 2], -1, 1))
    return np.stack([yaw, pitch, -np.arctan2(m[:, 1, 0], m[:, 1, 1])], axis=1)


def angles_to_quaternion(angles: Floats) -> NDArray[np.float64]:
    """Convert Live Link angles to head rotations.

    Args:
        angles: (N, 3) yaw, pitch and roll in radians.

    Returns:
        (N, 4) quaternions x y z w in the axes of `Take`.
    """
    yaw, pitch, roll = np.asarray(angles, np.float64).reshape(-1, 3).T
    return matrix_to_quaternion(rotation_about("y", -yaw) @ rotation_about("x", pitch) @ rotation_about("z", -roll))


def take_to_values(take: Take) -> NDArray[np.float32]:
    """Convert a take to Live Link values.

    Returns:
        (S, 61) float32 in PACKET_NAMES order. The eye angles are computed from the eyeLook* coefficients; eyes do not
        roll.
    """
    angles = np.zeros((len(take), len(ANGLE_NAMES)))
    angles[:, :3] = quaternion_to_angles(take.rotation)
    eyes = eye_angles(take.coefficients, PHONE_EYE_TURN_RAD)  # (S, 2 eyes, to the subject's left and down)
    angles[:, [3, 6]], angles[:, [4, 7]] = -eyes[:, :, 0], eyes[:, :, 1]
    return np.concatenate([take.coefficients, angles], axis=1).astype(np.float32)


def encode_packet(values: Floats, time_s: float, subject: str, device: str) -> bytes:
    """Encode one sample as a Live Link Face datagram, version 6.

    Args:
        values: (61,) in PACKET_NAMES order.
        time_s: Time in seconds. It becomes a frame number within the day.
        subject: Name of the person, as Unreal lists it.
        device: Identifier of the phone. Unreal distinguishes devices by it.

    Returns:
        The bytes, big-endian: version (1 byte), device and subject (length and UTF-8), frame number, fraction of a
        frame, frame rate as a fraction, number of values (1 byte), values.
    """
    frame = max(0.0, time_s) % SECONDS_PER_DAY * FRAMES_PER_SECOND
    texts = [text.encode()[:_MAX_TEXT_BYTES] for text in (device, subject)]
    head = b"".join(struct.pack(">i", len(text)) + text for text in texts)
    clock = struct.pack(">ifii", int(frame), frame - int(frame), FRAMES_PER_SECOND, 1)
    count = len(PACKET_NAMES)
    return struct.pack(">B", _PACKET_VERSION) + head + clock + struct.pack(f">B{count}f", count, *map(float, values))


class LiveLinkSender:
    """Sends samples to Unreal. Each actor is a subject of its own ("mfn 0", "mfn 1" …); all use one port."""

    def __init__(self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, subject: str = "mfn") -> None:
        """Open a socket.

        Args:
            host: Name or address of the machine on which Unreal runs.
            port: Its Live Link Face port.
            subject: First part of the subjects' names.

        Raises:
            ValueError: The host is not known, or the port is out of range.
        """
        self.subject = subject
        target = open_udp(host, port)
        self._datagrams, self._address = DatagramSender(target.socket), target.address

    def send(self, take: Take) -> int:
        """Send one packet for each sample. Returns how many the network took."""
        sent = 0
        for values, time_s, actor in zip(take_to_values(take), take.time_s, take.actor, strict=True):
            name = f"{self.subject} {actor}"
            device = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))  # an actor keeps its device, also in later runs
            sent += self._datagrams.send(encode_packet(values, float(time_s), name, device), self._address)
        return sent

    def close(self) -> None:
        """Close the socket."""
        self._datagrams.socket.close()
