"""Read the Basel Face Model: 2009 as a MATLAB file, 2017 and 2019 as HDF5 files.

2009 (Paysan et al., "A 3D Face Model for Pose and Illumination Invariant Face Recognition"): `shapeMU` (3V, 1), `shapePC` (3V, I),
`shapeEV` (I, 1) standard deviations, `tl` (T, 3) from 1; micrometers. 2017 and 2019 (Gerig et al., "Morphable Face Models - An Open
Framework"): groups `shape` and `expression`, each with `model/mean` (3V,), `model/pcaBasis` (3V, K), `model/pcaVariance` (K,), and
triangles in `shape/representer/cells` (3, T); millimeters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.structures.head_model.readers.foreign import MorphableModel, component_names, head_arguments
from retarget.io.files import check_file

_MAX_BYTES = 1 << 31
_MISSING = 'reading the Basel Face Model needs SciPy and h5py: pip install ".[heads]"'


class _Part(NamedTuple):
    """Mean (V, 3) and basis (K, V, 3) per standard deviation."""

    mean: NDArray[Any]
    basis: NDArray[Any]


def read_bfm(path: Path) -> dict[str, Any]:
    """Read a file of the Basel Face Model. Returns the arguments of `HeadModel`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not such a model.
        ImportError: SciPy or h5py is missing.
    """
    check_file(path, "a file of the Basel Face Model, .mat or .h5", _MAX_BYTES)
    if path.suffix.lower() == ".mat":
        return head_arguments(_read_2009(path))
    if path.suffix.lower() in (".h5", ".hdf5"):
        return head_arguments(_read_2017(path))
    raise ValueError(f"{path}: expected a file of the Basel Face Model that ends in .mat (2009) or .h5 (2017, 2019)")


def _read_2009(path: Path) -> MorphableModel:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise ImportError(_MISSING) from None
    names = ("shapeMU", "shapePC", "shapeEV", "tl")
    try:
        data = loadmat(path, variable_names=names)
    except Exception as error:  # a damaged file raises many kinds of errors
        raise ValueError(f"{path}: not a MATLAB file of the Basel Face Model ({error or type(error).__name__})") from None
    _expect(path, names, data)
    part = _part(path, "shapeMU, shapePC and shapeEV", data["shapeMU"], data["shapePC"], data["shapeEV"])
    none = np.zeros((0, *part.mean.shape), np.float32)
    return MorphableModel(path, part.mean, part.basis, none, (), data["tl"].astype(np.int64) - 1)


def _read_2017(path: Path) -> MorphableModel:
    try:
        import h5py
    except ImportError:
        raise ImportError(_MISSING) from None
    wanted = [f"{group}/model/{key}" for group in ("shape", "expression") for key in ("mean", "pcaBasis", "pcaVariance")]
    cells = "shape/representer/cells"
    try:
        with h5py.File(path, "r") as file:
            data = {name: np.asarray(file[name][()]) for name in (*wanted, cells) if name in file}
    except Exception as error:
        raise ValueError(f"{path}: not an HDF5 file of the Basel Face Model ({error or type(error).__name__})") from None
    _expect(path, (*wanted[:3], cells), data)
    shape = _statistics(path, data, "shape")
    triangles = data[cells].astype(np.int64)
    if triangles.ndim == 2 and triangles.shape[0] == 3 != triangles.shape[1]:
        triangles = triangles.T
    if wanted[3] not in data:
        return MorphableModel(path, shape.mean, shape.basis, np.zeros((0, *shape.mean.shape), np.float32), (), triangles)
    _expect(path, wanted[3:], data)
    moved = _statistics(path, data, "expression")
    if moved.mean.shape != shape.mean.shape:
        raise ValueError(f"{path}: expected as many vertices in expression as in shape, got {len(moved.mean)} and {len(shape.mean)}")
    return MorphableModel(path, shape.mean + moved.mean, shape.basis, moved.basis, component_names(len(moved.basis)), triangles)


def _statistics(path: Path, data: dict[str, NDArray[Any]], group: str) -> _Part:
    mean, basis, variance = (data[f"{group}/model/{key}"] for key in ("mean", "pcaBasis", "pcaVariance"))
    if not (variance >= 0).all():
        raise ValueError(f"{path}: {group}/model/pcaVariance: expected no negative numbers")
    return _part(path, f"{group}/model", mean, basis, np.sqrt(variance))


def _part(path: Path, name: str, mean: NDArray[Any], basis: NDArray[Any], deviation: NDArray[Any]) -> _Part:
    """Bring flat arrays into shape: mean of 3V numbers, basis (3V, K), K standard deviations."""
    flat, deviation = np.ravel(mean), np.ravel(deviation)
    if flat.size % 3 or basis.shape != (flat.size, deviation.size):
        raise ValueError(f"{path}: {name}: expected 3V, (3V, K) and K numbers, got {mean.shape}, {basis.shape} and {deviation.shape}")
    scaled = np.asarray(basis, np.float32).T * deviation[:, None].astype(np.float32)
    return _Part(flat.reshape(-1, 3), scaled.reshape(deviation.size, -1, 3))


def _expect(path: Path, names: tuple[str, ...] | list[str], data: dict[str, Any]) -> None:
    missing = [name for name in names if name not in data]
    if missing:
        raise ValueError(f"{path}: not a Basel Face Model: expected {', '.join(names)}, but {', '.join(missing)} is missing")
