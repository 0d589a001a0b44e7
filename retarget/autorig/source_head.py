"""The head whose shapes are transferred: our head model's file read as plain arrays.

`retarget` does not import `mfn`; it only reads the data file that is installed beside it, or another one in the same
format (fields: mean, identity, identity_step, expression, expression_step, triangles, region, region_names,
landmark_vertex_mediapipe478, landmark_weight_mediapipe478).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES
from retarget.geometry.mesh import connected_pieces

Floats = NDArray[np.float64]
DEFAULT_FILE = Path(__file__).resolve().parents[2] / "mfn" / "weights" / "head_model.npz"

_MIDDLE = {"noseTip": 4, "noseBridge": 168, "noseBase": 2, "chin": 152, "foreheadTop": 10, "upperLip": 0, "lowerLip": 17}
_PAIRS = {
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
"""Name -> which of MediaPipe's 478 points it is. Left is the subject's left."""
REQUIRED = ("noseTip", "chin", *(f"{n}{s}" for n in ("eyeOuter", "eyeInner", "mouthCorner") for s in ("Left", "Right")))


@dataclass(frozen=True)
class SourceHead:
    """A neutral head with shapes. Metres; x to the subject's left, y up, z out of the face.

    neutral: (V, 3). identity: (I, V, 3), what makes other people of it, one standard deviation each; I may be 0.
    shapes: (51, V, 3), how each of EXPRESSION_NAMES moves it. triangles: (T, 3), counter-clockwise seen from outside.
    region: (V,) number in region_names. landmarks: name -> (vertices (3,), weights (3,)) of a point on the surface.
    """

    neutral: Floats
    identity: Floats
    shapes: Floats
    triangles: NDArray[np.int64]
    region: NDArray[np.int64]
    region_names: tuple[str, ...]
    landmarks: dict[str, tuple[NDArray[np.int64], Floats]]

    def mask(self, *names: str) -> NDArray[np.bool_]:
        """(V,) True for the vertices of the named regions; names that it does not have match nothing."""
        return np.isin(self.region, [k for k, name in enumerate(self.region_names) if name in names])

    @cached_property
    def piece(self) -> NDArray[np.int64]:
        """(V,) number of the connected piece."""
        return connected_pieces(len(self.neutral), self.triangles)

    @cached_property
    def skin(self) -> NDArray[np.bool_]:
        """(V,) the piece with the lips: face, scalp, neck and the mouth's inside."""
        return np.asarray(self.piece == self.piece[np.flatnonzero(self.mask("lips"))[0]])

    def pieces(self) -> list[NDArray[np.bool_]]:
        """A mask (V,) for each other piece: eyes, teeth, tongue."""
        return [self.piece == number for number in np.unique(self.piece[~self.skin])]

    def points(self, values: Floats, names: list[str]) -> Floats:
        """Per-vertex values (..., V, 3) at the named landmarks -> (..., L, 3)."""
        vertex = np.array([self.landmarks[name][0] for name in names])
        weight = np.array([self.landmarks[name][1] for name in names])
        return np.asarray((values[..., vertex, :] * weight[..., None]).sum(-2))


def load_source(path: str | os.PathLike[str] | None = None) -> SourceHead:
    """Our head model as it ships, or another file of its format."""
    file = Path(path) if path is not None else DEFAULT_FILE
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no head model here (expected an .npz with the 51 shapes; give one with --source)")
    try:
        with np.load(file, allow_pickle=False) as data:
            return _from_arrays({name: data[name] for name in data.files})
    except (KeyError, ValueError, OSError, EOFError, IndexError) as error:
        raise ValueError(f"{file}: not a head model ({error})") from None


def _from_arrays(data: dict[str, Any]) -> SourceHead:
    if tuple(str(name) for name in data["expression_names"]) != EXPRESSION_NAMES:
        raise ValueError("its expression names are not ARKit's 51")
    names = tuple(str(name) for name in data["region_names"])
    missing = [name for name in ("lids", "lips", "eyeball_left", "eyeball_right") if name not in names]
    if missing:
        raise ValueError(f"it has no region {missing[0]}")
    vertex, weight = data["landmark_vertex_mediapipe478"].astype(np.int64), data["landmark_weight_mediapipe478"]
    return SourceHead(
        neutral=data["mean"].astype(np.float64),
        identity=data["identity"] * data["identity_step"].astype(np.float64)[:, None, None],
        shapes=data["expression"] * data["expression_step"].astype(np.float64)[:, None, None],
        triangles=data["triangles"].astype(np.int64),
        region=data["region"].astype(np.int64),
        region_names=names,
        landmarks={name: (vertex[k], weight[k].astype(np.float64)) for name, k in LANDMARKS.items()},
    )
