"""Small triangle meshes: a sphere, and heads in files that are laid out as the Basel Face Model, FLAME and ICT-FaceKit are.

The head is a half ellipsoid with a nose, drawn on a grid. Every grid shows the same head and shapes, so that maps between two grids
have a known answer.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from retarget.arkit import EXPRESSION_NAMES

IDENTITIES = 6


def sphere(rings: int = 9, sides: int = 12) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return vertices (V, 3) and triangles (T, 3) of a unit sphere, counter-clockwise as seen from outside.

    Args:
        rings: Rows of vertices from pole to pole. The vertices of a pole are not merged.
        sides: Vertices of a row.
    """
    up, around = np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, sides, endpoint=False)
    x, z = np.outer(np.sin(up), np.cos(around)), np.outer(np.sin(up), np.sin(around))
    y = np.outer(np.cos(up), np.ones(sides))
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    triangles = np.stack([a, b, a + sides, b, b + sides, a + sides], -1).reshape(-1, 3)
    return np.stack([x, y, z], -1).reshape(-1, 3), triangles


@dataclass(frozen=True)
class SmallHead:
    """A head in meters: mean (V, 3), identity (I, V, 3), expression (51, V, 3), triangles (T, 3)."""

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    triangles: np.ndarray


def small_head(rows: int = 24, columns: int = 20) -> SmallHead:
    """Build the head on a grid of rows x columns vertices."""
    u, v = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
    u, v = u.ravel(), v.ravel()
    across, up = 1.2 * u, 1.1 * v
    mean = np.stack([0.075 * np.sin(across), 0.11 * np.sin(up), 0.09 * np.cos(across) * np.cos(up)], 1)
    mean[:, 2] += 0.03 * np.exp(-((u / 0.15) ** 2) - ((v + 0.1) / 0.25) ** 2)
    waves = [np.outer(np.cos(np.pi * k * u / 2) * np.cos(np.pi * (k % 3) * v), np.eye(3)[k % 3]) for k in range(IDENTITIES)]
    identity = 0.003 * np.stack(waves) / (1 + np.arange(IDENTITIES))[:, None, None]
    places = np.random.default_rng(7).uniform(-0.6, 0.6, (len(EXPRESSION_NAMES), 2))
    bumps = np.exp(-(((u - places[:, :1]) / 0.25) ** 2) - ((v - places[:, 1:]) / 0.25) ** 2)
    expression = 0.006 * bumps[..., None] * np.eye(3)[np.arange(len(EXPRESSION_NAMES)) % 3][:, None]
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    lower = np.stack([corner, corner + 1, corner + columns + 1], 1)
    upper = np.stack([corner, corner + columns + 1, corner + columns], 1)
    return SmallHead(mean, identity, expression, np.concatenate([lower, upper]))


def write_bfm_2009(path: Path, head: SmallHead, **changes: object) -> Path:
    """Write `01_MorphableModel.mat`: micrometers, unit components and their deviations, triangles from 1."""
    from scipy.io import savemat

    flat = head.identity.reshape(len(head.identity), -1) * 1e6
    deviation = np.linalg.norm(flat, axis=1)
    data = {
        "shapeMU": head.mean.reshape(-1, 1) * 1e6,
        "shapePC": (flat / deviation[:, None]).T,
        "shapeEV": deviation[:, None],
        "tl": head.triangles[:, ::-1] + 1.0,
        "texMU": np.zeros((head.mean.size, 1)),
    }
    savemat(path, {key: value for key, value in (data | changes).items() if value is not None})
    return path


def write_bfm_2017(path: Path, head: SmallHead, expressions: bool = True) -> Path:
    """Write `model2017-1_bfm_nomouth.h5`: millimeters, unit components and their variances."""
    import h5py

    with h5py.File(path, "w") as file:
        parts = {"shape": (head.mean, head.identity)}
        if expressions:
            parts["expression"] = (np.zeros_like(head.mean), head.expression)
        for group, (mean, basis) in parts.items():
            flat = basis.reshape(len(basis), -1) * 1000
            deviation = np.linalg.norm(flat, axis=1)
            file[f"{group}/model/mean"] = mean.ravel() * 1000
            file[f"{group}/model/pcaBasis"] = (flat / deviation[:, None]).T
            file[f"{group}/model/pcaVariance"] = deviation**2
            file[f"{group}/representer/cells"] = head.triangles.T
    return path


def flame_arrays(head: SmallHead, expressions: int = 10) -> dict[str, np.ndarray]:
    """Return the arrays of FLAME. The jaw is the lower third of the head."""
    from scipy.sparse import csc_matrix

    count = len(head.mean)
    weights = np.zeros((count, 5))
    weights[:, 2] = np.clip((-0.03 - head.mean[:, 1]) / 0.02, 0, 1)
    weights[:, 1] = 1 - weights[:, 2]
    regressor = np.zeros((5, count))
    regressor[:, [0, 5, 9]] = 1 / 3
    shapes = np.concatenate([head.identity, head.expression[:expressions]])
    return {
        "v_template": head.mean,
        "shapedirs": np.moveaxis(shapes, 0, 2),
        "posedirs": np.zeros((count, 3, 36)),
        "weights": weights,
        "J_regressor": csc_matrix(regressor),
        "f": head.triangles.astype(np.uint32),
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
    }


def write_flame_pickle(path: Path, head: SmallHead, changes: dict[str, object] | None = None, expressions: int = 10) -> Path:
    """Write `generic_model.pkl` as old Pythons do: protocol 2, chumpy's arrays, a sparse matrix, NumPy's old module names."""
    arrays: dict[str, object] = dict(flame_arrays(head, expressions))
    modules = {name: ModuleType(name) for name in ("chumpy", "chumpy.ch")}
    kind = type("Ch", (), {"__module__": "chumpy.ch", "__qualname__": "Ch"})
    modules["chumpy.ch"].Ch = kind  # type: ignore[attr-defined]
    for name in ("v_template", "shapedirs", "posedirs", "weights"):
        array = kind()
        array.__dict__ = {"x": arrays[name], "_dirty_vars": None, "_itr": None}
        arrays[name] = array
    sys.modules.update(modules)
    try:
        data = pickle.dumps(arrays | {"bs_style": "lbs", "bs_type": "lrotmin"} | (changes or {}), protocol=2)
    finally:
        for name in modules:
            del sys.modules[name]
    path.write_bytes(data.replace(b"numpy._core.", b"numpy.core."))
    return path


def write_flame_npz(path: Path, head: SmallHead) -> Path:
    """Write FLAME as an .npz whose sparse matrix is an object, as `numpy.savez` writes it."""
    np.savez(path, **flame_arrays(head))
    return path


def write_ict(folder: Path, head: SmallHead, leave_out: Sequence[str] = ()) -> Path:
    """Write the folder `FaceXModel`: centimeters, one .obj file for each shape, browInnerUp and cheekPuff in two halves."""
    folder.mkdir()
    faces = [f"f {a} {b} {c}" for a, b, c in (head.triangles + 1).tolist()]

    def write(name: str, points: np.ndarray) -> None:
        if name not in leave_out:
            lines = [f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in (points * 100).tolist()]
            (folder / f"{name}.obj").write_text("\n".join([*lines, *faces]) + "\n")

    write("generic_neutral_mesh", head.mean)
    for i, offset in enumerate(head.identity):
        write(f"identity{i:03d}", head.mean + offset)
    for name, offset in zip(EXPRESSION_NAMES, head.expression, strict=True):
        stem = name.replace("Left", "_L").replace("Right", "_R") if name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight") else name
        if name in ("browInnerUp", "cheekPuff"):
            for half in ("_L", "_R"):
                write(name + half, head.mean + offset / 2)
        else:
            write(stem, head.mean + offset)
    (folder / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": list(range(68))}))
    return folder
