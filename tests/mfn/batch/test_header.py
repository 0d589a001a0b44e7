import io

import numpy as np
import PIL.Image
import pytest

from mfn.batch.header import iso_time, read_header


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
