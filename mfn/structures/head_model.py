"""`HeadModel`: our own head as arrays. Identity and expression coefficients in, vertices in metres out. NumPy only.

The file in `mfn/weights` is made by `experiments/head_model/build.py`; MODEL_CARD.md there says what it was learned from.
Head frame: x to the subject's left, y up, z out of the face; the origin lies midway between the two eyeballs of every identity.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project
from mfn.weights import weights_path
from retarget.arkit import EXPRESSION_NAMES

if TYPE_CHECKING:
    from mfn.structures.faces import Faces

Floats = NDArray[np.float32]
FORMAT = 1
DEFAULT_FILE = weights_path("head_model.npz")


@dataclass(frozen=True)
class HeadModel:
    """A linear head. V vertices, T triangles, I identity components.

    mean: (V, 3) metres
    identity_basis: (I, V, 3) metres per standard deviation; every component is mirror-symmetric or mirror-antisymmetric
    expression_basis: (51, V, 3) metres at weight 1, in the order of `EXPRESSION_NAMES`
    triangles: (T, 3) int32, counter-clockwise seen from outside (the mouth's inside: from inside the mouth)
    uv: (V, 2) in [0, 1] on the face's chart (u to the subject's left, v down); -1 for vertices outside it
    mirror: (V,) int32, the vertex on the other side
    identity_mirror: (I,) +1 or -1: what mirroring a face does to its coefficients
    region: (V,) uint8 index into `region_names`
    landmark_sets: name -> (vertex (L, 3) int32, weight (L, 3)): points on the surface
    mediapipe478_spread: (478,) metres, how loosely each of MediaPipe's points is tied to the surface
    explained_variance: share of the sampled identities' variance on the skin that the I components hold
    """

    mean: Floats
    identity_basis: Floats
    expression_basis: Floats
    triangles: NDArray[np.int32]
    uv: Floats
    mirror: NDArray[np.int32]
    identity_mirror: Floats
    region: NDArray[np.uint8]
    region_names: tuple[str, ...]
    landmark_sets: dict[str, tuple[NDArray[np.int32], Floats]]
    mediapipe478_spread: Floats
    explained_variance: float = 1.0
    _basis: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        count = len(self.mean)
        basis = np.concatenate([self.identity_basis, self.expression_basis]).reshape(-1, count * 3)
        object.__setattr__(self, "_basis", np.ascontiguousarray(basis, np.float32))

    @classmethod
    def load(cls, path: str | Path | None = None) -> HeadModel:
        """Read the shipped model, or another file of the same format."""
        source = Path(path) if path is not None else DEFAULT_FILE
        if not source.is_file():
            raise FileNotFoundError(f"{source}: no head model here; experiments/head_model/build.py makes one")
        try:
            with np.load(source, allow_pickle=False) as file:
                data = {name: file[name] for name in file.files}
            if int(data["format"]) != FORMAT:
                raise ValueError(f"format {int(data['format'])}, this version reads {FORMAT}")
            return _from_arrays(data)
        except (KeyError, ValueError, OSError, EOFError, BadZipFile, zlib.error) as error:
            raise ValueError(f"{source}: not a head model of format {FORMAT} ({error})") from error

    @property
    def identity_size(self) -> int:
        """I, the number of identity components."""
        return len(self.identity_basis)

    def region_mask(self, *names: str) -> NDArray[np.bool_]:
        """(V,) True for the vertices of the named regions."""
        unknown = set(names) - set(self.region_names)
        if unknown:
            raise ValueError(f"unknown region {sorted(unknown)}; there are {', '.join(self.region_names)}")
        return np.isin(self.region, [self.region_names.index(name) for name in names])

    def vertices(self, identity: Floats, expression: Floats) -> Floats:
        """identity (N, I) in standard deviations, expression (N, 51) in [0, 1] -> (N, V, 3) metres, head frame."""
        identity, expression = np.asarray(identity, np.float32), np.asarray(expression, np.float32)
        count = len(identity)
        sizes = self.identity_size, len(EXPRESSION_NAMES)
        for name, value, size in zip(("identity", "expression"), (identity, expression), sizes):
            if value.shape != (count, size):
                raise ValueError(f"{name}: expected shape ({count}, {size}), got {value.shape}")
        moved = np.concatenate([identity, expression], 1) @ self._basis
        return self.mean + moved.reshape(count, len(self.mean), 3)

    def landmark_basis(self, name: str) -> tuple[Floats, Floats, Floats]:
        """A landmark set as a small linear model of its own: mean (L, 3), identity (I, L, 3), expression (51, L, 3), metres."""
        vertex, weight = self._landmarks(name)
        share = weight[..., None]
        picked = [
            (part[..., vertex, :] * share).sum(-2) for part in (self.mean, self.identity_basis, self.expression_basis)
        ]
        return picked[0], picked[1], picked[2]

    def landmarks(self, faces: Faces, name: str) -> Floats:
        """Landmarks (N, L, 3) of all faces: x y in pixels of the picture, z on the same scale, smaller is nearer."""
        mean, identity, expression = self.landmark_basis(name)
        basis = np.concatenate([identity, expression]).reshape(-1, mean.size)
        points = mean + (np.concatenate([faces.identity, faces.expression], 1) @ basis).reshape(len(faces), *mean.shape)
        return project(points, faces.rotation, faces.scale, faces.center)

    def points(self, vertices: Floats, name: str) -> Floats:
        """Landmarks (..., L, 3) on given vertices (..., V, 3), in the same frame and unit."""
        vertex, weight = self._landmarks(name)
        return (vertices[..., vertex, :] * weight[..., None]).sum(-2)

    def _landmarks(self, name: str) -> tuple[NDArray[np.int32], Floats]:
        if name not in self.landmark_sets:
            raise ValueError(f"unknown landmark set {name!r}; there are {', '.join(self.landmark_sets)}")
        return self.landmark_sets[name]

    def position_map(self, vertices: Floats, size: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Vertices (V, 3) as a picture over the uv chart: map (size, size, 3), and mask (size, size) True on the chart."""
        from retarget.render.rasterizer import rasterise

        inside = (self.uv[self.triangles] >= 0).all((1, 2))
        triangles = self.triangles[inside]
        flat = np.zeros((len(self.uv), 3), np.float32)
        flat[:, :2] = self.uv * size
        index, weight = rasterise(flat, triangles, size, size)
        mask = index >= 0
        corners = vertices[triangles[np.maximum(index, 0)]]  # (size, size, 3 corners, 3)
        return np.where(mask[..., None], (corners * weight[..., None]).sum(-2), 0).astype(np.float32), mask


def quantise(basis: Floats) -> tuple[NDArray[np.int16], Floats]:
    """(K, V, 3) -> int16 of the same shape and the step (K,) that one count stands for."""
    step = np.maximum(np.abs(basis).reshape(len(basis), -1).max(1), 1e-12) / 32767
    return np.rint(basis / step[:, None, None]).astype(np.int16), step.astype(np.float32)


def _from_arrays(data: dict[str, NDArray]) -> HeadModel:
    def basis(name: str) -> Floats:
        return data[name].astype(np.float32) * data[f"{name}_step"][:, None, None]

    if tuple(data["expression_names"]) != EXPRESSION_NAMES:
        raise ValueError("its expression names are not ARKit's 51")
    names = [key.removeprefix("landmark_vertex_") for key in data if key.startswith("landmark_vertex_")]
    sets = {
        n: (data[f"landmark_vertex_{n}"].astype(np.int32), data[f"landmark_weight_{n}"].astype(np.float32))
        for n in names
    }
    return HeadModel(
        mean=data["mean"].astype(np.float32),
        identity_basis=basis("identity"),
        expression_basis=basis("expression"),
        triangles=data["triangles"].astype(np.int32),
        uv=data["uv"].astype(np.float32),
        mirror=data["mirror"].astype(np.int32),
        identity_mirror=data["identity_mirror"].astype(np.float32),
        region=data["region"].astype(np.uint8),
        region_names=tuple(str(name) for name in data["region_names"]),
        landmark_sets=sets,
        mediapipe478_spread=data["mediapipe478_spread"].astype(np.float32),
        explained_variance=float(data["explained_variance"]),
    )
