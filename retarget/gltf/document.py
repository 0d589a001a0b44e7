"""Read and write glTF 2.0 files: the JSON document and one block of bytes. Unknown content is kept.

`read_glb` reads .glb and .gltf files, with buffers inside or beside the file. It checks the structure once: lengths, the
ranges of buffer views and accessors, references by index, and the node tree. Other modules rely on these checks.
"""

from __future__ import annotations

import base64
import json
import os
import re
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retarget.gltf.reading.compression import decompress, is_fallback, meshopt_properties
from retarget.gltf.reading.resources import Folder, Resources, load_uri, read_model
from retarget.gltf.reading.tolerance import correct_document
from retarget.gltf.validate import LISTS, check_document, check_extensions, index_of, non_negative_int
from retarget.io.files import atomic_write, check_file

Document = dict[str, Any]

WRITE_SUFFIXES = (".glb", ".gltf", ".vrm", ".vrma")
_ZIP_MAGIC = b"PK\x03\x04"
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_PICTURES = {"image/png": re.compile(rb"\x89PNG"), "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL)}
_PICTURES["image/ktx2"] = re.compile(rb"\xabKTX 20")
_PICTURES["image/avif"] = re.compile(rb"....ftypavi[fs]", re.DOTALL)
_WHITE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)


@dataclass
class Glb:
    """A glTF file in memory.

    Attributes:
        document: The JSON document.
        binary: The bytes of buffer 0; on reading, all buffers are joined into it.
        chunks: Other chunks of a .glb as (type, bytes); they are written unchanged.
        path: Where the file came from, for error messages.
        remarks: What was corrected or left out on reading.
    """

    document: Document
    binary: bytearray = field(default_factory=bytearray)
    chunks: list[tuple[int, bytes]] = field(default_factory=list)
    path: str = "glTF"
    remarks: list[str] = field(default_factory=list)


def read_glb(path: str | os.PathLike[str]) -> Glb:
    """Read and check a .glb, .gltf or .vrm file, or a .zip archive with one of them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, too large, or not glTF 2.0. The message is one line.
        ImportError: The file is compressed, and its decoder is not installed.
    """
    source = check_file(path, "a .glb or .gltf file")
    try:
        data = source.read_bytes()
        glb = _read_archive(source) if data[:4] == _ZIP_MAGIC else _unpack(data, Folder(source.parent))
        glb.remarks += correct_document(glb.document)
        check_document(glb.document, glb.binary)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except ImportError as error:
        raise ImportError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path}: damaged glTF, a property is missing or of the wrong type ({error!r})") from None
    glb.path = str(path)
    return glb


def check_output_name(path: str | os.PathLike[str], suffixes: tuple[str, ...] = WRITE_SUFFIXES) -> None:
    """Raise ValueError if a file name does not end in one of `suffixes`. No other format is written under its name."""
    if Path(path).suffix.lower() not in suffixes and not Path(path).is_dir():
        hint = "; Blender converts .glb to .fbx and others" if ".glb" in suffixes else ""
        raise ValueError(f"{path}: expected a file name that ends in {' or '.join(suffixes)}{hint}")


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


def _read_archive(source: Path) -> Glb:
    try:
        with zipfile.ZipFile(source) as archive:
            data, place = read_model(source, archive)
            return _unpack(data, place)
    except zipfile.BadZipFile as error:
        raise ValueError(f"not a readable .zip archive ({error})") from None


def _unpack(data: bytes, resources: Resources) -> Glb:
    """Split a container into its document and its joined buffers."""
    if data[:4] != b"glTF":
        if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            raise ValueError("not a glTF file (expected .glb, .gltf or .vrm; Blender converts .fbx and others to it)")
        glb = Glb(_parse(data))
        _join_buffers(glb, None, resources)
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
    _join_buffers(glb, binary, resources)
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


def _join_buffers(glb: Glb, binary: bytes | None, resources: Resources) -> None:
    """Join all buffers, and the images beside a .gltf, in glb.binary; adapt the buffer views and unpack them."""
    offsets, lengths = [], []
    for number, buffer in enumerate(glb.document.get("buffers", [])):
        length = non_negative_int(buffer, "byteLength", f"buffer {number}")
        content = load_uri(buffer["uri"], resources) if "uri" in buffer else binary if number == 0 else None
        if content is None and is_fallback(buffer):
            content = binary if binary is not None and number == 0 else b""
            length = min(length, len(content))
        if content is None or len(content) < length:
            have = "nothing" if content is None else f"{len(content)} bytes"
            raise ValueError(f"buffer {number} should have {length} bytes, there is {have}")
        glb.binary += b"\0" * (-len(glb.binary) % 4)
        offsets.append(len(glb.binary))
        lengths.append(length)
        glb.binary += content[:length]
    for number, view in enumerate(glb.document.get("bufferViews", [])):
        what, packed = f"buffer view {number}", meshopt_properties(view)
        for item in (view,) if packed is None else (packed,):
            buffer = index_of(item, "buffer", len(offsets), what)
            start, length = non_negative_int(item, "byteOffset", what, 0), non_negative_int(item, "byteLength", what)
            if start + length > lengths[buffer]:
                raise ValueError(f"{what} (bytes {start} to {start + length}) lies outside buffer {buffer}")
            item["byteOffset"] = offsets[buffer] + start
        view["buffer"] = 0
    if offsets:
        glb.document["buffers"] = [{k: v for k, v in glb.document["buffers"][0].items() if k not in ("uri", "extensions")}]
        glb.document["buffers"][0]["byteLength"] = len(glb.binary)
    glb.binary = decompress(glb.document, glb.binary)
    for number, image in enumerate(glb.document.get("images", [])):
        if "uri" in image:
            _embed_image(glb, number, resources)


def _embed_image(glb: Glb, number: int, resources: Resources) -> None:
    """Append a picture that lies beside the document. If it is missing, its textures lose their picture, with a remark."""
    image = glb.document["images"][number]
    uri = image.pop("uri")
    try:
        content = load_uri(uri, resources)
    except ValueError as error:
        glb.remarks.append(f"{error}: this texture is not drawn")
        content = _WHITE_PIXEL
        for texture in glb.document.get("textures", []):
            if texture.get("source") == number:
                del texture["source"]
    image["bufferView"] = add_view(glb, content)
    image["mimeType"] = next((kind for kind, marks in _PICTURES.items() if marks.match(content)), "image/jpeg")
