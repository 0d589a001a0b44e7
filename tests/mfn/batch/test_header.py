import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from mfn.batch.header import iso_time, read_header
from mfn.batch.picture import decode_picture


@pytest.mark.parametrize(
    ("time", "fraction", "zone", "expected"),
    [
        ("2024:05:01 12:00:03", None, None, "2024-05-01T12:00:03"),
        ("2024:05:01 12:00:03", "25", "+02:00", "2024-05-01T12:00:03.25+02:00"),
        ("2024-05-01 12:00:03\0", "x", "noon", "2024-05-01T12:00:03"),
        ("0000:00:00 00:00:00", None, None, None),
        ("    :  :     :  :  ", None, None, None),
        (None, "25", "+02:00", None),
    ],
)
def test_times(time, fraction, zone, expected):
    assert iso_time(time, fraction, zone) == expected


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_time_of_a_photo(form):
    exif = PIL.Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2023:12:31 23:59:59"
    memory = io.BytesIO()
    PIL.Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(memory, form, exif=exif.tobytes())
    assert read_header(memory.getvalue()) == (48, "2023-12-31T23:59:59")


def png_header(width: int, height: int) -> bytes:
    """Return a PNG of this size that is empty but for its header."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    parts = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_the_size_of_a_picture_that_pillow_takes_for_a_bomb(tmp_path):
    data = png_header(20_000, 13_000)
    assert read_header(data) == (260_000_000, None)
    (tmp_path / "huge.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"260\.0 megapixels are more than the limit of 100 megapixels"):
        decode_picture(str(tmp_path / "huge.png"), 100_000_000)


def test_a_picture_of_unknown_size_is_not_read_where_there_is_a_limit(tmp_path, monkeypatch):
    path = str(tmp_path / "a.png")
    PIL.Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path)
    monkeypatch.setattr("mfn.batch.picture.read_header", lambda data: None)
    with pytest.raises(ValueError, match=r"a\.png: its size cannot be read"):
        decode_picture(path, 1000)


def test_no_time_and_no_picture():
    memory = io.BytesIO()
    PIL.Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(memory, "PNG")
    assert read_header(memory.getvalue()) == (48, None)
    assert read_header(b"no picture") is None


def test_a_heic_photo():
    pillow_heif = pytest.importorskip("pillow_heif", reason="HEIC needs the extra heic")
    exif = PIL.Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2023:12:31 23:59:59"
    memory = io.BytesIO()
    pillow_heif.from_pillow(PIL.Image.new("RGB", (64, 48))).save(memory, exif=exif.tobytes())
    assert read_header(memory.getvalue()) == (64 * 48, "2023-12-31T23:59:59")
