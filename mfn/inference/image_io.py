"""Pictures in and out: whatever people have becomes RGB uint8, or one clear line says why not.

OpenCV may decode a truncated JPEG silently, with a gray rest, and take any amount of memory; so the container is looked
at first. Gray, palette, CMYK and 16-bit pictures become 8-bit RGB; transparency is laid on white, as viewers show it;
EXIF orientation is applied.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.io.files import atomic_write

Picture = NDArray[np.uint8]

MAX_PIXELS = 1 << 28  # 268 megapixels: 0.8 GB as RGB; a picture that claims more is refused before it is decoded
MAX_BYTES = 1 << 30
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".avif", ".pgm", ".ppm")
"""What a directory is searched for. A file that is named is read whatever its suffix says."""

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")


class _Header(NamedTuple):
    """What a container says before it is decoded. `size`: (width, height) px, None where it is left to the decoder."""

    size: tuple[int, int] | None = None
    alpha: bool = False
    problem: str = ""


def read_picture(path: str | Path) -> Picture:
    """The picture in a file as (H, W, 3) uint8 RGB, upright. FileNotFoundError or ValueError in one line otherwise."""
    import cv2

    path = Path(path)
    data = _read_bytes(path)
    header = _look(data)
    if header.problem:
        raise ValueError(f"{path}: {header.problem}")
    if header.size and header.size[0] * header.size[1] > MAX_PIXELS:
        claim = "{} x {} px".format(*header.size)
        raise ValueError(f"{path}: {claim} is more than the {MAX_PIXELS / 1e6:.0f} million pixels that are read")
    loudness = cv2.utils.logging.getLogLevel()
    try:
        cv2.utils.logging.setLogLevel(0)  # what went wrong is said once, below
        flags = cv2.IMREAD_UNCHANGED if header.alpha else cv2.IMREAD_COLOR
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError):
        pixels = None
    finally:
        cv2.utils.logging.setLogLevel(loudness)
    if pixels is None or not pixels.size:
        hint = ": for clips use `mfn animate`" if path.suffix.lower() in VIDEO_SUFFIXES else " (or a damaged one)"
        raise ValueError(f"{path}: not a picture that can be read{hint}")
    picture = _to_rgb(pixels)
    return _upright(picture, _orientation(data)) if header.alpha else picture  # OpenCV turned the others


def as_picture(source: str | Path | Picture) -> Picture:
    """A path is read; an array is checked to be RGB (H, W, 3) uint8 and given back as it is."""
    if isinstance(source, (str, Path)):
        return read_picture(source)
    if not isinstance(source, np.ndarray):
        raise ValueError(f"expected a path or an RGB uint8 array (H, W, 3), got {type(source).__name__}")
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
        raise ValueError(f"expected an RGB picture (H, W, 3) uint8, got {source.shape} {source.dtype}")
    return source


def picture_paths(names: Iterable[str | Path]) -> list[Path]:
    """Files as they are named, directories replaced by the pictures in them: by name, without the folders below, hidden
    files and the overlays that `mfn detect` wrote there."""
    paths: list[Path] = []
    for name in map(Path, names):
        if not name.is_dir():
            paths.append(name)
            continue
        pictures = (p for p in name.iterdir() if p.suffix.lower() in SUFFIXES and not p.is_dir())
        inside = sorted(p for p in pictures if not p.name.startswith(".") and not p.name.endswith(".faces.png"))
        if not inside:
            raise ValueError(f"{name}: a directory with no pictures in it ({' '.join(SUFFIXES[:6])} …)")
        paths += inside
    return paths


def write_picture(path: str | Path, picture: Picture) -> None:
    """RGB (H, W, 3) uint8 to a file of the format that the suffix names, whole or not at all."""
    import cv2

    path = Path(path)
    options = [cv2.IMWRITE_PNG_COMPRESSION, 3] if path.suffix.lower() == ".png" else []
    try:
        done, data = cv2.imencode(path.suffix or ".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"{path}: pictures are not written as {path.suffix or 'this'}: use .png or .jpg")
    atomic_write(path, data.tobytes())


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path}: a directory where a picture was expected")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path}: empty file")
    if size > MAX_BYTES:
        raise ValueError(f"{path}: {size / 1e9:.1f} GB is more than the {MAX_BYTES / 1e9:.1f} GB that are read")
    return path.read_bytes()


def _to_rgb(pixels: NDArray) -> Picture:
    """What OpenCV decoded, any depth and channels, BGR(A) -> RGB uint8."""
    import cv2

    if pixels.dtype != np.uint8:
        full = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1.0
        pixels = cv2.convertScaleAbs(np.nan_to_num(pixels), alpha=255.0 / full)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    channels = pixels.shape[2]
    if channels in (2, 4):
        alpha = pixels[:, :, -1:].astype(np.uint16)
        colour = pixels[:, :, :-1].astype(np.uint16)
        pixels = ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    if pixels.shape[2] == 1:
        return np.ascontiguousarray(np.repeat(pixels, 3, axis=2))
    return cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_BGR2RGB)


def _look(data: bytes) -> _Header:
    """Size, transparency and completeness of the common containers; nothing is known of the others."""
    try:
        for magic, look in _LOOKS:
            if data.startswith(magic):
                return look(data)
    except (struct.error, IndexError):
        return _Header(problem="a damaged picture: it ends within its header")
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypheif"):
        return _Header(problem="HEIC pictures are not read: save it as JPEG or PNG")
    return _Header()


def _look_jpeg(data: bytes) -> _Header:
    """Segment by segment to the first scan, then to the end marker, which cannot occur within a scan."""
    size, at = None, 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:  # padding
            at += 1
            continue
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            size = (width, height)
        if kind == 0xDA:
            whole = data.find(b"\xff\xd9", at) >= 0
            return _Header(size, problem="" if whole else "a truncated JPEG: the end of the picture is missing")
        at += 2 + length
    return _Header(size, problem="a truncated or damaged JPEG: no picture in it")


def _look_png(data: bytes) -> _Header:
    width, height, _, colour = struct.unpack(">IIBB", data[16:26])
    alpha, at = colour in (4, 6), 8
    while at + 12 <= len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(memoryview(data)[at + 4 : end]) != struct.unpack(">I", data[end : end + 4])[0]:
            return _Header(problem=f"a damaged PNG: wrong checksum in its {kind.decode('latin-1')!r} part")
        alpha |= kind == b"tRNS"
        if kind == b"IEND":
            return _Header((width, height), alpha)
        at = end + 4
    return _Header(problem="a truncated PNG: the end of the picture is missing")


def _look_webp(data: bytes) -> _Header:
    if data[8:12] != b"WEBP":
        return _Header()
    if struct.unpack("<I", data[4:8])[0] + 8 > len(data):
        return _Header(problem="a truncated WebP: the end of the picture is missing")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        return _Header((width, height), bool(data[20] & 0x10))
    if kind == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return _Header(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), bool(bits >> 28 & 1))
    return _Header()


def _look_bmp(data: bytes) -> _Header:
    start, _, width, height, _, bits, compression = struct.unpack("<IIiiHHI", data[10:34])
    size = (abs(width), abs(height))
    needed = (size[0] * bits + 31) // 32 * 4 * size[1] if compression in (0, 3) else 0
    whole = start + needed <= len(data)
    return _Header(size, problem="" if whole else "a truncated BMP: the end of the picture is missing")


def _look_gif(data: bytes) -> _Header:
    return _Header(struct.unpack("<HH", data[6:10]))


def _look_tiff(_: bytes) -> _Header:
    return _Header(alpha=True)  # it may have alpha, 16 bits or floats: decoded unchanged, `_to_rgb` sees what came


def _orientation(data: bytes) -> int:
    """EXIF orientation, 1 to 8, of a PNG or WebP (a TIFF's is applied in any mode of OpenCV's); 1 if none is given."""
    for chunk, skip in ((b"eXIf", 4), (b"EXIF", 8)):
        at = data.find(chunk)
        if at < 0 or data[:4] in (b"II*\x00", b"MM\x00*"):
            continue
        exif = data[at + skip :].removeprefix(b"Exif\x00\x00")
        order = "<" if exif[:2] == b"II" else ">"
        try:
            (start,) = struct.unpack_from(order + "I", exif, 4)
            (count,) = struct.unpack_from(order + "H", exif, start)
            for entry in range(start + 2, start + 2 + 12 * count, 12):
                tag, _, _, value = struct.unpack_from(order + "HHIH", exif, entry)
                if tag == 0x112 and 1 <= value <= 8:
                    return value
        except struct.error:
            pass
    return 1


def _upright(picture: Picture, orientation: int) -> Picture:
    if orientation >= 5:
        picture = picture.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


_LOOKS = (
    (b"\xff\xd8\xff", _look_jpeg),
    (b"\x89PNG\r\n\x1a\n", _look_png),
    (b"RIFF", _look_webp),
    (b"BM", _look_bmp),
    (b"GIF8", _look_gif),
    (b"II*\x00", _look_tiff),
    (b"MM\x00*", _look_tiff),
)
