import pytest

from retarget.io.signatures import image_kind, is_video


def iso(*brands: bytes) -> bytes:
    """The first box of an ISO media file: the major brand, a version and the compatible brands."""
    content = brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(content) + 8).to_bytes(4, "big") + b"ftyp" + content


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WebP"),
        (iso(b"avif", b"mif1"), "AVIF"),
        (iso(b"mif1", b"avif"), "AVIF"),
        (iso(b"mif1", b"heic"), "HEIC"),
        (iso(b"isom", b"avif"), None),
        (b"", None),
        (b"hello", None),
    ],
)
def test_images(head, kind):
    assert image_kind(head) == kind and not (kind and is_video(head))


def packets(size: int, position: int) -> bytes:
    """Three packets of a transport stream with their sync byte at a position."""
    packet = bytearray(size)
    packet[position] = 0x47
    return bytes(packet) * 3


@pytest.mark.parametrize(
    "head",
    [
        iso(b"isom"),
        iso(b"qt  "),
        b"\x00\x00\x00\x08wide",
        b"RIFF\x00\x00\x00\x00AVI LIST",
        b"\x1a\x45\xdf\xa3",
        b"FLV\x01",
        packets(188, 0),
        packets(192, 4),
    ],
)
def test_videos(head):
    assert is_video(head) and image_kind(head) is None


def test_neither():
    for head in (b"", b"G", b"GGGG", b"hello, I am a text", b"RIFF\x00\x00\x00\x00WAVE"):
        assert not is_video(head)
