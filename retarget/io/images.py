"""Read and write images as RGB arrays: uint8 of shape (H, W, 3), top row first, upright.

OpenCV decodes the pixels: it is fast, and measured accuracy depends on its exact values. Pillow reads the header before
that (size, transparency, EXIF orientation) and decodes what OpenCV cannot. OpenCV does not report a truncated JPEG or a
damaged PNG, so these two are checked first.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retarget.io.files import StrPath, atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Image = NDArray[np.uint8]
Picture = Image  # the former name

MAX_PIXELS = 1 << 28
"""Largest image that is decoded, in pixels: 268 megapixels, 0.8 GB as RGB."""
MAX_BYTES = 1 << 30
"""Largest image file that is read, in bytes."""

IMAGE_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".png",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".gif",
    ".jp2",
    ".avif",
    ".pgm",
    ".ppm",
)
"""Suffixes of the images that are found in a folder. A file that is named is read whatever its suffix."""
OVERLAY_SUFFIX = ".faces.png"
"""Suffix of the drawings that `mfn detect` writes. They are not found in a folder."""
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "AVIF", "PPM")
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WebP",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
}
_HEIC_BRANDS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypheif")
_JPEG_END = b"\xff\xd9"
_ORIENTATION_TAG = 0x0112
_PNG_COMPRESSION = 3  # of 0 to 9
_PILLOW_LIMIT_LOCK = Lock()


def read_image(path: StrPath) -> Image:
    """Read an image file.

    Returns:
        The image, (H, W, 3) uint8 RGB. EXIF orientation is applied. Gray, palette, CMYK and 16-bit images are
        converted. Transparent pixels are blended with white, as image viewers show them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an image, is damaged, or has more than `MAX_PIXELS` pixels.
    """
    source = Path(path)
    return decode_image(_read_bytes(source), str(path), is_video=source.suffix.lower() in VIDEO_SUFFIXES)


def decode_image(data: bytes, name: str = "image", is_video: bool = False) -> Image:
    """Decode the bytes of an image file. See `read_image`.

    Args:
        data: The bytes of the file.
        name: What the error messages call the image.
        is_video: Whether the name is that of a video, so that the error message can say what to do.
    """
    stream = io.BytesIO(data)
    try:
        header = _open(stream)
        orientation = _orientation(header)
        transparent = header.format == "TIFF" or header.has_transparency_data  # a TIFF may have any type: see _to_rgb
    except Exception as error:  # Pillow raises many types for damaged files
        raise ValueError(f"{name}: {_unreadable(data, is_video)}") from error
    check_image_size(header.size, MAX_PIXELS, name)
    if header.format in ("JPEG", "MPO"):
        data = _check_jpeg(data, stream.tell(), name)
    if header.format == "PNG":
        _check_png(header, name)
    pixels = _decode(data, transparent)
    if pixels is not None:
        image = _to_rgb(pixels)
        return image if header.format == "TIFF" else _upright(image, orientation)  # OpenCV turns a TIFF itself
    try:
        return _from_pillow(_open(io.BytesIO(data)))
    except Exception as error:
        raise ValueError(f"{name}: {_unreadable(data, is_video)}") from error


def decode_rgba(data: bytes, max_pixels: int, name: str) -> Image | None:
    """Decode a PNG, JPEG or WebP texture.

    Args:
        data: The bytes of the file.
        max_pixels: The largest number of pixels that is accepted.
        name: What the error message calls the texture.

    Returns:
        The texture, (H, W, 4) uint8 RGB and alpha, without EXIF orientation; None if it cannot be decoded.

    Raises:
        ValueError: The texture has more than `max_pixels` pixels.
    """
    import cv2

    size = image_size(data)
    if size is None:
        return None
    check_image_size(size, max_pixels, name)
    stored = _decode(data, unchanged=True)
    if stored is None:
        return None
    if stored.dtype == np.uint16:
        stored = (stored >> 8).astype(np.uint8)
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    conversion = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA}.get(channels, cv2.COLOR_BGRA2RGBA)
    return np.asarray(cv2.cvtColor(stored, conversion), np.uint8)


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels from the header of a PNG, JPEG or WebP file; None for any other data."""
    try:
        return _open(io.BytesIO(data), ("PNG", "JPEG", "WEBP")).size
    except Exception:  # Pillow raises many types for damaged files
        return None


def check_image_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    """Raise ValueError if an image of size (width, height) has more than `max_pixels` pixels."""
    width, height = size
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:.0f} million pixels"
        raise ValueError(f"{name}: {width} x {height} px is more than the limit of {limit}")


def as_image(source: StrPath | bytes | Image | PillowImage) -> Image:
    """Return an image from a path, the bytes of a file, a Pillow image or an array.

    Args:
        source: An array must be (H, W, 3) uint8 RGB. It is returned as it is.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The source cannot be read, or the array has another shape or type.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_image(source)
    if isinstance(source, bytes):
        return decode_image(source)
    if not isinstance(source, np.ndarray):
        if hasattr(source, "getexif") and hasattr(source, "convert"):  # a Pillow image; Pillow need not be imported
            return _from_pillow(source)
        kinds = "a path, bytes, a Pillow image or an RGB uint8 array (H, W, 3)"
        raise ValueError(f"expected {kinds}, got {type(source).__name__}")
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
        raise ValueError(f"expected an RGB image (H, W, 3) uint8, got {source.shape} {source.dtype}")
    return source


def find_images(names: Iterable[StrPath]) -> list[Path]:
    """Replace folders by the images in them.

    Args:
        names: Files and folders. Files are returned as they are.

    Returns:
        The paths. Images of a folder are sorted by name. Subfolders, hidden files and overlays are left out.

    Raises:
        ValueError: A folder has no images.
    """
    paths: list[Path] = []
    for folder in map(Path, names):
        if not folder.is_dir():
            paths.append(folder)
            continue
        files = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir())
        images = sorted(
            path for path in files if not path.name.startswith(".") and not path.name.endswith(OVERLAY_SUFFIX)
        )
        if not images:
            raise ValueError(f"{folder}: a directory without images ({' '.join(IMAGE_SUFFIXES[:6])} …)")
        paths += images
    return paths


def write_image(path: StrPath, image: Image) -> None:
    """Write an image file whole or not at all.

    Args:
        path: The file to write. Its suffix chooses the format.
        image: (H, W, 3) uint8 RGB.

    Raises:
        ValueError: The suffix names no format that can be written.
    """
    import cv2

    suffix = Path(path).suffix
    options = [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION] if suffix.lower() == ".png" else []
    try:
        done, data = cv2.imencode(suffix.lower() or ".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error:
        done = False
    if not done:
        raise ValueError(f"{path}: images are not written as {suffix or 'this'}: use .png, .jpg or .webp")
    atomic_write(path, data.tobytes())


def encode_jpeg(image: Image, quality: int = 95) -> bytes:
    """Encode an image as the bytes of a JPEG file.

    Args:
        image: (H, W, 3) uint8 RGB.
        quality: JPEG quality, 0 to 100.
    """
    import cv2

    return bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def add_jpeg_artifacts(image: Image, quality: int) -> Image:
    """Return the image after JPEG compression.

    Args:
        image: (H, W, 3) uint8. RGB and BGR are treated alike: channels are not swapped, to save two copies.
        quality: JPEG quality, 0 to 100.
    """
    import cv2

    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path}: a directory where an image was expected")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path}: empty file")
    if size > MAX_BYTES:
        raise ValueError(f"{path}: {size / 1e9:.1f} GB is more than the limit of {MAX_BYTES / 1e9:.1f} GB")
    return path.read_bytes()


def _open(stream: io.BytesIO, formats: tuple[str, ...] = _FORMATS) -> PillowImage:
    """Read the header of an image, without Pillow's warnings and without its pixel limit, which is lower than ours."""
    import PIL.Image

    with _PILLOW_LIMIT_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
        try:
            return PIL.Image.open(stream, formats=formats)
        finally:
            PIL.Image.MAX_IMAGE_PIXELS = limit


def _orientation(header: PillowImage) -> int:
    """Return the EXIF orientation, 1 to 8. `header.getexif()` would decode a PNG."""
    from PIL.Image import Exif

    exif = Exif()
    exif.load(header.info.get("exif", b""))
    return int(exif.get(_ORIENTATION_TAG, 1))


def _unreadable(data: bytes, is_video: bool) -> str:
    """Return why data cannot be read as an image."""
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            return f"a truncated or damaged {kind} image"
    if data[4:12] in _HEIC_BRANDS:
        return "HEIC images are not read: save it as JPEG or PNG"
    return f"not an image that can be read{': for clips use `mfn animate`' if is_video else ''}"


def _check_jpeg(data: bytes, scan_start: int, name: str) -> bytes:
    """Return a JPEG with an end marker; raise ValueError if more than the marker is missing.

    The marker cannot occur within a scan, but may occur before it, in a thumbnail. If all data are there, the decoder
    skips further bytes before the marker. If some are missing, it decodes these bytes, and the pixels change. Pillow
    decodes both, because OpenCV prints a warning about the further bytes.
    """
    if data.find(_JPEG_END, scan_start) >= 0:
        return data
    try:
        images = [_open(io.BytesIO(data + filler + _JPEG_END)).tobytes() for filler in (b"", b"\x55" * 64)]
    except Exception as error:  # Pillow raises many types for damaged files
        raise ValueError(f"{name}: a truncated or damaged JPEG image") from error
    if images[0] != images[1]:
        raise ValueError(f"{name}: a truncated JPEG image: its end is missing")
    return data + _JPEG_END


def _check_png(header: PillowImage, name: str) -> None:
    """Raise ValueError if a chunk is missing or its checksum is wrong."""
    try:
        header.verify()
    except Exception as error:  # Pillow raises many types for damaged files
        if "checksum" in str(error):
            raise ValueError(f"{name}: a damaged PNG image: a checksum is wrong") from error
        raise ValueError(f"{name}: a truncated PNG image: its end is missing") from error


def _decode(data: bytes, unchanged: bool) -> NDArray[Any] | None:
    """Decode with OpenCV, silently, without EXIF orientation: BGR uint8, or the stored channels and type."""
    import cv2

    flags = cv2.IMREAD_UNCHANGED if unchanged else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    log_level = cv2.utils.logging.getLogLevel()
    try:
        cv2.utils.logging.setLogLevel(0)
        pixels: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (cv2.error, MemoryError):
        return None
    finally:
        cv2.utils.logging.setLogLevel(log_level)
    return pixels if pixels is not None and pixels.size else None


def _to_rgb(pixels: NDArray[Any]) -> Image:
    """Convert what OpenCV decoded, BGR with or without alpha or gray, of any depth, to RGB uint8 on white."""
    import cv2

    if pixels.dtype != np.uint8:
        full = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "iu" else 1.0
        pixels = cv2.convertScaleAbs(np.nan_to_num(pixels), alpha=255.0 / full)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] in (2, 4):
        pixels = _blend_with_white(pixels)
    if pixels.shape[2] == 1:
        return np.ascontiguousarray(np.repeat(pixels, 3, axis=2))
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_BGR2RGB), np.uint8)


def _from_pillow(source: PillowImage) -> Image:
    """Convert a Pillow image: orientation applied, transparency blended with white."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(source)
    if image.has_transparency_data:
        return _blend_with_white(np.asarray(image.convert("RGBA")))
    return np.array(image.convert("RGB"))


def _blend_with_white(pixels: Image) -> Image:
    """Blend channels with white by the alpha in the last channel, and drop it."""
    alpha = pixels[:, :, -1:].astype(np.uint16)
    color = pixels[:, :, :-1].astype(np.uint16)
    return np.asarray((color * alpha + 255 * (255 - alpha) + 127) // 255, np.uint8)


def _upright(image: Image, orientation: int) -> Image:
    """Apply an EXIF orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
