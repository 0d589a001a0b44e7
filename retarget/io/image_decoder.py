"""Decode images: header and orientation by Pillow, pixels by OpenCV.

OpenCV decodes the pixels: it is fast, and measured accuracy depends on its exact values. Pillow reads the header before
that (size, transparency, EXIF orientation) and decodes what OpenCV cannot. OpenCV does not report a truncated JPEG or a
damaged PNG, so these two are checked first.
"""

from __future__ import annotations

import io
import warnings
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retarget.io.signatures import HEAD_BYTES, image_kind, is_video

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Image = NDArray[np.uint8]

MAX_PIXELS = 1 << 28
"""Largest image that is decoded, in pixels: 268 megapixels, 0.8 GB as RGB."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "AVIF", "PPM")
_DECODED_BY_PILLOW = ("AVIF",)  # versions of OpenCV differ in whether they turn an AVIF image upright
_JPEG_END = b"\xff\xd9"
_ORIENTATION_TAG = 0x0112
_PILLOW_LIMIT_LOCK = Lock()


def decode_image(data: bytes, name: str = "image") -> Image:
    """Decode the bytes of an image file. See `retarget.io.images.read_image`.

    Args:
        data: The bytes of the file.
        name: What the error messages call the image.
    """
    if image_kind(data[:HEAD_BYTES]) == "HEIC":
        return _decode_heic(data, name)
    stream = io.BytesIO(data)
    try:
        header = open_header(stream)
        orientation = _orientation(header)
        transparent = header.format == "TIFF" or header.has_transparency_data  # a TIFF may have any type: see _to_rgb
    except Exception as error:  # Pillow raises many types for damaged files
        raise ValueError(f"{name}: {_unreadable(data)}") from error
    check_image_size(header.size, MAX_PIXELS, name)
    if header.format in ("JPEG", "MPO"):
        data = _check_jpeg(data, stream.tell(), name)
    if header.format == "PNG":
        _check_png(header, name)
    pixels = None if header.format in _DECODED_BY_PILLOW else _decode(data, transparent)
    if pixels is not None:
        image = _to_rgb(pixels)
        return image if header.format == "TIFF" else upright(image, orientation)  # OpenCV turns a TIFF itself
    try:
        return from_pillow(open_header(io.BytesIO(data)))
    except Exception as error:
        raise ValueError(f"{name}: {_unreadable(data)}") from error


def decode_rgba(data: bytes, max_pixels: int, name: str) -> Image | None:
    """Decode a PNG, JPEG, WebP or AVIF texture.

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
        return _decode_rgba_by_pillow(data)
    if stored.dtype == np.uint16:
        stored = (stored >> 8).astype(np.uint8)
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    conversion = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA}.get(channels, cv2.COLOR_BGRA2RGBA)
    return np.asarray(cv2.cvtColor(stored, conversion), np.uint8)


def _decode_rgba_by_pillow(data: bytes) -> Image | None:
    try:
        return np.asarray(open_header(io.BytesIO(data)).convert("RGBA"), np.uint8)
    except Exception:  # Pillow raises many types for damaged files
        return None


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels from the header of a PNG, JPEG, WebP or AVIF file; None for any other data.

    Pillow reads AVIF only where it was built with that format, as it is on PyPI.
    """
    try:
        return open_header(io.BytesIO(data), ("PNG", "JPEG", "WEBP", "AVIF")).size
    except Exception:  # Pillow raises many types for damaged files
        return None


def check_image_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    """Raise ValueError if an image of size (width, height) has more than `max_pixels` pixels."""
    width, height = size
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:.0f} million pixels"
        raise ValueError(f"{name}: {width} x {height} px is more than the limit of {limit}")


def open_header(stream: IO[bytes], formats: tuple[str, ...] = _FORMATS) -> PillowImage:
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


def _unreadable(data: bytes) -> str:
    """Return why data cannot be read as an image."""
    kind = image_kind(data[:HEAD_BYTES])
    if kind == "JPEG XL":
        return "JPEG XL images are not read: save it as JPEG or PNG"
    if kind is not None:
        return f"a truncated or damaged {kind} image"
    hint = "for clips use `mfn animate`" if is_video(data[:HEAD_BYTES]) else "expected JPEG, PNG, WebP, TIFF or similar"
    return f"not an image that can be read ({hint})"


def _decode_heic(data: bytes, name: str) -> Image:
    """Decode a HEIC or HEIF image with pillow-heif, which turns it upright."""
    try:
        import pillow_heif
    except ImportError:
        hint = 'pip install ".[heic]", or save it as JPEG or PNG'
        raise ImportError(f"{name}: reading a HEIC image needs pillow-heif: {hint}") from None
    try:
        header = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        size = header.size
    except Exception as error:  # libheif's errors have several types
        raise ValueError(f"{name}: {_unreadable(data)}") from error
    check_image_size(size, MAX_PIXELS, name)
    try:
        return from_pillow(header.to_pillow())
    except Exception as error:
        raise ValueError(f"{name}: {_unreadable(data)}") from error


def _check_jpeg(data: bytes, scan_start: int, name: str) -> bytes:
    """Return a JPEG with an end marker; raise ValueError if more than the marker is missing.

    The marker cannot occur within a scan, but may occur before it, in a thumbnail. If all data are there, the decoder
    skips further bytes before the marker. If some are missing, it decodes these bytes, and the pixels change. Pillow
    decodes both, because OpenCV prints a warning about the further bytes.
    """
    if data.find(_JPEG_END, scan_start) >= 0:
        return data
    try:
        images = [open_header(io.BytesIO(data + filler + _JPEG_END)).tobytes() for filler in (b"", b"\x55" * 64)]
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
        pixels = cv2.convertScaleAbs(np.nan_to_num(pixels).clip(0, full), alpha=255.0 / full)  # it would take the absolute value
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] in (2, 4):
        pixels = _blend_with_white(pixels)
    if pixels.shape[2] == 1:
        return np.ascontiguousarray(np.repeat(pixels, 3, axis=2))
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_BGR2RGB), np.uint8)


def from_pillow(source: PillowImage) -> Image:
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


def upright(image: Image, orientation: int) -> Image:
    """Turn and mirror an image (H, W, 3) as an EXIF orientation, 1 to 8, says."""
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
