"""Other proportions for a finished head: a smooth map of space that all its parts and all their motions pass through.

Around each eye the map is exactly a shift and a scale, so that the eyeballs stay round and the lids keep clear of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatars.source.parts import eyes
from avatars.source.parts.plate import EYE_RADIUS_M
from avatars.source.parts.primitives import Floats, Mesh, smoothstep

_RIGID = 1.36
"""Lids, socket and ball lie within this many eye radii of an eye's center."""

_BETWEEN_M = 0.0105
"""Half of the distance between the sockets; what lies there belongs to both eyes."""


@dataclass(frozen=True)
class Reshape:
    """A map of space. The default changes nothing.

    Attributes:
        eye_by: motion of the left eye, meters.
        eye_size: scale of the eyes.
        eye_reach: eye radii from its center where both end.
        chin, brow: width factors of the head's lower end and of its top.
        mouth: width factor of the mouth.
        tall: height factor.
    """

    eye_by: tuple[float, float, float] = (0.0, 0.0, 0.0)
    eye_size: float = 1.0
    eye_reach: float = 2.4
    chin: float = 1.0
    brow: float = 1.0
    mouth: float = 1.0
    tall: float = 1.0

    def eye(self) -> Floats:
        """Return the new center (3,) of the left eye."""
        return eyes.eye_center() + self.eye_by

    def __call__(self, place: Floats) -> Floats:
        """Map places (V, 3), meters."""
        result = self._build(place)
        for side in np.array([[1.0, 1, 1], [-1.0, 1, 1]]):
            old, new = eyes.eye_center() * side, self.eye() * side
            result = result + self._near_eye(place * side) * (new + self.eye_size * (place - old) - self._build(place))
        return result

    def _near_eye(self, place: Floats) -> Floats:
        away = np.linalg.norm(place - eyes.eye_center(), axis=1, keepdims=True) / EYE_RADIUS_M
        return smoothstep(away, self.eye_reach, _RIGID) * smoothstep(place[:, :1], -_BETWEEN_M, _BETWEEN_M)

    def _build(self, place: Floats) -> Floats:
        x, y, z = place.T
        width = 1 + (self.chin - 1) * smoothstep(y, 0.0, -0.16) + (self.brow - 1) * smoothstep(y, 0.0, 0.14)
        mouth = np.exp(-((x / 0.085) ** 4) - ((y + 0.085) / 0.06) ** 4) * smoothstep(z, -0.03, 0.02)
        return np.stack([x * width * (1 + (self.mouth - 1) * mouth), y * self.tall, z], -1)

    def mesh(self, mesh: Mesh) -> Mesh:
        """Map a mesh with all its shapes."""
        opened = mesh.vertices + mesh.deltas.get("jawOpen", 0.0)
        deltas = {}
        for name, delta in mesh.deltas.items():
            start = opened if name == "mouthClose" else mesh.vertices  # lips meet over a lowered jaw
            deltas[name] = self(start + delta) - self(start)
        return Mesh(self(mesh.vertices), mesh.triangles, mesh.colors, deltas)

    def ball(self, mesh: Mesh) -> Mesh:
        """Scale an eyeball about its own center."""
        deltas = {name: self.eye_size * delta for name, delta in mesh.deltas.items()}
        return Mesh(mesh.vertices * self.eye_size, mesh.triangles, mesh.colors, deltas)
