"""Read the headers of MP4 and QuickTime files: what OpenCV does not tell about them.

A file is a sequence of boxes: four bytes of size, four of type, and the content, which may be boxes again
(ISO/IEC 14496-12).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from mfn.video.readers.clip import orientation_of_matrix

_MAX_BOXES = 10_000  # of one level: a damaged file may claim millions
_HEADER = 8
_MATRIX_AT = {0: 40, 1: 52}  # place of the display matrix in a track header of version 0 and 1
_MATRIX_BYTES = 36


class _Box(NamedTuple):
    kind: bytes
    start: int  # of the content, bytes from the beginning of the file
    end: int


def lacks_index(path: str | Path) -> bool:
    """Return whether this is an MP4 or QuickTime file without its index, because its recording or copying was cut off."""
    with Path(path).open("rb") as file:
        kinds = [box.kind for box in _boxes(file, 0, os.fstat(file.fileno()).st_size)]
    return bool(kinds) and kinds[0] in (b"ftyp", b"wide", b"mdat") and not {b"moov", b"moof"} & set(kinds)


def display_orientation(path: str | Path) -> int | None:
    """Return the EXIF orientation, 1 to 8, of the first video track, or None for a file without such a header."""
    with Path(path).open("rb") as file:
        for movie in _boxes(file, 0, os.fstat(file.fileno()).st_size):
            if movie.kind != b"moov":
                continue
            for track in _boxes(file, movie.start, movie.end):
                if track.kind == b"trak" and _is_video(file, track):
                    return _orientation(file, track)
    return None


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between two positions of a file."""
    for _ in range(_MAX_BOXES):
        file.seek(start)
        header = file.read(_HEADER)
        if len(header) < _HEADER or start >= end:
            return
        size, kind = struct.unpack(">I4s", header)
        content = start + _HEADER
        if size == 1:  # the size follows, in eight bytes
            size, content = int.from_bytes(file.read(8), "big"), content + 8
        stop = end if size == 0 else start + size
        if stop < content:
            return
        yield _Box(kind, content, min(stop, end))
        start = stop


def _is_video(file: BinaryIO, track: _Box) -> bool:
    for media in _boxes(file, track.start, track.end):
        if media.kind == b"mdia":
            for handler in _boxes(file, media.start, media.end):
                if handler.kind == b"hdlr":
                    file.seek(handler.start + 8)
                    return file.read(4) == b"vide"
    return False


def _orientation(file: BinaryIO, track: _Box) -> int | None:
    for header in _boxes(file, track.start, track.end):
        if header.kind == b"tkhd":
            file.seek(header.start)
            content = file.read(_MATRIX_AT[1] + _MATRIX_BYTES)
            at = _MATRIX_AT.get(content[0] if content else -1)
            if at is not None and len(content) >= at + _MATRIX_BYTES:
                return orientation_of_matrix(np.frombuffer(content, ">i4", 9, at).astype(np.int32))
    return None
