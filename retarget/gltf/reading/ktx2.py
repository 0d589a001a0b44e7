"""Textures in KTX2 (KHR_texture_basisu), as web shops and game tools compress them. The decoder is in the extra `codecs`."""

from __future__ import annotations

import re
from importlib.util import find_spec

import numpy as np

from retarget.io.image_decoder import Image, check_image_size

KTX2 = re.compile(rb"\xabKTX 20\xbb\r\n\x1a\n")


def has_decoder() -> bool:
    """Return whether the decoder is installed."""
    return find_spec("opengl_basisu") is not None


def can_read_ktx2(data: bytes) -> bool:
    """Return whether data are a KTX2 picture that can be read here."""
    if not KTX2.match(data) or not has_decoder():
        return False
    import opengl_basisu

    try:
        texture = opengl_basisu.open(data)
    except ValueError:
        return False
    return bool(texture.supports(opengl_basisu.Target.RGBA8))


def decode_ktx2(data: bytes, max_pixels: int, name: str) -> Image | None:
    """Decode a KTX2 texture in ETC1S or UASTC, the two that glTF allows.

    Args:
        data: The bytes of the file.
        max_pixels: The largest number of pixels that is accepted.
        name: What the error message calls the texture.

    Returns:
        The texture, (H, W, 4) uint8 RGB and alpha; None if it is damaged.

    Raises:
        ValueError: The texture has more than `max_pixels` pixels.
    """
    import opengl_basisu

    try:
        texture = opengl_basisu.open(data)
    except ValueError:
        return None
    check_image_size((texture.width, texture.height), max_pixels, name)
    try:
        return np.array(texture.transcode(opengl_basisu.Target.RGBA8).data, np.uint8)
    except ValueError:
        return None
