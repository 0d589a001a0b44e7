"""The head whose expression shapes are transferred to other heads: our head model, read as plain arrays.

Letters: V vertices, T triangles, I identity components, L landmarks.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.mesh import connected_pieces

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MIDDLE = {
    "noseTip": 4,
    "noseBridge": 168,
    "noseBase": 2,
    "chin": 152,
    "foreheadTop": 10,
    "upperLip": 0,
    "lowerLip": 17,
}
_PAIRS = {  # left, right
    "eyeOuter": (263, 33),
    "eyeInner": (362, 133),
    "eyeUpper": (386, 159),
    "eyeLower": (374, 145),
    "browInner": (285, 55),
    "browOuter": (276, 46),
    "noseWing": (358, 129),
    "mouthCorner": (291, 61),
    "jawAngle": (361, 132),
    "ear": (454, 234),
}
LANDMARKS: dict[str, int] = _MIDDLE | {
    f"{name}{side}": number for name, pair in _PAIRS.items() for side, number in zip(("Left", "Right"), pair)
}
"""Name of a landmark -> its number among MediaPipe's 478 points. Left is the subject's left."""
REQUIRED = ("noseTip", "chin", *(f"{n}{s}" for n in ("eyeOuter", "eyeInner", "mouthCorner") for s in ("Left", "Right")))
"""The landmarks without which a head cannot be placed."""

_REQUIRED_REGIONS = ("lids", "lips", "eyeball_left", "eyeball_right")


class SurfacePoint(NamedTuple):
    """A point on the surface. vertices: (3,) of a triangle. weights: (3,) barycentric."""

    vertices: Ints
    weights: Floats


@dataclass(frozen=True)
class SourceHead:
    """A neutral head with expression shapes, in meters; x to the subject's left, y up, z out of the face.

    Attributes:
        neutral: (V, 3).
        identity: (I, V, 3) movement of the vertices by one standard deviation of each identity component. I may be 0.
        shapes: (51, V, 3) movement by each of EXPRESSION_NAMES.
        triangles: (T, 3), counter-clockwise seen from outside.
        region: (V,) number of the vertex's region in region_names.
        region_names: Names of the regions.
        landmarks: Name -> point on the surface.
    """

    neutral: Floats
    identity: Floats
    shapes: Floats
    triangles: Ints
    region: Ints
    region_names: tuple[str, ...]
    landmarks: dict[str, SurfacePoint]

    def mask(self, *names: str) -> NDArray[np.bool_]:
        """Return (V,) True for the vertices of the named regions. Names that the head does not have match nothing."""
        return np.isin(self.region, [k for k, name in enumerate(self.region_names) if name in names])

    @cached_property
    def piece(self) -> Ints:
        """(V,) number of the connected piece of each vertex."""
        return connected_pieces(len(self.neutral), self.triangles)

    @cached_property
    def skin(self) -> NDArray[np.bool_]:
        """(V,) the piece that the lips belong to: face, scalp, neck and the mouth interior."""
        return np.asarray(self.piece == self.piece[np.flatnonzero(self.mask("lips"))[0]])

    def other_pieces(self) -> list[NDArray[np.bool_]]:
        """Return a mask (V,) for each piece that is not skin: eyes, teeth, tongue."""
        return [self.piece == number for number in np.unique(self.piece[~self.skin])]

    def at_landmarks(self, values: Floats, names: list[str]) -> Floats:
        """Interpolate values (..., V, 3) of the vertices at landmarks.

        Args:
            values: (..., V, 3).
            names: L landmarks.

        Returns:
            (..., L, 3).
        """
        vertices = np.array([self.landmarks[name].vertices for name in names])
        weights = np.array([self.landmarks[name].weights for name in names])
        return np.asarray((values[..., vertices, :] * weights[..., None]).sum(-2))


def default_source_head() -> Path:
    """Return the file of our head model.

    `retarget` does not import `mfn`. It reads this data file of `mfn`, which is installed beside it.
    """
    return Path(__file__).resolve().parents[2] / "mfn" / "weights" / "head_model.npz"


def load_source_head(path: str | os.PathLike[str] | None = None) -> SourceHead:
    """Load a source head.

    Args:
        path: An .npz file with the fields mean, identity, identity_step, expression, expression_step,
            expression_names, triangles, region, region_names, landmark_vertex_mediapipe478 and
            landmark_weight_mediapipe478. None: our head model.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no head model, or its expressions are not ARKit's.
    """
    file = default_source_head() if path is None else Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such head model (expected an .npz file with the 51 shapes; give it with --source)")
    try:
        if not zipfile.is_zipfile(file):
            raise ValueError("not an .npz archive, or only a part of one")
        with np.load(file, allow_pickle=False) as data:
            return _from_arrays({name: data[name] for name in data.files})
    except Exception as error:  # zipfile, zlib, tokenize and NumPy raise errors of their own for damaged archives
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{file}: not a head model ({reason[:200]})") from None


def _from_arrays(data: dict[str, NDArray[Any]]) -> SourceHead:
    if tuple(str(name) for name in data["expression_names"]) != EXPRESSION_NAMES:
        raise ValueError("its expression names are not ARKit's 51")
    names = tuple(str(name) for name in data["region_names"])
    missing = [name for name in _REQUIRED_REGIONS if name not in names]
    if missing:
        raise ValueError(f"it has no region {missing[0]}")
    vertices = data["landmark_vertex_mediapipe478"].astype(np.int64)
    weights = data["landmark_weight_mediapipe478"].astype(np.float64)
    return SourceHead(
        neutral=data["mean"].astype(np.float64),
        identity=data["identity"] * data["identity_step"].astype(np.float64)[:, None, None],
        shapes=data["expression"] * data["expression_step"].astype(np.float64)[:, None, None],
        triangles=data["triangles"].astype(np.int64),
        region=data["region"].astype(np.int64),
        region_names=names,
        landmarks={name: SurfacePoint(vertices[k], weights[k]) for name, k in LANDMARKS.items()},
    )
