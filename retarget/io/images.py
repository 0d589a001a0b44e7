"""Read and write images as RGB arrays: uint8 of shape (H, W, 3), top row first, upright.

`retarget.io.image_decoder` decodes the files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retarget.io.files import StrPath, atomic_write, similar_file
from retarget.io.image_decoder import Image as Image
from retarget.io.image_decoder import decode_image as decode_image
from retarget.io.image_decoder import from_pillow

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


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
    ".heic",
    ".heif",
    ".pgm",
    ".ppm",
)
"""Suffixes of the images that are found in a folder. A file that is named is read whatever its suffix."""

_PNG_COMPRESSION = 3  # of 0 to 9
_LONGEST_SIDE_PX = {".jpg": 65_500, ".jpeg": 65_500, ".jpe": 65_500, ".webp": 16_383}  # of libjpeg and of WebP


def read_image(path: StrPath) -> Image:
    """Read an image file.

    Returns:
        The image, (H, W, 3) uint8 RGB. EXIF orientation is applied. Gray, palette, CMYK and 16-bit images are
        converted. Transparent pixels are blended with white, as image viewers show them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not an image, is damaged, or has too many pixels (see `MAX_PIXELS` of the decoder).
        ImportError: The file is a HEIC image, and pillow-heif is not installed.
    """
    source = Path(path)
    return decode_image(_read_bytes(source), str(path))


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
            return from_pillow(source)
        kinds = "a path, bytes, a Pillow image or an RGB uint8 array (H, W, 3)"
        raise ValueError(f"expected {kinds}, got {type(source).__name__}")
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
        raise ValueError(f"expected an RGB image (H, W, 3) uint8, got {source.shape} {source.dtype}")
    return source


def write_image(path: StrPath, image: Image) -> None:
    """Write an image file whole or not at all.

    Args:
        path: The file to write. Its suffix chooses the format.
        image: (H, W, 3) uint8 RGB.

    Raises:
        ValueError: The suffix names no format that can be written, or the image is larger than the format allows.
    """
    import cv2

    suffix = Path(path).suffix
    limit = _LONGEST_SIDE_PX.get(suffix.lower())
    if limit is not None and max(image.shape[:2]) > limit:
        size = f"{image.shape[1]} x {image.shape[0]} px"
        raise ValueError(f"{path}: {size}, but a side of a {suffix} image has at most {limit:,} px: use .png")
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
        raise FileNotFoundError(f"{path}: {'not a file' if path.exists() else 'no such file' + similar_file(path)}")
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path}: empty file")
    if size > MAX_BYTES:
        raise ValueError(f"{path}: {size / 1e9:.1f} GB is more than the limit of {MAX_BYTES / 1e9:.1f} GB")
    return path.read_bytes()


