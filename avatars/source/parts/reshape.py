"""Gives a finished head another build: a smooth map of space that all its parts and all their movements go through.

Round each eye the map is exactly a shift and an enlargement, so that balls stay round and lids keep clear of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatars.source.parts import eyes
from avatars.source.parts.plate import EYE_RADIUS
from avatars.source.parts.primitives import Floats, Mesh, smoothstep

_RIGID = 1.36
"""Within this many eye radii of an eye's centre: lids, socket and ball."""

_BETWEEN_M = 0.0105
"""Half the room between the sockets: what lies there belongs to both eyes."""


@dataclass(frozen=True)
class Reshape:
    """eye_by: how far the left eye moves, metres, and eye_size how much it grows; eye_reach: radii from its centre where that
    ends. chin, brow: width of the head's lower end and of its top, 1 as it is. mouth: width of the mouth. tall: height."""

    eye_by: tuple[float, float, float] = (0.0, 0.0, 0.0)
    eye_size: float = 1.0
    eye_reach: float = 2.4
    chin: float = 1.0
    brow: float = 1.0
    mouth: float = 1.0
    tall: float = 1.0

    def eye(self) -> Floats:
        """(3,) the left eye's new centre."""
        return eyes.centre() + self.eye_by

    def __call__(self, place: Floats) -> Floats:
        """(V, 3) to (V, 3) metres."""
        result = self._build(place)
        for side in np.array([[1.0, 1, 1], [-1.0, 1, 1]]):
            old, new = eyes.centre() * side, self.eye() * side
            result = result + self._near_eye(place * side) * (new + self.eye_size * (place - old) - self._build(place))
        return result

    def _near_eye(self, place: Floats) -> Floats:
        away = np.linalg.norm(place - eyes.centre(), axis=1, keepdims=True) / EYE_RADIUS
        return smoothstep(away, self.eye_reach, _RIGID) * smoothstep(place[:, :1], -_BETWEEN_M, _BETWEEN_M)

    def _build(self, place: Floats) -> Floats:
        x, y, z = place.T
        width = 1 + (self.chin - 1) * smoothstep(y, 0.0, -0.16) + (self.brow - 1) * smoothstep(y, 0.0, 0.14)
        mouth = np.exp(-((x / 0.085) ** 4) - ((y + 0.085) / 0.06) ** 4) * smoothstep(z, -0.03, 0.02)
        return np.stack([x * width * (1 + (self.mouth - 1) * mouth), y * self.tall, z], -1)

    def mesh(self, mesh: Mesh) -> Mesh:
        """A mesh in its new place, with all shapes."""
        opened = mesh.vertices + mesh.deltas.get("jawOpen", 0.0)
        deltas = {}
        for name, delta in mesh.deltas.items():
            start = opened if name == "mouthClose" else mesh.vertices  # lips meet over a lowered jaw
            deltas[name] = self(start + delta) - self(start)
        return Mesh(self(mesh.vertices), mesh.triangles, mesh.colours, deltas)

    def ball(self, mesh: Mesh) -> Mesh:
        """An eye ball about its own centre."""
        deltas = {name: self.eye_size * delta for name, delta in mesh.deltas.items()}
        return Mesh(mesh.vertices * self.eye_size, mesh.triangles, mesh.colours, deltas)
