"""Virtual Motion Capture (VMC) protocol: send faces to VTuber programs as OSC bundles over UDP.

A program that sends faces is an "assistant". It sends to the "performer" (VSeeFace, VirtualMotionCapture …) on port
39540, which knows the rest of the body. The protocol has no actor, so each person needs a port. Its axes are Unity's
(left-handed): our head axes with x negated, so that a quaternion x y z w becomes (x, -y, -z, w).
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.geometry.rotations import Floats
from retarget.gltf.document import Document
from retarget.performance.take import Take
from retarget.performance.udp import open_udp
from retarget.rig.vrm.expressions import ExpressionMap, covers_face, expression_map
from retarget.rig.vrm.presets import PRESETS

DEFAULT_PORT = 39540
MAX_PEOPLE = 64
VmcKind = Literal["vrm0", "vrm1", "arkit"]
"""Sets of expression names: VRM 0.x's, VRM 1.0's, or ARKit's 52."""
VMC_KINDS: tuple[VmcKind, ...] = get_args(VmcKind)

_KEEP_PORT_S = 1.0  # how long an actor who is not seen keeps the port

# Emotions and gaze are left to the receiving program: it has hotkeys for emotions and moves the eyes itself.
_SENT_PRESETS = ("aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight")


def vmc_expressions(kind: VmcKind = "vrm0") -> ExpressionMap:
    """Return the expressions to send.

    Args:
        kind: "vrm0" for the protocol's default names (A I U E O Blink_L Blink_R), "vrm1" for those of VRM 1.0
            (aa ih …), or "arkit" for all 52 as avatars with "perfect sync" spell them (BrowInnerUp, JawOpen …).

    Raises:
        ValueError: The kind is unknown.
    """
    if kind == "arkit":
        names = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES)
        return expression_map(names, [{own: 1.0} for own in ARKIT_NAMES])
    if kind not in VMC_KINDS:
        raise ValueError(f"expression names {kind!r}: expected vrm0, vrm1 or arkit")
    sent = [preset for preset in PRESETS if preset.name in _SENT_PRESETS]
    return expression_map([p.name if kind == "vrm1" else p.vrm0_name for p in sent], [p.weights for p in sent])


def expressions_of_avatar(document: Document) -> ExpressionMap:
    """Return the expressions to send to an avatar, by the names in its file.

    Args:
        document: The JSON document of the avatar's VRM file.

    Returns:
        The avatar's expressions that are named after ARKit's shapes, if there are enough for a face; otherwise the
        presets of its VRM version. Receiving programs distinguish upper and lower case.

    Raises:
        ValueError: The expressions of the file are damaged.
    """
    extensions = document.get("extensions", {})
    try:
        old = extensions.get("VRM", {}).get("blendShapeMaster", {}).get("blendShapeGroups", [])
        new = extensions.get("VRMC_vrm", {}).get("expressions", {}).get("custom", {})
        names = [str(group.get("name", "")) for group in old] + [str(name) for name in new]
    except (AttributeError, TypeError):
        raise ValueError("its VRM expressions are damaged (expected groups or custom expressions with names)") from None
    own = {known: name for name in names if (known := canonical_name(name)) is not None}
    if not covers_face(np.array([name in own for name in ARKIT_NAMES])):
        return vmc_expressions("vrm1" if "VRMC_vrm" in extensions else "vrm0")
    return expression_map(list(own.values()), [{known: 1.0} for known in own])


def encode_bundle(coefficients: Floats, rotation: Floats, time_s: float, expressions: ExpressionMap) -> bytes:
    """Encode one sample as an OSC bundle.

    Args:
        coefficients: (52,) in ARKIT_NAMES order.
        rotation: (4,) quaternion x y z w of `Take`.
        time_s: Time in seconds.
        expressions: The expressions to send.

    Raises:
        ImportError: python-osc is not installed.
    """
    try:
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder
    except ImportError:
        raise ImportError("VMC needs python-osc: pip install '.[stream]'") from None

    x, y, z, w = (float(v) for v in rotation)
    values = expressions.values(np.asarray(coefficients)[None])[0].tolist()
    messages: list[tuple[str, list[str | int | float]]] = [
        ("/VMC/Ext/OK", [1]),
        ("/VMC/Ext/T", [float(time_s)]),
        ("/VMC/Ext/Bone/Pos", ["Head", 0.0, 0.0, 0.0, x, -y, -z, w]),
        *(("/VMC/Ext/Blend/Val", [name, value]) for name, value in zip(expressions.names, values, strict=True)),
        ("/VMC/Ext/Blend/Apply", []),
    ]
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, arguments in messages:
        message = OscMessageBuilder(address)
        for argument in arguments:
            message.add_arg(argument)
        bundle.add_content(message.build())
    return bytes(bundle.build().dgram)


class VmcSender:
    """Sends samples by VMC. Each actor gets a port and keeps it until the actor has not been seen for one second."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        people: int = 1,
        expressions: ExpressionMap | None = None,
    ) -> None:
        """Open a socket.

        Args:
            host: Name or address of the machine on which the program runs.
            port: The port of the first person. The others get the ports after it.
            people: How many people are sent at the same time, 1 to 64.
            expressions: What to send. None for the protocol's default names.

        Raises:
            ValueError: The host is not known, or a port or the number of people is out of range.
            ImportError: python-osc is not installed.
        """
        if not 1 <= people <= MAX_PEOPLE or port + people - 1 > 65535:
            raise ValueError(f"{people} people from port {port} on: expected 1 to {MAX_PEOPLE}, on ports up to 65535")
        self.people = people
        self.expressions = expressions or vmc_expressions()
        self._port_offset: dict[int, int] = {}  # actor -> 0, 1 … people - 1
        self._last_seen_s: dict[int, float] = {}
        # Encode once, so that a missing python-osc is reported at once.
        encode_bundle(np.zeros(len(ARKIT_NAMES)), np.array([0, 0, 0, 1]), 0, self.expressions)
        self._socket, self._address = open_udp(host, port)

    def send(self, take: Take) -> int:
        """Send one bundle for each sample whose actor has a port.

        Args:
            take: The samples of one moment. Free ports go to the people nearest to the camera.

        Returns:
            How many bundles were sent.
        """
        by_distance = np.argsort(-take.translation[:, 2], kind="stable")
        self._last_seen_s.update(zip(take.actor.tolist(), take.time_s.tolist(), strict=True))
        self._assign_ports(take.actor[by_distance].tolist(), float(take.time_s.max(initial=-np.inf)))
        sent = 0
        for row in by_distance:
            offset = self._port_offset.get(int(take.actor[row]))
            if offset is not None:
                data = encode_bundle(take.coefficients[row], take.rotation[row], take.time_s[row], self.expressions)
                self._socket.sendto(data, (self._address[0], self._address[1] + offset))
                sent += 1
        return sent

    def _assign_ports(self, actors: list[int], now_s: float) -> None:
        """Free the ports of people who left; give free ports to `actors` in their order."""
        self._port_offset = {
            actor: offset
            for actor, offset in self._port_offset.items()
            if now_s - self._last_seen_s[actor] <= _KEEP_PORT_S
        }
        for actor in actors:
            free = sorted(set(range(self.people)) - set(self._port_offset.values()))
            if actor not in self._port_offset and free:
                self._port_offset[actor] = free[0]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
