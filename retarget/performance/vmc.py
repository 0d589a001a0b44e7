"""Virtual Motion Capture protocol: faces to VTuber programs, as OSC bundles over UDP.

A sender of faces is an "assistant": it sends to the "performer" (VSeeFace, VirtualMotionCapture …), port 39540, which
knows the rest of the body. The protocol knows one person a port. Its axes are Unity's (left-handed): head axes with x
negated, so a quaternion becomes (x, -y, -z, w).
"""

from __future__ import annotations

import numpy as np

from retarget.arkit import ARKIT_NAMES, canonical_name
from retarget.geometry.node_tree import Floats
from retarget.gltf.document import Document
from retarget.performance.livelink import open_udp
from retarget.performance.take import Take
from retarget.rig.vrm import PRESETS, Expressions, follow, has_face

PORT = 39540
KINDS = ("vrm0", "vrm1", "arkit")
_PATIENCE_S = 1.0

# Feelings and gaze are left to the program: it has keys for feelings, and eyes of its own.
_SENT = ("aa", "ih", "ou", "ee", "oh", "blinkLeft", "blinkRight")


def expressions(kind: str = "vrm0") -> Expressions:
    """Names to send: "vrm0" (the protocol's default: A I U E O Blink_L Blink_R), "vrm1" (aa ih …), or "arkit": all 52
    as avatars with "perfect sync" spell them (BrowInnerUp, JawOpen …)."""
    if kind == "arkit":
        names = tuple(name[0].upper() + name[1:] for name in ARKIT_NAMES)
        return follow(names, [{own: 1.0} for own in ARKIT_NAMES])
    if kind not in ("vrm0", "vrm1"):
        raise ValueError(f"expression names {kind!r}: expected vrm0, vrm1 or arkit")
    sent = [preset for preset in PRESETS if preset.name in _SENT]
    return follow([p.name if kind == "vrm1" else p.old_name for p in sent], [p.parts for p in sent])


def expressions_of(document: Document) -> Expressions:
    """The names that an avatar itself has, from its VRM file's JSON, in its own spelling: those of the 52 if it has
    enough of them for a face (programs tell upper case from lower), else its version's presets."""
    extensions = document.get("extensions", {})
    try:
        old = extensions.get("VRM", {}).get("blendShapeMaster", {}).get("blendShapeGroups", [])
        new = extensions.get("VRMC_vrm", {}).get("expressions", {}).get("custom", {})
        names = [str(group.get("name", "")) for group in old] + [str(name) for name in new]
    except (AttributeError, TypeError):
        raise ValueError("its VRM expressions are damaged (expected groups or custom expressions with names)") from None
    own = {known: name for name in names if (known := canonical_name(name)) is not None}
    if not has_face(np.array([name in own for name in ARKIT_NAMES])):
        return expressions("vrm1" if "VRMC_vrm" in extensions else "vrm0")
    return follow(list(own.values()), [{known: 1.0} for known in own])


def encode_bundle(coefficients: Floats, rotation: Floats, time_s: float, shown: Expressions) -> bytes:
    """One person's datagram: coefficients (52,), rotation (4,) x y z w of `Take`."""
    try:
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder
    except ImportError:
        raise ImportError("VMC needs python-osc: pip install '.[stream]'") from None

    x, y, z, w = (float(v) for v in rotation)
    values = shown.values(np.asarray(coefficients)[None])[0].tolist()
    messages: list[tuple[str, list[str | int | float]]] = [
        ("/VMC/Ext/OK", [1]),
        ("/VMC/Ext/T", [float(time_s)]),
        ("/VMC/Ext/Bone/Pos", ["Head", 0.0, 0.0, 0.0, x, -y, -z, w]),
        *(("/VMC/Ext/Blend/Val", [name, value]) for name, value in zip(shown.names, values, strict=True)),
        ("/VMC/Ext/Blend/Apply", []),
    ]
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, arguments in messages:
        message = OscMessageBuilder(address)
        for argument in arguments:
            message.add_arg(argument)
        bundle.add_content(message.build())
    return bundle.build().dgram


class VmcSender:
    """Sends moments of a take. One person goes to `port`; with people above 1 each of so many gets a port of their
    own, counted up from it, and keeps it until unseen for a second."""

    def __init__(
        self, host: str = "127.0.0.1", port: int = PORT, people: int = 1, shown: Expressions | None = None
    ) -> None:
        if not 1 <= people <= 64 or port + people - 1 > 65535:
            raise ValueError(f"{people} people from port {port} on: expected 1 to 64, on ports up to 65535")
        self.people = people
        self.shown = shown or expressions()
        self._seat: dict[int, int] = {}  # actor -> 0, 1 … people - 1
        self._seen_s: dict[int, float] = {}
        self._address, self._socket = open_udp(host, port)
        encode_bundle(np.zeros(len(ARKIT_NAMES)), np.array([0, 0, 0, 1]), 0, self.shown)  # no python-osc: say it now

    def send(self, take: Take) -> int:
        """A bundle for each sample that has a port, the nearest people first; how many were sent."""
        nearest = np.argsort(-take.translation[:, 2], kind="stable")
        self._seen_s.update(zip(take.actor.tolist(), take.time_s.tolist(), strict=True))
        now = take.time_s.max(initial=-np.inf)
        self._seat = {actor: seat for actor, seat in self._seat.items() if now - self._seen_s[actor] <= _PATIENCE_S}
        for actor in take.actor[nearest].tolist():
            free = sorted(set(range(self.people)) - set(self._seat.values()))
            if actor not in self._seat and free:
                self._seat[actor] = free[0]
        sent = 0
        for row in nearest:
            seat = self._seat.get(int(take.actor[row]))
            if seat is not None:
                data = encode_bundle(take.coefficients[row], take.rotation[row], take.time_s[row], self.shown)
                self._socket.sendto(data, (self._address[0], self._address[1] + seat))
                sent += 1
        return sent

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
