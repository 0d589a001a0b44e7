"""Read the arrays of a pickle file without running its code.

A pickle file is a program: it may call any function. Here it may only name NumPy's arrays, SciPy's sparse matrices and chumpy's
arrays, and none of these names is the real thing: stand-ins take the data and become plain NumPy arrays. Every other name is refused.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

_DTYPE = re.compile(r"[<>|=]?([biufcSUV]\d{1,3}|O\d?|\?)")
_SPARSE = re.compile(r"scipy\.sparse(\._?(csc|csr|coo))?")
_CHUMPY = re.compile(r"chumpy(\.\w+)*")
_MAX_VALUES = 1 << 29


class RefusedPickle(pickle.UnpicklingError):
    """The file names something that is not data."""


class _Record:
    """Stands in for an object: keeps the state that the file gives it."""

    def __init__(self, *arguments: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise RefusedPickle("an object with a state that is not a dictionary")
        self.state = state


class _Sparse(_Record):
    """Stands in for a sparse matrix."""


class _Chumpy(_Record):
    """Stands in for an array of chumpy."""


class _PlainObject:
    """Stands in for `object` and `numpy.ndarray`, which old files name as bases."""

    def __init__(self, *arguments: Any) -> NoReturn:
        raise RefusedPickle("an object without a type")


def _make_dtype(text: Any, align: Any = False, copy: Any = True) -> np.dtype[Any]:
    name = text.decode("latin1") if isinstance(text, bytes) else text
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise RefusedPickle(f"an array of {str(text)[:40]!r}")
    return np.dtype(name, copy=True)


def _empty_array(base: Any, shape: Any, code: Any) -> NDArray[Any]:
    """Make the empty array that the file fills in its next step."""
    if base is not _PlainObject or tuple(shape) != (0,):
        raise RefusedPickle("an array that is not plain")
    return np.empty(0, np.int8)


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise RefusedPickle("a number that is not plain")
    return np.frombuffer(_bytes(data), dtype, 1)[0]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """Make an array as files of protocol 5 do."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject or order not in ("C", "F"):
        raise RefusedPickle("an array that is not plain")
    return np.asarray(np.frombuffer(_bytes(data), dtype).reshape(shape, order=order))


def _bytes(data: Any, encoding: Any = "latin1") -> bytes:
    """Return bytes; Python 3 writes them to old protocols as text in Latin-1."""
    if encoding not in ("latin1", "latin-1"):
        raise RefusedPickle(f"text in the encoding {str(encoding)[:40]!r}")
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def _reconstruct(kind: Any, base: Any, state: Any) -> Any:
    if not (isinstance(kind, type) and issubclass(kind, _Record)) or base is not _PlainObject:
        raise RefusedPickle("an object of a type that is not data")
    return kind()


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _make_dtype,
    ("numpy", "ndarray"): _PlainObject,
    ("_codecs", "encode"): _bytes,
    ("collections", "OrderedDict"): OrderedDict,
    **{(module, "object"): _PlainObject for module in ("__builtin__", "builtins")},
    **{(module, "_reconstructor"): _reconstruct for module in ("copy_reg", "copyreg")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty_array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Reads data only."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name."""
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        if _SPARSE.fullmatch(module) and re.fullmatch(r"(csc|csr|coo)_(matrix|array)", name):
            return type(name, (_Sparse,), {})
        if _CHUMPY.fullmatch(module) and re.fullmatch(r"[A-Za-z]\w*", name):
            return _Chumpy
        raise RefusedPickle(f"{module}.{name}"[:120])


def read_plain_pickle(path: Path, data: bytes) -> Any:
    """Read a pickle without running its code.

    Args:
        path: Where it comes from, for messages.
        data: The pickle.

    Returns:
        Dictionaries, lists, text, numbers, and NumPy arrays in the place of sparse matrices and of chumpy's arrays.

    Raises:
        ValueError: It is damaged, or names something that is not data.
    """
    try:
        return _plain(_Unpickler(io.BytesIO(data), encoding="latin1").load())
    except RefusedPickle as error:
        raise ValueError(f"{path}: refused, because it holds more than arrays: {error}. Nothing of it was run") from None
    except Exception as error:  # a damaged pickle raises many kinds of errors
        detail = " ".join(str(error).split())[:80] or type(error).__name__
        raise ValueError(f"{path}: not a readable pickle file ({detail})") from None


def read_plain_npz_member(path: Path, member: bytes) -> Any:
    """Read one .npy file of an .npz; an array of objects is read as a pickle, without running its code.

    Raises:
        ValueError: It is damaged, or names something that is not data.
    """
    stream = io.BytesIO(member)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        dtype = read_header(stream)[2]
        if not dtype.hasobject:
            stream.seek(0)
            return np.load(stream, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({' '.join(str(error).split())[:80]})") from None
    value = read_plain_pickle(path, stream.read())
    return value.item() if isinstance(value, np.ndarray) and value.shape == () else value


def _plain(value: Any) -> Any:
    """Replace the stand-ins in nested dictionaries and lists by arrays."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return _plain(value.item()) if value.shape == () else np.array([_plain(item) for item in value.ravel()]).reshape(value.shape)
    if isinstance(value, _Sparse):
        return _dense(type(value).__name__[:3], value.state)
    if isinstance(value, _Chumpy):
        return _chumpy_array(value.state)
    if isinstance(value, (_Record, type)) or callable(value):
        raise RefusedPickle("an object that is not data")
    return value


def _chumpy_array(state: dict[str, Any]) -> NDArray[Any]:
    """Return the values of a chumpy array, or of a selection from one."""
    if "x" in state:
        return np.asarray(_plain(state["x"]))
    if "a" in state and "idxs" in state:
        chosen = np.asarray(_plain(state["a"])).ravel()[np.asarray(state["idxs"], np.int64)]
        return chosen.reshape(state.get("preferred_shape") or chosen.shape)
    raise RefusedPickle("an array of chumpy that is computed from others")


def _dense(kind: str, state: dict[str, Any]) -> NDArray[Any]:
    """Return a sparse matrix in compressed columns, compressed rows or coordinates as a full array."""
    rows, columns = (int(n) for n in state.get("_shape", state.get("shape", (0, 0))))
    if min(rows, columns) < 0 or rows * columns > _MAX_VALUES:
        raise RefusedPickle(f"a matrix of {rows} x {columns}")
    full = np.zeros((rows, columns))
    values = np.asarray(state["data"], np.float64)
    if kind == "coo":
        np.add.at(full, (np.asarray(state["row"]), np.asarray(state["col"])), values)
        return full
    index, start = np.asarray(state["indices"], np.int64), np.asarray(state["indptr"], np.int64)
    line = np.repeat(np.arange(len(start) - 1), np.diff(start))
    np.add.at(full, (index, line) if kind == "csc" else (line, index), values)
    return full
