"""Tell by its first bytes what a file holds: an image, a video or neither. Its suffix may be missing or wrong."""

from __future__ import annotations

HEAD_BYTES = 1024
"""Number of bytes at the beginning of a file that the functions need."""

_IMAGES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"\xff\x0a": "JPEG XL",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\x00\x00\x00\x0cjP": "JPEG 2000",
}
_ISO_IMAGE_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif"), "HEIC"),
}
_VIDEOS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF: .wmv, .asf
    b"\x00\x00\x01\xba",  # MPEG program stream: .mpg, .vob
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x06\x0e\x2b\x34",  # MXF
    b".RMF",
    b"YUV4MPEG2",
    b"DKIF",
    b"OggS",
)
_QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_TRANSPORT_SYNC, _TRANSPORT_PACKETS = 0x47, ((188, 0), (192, 4), (204, 0))  # size of a packet, position of its sync byte


def image_kind(head: bytes) -> str | None:
    """Return the name of the image format, such as "JPEG", or None.

    Args:
        head: The first `HEAD_BYTES` bytes of the file.
    """
    if head[4:8] == b"ftyp":
        brands = [head[8:12], *(head[i : i + 4] for i in range(16, min(int.from_bytes(head[:4], "big"), len(head)), 4))]
        kinds = [_ISO_IMAGE_BRANDS[brand] for brand in brands if brand in _ISO_IMAGE_BRANDS]
        if brands[0] not in _ISO_IMAGE_BRANDS:
            return None
        return "AVIF" if "AVIF" in kinds else "HEIC"
    if head[:4] == b"RIFF":
        return "WebP" if head[8:12] == b"WEBP" else None
    return next((kind for signature, kind in _IMAGES.items() if head.startswith(signature)), None)


def is_video(head: bytes) -> bool:
    """Return whether these are the first bytes of a video file. Animated images (GIF, WebP, PNG) are no videos.

    Args:
        head: The first `HEAD_BYTES` bytes of the file.
    """
    if head[4:8] == b"ftyp":
        return image_kind(head) is None
    if head[:4] == b"RIFF":
        return head[8:11] == b"AVI"
    return head.startswith(_VIDEOS) or head[4:8] in _QUICKTIME_ATOMS or _is_transport_stream(head)


def _is_transport_stream(head: bytes) -> bool:
    """Return whether the first packets begin as those of an MPEG transport stream do: .ts, .mts, .m2ts."""
    for size, position in _TRANSPORT_PACKETS:
        sync = head[position::size]
        if len(sync) > 1 and set(sync) == {_TRANSPORT_SYNC}:
            return True
    return False
