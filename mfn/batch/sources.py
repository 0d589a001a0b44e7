"""Find the pictures that a user names: files, folders with all their subfolders, patterns, lists of paths, and buckets."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mfn.batch.urls import absolute, is_url, short_reason, url_file_system, url_requests
from retarget.io.files import check_file, decode_text
from retarget.io.images import IMAGE_SUFFIXES, MAX_BYTES

STDIN = "-"
_OWN_OUTPUT = re.compile(r"\.(faces|characters)\.(json|png|jpg)$|\.report\.html$|\.glb$", re.IGNORECASE)
_PATTERN = re.compile(r"[*?\[]")
_NAMED_SKIPPED = 8  # skipped files that a message names
_HEIC_SUFFIXES = (".heic", ".heif")
_HEIC_HINT = 'install the extra to read them: pip install ".[heic]"'


class PictureName(NamedTuple):
    """A picture to read.

    Attributes:
        path: Where it lies: a path or a URL.
        name: Its path within the folder that the user named, with "/" between the parts; else its file name.
    """

    path: str
    name: str


@dataclass(frozen=True)
class Listing:
    """The pictures that a user's words stand for, and the files of folders and patterns that are left out.

    Attributes:
        pictures: What is read.
        skipped: Files that are no pictures.
        heic: Photos in HEIC, while pillow-heif, which reads them, is not installed.
    """

    pictures: list[PictureName] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    heic: list[str] = field(default_factory=list)

    def skipped_lines(self, quiet: bool = False) -> list[str]:
        """Return the lines that name the files that are left out: one for each kind, none where there are none.

        Args:
            quiet: Only the line of HEIC photos, because nobody leaves those out on purpose.
        """
        lines = []
        if self.skipped and not quiet:
            kind = "files that are no pictures" if len(self.skipped) > 1 else "file that is no picture"
            lines.append(f"skipped {len(self.skipped)} {kind} we read: {_some(self.skipped)}")
        if self.heic:
            lines.append(f"skipped {len(self.heic)} HEIC photo{'s' * (len(self.heic) > 1)} ({_HEIC_HINT}): {_some(self.heic)}")
        return lines

    def print_skipped(self, quiet: bool = False) -> None:
        """Print the lines of `skipped_lines` on stderr."""
        for line in self.skipped_lines(quiet):
            print(line, file=sys.stderr)


def printable(path: str) -> str:
    """Return a path as text that every file format takes: bytes that are no UTF-8 become escapes such as \\xff."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def list_pictures(names: Sequence[str], lists: Sequence[str] = ()) -> Listing:
    """Find pictures, in an order that depends on the names only.

    Args:
        names: Files, folders, patterns such as "photos/**/*.jpg", and URLs of files, prefixes or patterns. A URL that ends in the
            suffix of a picture is a file; others are looked up, a request each.
        lists: Text files with one of these a line; "-" is standard input.

    Returns:
        Each picture once. Within a folder they are sorted by path. Hidden files and our own outputs are left out, and so are
        HEIC photos of folders and patterns if they cannot be read here.

    Raises:
        FileNotFoundError: A pattern matches nothing, or a list does not exist.
        ValueError: A folder has no picture, a name is empty, or a list is no text.
        ImportError: A URL needs a package that is missing.
    """
    listing = Listing()
    taken: set[str] = set()
    for name in (*names, *(line for source in lists for line in _read_list(source))):
        for picture in _expand(name, listing):
            if (place := absolute(picture.path)) not in taken:
                taken.add(place)
                listing.pictures.append(picture)
    return listing


def read_picture_bytes(path: str) -> bytes:
    """Read the bytes of a picture from a path or a URL.

    Raises:
        OSError: It cannot be read.
        ValueError: It is empty, too large, or no file.
    """
    data = _read_bytes(path, "a picture")
    if not data:
        raise ValueError(f"{path}: empty file")
    return data


def _read_bytes(path: str, expected: str) -> bytes:
    if not is_url(path):
        return check_file(path, expected, MAX_BYTES).read_bytes()
    with url_requests(path) as (system, inner), system.open(inner, "rb") as file:
        data = bytes(file.read(MAX_BYTES + 1))
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path}: more than the limit of {MAX_BYTES / 1e9:.1f} GB")
    return data


def _read_list(source: str) -> list[str]:
    """Return the lines of a list that are not empty and do not begin with "#"."""
    if source != STDIN:
        data = _read_bytes(source, "a list of pictures")
    elif isinstance(sys.stdin, TextIOWrapper):
        data = sys.stdin.buffer.read()
    else:  # a program has put something else in its place
        data = sys.stdin.read().encode("utf-8", "surrogateescape")
    try:
        text = decode_text(data, "surrogateescape")  # names of files may be any bytes
    except UnicodeError:
        raise ValueError(f"{source}: expected a list of pictures in UTF-8 or UTF-16, a name a line; this file is damaged") from None
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _expand(name: str, listing: Listing) -> Iterator[PictureName]:
    if not name:
        raise ValueError("an empty name (expected a picture, a folder or a pattern)")
    if is_url(name):
        yield from _expand_url(name, listing)
    elif os.path.isdir(name):
        yield from _of_folder(name, _walk(name), listing)
    elif _PATTERN.search(name) and not os.path.exists(name):
        found = sorted(path for path in glob.glob(name, recursive=True) if os.path.isfile(path))
        kept = _pictures_among(((path, Path(path).name) for path in found), listing)
        if not kept:
            raise FileNotFoundError(f"{name}: no picture matches this pattern{_heic_remark(found)}")
        yield from (PictureName(Path(path).as_posix(), own) for path, own in kept)
    else:
        yield PictureName(Path(name).as_posix(), Path(name).name)


def _expand_url(url: str, listing: Listing) -> Iterator[PictureName]:
    system, inner = url_file_system(url)
    plain = inner.partition("?")[0] if inner.startswith(("http://", "https://")) else inner  # without the query of a web address
    if plain.lower().endswith(IMAGE_SUFFIXES) and not _PATTERN.search(plain):
        yield PictureName(url, PurePosixPath(plain).name)  # not asked for: lists may have millions of them
        return
    try:
        if _PATTERN.search(inner):
            found, root = sorted(system.glob(inner)), inner[: _PATTERN.search(inner).start()].rpartition("/")[0]  # type: ignore[union-attr]
        elif system.isdir(inner):
            found, root = sorted(system.find(inner)), inner.rstrip("/")
        else:
            yield PictureName(url, PurePosixPath(inner).name)
            return
    except Exception as error:  # each protocol raises its own types
        raise ValueError(f"{url}: cannot be listed ({short_reason(error)})") from None
    names = (os.path.relpath(path, root) if root else path for path in found)
    yield from _of_folder(url, zip(map(system.unstrip_protocol, found), names), listing)


def _of_folder(folder: str, files: Iterable[tuple[str, str]], listing: Listing) -> list[PictureName]:
    """Return the pictures among the files (path, path within the folder), and note the others in the listing."""
    named = list(files)
    kept = _pictures_among(named, listing)
    if not kept:
        remark = _heic_remark(path for path, _ in named) or f" ({' '.join(IMAGE_SUFFIXES[:6])} …)"
        raise ValueError(f"{folder}: no picture in this directory or below it{remark}")
    return kept


def _pictures_among(files: Iterable[tuple[str, str]], listing: Listing) -> list[PictureName]:
    """Return the pictures among files (path, name), and note those that are left out in the listing."""
    kept: list[PictureName] = []
    reads_heic = find_spec("pillow_heif") is not None
    for path, name in files:
        if _is_ours(path):
            continue
        if not path.lower().endswith(IMAGE_SUFFIXES):
            listing.skipped.append(path)
        elif path.lower().endswith(_HEIC_SUFFIXES) and not reads_heic:
            listing.heic.append(path)
        else:
            kept.append(PictureName(path, name))
    return kept


def _heic_remark(paths: Iterable[str]) -> str:
    """Return what to do where no picture is left but there are HEIC photos, else ""."""
    count = sum(path.lower().endswith(_HEIC_SUFFIXES) for path in paths)
    return f" that can be read, but {count} HEIC photo{'s' * (count > 1)}: {_HEIC_HINT}" if count else ""


def _some(paths: Sequence[str]) -> str:
    """Return the first of some paths in a line."""
    return ", ".join(paths[:_NAMED_SKIPPED]) + (" …" if len(paths) > _NAMED_SKIPPED else "")


def _walk(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a folder and of its subfolders, sorted, without hidden ones; links to folders are not followed."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                path = Path(root, name)
                yield path.as_posix(), path.relative_to(folder).as_posix()


def _is_ours(path: str) -> bool:
    """Return whether a file is an output of our commands, or of the system, that nobody wants to hear about."""
    return bool(_OWN_OUTPUT.search(path)) or PurePosixPath(path).name in ("Thumbs.db", "desktop.ini")
