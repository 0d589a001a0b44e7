"""Read and write glTF 2.0 files: the JSON document and one block of bytes. Unknown content is kept.

`read_glb` reads .glb and .gltf files, with buffers inside or beside the file. It checks the structure once: lengths, the
ranges of buffer views and accessors, references by index, and the node tree. Other modules rely on these checks.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from retarget.gltf.validate import LISTS, check_document, check_extensions, index_of, non_negative_int
from retarget.io.files import MAX_FILE_BYTES, atomic_write, check_file

Document = dict[str, Any]

WRITE_SUFFIXES = (".glb", ".gltf", ".vrm", ".vrma")
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_PICTURES = {"image/png": re.compile(rb"\x89PNG"), "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL)}
_PICTURES["image/ktx2"] = re.compile(rb"\xabKTX 20")


@dataclass
class Glb:
    """A glTF file in memory.

    Attributes:
        document: The JSON document.
        binary: The bytes of buffer 0; on reading, all buffers are joined into it.
        chunks: Other chunks of a .glb as (type, bytes); they are written unchanged.
        path: Where the file came from, for error messages.
    """

    document: Document
    binary: bytearray = field(default_factory=bytearray)
    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    path: str = "glTF"


def read_glb(path: str | os.PathLike[str]) -> Glb:
    """Read and check a .glb, .gltf or .vrm file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, too large, compressed, or not glTF 2.0. The message is one line.
    """
    source = check_file(path, "a .glb or .gltf file")
    data = source.read_bytes()
    try:
        glb = _unpack(data, source.parent)
        check_document(glb.document, glb.binary)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path}: damaged glTF, a property is missing or of the wrong type ({error!r})") from None
    glb.path = str(path)
    return glb


def check_output_name(path: str | os.PathLike[str]) -> None:
    """Raise ValueError if a file name does not end as a glTF file's. No other format is written under its name."""
    if Path(path).suffix.lower() not in WRITE_SUFFIXES and not Path(path).is_dir():
        suffixes = " or ".join(WRITE_SUFFIXES[:3])
        raise ValueError(f"{path}: expected a file name that ends in {suffixes}; Blender converts .glb to .fbx and others")


def write_glb(glb: Glb, path: str | os.PathLike[str]) -> None:
    """Write a .glb file, or a .gltf file with its buffer embedded, whole or not at all. See `check_output_name`."""
    check_output_name(path)
    document = dict(glb.document)
    binary = bytes(glb.binary)
    if binary:
        document["buffers"] = [{**(document.get("buffers") or [{}])[0], "byteLength": len(binary)}]
        document["buffers"][0].pop("uri", None)
    else:
        document.pop("buffers", None)
    target = Path(path)
    if target.suffix.lower() == ".gltf":
        if binary:
            document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
        data = json.dumps(document, allow_nan=False, indent=1).encode()
    else:
        text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
        chunks = [(_JSON, text + b" " * (-len(text) % 4))]
        chunks += [(_BIN, binary + b"\0" * (-len(binary) % 4))] if binary else []
        body = b"".join(struct.pack("<II", len(part), kind) + part for kind, part in [*chunks, *glb.chunks])
        data = struct.pack("<III", _MAGIC, 2, 12 + len(body)) + body
    atomic_write(target, data)


def add_view(glb: Glb, data: bytes, **properties: int) -> int:
    """Append bytes as a buffer view.

    Args:
        glb: The file.
        data: The bytes. They start at a multiple of four.
        properties: Further properties of the view, such as target and byteStride.

    Returns:
        The number of the view.
    """
    glb.binary += b"\0" * (-len(glb.binary) % 4)
    view = {"buffer": 0, "byteOffset": len(glb.binary), "byteLength": len(data), **properties}
    glb.binary += data
    return add(glb, "bufferViews", view)


def add(glb: Glb, kind: str, item: Document) -> int:
    """Append an item to a list of the document, such as "nodes", and return its number."""
    items = glb.document.setdefault(kind, [])
    items.append(item)
    return len(items) - 1


def _unpack(data: bytes, folder: Path) -> Glb:
    """Split a container into its document and its joined buffers."""
    if data[:4] != b"glTF":
        if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            raise ValueError("not a glTF file (expected .glb, .gltf or .vrm; Blender converts .fbx and others to it)")
        glb = Glb(_parse(data))
        _join_buffers(glb, None, folder)
        return glb
    if len(data) < 20:
        raise ValueError(f"truncated GLB: {len(data)} bytes do not hold a header")
    _, version, length = struct.unpack_from("<III", data)
    if version != 2:
        raise ValueError(f"GLB version {version} (expected 2)")
    if length > len(data):
        raise ValueError(f"truncated GLB: expected {length} bytes as in its header, the file has {len(data)}")
    chunks, at = [], 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", data, at)
        if at + 8 + size > length:
            raise ValueError(f"damaged GLB: a chunk of {size} bytes at {at} does not fit in {length} bytes")
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    if not chunks or chunks[0][0] != _JSON:
        raise ValueError("damaged GLB: its first chunk is not JSON")
    binary = chunks.pop(1)[1] if len(chunks) > 1 and chunks[1][0] == _BIN else None
    glb = Glb(_parse(chunks[0][1].rstrip(b"\0")), chunks=chunks[1:])  # some programs pad with zeros instead of blanks
    _join_buffers(glb, binary, folder)
    return glb


def _parse(text: bytes) -> Document:
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number")

    try:
        document: Document = json.loads(text.decode("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its JSON cannot be read ({str(error) or 'nested too deeply'})") from None
    version = document.get("asset", {}).get("version") if isinstance(document, dict) else None
    if not str(version).startswith("2."):
        raise ValueError(f"not glTF 2.0 (asset.version is {version!r})")
    for name in LISTS:
        if not isinstance(document.get(name, []), list) or not all(isinstance(x, dict) for x in document.get(name, [])):
            raise ValueError(f"{name} is not a list of objects")
    for name in ("extensionsUsed", "extensionsRequired"):
        if not isinstance(document.get(name, []), list) or not all(isinstance(x, str) for x in document.get(name, [])):
            raise ValueError(f"{name} is not a list of names")
    check_extensions(document)
    return document


def _join_buffers(glb: Glb, binary: bytes | None, folder: Path) -> None:
    """Join all buffers, and the images beside a .gltf, in glb.binary; adapt the buffer views."""
    offsets = []
    for number, buffer in enumerate(glb.document.get("buffers", [])):
        length = non_negative_int(buffer, "byteLength", f"buffer {number}")
        content = _load_uri(buffer["uri"], folder) if "uri" in buffer else binary if number == 0 else None
        if content is None or len(content) < length:
            have = "nothing" if content is None else f"{len(content)} bytes"
            raise ValueError(f"buffer {number} should have {length} bytes, there is {have}")
        glb.binary += b"\0" * (-len(glb.binary) % 4)
        offsets.append(len(glb.binary))
        glb.binary += content[:length]
    for number, view in enumerate(glb.document.get("bufferViews", [])):
        what = f"buffer view {number}"
        buffer = index_of(view, "buffer", len(offsets), what)
        start, length = non_negative_int(view, "byteOffset", what, 0), non_negative_int(view, "byteLength", what)
        if start + length > glb.document["buffers"][buffer]["byteLength"]:
            raise ValueError(f"{what} (bytes {start} to {start + length}) lies outside buffer {buffer}")
        view.update(buffer=0, byteOffset=offsets[buffer] + start)
    if offsets:
        glb.document["buffers"] = [{k: v for k, v in glb.document["buffers"][0].items() if k != "uri"}]
        glb.document["buffers"][0]["byteLength"] = len(glb.binary)
    for image in glb.document.get("images", []):
        if "uri" in image:
            content = _load_uri(image["uri"], folder)
            image["bufferView"] = add_view(glb, content)
            image["mimeType"] = next((kind for kind, marks in _PICTURES.items() if marks.match(content)), "image/jpeg")
            del image["uri"]


def _load_uri(uri: str, folder: Path) -> bytes:
    """Return the bytes of a data: URI or of a file in the folder of the .gltf. Nothing else is opened."""
    if uri.startswith("data:"):
        try:
            return base64.b64decode(uri.partition(",")[2], validate=True)
        except binascii.Error:
            raise ValueError("a data: URI is not base64") from None
    name = Path(unquote(uri))
    if ":" in uri or "\0" in str(name) or name.is_absolute() or ".." in name.parts:
        raise ValueError(f"refers to {uri[:80]!r} (expected a file in its own folder)")
    if not (folder / name).is_file():
        raise ValueError(f"refers to {uri[:80]!r}, which is not beside it")
    if (folder / name).stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"refers to {uri[:80]!r}, which is larger than {MAX_FILE_BYTES} bytes")
    return (folder / name).read_bytes()
