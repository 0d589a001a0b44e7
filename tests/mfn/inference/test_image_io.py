import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from mfn.inference.image_io import MAX_PIXELS, as_picture, picture_paths, read_picture, write_picture

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def corners() -> np.ndarray:
    """48 x 64 RGB: red above blue, with a green left edge, so that every turn and flip shows."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24], picture[24:], picture[:, :16] = RED, BLUE, GREEN
    return picture


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    """RGB(A) or gray pixels in the format of a suffix."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return data.tobytes()


def exif(orientation: int) -> bytes:
    """A TIFF block of one entry: orientation."""
    return b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)


def with_exif(kind: str, orientation: int) -> bytes:
    if kind == "jpeg":
        payload = b"Exif\x00\x00" + exif(orientation)
        data = encoded(".jpg", corners())
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + data[2:]
    rgba = np.dstack([corners(), np.full(corners().shape[:2], 255, np.uint8)])
    data = encoded(".png", rgba if kind == "png with alpha" else corners())
    body = b"eXIf" + exif(orientation)
    return data[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def near(picture: np.ndarray, row: int, column: int, colour: tuple[int, ...]) -> bool:
    return bool((np.abs(picture[row, column].astype(int) - colour) < 25).all())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm", ".jp2"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"ü picture{suffix}"
    path.write_bytes(encoded(suffix, corners()))
    picture = read_picture(path)
    assert picture.shape == (48, 64, 3) and picture.dtype == np.uint8 and picture.flags.c_contiguous
    assert near(picture, 4, 40, RED) and near(picture, 44, 40, BLUE) and near(picture, 4, 4, GREEN)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jpg", ".webp"])
def test_gray(tmp_path, suffix):
    (tmp_path / "a").write_bytes(encoded(suffix, np.full((9, 7), 130, np.uint8)))
    picture = read_picture(tmp_path / "a")
    assert picture.shape == (9, 7, 3) and (np.abs(picture.astype(int) - 130) <= 2).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_is_scaled(tmp_path, suffix, channels):
    pixels = np.full((5, 6, channels), 128 * 257, np.uint16)
    pixels[..., 3:] = 65535
    (tmp_path / "a").write_bytes(encoded(suffix, pixels[:, :, 0] if channels == 1 else pixels))
    assert (np.abs(read_picture(tmp_path / "a").astype(int) - 128) <= 1).all()


def test_float_tiff_is_0_to_1(tmp_path):
    (tmp_path / "a.tiff").write_bytes(encoded(".tiff", np.array([[0, 0.5, 1, 7]], np.float32)))
    assert read_picture(tmp_path / "a.tiff")[0, :, 0].tolist() == [0, 128, 255, 255]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_transparency_is_laid_on_white(tmp_path, suffix):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2] = (200, 0, 0, 255)
    pixels[3] = (0, 0, 0, 128)
    done, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA), [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert done
    (tmp_path / "a").write_bytes(data.tobytes())
    assert read_picture(tmp_path / "a")[:, 0].tolist() == [[200, 0, 0], [200, 0, 0], [255, 255, 255], [127, 127, 127]]


@pytest.mark.parametrize("kind", ["jpeg", "png", "png with alpha"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, kind, orientation):
    """Against the definition: row 0 and column 0 of the stored picture are these sides of the upright one."""
    (tmp_path / "a").write_bytes(with_exif(kind, orientation))
    picture = read_picture(tmp_path / "a")
    p = corners()
    expected = {
        1: p,
        2: p[:, ::-1],
        3: p[::-1, ::-1],
        4: p[::-1],
        5: p.transpose(1, 0, 2),
        6: np.rot90(p, -1),
        7: p.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(p),
    }[orientation]
    assert picture.shape == expected.shape
    inner = (slice(4, None, 8), slice(4, None, 8))  # away from the JPEG's ringing
    assert np.abs(picture[inner].astype(int) - expected[inner]).mean() < 6


def test_one_pixel(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(".png", np.full((1, 1, 3), 9, np.uint8)))
    assert read_picture(tmp_path / "a.png").tolist() == [[[9, 9, 9]]]


def huge_png(width: int, height: int) -> bytes:
    """A valid black 1-bit gray PNG of any size, in a few kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows, packer = (b"\x00" * ((width + 7) // 8 + 1)), zlib.compressobj(9)
    body = b"".join(packer.compress(rows) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_108_megapixels(tmp_path):
    (tmp_path / "a.png").write_bytes(huge_png(12000, 9000))
    assert read_picture(tmp_path / "a.png").shape == (9000, 12000, 3)


def damaged_png() -> bytes:
    data = bytearray(encoded(".png", corners()))
    data[60] ^= 0xFF
    return bytes(data)


BAD = {
    "empty file": (b"", "empty file"),
    "text": (b"hello, I am a text file", "not a picture that can be read"),
    "truncated jpeg": (encoded(".jpg", corners())[:-40], "truncated JPEG"),
    "jpeg header only": (encoded(".jpg", corners())[:30], "truncated or damaged JPEG"),
    "three bytes of jpeg": (b"\xff\xd8\xff", "truncated or damaged JPEG"),
    "truncated png": (encoded(".png", corners())[:-20], "truncated PNG"),
    "png signature only": (b"\x89PNG\r\n\x1a\n", "ends within its header"),
    "damaged png": (damaged_png(), "damaged PNG"),
    "truncated webp": (encoded(".webp", corners())[:-10], "truncated WebP"),
    "truncated bmp": (encoded(".bmp", corners())[:-100], "truncated BMP"),
    "truncated tiff": (encoded(".tiff", corners())[:-200], "not a picture that can be read"),
    "a picture of 10^10 pixels": (huge_png(100000, 1)[:20] + struct.pack(">I", 100000), "truncated PNG|ends within"),
    "heic": (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40, "HEIC pictures are not read"),
    "zip": (b"PK\x03\x04" + b"\x00" * 100, "not a picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_clear_line(tmp_path, name):
    data, message = BAD[name]
    (tmp_path / "bad.jpg").write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_picture(tmp_path / "bad.jpg")
    assert str(caught.value).startswith(str(tmp_path / "bad.jpg")) and "\n" not in str(caught.value)


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    data = huge_png(64, 1)
    claim = b"IHDR" + struct.pack(">II", 1 << 16, 1 << 16) + data[24:29]
    (tmp_path / "a.png").write_bytes(data[:12] + claim + struct.pack(">I", zlib.crc32(claim)) + data[33:])
    with pytest.raises(ValueError, match=f"65536 x 65536 px is more than the {MAX_PIXELS / 1e6:.0f} million"):
        read_picture(tmp_path / "a.png")


def test_missing_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_picture(tmp_path / "none.jpg")
    with pytest.raises(ValueError, match="a directory where a picture was expected"):
        read_picture(tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"expected an RGB picture \(H, W, 3\) uint8, got \(4, 4\) uint8"),
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        ([1, 2], "got list"),
        (None, "got NoneType"),
    ],
)
def test_arrays_are_checked(source, message):
    with pytest.raises(ValueError, match=message):
        as_picture(source)


def test_arrays_are_given_back_as_they_are():
    picture = corners()
    assert as_picture(picture) is picture


def test_directories_become_their_pictures(tmp_path):
    for name in ("b.JPG", "a.png", "a.faces.png", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "holidays.jpg").mkdir()
    found = picture_paths([tmp_path, Path("else.tif"), tmp_path / "notes.txt"])
    assert [p.name for p in found] == ["a.png", "b.JPG", "else.tif", "notes.txt"]
    with pytest.raises(ValueError, match="a directory with no pictures"):
        picture_paths([tmp_path / "empty"])


def test_write_then_read(tmp_path):
    write_picture(tmp_path / "a.png", corners())
    assert (read_picture(tmp_path / "a.png") == corners()).all()
    with pytest.raises(ValueError, match=r"not written as \.xyz"):
        write_picture(tmp_path / "a.xyz", corners())
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
