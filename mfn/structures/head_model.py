"""`HeadModel`: a linear head model. Identity and expression coefficients in, vertices in meters out. It needs NumPy only.

`experiments/head_model/build.py` makes the shipped file; mfn/weights/MODEL_CARD.md names its sources.
Head frame: x to the subject's left, y up, z out of the face; meters; the origin is midway between the two eyeballs of every identity.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project
from mfn.structures.mediapipe_points import OVAL
from mfn.weights import weights_path
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write

if TYPE_CHECKING:
    from mfn.structures.faces import Faces

Floats = NDArray[np.float32]
LandmarkSet = Literal["ibug68", "mediapipe478", "dense520"]
FORMAT = 1
DEFAULT_FILE = weights_path("head_model.npz")
_FOREHEAD = 0.155  # how far a face's box reaches above the mesh, relative to the height from chin to forehead
_SIDE_INSET = 0.022  # how far the box's sides lie inside the mesh, relative to its width


class LandmarkBasis(NamedTuple):
    """A landmark set as a small linear model: mean (L, 3), identity (I, L, 3), expression (51, L, 3), in meters."""

    mean: Floats
    identity: Floats
    expression: Floats


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A linear head model. V vertices, T triangles, I identity components, L landmarks.

    Attributes:
        mean: (V, 3) mean head in meters.
        identity_basis: (I, V, 3) meters per standard deviation. Every component is symmetric or antisymmetric.
        expression_basis: (51, V, 3) meters at weight 1, in the order of `EXPRESSION_NAMES`.
        triangles: (T, 3) int32, counter-clockwise seen from outside; those of the mouth interior, seen from inside the mouth.
        uv: (V, 2) in [0, 1] on the chart of the face (u to the subject's left, v down); -1 for vertices outside the chart.
        mirror: (V,) int32, each vertex's twin on the other side.
        identity_mirror: (I,) +1 or -1, the sign that a horizontal flip gives to each coefficient.
        region: (V,) uint8 index into `region_names`.
        region_names: Names of the regions.
        landmark_sets: Name -> (vertices (L, 3) int32, weights (L, 3)): barycentric points on the surface.
        mediapipe478_spread: (478,) meters, uncertainty of the position of each MediaPipe point on the surface.
        explained_variance: Share of the skin's variance over the sampled identities that the I components explain.
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
    _flat_landmarks: dict[str, tuple[Floats, Floats]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.mean)
        basis = np.concatenate([self.identity_basis, self.expression_basis]).reshape(-1, count * 3)
        object.__setattr__(self, "_basis", np.ascontiguousarray(basis, np.float32))

    @classmethod
    def load(cls, path: str | Path | None = None) -> HeadModel:
        """Read a head model from a file.

        Args:
            path: A file in the format of the shipped one. None: the shipped model.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a head model of this format.
        """
        source = Path(path) if path is not None else DEFAULT_FILE
        if not source.is_file():
            raise FileNotFoundError(f"{source}: no such head model file; experiments/head_model/build.py makes it")
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
        """Number of identity components, I."""
        return len(self.identity_basis)

    def region_mask(self, *names: str) -> NDArray[np.bool_]:
        """Return a mask (V,) of the vertices that belong to the named regions."""
        unknown = set(names) - set(self.region_names)
        if unknown:
            raise ValueError(f"expected regions among {', '.join(self.region_names)}, got {', '.join(sorted(unknown))}")
        return np.isin(self.region, [self.region_names.index(name) for name in names])

    def vertices(self, identity: Floats, expression: Floats) -> Floats:
        """Compute the vertices of heads.

        Args:
            identity: (N, I) coefficients in standard deviations.
            expression: (N, 51) weights in [0, 1], in the order of `EXPRESSION_NAMES`.

        Returns:
            (N, V, 3) vertices in meters, head frame.
        """
        identity, expression = np.asarray(identity, np.float32), np.asarray(expression, np.float32)
        count = len(identity)
        sizes = self.identity_size, len(EXPRESSION_NAMES)
        for name, value, size in zip(("identity", "expression"), (identity, expression), sizes):
            if value.shape != (count, size):
                raise ValueError(f"{name}: expected shape ({count}, {size}), got {value.shape}")
        moved = np.concatenate([identity, expression], 1) @ self._basis
        return self.mean + moved.reshape(count, len(self.mean), 3)

    def landmark_basis(self, name: str) -> LandmarkBasis:
        """Return a landmark set ("ibug68", "mediapipe478" or "dense520") as a linear model of its own."""
        vertex, weight = self._landmarks(name)
        share = weight[..., None]
        mean, identity, expression = (
            (part[..., vertex, :] * share).sum(-2) for part in (self.mean, self.identity_basis, self.expression_basis)
        )
        return LandmarkBasis(mean, identity, expression)

    def landmarks(self, faces: Faces, name: str) -> Floats:
        """Compute the landmarks of faces in their pictures.

        Args:
            faces: N faces.
            name: "ibug68", "mediapipe478" or "dense520".

        Returns:
            (N, L, 3): x y in px of the picture, and depth on the same scale; smaller is nearer.
        """
        if name not in self._flat_landmarks:
            basis = self.landmark_basis(name)
            offsets = np.concatenate([basis.identity, basis.expression]).reshape(-1, basis.mean.size)
            self._flat_landmarks[name] = basis.mean, offsets
        mean, offsets = self._flat_landmarks[name]
        points = mean + (np.concatenate([faces.identity, faces.expression], 1) @ offsets).reshape(len(faces), *mean.shape)
        return np.asarray(project(points, faces.rotation, faces.scale, faces.center))

    def boxes(self, faces: Faces) -> Floats:
        """Compute the boxes of faces from their pose, identity and expression: (N, 4) x1 y1 x2 y2 in px. See `face_box`."""
        return face_box(self.landmarks(faces, "mediapipe478"))

    def points(self, vertices: Floats, name: str) -> Floats:
        """Compute landmarks (..., L, 3) on vertices (..., V, 3), in the frame and unit of the vertices."""
        vertex, weight = self._landmarks(name)
        return np.asarray((vertices[..., vertex, :] * weight[..., None]).sum(-2))

    def _landmarks(self, name: str) -> tuple[NDArray[np.int32], Floats]:
        if name not in self.landmark_sets:
            raise ValueError(f"expected a landmark set among {', '.join(self.landmark_sets)}, got {name!r}")
        return self.landmark_sets[name]

    def position_map(self, vertices: Floats, size: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Sample vertices over the uv chart.

        Args:
            vertices: (V, 3), in any frame and unit.
            size: Side of the map in pixels.

        Returns:
            The map (size, size, 3), in the frame and unit of the vertices, and a mask (size, size), True on the chart.
        """
        from retarget.render.rasterizer import rasterize

        inside = (self.uv[self.triangles] >= 0).all((1, 2))
        triangles = self.triangles[inside]
        flat = np.zeros((len(self.uv), 3), np.float32)
        flat[:, :2] = self.uv * size
        index, weight = rasterize(flat, triangles, size, size)
        mask = index >= 0
        corners = vertices[triangles[np.maximum(index, 0)]]  # (size, size, 3 corners, 3)
        return np.where(mask[..., None], (corners * weight[..., None]).sum(-2), 0).astype(np.float32), mask

    def to_obj(self, path: str | Path, face: Faces | None = None) -> None:
        """Write a head as a Wavefront .obj file, with uv coordinates, whole or not at all.

        Args:
            path: The file to write.
            face: One face, for its identity and expression. None: the mean head with a neutral expression.

        Raises:
            ValueError: If `face` has not exactly one row.

        Vertices are in meters in the head frame: x to the subject's left, y up, z out of the face. The order of vertices is that of
        `vertices`. Corners off the uv chart have no uv coordinate.
        """
        if face is not None and len(face) != 1:
            raise ValueError(f"expected one face, got {len(face)}; write one file for each, as in `for face in faces`")
        vertices = self.mean if face is None else self.vertices(face.identity, face.expression)[0]
        lines = ["# meters; x to the subject's left, y up, z out of the face"]
        lines += [f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in vertices.tolist()]
        lines += [f"vt {u:.6f} {1 - v:.6f}" for u, v in self.uv.tolist()]
        on_chart = np.asarray((self.uv[self.triangles] >= 0).all((1, 2)))
        for corners, charted in zip((self.triangles + 1).tolist(), on_chart.tolist(), strict=True):
            lines.append("f " + " ".join(f"{c}/{c}" if charted else str(c) for c in corners))
        atomic_write(path, ("\n".join(lines) + "\n").encode())


@lru_cache(maxsize=1)
def default_head_model() -> HeadModel:
    """Return the shipped head model. It is read once and shared: do not write into its arrays."""
    return HeadModel.load()


def face_box(landmarks: NDArray[np.floating[Any]]) -> Floats:
    """Compute the boxes of faces from MediaPipe's landmarks: the definition of a box everywhere in this project.

    Args:
        landmarks: (N, 478, 2 or more) px, the head model's "mediapipe478" in the picture.

    Returns:
        (N, 4) float32, x1 y1 x2 y2 in px.

    The box is that of a common face detector (YuNet, median IoU 0.91), but it follows from the head, so that it stays consistent when the
    head turns. The forehead is extended along the line from the chin, and the sides are moved in a little.
    """
    if landmarks.ndim != 3 or landmarks.shape[1] != 478 or landmarks.shape[2] < 2:
        raise ValueError(f"landmarks: expected shape (N, 478, 2 or more), got {landmarks.shape}")
    points = np.asarray(landmarks[..., :2], np.float32)
    upward = points[:, OVAL[0]] - points[:, OVAL[18]]
    hairline = points[:, [*OVAL[:6], *OVAL[-5:]]] + _FOREHEAD * upward[:, None]
    outline = np.concatenate([points, hairline], axis=1)
    low, high = outline.min(1), outline.max(1)
    inset = _SIDE_INSET * (high - low) * np.array([1, 0], np.float32)
    return np.concatenate([low + inset, high - inset], axis=1)


def round_to_grid(basis: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int16], Floats]:
    """Round a basis (K, V, 3) to 16-bit integers. Returns the integers and the value (K,) of one count of each component."""
    step = np.maximum(np.abs(basis).reshape(len(basis), -1).max(1), 1e-12) / 32767
    return np.rint(basis / step[:, None, None]).astype(np.int16), step.astype(np.float32)


def _from_arrays(data: dict[str, NDArray[Any]]) -> HeadModel:
    def basis(name: str) -> Floats:
        return np.asarray(data[name].astype(np.float32) * data[f"{name}_step"][:, None, None], np.float32)

    if tuple(data["expression_names"]) != EXPRESSION_NAMES:
        raise ValueError("expected ARKit's 51 expression names, got others")
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
