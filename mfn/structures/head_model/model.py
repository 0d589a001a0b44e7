"""`HeadModel`: a linear head model. Identity and expression coefficients in, vertices in meters out. It needs NumPy only.

`experiments/head_model/build.py` makes the shipped file; mfn/weights/MODEL_CARD.md names its sources.
Head frame: x to the subject's left, y up, z out of the face; meters; the origin is midway between the two eyeballs of every identity.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.camera import project
from mfn.structures.head_model.box import face_box
from mfn.structures.head_model.coefficient_map import CoefficientMap, MapOptions, fit_map
from mfn.structures.head_model.file import DEFAULT_FILE, read_head_file
from mfn.structures.head_model.readers.bfm import read_bfm
from mfn.structures.head_model.readers.flame import read_flame
from mfn.structures.head_model.readers.ict import read_ict
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write

if TYPE_CHECKING:
    from mfn.structures.faces import Faces

Floats = NDArray[np.float32]
LandmarkSet = Literal["ibug68", "photo68", "mediapipe478", "dense520"]


class LandmarkBasis(NamedTuple):
    """A landmark set as a small linear model: mean (L, 3), identity (I, L, 3), expression (E, L, 3), in meters."""

    mean: Floats
    identity: Floats
    expression: Floats


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A linear head model. V vertices, T triangles, I identity components, E expression components, L landmarks.

    Attributes:
        mean: (V, 3) mean head in meters.
        identity_basis: (I, V, 3) meters per standard deviation. Every component of the shipped model is symmetric or antisymmetric.
        expression_basis: (E, V, 3) meters at weight 1. The shipped model has 51, in the order of `EXPRESSION_NAMES`.
        triangles: (T, 3) int32, counter-clockwise seen from outside; those of the mouth interior, seen from inside the mouth.
        uv: (V, 2) in [0, 1] on the chart of the face (u to the subject's left, v down); -1 for vertices outside the chart.
        mirror: (V,) int32, each vertex's twin on the other side.
        identity_mirror: (I,) +1 or -1, the sign that a horizontal flip gives to each coefficient; 0 where a flip mixes components.
        region: (V,) uint8 index into `region_names`.
        region_names: Names of the regions.
        landmark_sets: Name -> (vertices (L, 3) int32, weights (L, 3)): barycentric points on the surface.
        mediapipe478_spread: (478,) meters, uncertainty of the position of each MediaPipe point on the surface.
        explained_variance: Share of the skin's variance over the sampled identities that the I components explain.
        expression_names: Names of the E expression components.
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
    expression_names: tuple[str, ...] = EXPRESSION_NAMES
    _basis: Floats = field(init=False, repr=False)
    _flat_landmarks: dict[str, tuple[Floats, Floats]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.mean)
        basis = np.concatenate([self.identity_basis, self.expression_basis], dtype=np.float32)
        object.__setattr__(self, "_basis", basis.reshape(-1, count * 3))
        split = len(self.identity_basis)
        for name, part in (("identity_basis", basis[:split]), ("expression_basis", basis[split:])):
            object.__setattr__(self, name, part)  # views: large models are held once

    @classmethod
    def load(cls, path: str | Path | None = None) -> HeadModel:
        """Read a head model from a file.

        Args:
            path: A file in the format of the shipped one. None: the shipped model.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a head model of this format.
        """
        return cls(**read_head_file(Path(path) if path is not None else DEFAULT_FILE))

    @classmethod
    def from_bfm(cls, path: str | Path) -> HeadModel:
        """Read the Basel Face Model: 2009 (`01_MorphableModel.mat`), 2017 or 2019 (`model2017-1_….h5`, `model2019_….h5`).

        Expressions are principal components; the model of 2009 has none. Raises as `from_flame` does.
        """
        return cls(**read_bfm(Path(path)))

    @classmethod
    def from_flame(cls, path: str | Path, identity_components: int = 300) -> HeadModel:
        """Read FLAME from its `.pkl` or `.npz` file. No code of the file is executed.

        Args:
            path: The file.
            identity_components: How many of the shape components are identity; the others are expression. 300 in the published files.

        Returns:
            The model. The first nine expressions turn jaw and eyes: radians about x, y and z, made linear. FLAME's own follow.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not such a model, or asks for code to be run.
            ImportError: If SciPy or h5py is missing: `pip install ".[heads]"`.
        """
        return cls(**read_flame(Path(path), identity_components))

    @classmethod
    def from_ict(cls, folder: str | Path) -> HeadModel:
        """Read ICT-FaceKit's folder `FaceXModel` of .obj files. Its expressions become ARKit's 51. Raises as `from_flame` does."""
        return cls(**read_ict(Path(folder)))

    def first_components(self, identity: int, expression: int | None = None) -> HeadModel:
        """Keep the first components of identity, and of expression (None: all), to save memory and time."""
        sizes = (len(self.identity_basis), len(self.expression_basis))
        wanted = (identity, sizes[1] if expression is None else expression)
        if any(not 0 <= count <= size for count, size in zip(wanted, sizes, strict=True)):
            raise ValueError(f"expected up to {sizes[0]} identity and {sizes[1]} expression components, got {wanted[0]} and {wanted[1]}")
        return replace(
            self,
            identity_basis=self.identity_basis[: wanted[0]].copy(),
            identity_mirror=self.identity_mirror[: wanted[0]],
            expression_basis=self.expression_basis[: wanted[1]].copy(),
            expression_names=self.expression_names[: wanted[1]],
        )

    def map_to(self, target: HeadModel, options: MapOptions | None = None) -> CoefficientMap:
        """Fit a map from the coefficients of this model to those of another one. See `fit_map`."""
        return fit_map(self, target, options)

    @property
    def has_blendshapes(self) -> bool:
        """Whether the expressions are ARKit's blendshapes, with weights from 0 to 1; else they are components of any sign."""
        return self.expression_names == EXPRESSION_NAMES

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
            expression: (N, E) weights in the order of `expression_names`.

        Returns:
            (N, V, 3) vertices in meters, head frame.
        """
        identity, expression = np.asarray(identity, np.float32), np.asarray(expression, np.float32)
        count = len(identity)
        sizes = self.identity_size, len(self.expression_names)
        for name, value, size in zip(("identity", "expression"), (identity, expression), sizes):
            if value.shape != (count, size):
                raise ValueError(f"{name}: expected shape ({count}, {size}), got {value.shape}")
        moved = np.concatenate([identity, expression], 1) @ self._basis
        return self.mean + moved.reshape(count, len(self.mean), 3)

    def landmark_basis(self, name: str) -> LandmarkBasis:
        """Return a landmark set ("ibug68", "photo68", "mediapipe478" or "dense520") as a linear model of its own."""
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
            name: "ibug68", "photo68", "mediapipe478" or "dense520".

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
