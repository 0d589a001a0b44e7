"""Unpack meshes that are compressed with meshopt or Draco. What comes out is a plain glTF document.

meshopt compresses buffer views (EXT_meshopt_compression, KHR_meshopt_compression); Draco compresses the triangles and the
attributes of a primitive (KHR_draco_mesh_compression), but never its morph targets.

Both decoders are in the extra `codecs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retarget.gltf.validate import COMPONENT, MAX_COUNT, WIDTH, Document, index_of, non_negative_int
from retarget.io.files import MAX_FILE_BYTES

DRACO = "KHR_draco_mesh_compression"
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
_INDEX_TARGET = 34963


def is_fallback(buffer: Document) -> bool:
    """Return whether a buffer is only a place for unpacked data, so that a file need not hold it."""
    extensions = buffer.get("extensions") or {}
    return any((extensions.get(name) or {}).get("fallback") is True for name in MESHOPT)


def meshopt_properties(view: Document) -> Document | None:
    """Return what the meshopt extension says of a compressed buffer view, or None for a plain one."""
    extensions = view.get("extensions") or {}
    return next((extensions[name] for name in MESHOPT if name in extensions), None)


def decompress(document: Document, binary: bytearray) -> bytearray:
    """Unpack all meshes of a document in place.

    Args:
        document: The JSON document. Its buffer views and their meshopt extensions refer to `binary`.
        binary: All bytes of the file's buffers.

    Returns:
        The bytes with the unpacked arrays instead of the compressed ones.

    Raises:
        ImportError: A decoder is needed and not installed.
        ValueError: The compressed data are damaged or claim too much memory.
    """
    views = document.get("bufferViews", [])
    unpacked = {number: _decode_view(view, number, binary) for number, view in enumerate(views) if meshopt_properties(view)}
    for number in unpacked:
        views[number]["extensions"] = {k: v for k, v in views[number]["extensions"].items() if k not in MESHOPT}
    plain = {number for number, accessor in enumerate(document.get("accessors", [])) if "bufferView" in accessor}
    for mesh in document.get("meshes", []):
        for primitive in mesh.get("primitives", []):
            if DRACO in (primitive.get("extensions") or {}):
                _decode_primitive(document, primitive, binary, unpacked, plain)
    _forget_extensions(document)
    return _repack(document, binary, unpacked) if unpacked else binary


def _decode_view(view: Document, number: int, binary: bytearray) -> bytes:
    """The unpacked bytes of a buffer view that meshopt compressed."""
    packed, what = meshopt_properties(view) or {}, f"buffer view {number}"
    count, stride = non_negative_int(packed, "count", what), non_negative_int(packed, "byteStride", what)
    mode, kind = packed.get("mode"), packed.get("filter", "NONE")
    is_vertex = mode == "ATTRIBUTES"
    fits = stride % 4 == 0 and 4 <= stride <= 256 if is_vertex else stride in (2, 4)
    if mode not in ("ATTRIBUTES", "TRIANGLES", "INDICES") or not fits or not 1 <= count <= MAX_COUNT * 3:
        raise ValueError(f"{what}: damaged meshopt data (mode {str(mode)[:20]}, {count} elements of {stride} bytes)")
    if count * stride > MAX_FILE_BYTES:
        raise ValueError(f"{what}: claims {count * stride} bytes (expected at most {MAX_FILE_BYTES})")
    start = packed["byteOffset"]
    content = bytes(binary[start : start + packed["byteLength"]])
    try:
        import meshoptimizer
    except ImportError:
        raise ImportError(_missing("meshopt", "meshoptimizer")) from None
    try:
        if is_vertex:
            values = meshoptimizer.decode_vertex_buffer(count, stride, content, np.dtype(f"V{stride}")).view(np.uint8)
            return bytes(_apply_filter(meshoptimizer, kind, values, count, stride).tobytes())
        decode = meshoptimizer.decode_index_buffer if mode == "TRIANGLES" else meshoptimizer.decode_index_sequence
        return bytes(decode(count, 4, content).astype(np.uint16 if stride == 2 else np.uint32).tobytes())
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{what}: damaged meshopt data ({error})") from None


def _apply_filter(library: Any, kind: str, values: NDArray[Any], count: int, stride: int) -> NDArray[Any]:
    """Undo the change that made the numbers of a buffer view small."""
    if kind == "NONE":
        return values
    if kind == "COLOR" and stride in (4, 8):
        return _decode_colors(values, stride)
    strides = {"OCTAHEDRAL": (4, 8), "QUATERNION": (8,), "EXPONENTIAL": tuple(range(4, 257, 4))}
    if stride not in strides.get(kind, ()):
        raise ValueError(f"unknown filter {kind[:20]} of {stride} bytes")
    names = {"OCTAHEDRAL": "decode_filter_oct", "QUATERNION": "decode_filter_quat", "EXPONENTIAL": "decode_filter_exp"}
    return np.asarray(getattr(library, names[kind])(values, count, stride))


def _decode_colors(values: NDArray[Any], stride: int) -> NDArray[Any]:
    """Colors from luma, two chroma values and alpha, whose highest bit marks the scale (KHR_meshopt_compression)."""
    kind = np.uint8 if stride == 4 else np.uint16
    most = int(np.iinfo(kind).max)
    signed = values.view(np.int8 if stride == 4 else np.int16).reshape(-1, 4).astype(np.int64)
    stored = signed & most
    scale = stored[:, 3].copy()
    for shift in (1, 2, 4, 8):
        scale |= scale >> shift
    y, co, cg, alpha = stored[:, 0], signed[:, 1], signed[:, 2], stored[:, 3]
    rgba = np.stack([y + co - cg, y + cg, y - co - cg, ((alpha << 1) & scale) | (alpha & 1)], axis=1)
    scaled = np.floor(rgba * (most / np.maximum(scale, 1))[:, None] + 0.5).clip(0, most)
    colors: NDArray[Any] = scaled.astype(kind).view(np.uint8)
    return colors


def _decode_primitive(
    document: Document, primitive: Document, binary: bytearray, unpacked: dict[int, bytes], plain: set[int]
) -> None:
    """Replace the Draco data of a primitive by buffer views; `unpacked` receives their bytes.

    plain: accessors whose arrays the file has as well. If triangles and places are among them, nothing is decoded.
    """
    accessors, views = document["accessors"], document["bufferViews"]
    extension = primitive["extensions"].pop(DRACO)
    if not primitive["extensions"]:
        del primitive["extensions"]
    needed = {index_of(primitive["attributes"], "POSITION", len(accessors), DRACO)}
    needed |= {index_of(primitive, "indices", len(accessors), DRACO)} if "indices" in primitive else set()
    if needed <= plain:
        return
    number = index_of(extension, "bufferView", len(views), DRACO)
    start = views[number]["byteOffset"]
    mesh = _decode_draco(bytes(binary[start : start + views[number]["byteLength"]]))
    unpacked[number] = b"\0" * 4  # nothing refers to it any more
    by_id = {attribute["unique_id"]: np.asarray(attribute["data"]) for attribute in mesh.attributes}
    for name, unique_id in extension.get("attributes", {}).items():
        if name not in primitive["attributes"] or unique_id not in by_id:
            raise ValueError(f"damaged Draco data: no attribute {str(name)[:20]}")
        values = by_id[unique_id].reshape(len(by_id[unique_id]), -1)
        accessor = _own_accessor(document, primitive["attributes"], name, plain)
        if values.shape[1] != WIDTH.get(str(accessor.get("type"))):
            raise ValueError(f"damaged Draco data: {name[:20]} has {values.shape[1]} components")
        _fill(document, accessor, values, unpacked)
    if "indices" in primitive:
        accessor = _own_accessor(document, primitive, "indices", plain)
        if mesh.faces.size and mesh.faces.max() >= 1 << 8 * _stored_type(accessor).itemsize:
            accessor["componentType"] = 5125
        _fill(document, accessor, np.asarray(mesh.faces).reshape(-1, 1), unpacked, _INDEX_TARGET)
        primitive.pop("mode", None)  # the decoder returns the triangles of a strip one by one


def _own_accessor(document: Document, place: Document, key: str, plain: set[int]) -> Document:
    """The accessor that place[key] names; a new one if another primitive filled it: each has an order of vertices of its own."""
    accessors = document["accessors"]
    number = index_of(place, key, len(accessors), DRACO)
    accessor: Document = accessors[number]
    if "bufferView" in accessor and number not in plain:
        accessor = {name: value for name, value in accessor.items() if name != "bufferView"}
        place[key] = len(accessors)
        accessors.append(accessor)
    return accessor


def _decode_draco(content: bytes) -> Any:
    try:
        import DracoPy
    except ImportError:
        raise ImportError(_missing("Draco", "DracoPy")) from None
    try:
        mesh = DracoPy.decode(content)
        if len(mesh.faces) and len(mesh.attributes):
            return mesh
    except Exception as error:  # DracoPy has errors of its own
        raise ValueError(f"damaged Draco data ({' '.join(str(error).split())[:80]})") from None
    raise ValueError("damaged Draco data (no triangles)")


def _stored_type(accessor: Document) -> np.dtype[Any]:
    kind: Any = COMPONENT.get(accessor.get("componentType", 5126), np.float32)
    stored: np.dtype[Any] = np.dtype(kind)
    return stored


def _fill(document: Document, accessor: Document, values: NDArray[Any], unpacked: dict[int, bytes], target: int = 34962) -> None:
    """Give an accessor a buffer view of its own with these values (count, components)."""
    kind = _stored_type(accessor)
    stored = np.ascontiguousarray(np.round(values) if kind.kind in "iu" and values.dtype.kind == "f" else values, kind)
    row = stored.itemsize * stored.shape[1]
    view: Document = {"buffer": 0, "byteOffset": 0, "byteLength": 0, "target": target}
    data = stored.view(np.uint8).reshape(len(stored), row)
    if target != _INDEX_TARGET and row % 4:  # vertex attributes start on multiples of four
        data = np.pad(data, ((0, 0), (0, -row % 4)))
        view["byteStride"] = data.shape[1]
    document["bufferViews"].append(view)
    unpacked[len(document["bufferViews"]) - 1] = data.tobytes()
    accessor.pop("byteOffset", None)
    accessor.update(bufferView=len(document["bufferViews"]) - 1, count=len(stored))


def _repack(document: Document, binary: bytearray, unpacked: dict[int, bytes]) -> bytearray:
    """Write the bytes of all buffer views one after the other, without those that nobody needs any more."""
    result = bytearray()
    for number, view in enumerate(document["bufferViews"]):
        content = unpacked.get(number)
        if content is None:
            content = bytes(binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
        result += b"\0" * (-len(result) % 4)
        view.update(byteOffset=len(result), byteLength=len(content))
        if not view.get("extensions", True):
            del view["extensions"]
        result += content
    document["buffers"] = [{"byteLength": len(result)}]
    return result


def _forget_extensions(document: Document) -> None:
    for key in ("extensionsUsed", "extensionsRequired"):
        kept = [name for name in document.get(key, []) if name not in (DRACO, *MESHOPT)]
        if key in document and not kept:
            del document[key]
        elif key in document:
            document[key] = kept


def _missing(kind: str, package: str) -> str:
    return f'its meshes are {kind}-compressed; reading them needs {package}: pip install ".[codecs]"'
