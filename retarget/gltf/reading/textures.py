"""Textures of a glTF file: find the picture of a texture and decode it. A picture that cannot be read is said, not drawn."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from retarget.gltf.reading.ktx2 import KTX2, can_read_ktx2, decode_ktx2, has_decoder
from retarget.gltf.validate import Document
from retarget.io.image_decoder import Image, decode_rgba, image_size

if TYPE_CHECKING:
    from retarget.gltf.document import Glb

_MAX_SIDE_PX = 1024
_MAX_PIXELS = 1 << 26  # of a stored texture, so that a small file cannot claim all memory
_EXTENSIONS = ("EXT_texture_webp", "EXT_texture_avif", "KHR_texture_basisu", "MSFT_texture_dds")  # hold another picture
_KINDS = {
    "KTX2": re.compile(rb"\xabKTX 20"),
    "KTX": re.compile(rb"\xabKTX 11"),
    "Basis": re.compile(rb"sB"),
    "DDS": re.compile(rb"DDS "),
    "AVIF": re.compile(rb"....ftyp(avif|avis|mif1)", re.DOTALL),
    "HEIC": re.compile(rb"....ftyphei", re.DOTALL),
    "TGA": re.compile(rb"..[\x02\x0a]\0", re.DOTALL),
    "EXR": re.compile(rb"v/1\x01"),
}


class Picture(NamedTuple):
    """The picture of a texture.

    Attributes:
        data: The bytes of a file that can be read; b"" if there is none.
        unread: What stands in its place and cannot be read, such as "KTX2"; "" if nothing is missing.
    """

    data: bytes
    unread: str


def find_picture(glb: Glb, reference: Any) -> Picture:
    """Find the picture that a material refers to.

    Args:
        glb: The document.
        reference: A texture reference of a material, {"index": number of the texture}, or None.

    A texture may offer the same picture in several formats. The first one that can be read is taken.
    """
    textures, images = glb.document.get("textures", []), glb.document.get("images", [])
    index = reference.get("index") if isinstance(reference, dict) else None
    if not isinstance(index, int) or not 0 <= index < len(textures):
        return Picture(b"", "")
    extensions = textures[index].get("extensions") or {}
    sources = [(extensions.get(name) or {}).get("source") for name in _EXTENSIONS] + [textures[index].get("source")]
    unread = ""
    for source in sources:
        if not isinstance(source, int) or not 0 <= source < len(images) or "bufferView" not in images[source]:
            continue
        view = glb.document["bufferViews"][images[source]["bufferView"]]
        data = bytes(glb.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]])
        if image_size(data) is not None or can_read_ktx2(data):
            return Picture(data, "")
        unread = unread or _kind(data)
    return Picture(b"", unread or "no picture")


def _kind(data: bytes) -> str:
    """Name what cannot be read."""
    kind = next((name for name, marks in _KINDS.items() if marks.match(data)), "unknown format")
    return f'{kind}, which needs pip install ".[codecs]"' if kind == "KTX2" and not has_decoder() else kind


def read_texture(glb: Glb, reference: Document | None) -> tuple[Image, ...]:
    """Decode a texture.

    Returns:
        sRGB and coverage (h, w, 4) in falling sizes, each half as large as the one before; nothing if it cannot be decoded.

    Raises:
        ValueError: The picture has too many pixels.
    """
    import cv2

    data = find_picture(glb, reference).data
    decode = decode_ktx2 if KTX2.match(data) else decode_rgba
    image = decode(data, _MAX_PIXELS, f"{glb.path}: texture") if data else None
    if image is None:
        return ()
    shrink = max(image.shape[:2]) / _MAX_SIDE_PX
    if shrink > 1:
        size = max(1, round(image.shape[1] / shrink)), max(1, round(image.shape[0] / shrink))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    mips = [image]
    while min(mips[-1].shape[:2]) > 1:
        half = mips[-1].shape[1] // 2, mips[-1].shape[0] // 2
        mips.append(np.asarray(cv2.resize(mips[-1], half, interpolation=cv2.INTER_AREA), np.uint8))
    return tuple(mips)
