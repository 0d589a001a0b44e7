"""Characters whose meshes are compressed with meshopt or Draco, as web shops and game tools deliver them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import Glb, add_view
from retarget.gltf.validate import COMPONENT, WIDTH

MESHOPT, DRACO = "EXT_meshopt_compression", "KHR_draco_mesh_compression"


def with_meshopt(glb: Glb, extension: str = MESHOPT) -> Glb:
    """Compress all vertices, morph targets and triangles. Their plain data is gone: a second buffer is only a place for it."""
    import meshoptimizer

    packed = Glb({**glb.document, "bufferViews": [], "accessors": []})
    filled = 0
    for place, accessor in enumerate(glb.document["accessors"]):
        number = len(packed.document["bufferViews"])
        if "sparse" in accessor or accessor["type"] == "MAT4":
            values = read_accessor(glb, place).astype(np.float32)
            add_view(packed, values.tobytes())
            plain = {k: v for k, v in accessor.items() if k != "sparse"}
            packed.document["accessors"].append({**plain, "componentType": 5126, "bufferView": number, "byteOffset": 0})
            continue
        rows, count = stored_rows(glb, place), accessor["count"]
        if accessor["type"] == "SCALAR":
            mode, stride = "TRIANGLES", rows.itemsize
            indices = rows[:, 0].astype(np.uint32)
            data = meshoptimizer.encode_index_buffer(indices, count, int(indices.max()) + 1)
        else:
            flat = np.ascontiguousarray(rows).view(np.uint8)
            mode, padded = "ATTRIBUTES", np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4)))
            stride = padded.shape[1]
            data = meshoptimizer.encode_vertex_buffer(np.ascontiguousarray(padded), count, stride)
        add_view(packed, bytes(data))
        stored = packed.document["bufferViews"][number]
        properties = {"byteStride": stride, "count": count, "mode": mode}
        stored["extensions"] = {extension: {**{k: stored[k] for k in ("buffer", "byteOffset", "byteLength")}, **properties}}
        stored.update(buffer=1, byteOffset=filled, byteLength=count * stride)
        stored.update({"byteStride": stride} if mode == "ATTRIBUTES" else {})
        filled += count * stride + -count * stride % 4
        packed.document["accessors"].append({**accessor, "bufferView": number, "byteOffset": 0})
    fallback = {"byteLength": filled, "extensions": {extension: {"fallback": True}}}
    packed.document["buffers"] = [{"byteLength": len(packed.binary)}, fallback]
    return _require(packed, extension)


def with_draco(glb: Glb) -> Glb:
    """Compress the triangles and attributes of all primitives; morph targets stay as they are."""
    import DracoPy

    packed: set[int] = set()
    for mesh in glb.document["meshes"]:
        for primitive in mesh["primitives"]:
            attributes = primitive["attributes"]
            values = {name: stored_rows(glb, number).astype(np.float32) for name, number in attributes.items()}
            others = {k + 1: values[name] for k, name in enumerate(values) if name != "POSITION"}
            ids = {name: k + 1 for k, name in enumerate(values) if name != "POSITION"}
            faces = read_accessor(glb, primitive["indices"]).reshape(-1, 3).astype(np.uint32)
            data = DracoPy.encode(
                values["POSITION"], faces, quantization_bits=16, preserve_order=True, generic_attributes=others
            )
            position = next(a["unique_id"] for a in DracoPy.decode(data).attributes if a["attribute_type"] == 0)
            ids["POSITION"] = position
            primitive["extensions"] = {DRACO: {"bufferView": add_view(glb, data), "attributes": ids}}
            packed |= {*attributes.values(), primitive["indices"]}
    for number in packed:
        glb.document["accessors"][number].pop("bufferView")
    glb.document["buffers"][0]["byteLength"] = len(glb.binary)
    return _require(glb, DRACO)


def stored_rows(glb: Glb, number: int) -> np.ndarray:
    """Return the numbers (count, components) of an accessor as they are stored, integers as integers."""
    accessor = glb.document["accessors"][number]
    kind, width = np.dtype(COMPONENT[accessor["componentType"]]), WIDTH[accessor["type"]]
    view = glb.document["bufferViews"][accessor["bufferView"]]
    step = view.get("byteStride", kind.itemsize * width)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    return np.ndarray((accessor["count"], width), kind, glb.binary, start, (step, kind.itemsize)).copy()


def write_packed(glb: Glb, path: Path) -> None:
    """Write a .glb whose document has more than one buffer, which `write_glb` does not."""
    text = json.dumps(glb.document).encode()
    text += b" " * (-len(text) % 4)
    binary = bytes(glb.binary) + b"\0" * (-len(glb.binary) % 4)
    glb.document["buffers"][0]["byteLength"] = len(glb.binary)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    path.write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body)


def _require(glb: Glb, extension: str) -> Glb:
    for key in ("extensionsUsed", "extensionsRequired"):
        glb.document[key] = [*glb.document.get(key, []), extension]
    return glb
