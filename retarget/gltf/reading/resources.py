"""Find the files that a glTF document refers to: data URIs, files in its folder, entries of a .zip archive."""

from __future__ import annotations

import base64
import binascii
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from retarget.io.files import MAX_FILE_BYTES

MODEL_SUFFIXES = (".glb", ".gltf", ".vrm")
_TEXTURE_FOLDER = "textures"  # where web shops put pictures
_MAX_EXPANSION = 200  # bytes that one byte of an archive may become; more is a trap
_MIN_SUSPICIOUS_BYTES = 64 << 20


class Folder(NamedTuple):
    """The folder of a .gltf file."""

    path: Path


class Archive(NamedTuple):
    """A .zip archive. folder: where the .gltf lies in it, "" for its root."""

    file: zipfile.ZipFile
    folder: str


Resources = Folder | Archive
"""Where the files lie that a document refers to."""


def load_uri(uri: str, resources: Resources) -> bytes:
    """Return the bytes of a data: URI, of a file in the folder of the document, or of an entry of its archive.

    Nothing else is opened. A name is found whatever its case, with either slash, and also in a folder `textures`.

    Raises:
        ValueError: There is no such file, it lies elsewhere, or it is too large.
    """
    if uri.startswith("data:"):
        return _decode_data_uri(uri)
    name = unquote(uri).replace("\\", "/")
    place = PurePosixPath(name)
    if ":" in uri or "\0" in name or place.is_absolute() or not place.name:
        raise ValueError(f"refers to {uri[:80]!r} (expected a file in its own folder)")
    found = _find_file(resources, place, uri) if isinstance(resources, Folder) else _find_entry(resources, place)
    if found is None:
        raise ValueError(f"refers to {uri[:80]!r}, which is not beside it")
    return found


def read_model(path: Path, archive: zipfile.ZipFile) -> tuple[bytes, Archive]:
    """Return the glTF file of an archive: the one with the archive's name, or the only one.

    Raises:
        ValueError: The archive holds none, or several.
    """
    names = [name for name in archive.namelist() if name.lower().endswith(MODEL_SUFFIXES) and not _is_hidden(name)]
    same = [name for name in names if PurePosixPath(name).stem.lower() == path.stem.lower()]
    chosen = names if len(names) == 1 else same
    if not names:
        raise ValueError("not a glTF file, and an archive without one (expected a .glb, .gltf or .vrm in it)")
    if len(chosen) != 1:
        raise ValueError(f"an archive with {len(names)} models ({', '.join(names[:4])}); unpack it and name one of them")
    folder = str(PurePosixPath(chosen[0]).parent)
    return read_entry(archive, chosen[0]), Archive(archive, "" if folder == "." else folder)


def read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of an entry.

    Raises:
        ValueError: The entry is too large, encrypted or damaged.
    """
    entry = archive.getinfo(name)
    is_trap = entry.file_size > max(_MIN_SUSPICIOUS_BYTES, _MAX_EXPANSION * entry.compress_size)
    if entry.file_size > MAX_FILE_BYTES or is_trap:
        raise ValueError(f"its entry {name[:80]!r} claims {entry.file_size} bytes, which is too much")
    try:
        return archive.read(entry)
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        raise ValueError(f"its entry {name[:80]!r} cannot be read ({' '.join(str(error).split())[:80]})") from None


def _decode_data_uri(uri: str) -> bytes:
    header, _, content = uri.partition(",")
    if not header.endswith(";base64"):
        return unquote_to_bytes(content)
    try:
        return base64.b64decode("".join(unquote(content).split()), validate=True)
    except binascii.Error:
        raise ValueError("a data: URI is not base64") from None


def _find_file(folder: Folder, place: PurePosixPath, uri: str) -> bytes | None:
    if ".." in place.parts:
        raise ValueError(f"refers to {uri[:80]!r} (expected a file in its own folder)")
    for candidate in (place, PurePosixPath(_TEXTURE_FOLDER, place.name)):
        file = folder.path
        for part in candidate.parts:
            exact = file / part
            file = exact if exact.exists() else file / (_same_but_case(part, _names_in(file)) or part)
        if not file.is_file():
            continue
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"refers to {uri[:80]!r}, which is larger than {MAX_FILE_BYTES} bytes")
        return file.read_bytes()
    return None


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _find_entry(archive: Archive, place: PurePosixPath) -> bytes | None:
    """The entry at a place relative to the document; else the only entry with its name."""
    names = [name for name in archive.file.namelist() if not name.endswith("/") and not _is_hidden(name)]
    parts: list[str] = []
    for part in (*PurePosixPath(archive.folder).parts, *place.parts):
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    found = _same_but_case("/".join(parts), names)
    same = [name for name in names if PurePosixPath(name).name.lower() == place.name.lower()]
    found = found or (same[0] if len(same) == 1 else None)
    return None if found is None else read_entry(archive.file, found)


def _same_but_case(name: str, names: Iterable[str]) -> str | None:
    return next((other for other in names if other == name), None) or next(
        (other for other in names if other.lower() == name.lower()), None
    )


def _is_hidden(name: str) -> bool:
    """Whether an entry is what macOS adds to archives."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith("._")
