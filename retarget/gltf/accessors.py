"""Read and write arrays in the bytes of a glTF file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.document import Document, Glb, add, add_view
from retarget.gltf.validate import COMPONENT, WIDTH

VERTEX_ATTRIBUTES, TRIANGLE_INDICES = 34962, 34963
"""Targets of buffer views, as OpenGL numbers them."""

_MAX_VALUE = 1e12


def read_accessor(glb: Glb, index: int) -> NDArray[Any]:
    """Read an accessor.

    Args:
        glb: The file.
        index: Number of the accessor.

    Returns:
        (count, components). Floats and normalized integers become float32 (integers in [-1, 1] or [0, 1]); other integers
        keep their type. Sparse values are filled in. Matrices are flat and column-major.

    Raises:
        ValueError: A value is not finite or too large.
    """
    accessor = glb.document["accessors"][index]
    kind, width = np.dtype(COMPONENT[accessor["componentType"]]), WIDTH[accessor["type"]]
    count = accessor["count"]
    if "bufferView" in accessor:
        view = glb.document["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        stride = view.get("byteStride") or kind.itemsize * width
        values: NDArray[Any] = np.ndarray((count, width), kind, glb.binary, start, (stride, kind.itemsize)).copy()
    else:
        values = np.zeros((count, width), kind)
    if "sparse" in accessor:
        sparse = accessor["sparse"]
        where = _block(
            glb, sparse["indices"], np.dtype(COMPONENT[sparse["indices"]["componentType"]]), sparse["count"], 1
        )
        values[where[:, 0]] = _block(glb, sparse["values"], kind, sparse["count"], width)
    if accessor.get("normalized") and kind.kind in "iu":
        result: NDArray[Any] = np.maximum(values.astype(np.float32) / float(2 ** (8 * kind.itemsize - (kind.kind == "i")) - 1), -1)
        return result
    if kind.kind == "f" and not (np.abs(values) < _MAX_VALUE).all():
        raise ValueError(f"{glb.path}: accessor {index} holds NaN or infinity (expected numbers below {_MAX_VALUE:g})")
    return values


def add_accessor(glb: Glb, values: NDArray[Any], target: int | None = None, normalized: bool = False) -> int:
    """Append an array as an accessor with minimum and maximum.

    Args:
        glb: The file.
        values: (count, components) or (count,) float32, uint8, uint16, uint32, int8 or int16; float64 becomes float32.
        target: `VERTEX_ATTRIBUTES`, `TRIANGLE_INDICES`, or None for other data.
        normalized: Whether readers map integers to [-1, 1] or [0, 1].

    Returns:
        The number of the accessor.
    """
    values = np.ascontiguousarray(values, np.float32 if values.dtype == np.float64 else values.dtype)
    accessor = _describe(values, normalized)
    row = accessor_bytes(values)
    if target == VERTEX_ATTRIBUTES and row % 4:  # vertex attributes start on multiples of four
        padded = np.zeros((len(values), row + (-row % 4)), np.uint8)
        padded[:, :row] = values.view(np.uint8).reshape(len(values), row)
        view = add_view(glb, padded.tobytes(), target=target, byteStride=padded.shape[1])
    else:
        view = add_view(glb, values.tobytes(), **({"target": target} if target else {}))
    return add(glb, "accessors", {"bufferView": view, **accessor})


def add_sparse_accessor(glb: Glb, values: NDArray[Any], smallest: float) -> int:
    """Append an array of which most rows are zero.

    Args:
        glb: The file.
        values: (count, components)
        smallest: Rows whose absolute values are all below this are stored as zero; 0 keeps all that are not zero.

    Returns:
        The number of the accessor. It is a plain accessor if that takes less space.
    """
    rows = np.flatnonzero(((np.abs(values) >= smallest) & (values != 0)).any(axis=1))
    index_type: Any = np.uint8 if len(values) <= 256 else np.uint16 if len(values) <= 65536 else np.uint32
    values = np.asarray(values, np.float32)
    if len(rows) * (np.dtype(index_type).itemsize + values.shape[1] * 4) >= values.nbytes:
        return add_accessor(glb, values, VERTEX_ATTRIBUTES)
    kept = np.zeros_like(values)
    kept[rows] = values[rows]
    accessor = _describe(kept, False)
    if len(rows):
        indices = {"bufferView": add_view(glb, rows.astype(index_type).tobytes())}
        indices["componentType"] = _component_type(np.dtype(index_type))
        block = {"bufferView": add_view(glb, values[rows].tobytes())}
        accessor["sparse"] = {"count": len(rows), "indices": indices, "values": block}
    return add(glb, "accessors", accessor)


def overwrite_accessor(glb: Glb, index: int, values: NDArray[Any]) -> None:
    """Store other values in an accessor of the same kind, in place, with their minimum and maximum.

    Args:
        glb: The file.
        index: Number of an accessor that is not sparse.
        values: (count, components) in the stored type, so uint8 for normalized colors.
    """
    accessor = glb.document["accessors"][index]
    view = glb.document["bufferViews"][accessor["bufferView"]]
    kind, width = np.dtype(COMPONENT[accessor["componentType"]]), WIDTH[accessor["type"]]
    if values.shape != (accessor["count"], width):
        raise ValueError(f"accessor {index}: expected shape {(accessor['count'], width)}, got {values.shape}")
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    stride = view.get("byteStride") or kind.itemsize * width
    stored: NDArray[Any] = np.ndarray(values.shape, kind, glb.binary, start, (stride, kind.itemsize))
    stored[:] = values
    accessor.update(min=stored.min(axis=0).tolist(), max=stored.max(axis=0).tolist())


def accessor_bytes(values: NDArray[Any]) -> int:
    """Return the bytes of one element of values (count, components) or (count,)."""
    return values.dtype.itemsize * (values.shape[1] if values.ndim == 2 else 1)


def _describe(values: NDArray[Any], normalized: bool) -> Document:
    if not len(values):
        raise ValueError("an accessor needs at least one element, got none")
    table = values.reshape(len(values), -1)
    kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[table.shape[1]]
    number = float if values.dtype.kind == "f" else int
    accessor: Document = {"componentType": _component_type(values.dtype), "count": len(values), "type": kind}
    if normalized:
        accessor["normalized"] = True
    accessor["min"] = [number(v) for v in table.min(axis=0)]
    accessor["max"] = [number(v) for v in table.max(axis=0)]
    return accessor


def _component_type(kind: np.dtype[Any]) -> int:
    return next(code for code, candidate in COMPONENT.items() if np.dtype(candidate) == kind)


def _block(glb: Glb, place: Document, kind: np.dtype[Any], count: int, width: int) -> NDArray[Any]:
    view = glb.document["bufferViews"][place["bufferView"]]
    start = view.get("byteOffset", 0) + place.get("byteOffset", 0)
    return np.frombuffer(glb.binary, kind, count * width, start).reshape(count, width)
