"""The file of the head model that ships: an .npz whose bases are 16-bit integers."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mfn.weights import weights_path
from retarget.arkit import EXPRESSION_NAMES

Floats = NDArray[np.float32]
FORMAT = 1
DEFAULT_FILE = weights_path("head_model.npz")
PHOTO68_FILE = weights_path("photo68.npz")  # a landmark set that was learned: experiments/labels/photo_points.py


def read_head_file(path: Path) -> dict[str, Any]:
    """Read a file in the format of the shipped one.

    Args:
        path: The .npz file.

    Returns:
        The arguments of `HeadModel`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a head model of this format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such head model file; experiments/head_model/build.py makes it")
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        if int(data["format"]) != FORMAT:
            raise ValueError(f"format {int(data['format'])}, this version reads {FORMAT}")
        return _from_arrays(data)
    except (KeyError, ValueError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a head model of format {FORMAT} ({error})") from error


def read_photo_points(vertices: int) -> dict[str, tuple[NDArray[np.int32], Floats]]:
    """Return the learned landmark set "photo68", or nothing if it belongs to a mesh with another number of vertices, or was deleted."""
    if not PHOTO68_FILE.is_file():  # a company may not ship it
        return {}
    with np.load(PHOTO68_FILE, allow_pickle=False) as file:
        if int(file["vertices"]) != vertices:
            return {}
        return {"photo68": (file["vertex"].astype(np.int32), file["weight"].astype(np.float32))}


def round_to_grid(basis: NDArray[np.floating[Any]]) -> tuple[NDArray[np.int16], Floats]:
    """Round a basis (K, V, 3) to 16-bit integers. Returns the integers and the value (K,) of one count of each component."""
    step = np.maximum(np.abs(basis).reshape(len(basis), -1).max(1), 1e-12) / 32767
    return np.rint(basis / step[:, None, None]).astype(np.int16), step.astype(np.float32)


def _from_arrays(data: dict[str, NDArray[Any]]) -> dict[str, Any]:
    def basis(name: str) -> Floats:
        return np.asarray(data[name].astype(np.float32) * data[f"{name}_step"][:, None, None], np.float32)

    if tuple(data["expression_names"]) != EXPRESSION_NAMES:
        raise ValueError("expected ARKit's 51 expression names, got others")
    names = [key.removeprefix("landmark_vertex_") for key in data if key.startswith("landmark_vertex_")]
    sets = {
        n: (data[f"landmark_vertex_{n}"].astype(np.int32), data[f"landmark_weight_{n}"].astype(np.float32))
        for n in names
    }
    sets |= read_photo_points(len(data["mean"]))
    return {
        "mean": data["mean"].astype(np.float32),
        "identity_basis": basis("identity"),
        "expression_basis": basis("expression"),
        "triangles": data["triangles"].astype(np.int32),
        "uv": data["uv"].astype(np.float32),
        "mirror": data["mirror"].astype(np.int32),
        "identity_mirror": data["identity_mirror"].astype(np.float32),
        "region": data["region"].astype(np.uint8),
        "region_names": tuple(str(name) for name in data["region_names"]),
        "landmark_sets": sets,
        "mediapipe478_spread": data["mediapipe478_spread"].astype(np.float32),
        "explained_variance": float(data["explained_variance"]),
    }
