"""Virtual Motion Capture (VMC) protocol: send faces to VTuber programs as OSC bundles over UDP.

A program that sends faces is an "assistant". It sends to the "performer" (VSeeFace, VirtualMotionCapture …) on port
39540, which knows the rest of the body. A "marionette", which only draws, listens on port 39539. The protocol has no
actor, so each person needs a port. Its axes are Unity's (left-handed): our head axes with x negated, so that a
quaternion x y z w becomes (x, -y, -z, w).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import ARKIT_NAMES, EYE_TURN_RAD, eye_angles
from retarget.geometry.rotations import Floats, matrix_to_quaternion, rotation_about
from retarget.gltf.document import Document
from retarget.gltf.node_tree import local_matrix, parent_indices, world_matrices
from retarget.performance.take import Take
from retarget.performance.udp import DatagramSender, PortPerPerson
from retarget.rig.vrm.avatar import humanoid_bones, max_eye_angles_rad, vrm_version
from retarget.rig.vrm.expressions import VrmExpressions
from retarget.rig.vrm.sending import ExpressionNames, expressions_by_names, expressions_of_avatar, has_eye_bones

DEFAULT_PORT = 39540
MAX_DATAGRAM_BYTES = 1472
"""A datagram of this size fits into one Ethernet frame of 1,500 bytes, headers included."""

_USUAL_HEAD_OFFSET_M = (0.0, 0.1, 0.0)  # from neck to head, where the avatar is not known
_GAZE_DISTANCE_M = 1.0

_Message = tuple[str, list[str | int | float]]


class VmcAvatar(NamedTuple):
    """What is sent to an avatar.

    Attributes:
        expressions: Its expressions.
        bone_offsets: Bone -> (3,) its place relative to its parent bone in meters, in Unity's axes. Always "Head"; "LeftEye" and
            "RightEye" if they move the gaze. Receivers move bones to the places that they get, so these must be the avatar's own.
        eye_angles_rad: (4,) how far an eye turns in, out, down and up at coefficient 1.
    """

    expressions: VrmExpressions
    bone_offsets: dict[str, tuple[float, float, float]]
    eye_angles_rad: NDArray[np.float64]


def usual_avatar(names: ExpressionNames = "vrm0") -> VmcAvatar:
    """Return what is sent to an avatar whose file is not known: expressions by `names`, the head, and where it looks.

    Eye bones are not sent, because their places are not known.
    """
    return VmcAvatar(expressions_by_names(names), {"Head": _USUAL_HEAD_OFFSET_M}, np.array(EYE_TURN_RAD))


def avatar_of_document(document: Document) -> VmcAvatar:
    """Return what is sent to an avatar: all that its VRM file has.

    Raises:
        ValueError: The expressions of the file are damaged.
    """
    expressions, bones = expressions_of_avatar(document), humanoid_bones(document)
    offsets = {"Head": _USUAL_HEAD_OFFSET_M}
    wanted = {"Head": "head"} | ({"LeftEye": "leftEye", "RightEye": "rightEye"} if has_eye_bones(document) else {})
    parents, world = parent_indices(document), world_matrices(document)
    mirrored = (1, 1, -1) if vrm_version(document) == "0.x" else (-1, 1, 1)  # such an avatar faces -z in its file
    for sent_name, bone in wanted.items():
        if bone in bones:
            parent = int(parents[bones[bone]])
            scale = np.cbrt(abs(np.linalg.det(world[parent][:3, :3]))) if parent >= 0 else 1.0
            place = local_matrix(document["nodes"][bones[bone]])[:3, 3] * scale * mirrored
            offsets[sent_name] = (float(place[0]), float(place[1]), float(place[2]))
    return VmcAvatar(expressions, offsets, max_eye_angles_rad(document))


def encode_bundles(coefficients: Floats, rotation: Floats, time_s: float, avatar: VmcAvatar) -> list[bytes]:
    """Encode one sample as OSC bundles.

    Args:
        coefficients: (52,) in ARKIT_NAMES order.
        rotation: (4,) quaternion x y z w of `Take`.
        time_s: Time in seconds.
        avatar: What is sent.

    Returns:
        Datagrams of at most MAX_DATAGRAM_BYTES. The last one ends with the message that applies the expressions.

    Raises:
        ImportError: python-osc is not installed.
    """
    try:
        from pythonosc.osc_message_builder import OscMessageBuilder
    except ImportError:
        raise ImportError('VMC needs python-osc: pip install ".[stream]"') from None

    encoded = []
    for address, arguments in _messages(np.asarray(coefficients), rotation, time_s, avatar):
        message = OscMessageBuilder(address)
        for argument in arguments:
            message.add_arg(argument)
        encoded.append(message.build())
    return _bundles(encoded)


def _messages(coefficients: Floats, rotation: Floats, time_s: float, avatar: VmcAvatar) -> list[_Message]:
    """List what is sent: availability, time, bones, the point that the eyes look at, expressions."""
    angles = eye_angles(coefficients[None], avatar.eye_angles_rad)[0]  # (2 eyes, left and down)
    eyes = rotation_about("y", angles[:, 0]) @ rotation_about("x", angles[:, 1])
    turns = dict(zip(("Head", "LeftEye", "RightEye"), (rotation, *matrix_to_quaternion(eyes)), strict=True))
    bones: list[_Message] = []
    for bone, place in avatar.bone_offsets.items():
        x, y, z, w = (float(v) for v in turns[bone])
        bones.append(("/VMC/Ext/Bone/Pos", [bone, *place, x, -y, -z, w]))
    left, up, front = (float(v) for v in eyes[:, :, 2].mean(axis=0) * _GAZE_DISTANCE_M)
    values = avatar.expressions.values(coefficients[None])[0].tolist()
    blends: list[_Message] = [
        ("/VMC/Ext/Blend/Val", [name, value]) for name, value in zip(avatar.expressions.mapping.names, values, strict=True)
    ]
    start: list[_Message] = [("/VMC/Ext/OK", [1]), ("/VMC/Ext/T", [float(time_s)])]
    return [*start, *bones, ("/VMC/Ext/Set/Eye", [1, -left, up, front]), *blends, ("/VMC/Ext/Blend/Apply", [])]


def _bundles(messages: Iterable[Any]) -> list[bytes]:
    """Pack encoded messages, in their order, into as few bundles as the size of a datagram allows."""
    from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder

    empty_bytes, length_bytes = 16, 4
    bundles: list[list[Any]] = []
    size = MAX_DATAGRAM_BYTES
    for message in messages:
        added = length_bytes + int(message.size)
        if size + added > MAX_DATAGRAM_BYTES:
            bundles.append([])
            size = empty_bytes
        bundles[-1].append(message)
        size += added
    datagrams = []
    for contents in bundles:
        bundle = OscBundleBuilder(IMMEDIATELY)
        for message in contents:
            bundle.add_content(message)
        datagrams.append(bytes(bundle.build().dgram))
    return datagrams


class VmcSender:
    """Sends samples by VMC, each actor to a port. Times count from the first moment that is sent: the protocol has 32 bits for them."""

    def __init__(self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, people: int = 1, avatar: VmcAvatar | None = None) -> None:
        """Open a socket.

        Args:
            host: Name or address of the machine on which the program runs.
            port: The port of the first person. The others get the ports after it.
            people: How many people are sent at the same time, 1 to 64.
            avatar: What to send. None for VRM 0.x's presets, which are the protocol's default names.

        Raises:
            ValueError: The host is not known, or a port or the number of people is out of range.
            ImportError: python-osc is not installed.
        """
        self.avatar = avatar or usual_avatar()
        self._ports = PortPerPerson(host, port, people)
        self._datagrams = DatagramSender(self._ports.socket)
        self._start_s = np.inf
        # Encode once, so that a missing python-osc is reported at once.
        encode_bundles(np.zeros(len(ARKIT_NAMES)), np.array([0, 0, 0, 1]), 0, self.avatar)

    def send(self, take: Take) -> int:
        """Send each sample whose actor has a port.

        Args:
            take: The samples of one moment. Free ports go to the people nearest to the camera.

        Returns:
            How many samples the network took.
        """
        sent, self._start_s = 0, min(self._start_s, take.time_s.min(initial=np.inf))
        for row, address in self._ports.assign(take).items():
            time_s = float(take.time_s[row] - self._start_s)
            bundles = encode_bundles(take.coefficients[row], take.rotation[row], time_s, self.avatar)
            taken = [self._datagrams.send(data, address) for data in bundles]  # also those after one that was lost
            sent += all(taken)
        return sent

    def close(self) -> None:
        """Close the socket."""
        self._datagrams.socket.close()
