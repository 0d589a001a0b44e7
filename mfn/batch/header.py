"""Read the header of an image file: its size, and when the photo was taken."""

from __future__ import annotations

import io
import re
from typing import Any, NamedTuple

from retarget.io.image_decoder import open_header
from retarget.io.signatures import HEAD_BYTES, image_kind

_EXIF_DIRECTORY = 0x8769
_TIME, _FRACTION, _ZONE = 0x9003, 0x9291, 0x9011  # DateTimeOriginal, SubSecTimeOriginal, OffsetTimeOriginal
_TIME_FORM = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d:\d\d:\d\d)")
_ZONE_FORM = re.compile(r"[+-]\d\d:\d\d|Z")


class Header(NamedTuple):
    """Header of an image file: number of px as stored, and EXIF time of the shot, ISO 8601, or None."""

    pixels: int
    taken: str | None


def read_header(data: bytes) -> Header | None:
    """Return the header of an image file, or None if neither Pillow nor, for HEIC, pillow-heif reads it."""
    try:
        if image_kind(data[:HEAD_BYTES]) == "HEIC":
            import pillow_heif

            photo = pillow_heif.open_heif(io.BytesIO(data))
            return Header(photo.size[0] * photo.size[1], _taken(photo.info.get("exif") or b""))
        image = open_header(io.BytesIO(data))
    except Exception:  # many types for damaged files, ImportError without the extra
        return None
    return Header(image.width * image.height, _taken(image.info.get("exif") or _png_exif(data)))


def _png_exif(data: bytes) -> bytes:
    """Return the EXIF data of a PNG, which may come after the pixels, where Pillow finds it only if it decodes them."""
    at = data.rfind(b"eXIf")
    return data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")] if at >= 4 else b""


def _taken(data: bytes) -> str | None:
    from PIL.Image import Exif

    try:
        exif = Exif()
        exif.load(data)
        directory = exif.get_ifd(_EXIF_DIRECTORY)
        return iso_time(directory.get(_TIME), directory.get(_FRACTION), directory.get(_ZONE))
    except Exception:  # Pillow raises many types for damaged data
        return None


def iso_time(time: Any, fraction: Any = None, zone: Any = None) -> str | None:
    """Return an EXIF time as ISO 8601, such as "2024-05-01T12:00:03.25+02:00"; None if it is no time.

    Args:
        time: "2024:05:01 12:00:03".
        fraction: Digits of a second, if they are noted.
        zone: "+02:00", if it is noted.
    """
    found = _TIME_FORM.match(str(time or "").strip())
    if found is None or found[1] == "0000":
        return None
    digits = str(fraction or "").strip("\0 ")
    part = f".{digits}" if digits.isascii() and digits.isdecimal() else ""
    offset = _ZONE_FORM.fullmatch(str(zone or "").strip("\0 "))
    return f"{found[1]}-{found[2]}-{found[3]}T{found[4]}{part}{offset[0] if offset else ''}"
