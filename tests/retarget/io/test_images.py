import struct
import sys
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest

from retarget.io.image_decoder import MAX_PIXELS, decode_image, decode_rgba, image_size
from retarget.io.images import add_jpeg_artifacts, as_image, encode_jpeg, read_image, write_image

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


def near(picture: np.ndarray, row: int, column: int, color: tuple[int, ...]) -> bool:
    return bool((np.abs(picture[row, column].astype(int) - color) < 25).all())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm", ".jp2"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"ü picture{suffix}"
    path.write_bytes(encoded(suffix, corners()))
    picture = read_image(path)
    assert picture.shape == (48, 64, 3) and picture.dtype == np.uint8 and picture.flags.c_contiguous
    assert near(picture, 4, 40, RED) and near(picture, 44, 40, BLUE) and near(picture, 4, 4, GREEN)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jpg", ".webp"])
def test_gray(tmp_path, suffix):
    (tmp_path / "a").write_bytes(encoded(suffix, np.full((9, 7), 130, np.uint8)))
    picture = read_image(tmp_path / "a")
    assert picture.shape == (9, 7, 3) and (np.abs(picture.astype(int) - 130) <= 2).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_is_scaled(tmp_path, suffix, channels):
    pixels = np.full((5, 6, channels), 128 * 257, np.uint16)
    pixels[..., 3:] = 65535
    (tmp_path / "a").write_bytes(encoded(suffix, pixels[:, :, 0] if channels == 1 else pixels))
    assert (np.abs(read_image(tmp_path / "a").astype(int) - 128) <= 1).all()


def test_float_tiff_is_0_to_1(tmp_path):
    (tmp_path / "a.tiff").write_bytes(encoded(".tiff", np.array([[0, 0.5, 1, 7, -0.5, -7]], np.float32)))
    assert read_image(tmp_path / "a.tiff")[0, :, 0].tolist() == [0, 128, 255, 255, 0, 0]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff"])
def test_transparency_is_laid_on_white(tmp_path, suffix):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2] = (200, 0, 0, 255)
    pixels[3] = (0, 0, 0, 128)
    done, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA), [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert done
    (tmp_path / "a").write_bytes(data.tobytes())
    assert read_image(tmp_path / "a")[:, 0].tolist() == [[200, 0, 0], [200, 0, 0], [255, 255, 255], [127, 127, 127]]


@pytest.mark.parametrize("kind", ["jpeg", "png", "png with alpha"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, kind, orientation):
    """Against the definition: row 0 and column 0 of the stored picture are these sides of the upright one."""
    (tmp_path / "a").write_bytes(with_exif(kind, orientation))
    picture = read_image(tmp_path / "a")
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
    assert read_image(tmp_path / "a.png").tolist() == [[[9, 9, 9]]]


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
    assert read_image(tmp_path / "a.png").shape == (9000, 12000, 3)


def damaged_png() -> bytes:
    data = bytearray(encoded(".png", corners()))
    data[60] ^= 0xFF
    return bytes(data)


BAD = {
    "empty file": (b"", "empty file"),
    "text": (b"hello, I am a text file", "not an image that can be read"),
    "truncated jpeg": (encoded(".jpg", corners())[:-40], "truncated JPEG"),
    "jpeg header only": (encoded(".jpg", corners())[:30], "truncated or damaged JPEG"),
    "three bytes of jpeg": (b"\xff\xd8\xff", "truncated or damaged JPEG"),
    "truncated png": (encoded(".png", corners())[:-20], "truncated PNG"),
    "png signature only": (b"\x89PNG\r\n\x1a\n", "truncated or damaged PNG"),
    "damaged png": (damaged_png(), "damaged PNG"),
    "truncated webp": (encoded(".webp", corners())[:-10], "truncated or damaged WebP"),
    "truncated bmp": (encoded(".bmp", corners())[:-100], "truncated or damaged BMP"),
    "truncated tiff": (encoded(".tiff", corners())[:-200], "truncated or damaged TIFF"),
    "a picture of 10^10 pixels": (huge_png(100000, 1)[:20] + struct.pack(">I", 100000), "truncated or damaged PNG"),
    "video": (b"\x00\x00\x00\x18ftypisom" + b"\x00" * 40, "for clips use `mfn animate`"),
    "jpeg xl": (b"\xff\x0a" + b"\x00" * 40, "JPEG XL images are not read"),
    "zip": (b"PK\x03\x04" + b"\x00" * 100, "not an image"),
}


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_without_its_end_marker_is_read(tmp_path, progressive, capfd):
    noise = np.random.default_rng(0).integers(0, 255, (90, 70, 3), np.uint8)
    done, data = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])
    assert done and data[-2:].tobytes() == b"\xff\xd9"
    (tmp_path / "whole.jpg").write_bytes(data.tobytes())
    (tmp_path / "no_marker.jpg").write_bytes(data[:-2].tobytes())
    (tmp_path / "truncated.jpg").write_bytes(data[:-12].tobytes())
    assert (read_image(tmp_path / "no_marker.jpg") == read_image(tmp_path / "whole.jpg")).all()
    with pytest.raises(ValueError, match="truncated JPEG image: its end is missing"):
        read_image(tmp_path / "truncated.jpg")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_avif_is_turned_upright(tmp_path, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(corners()).save(tmp_path / "a.avif", exif=exif, quality=95)
    expected = {1: corners(), 6: np.rot90(corners(), -1), 8: np.rot90(corners())}[orientation]
    image = read_image(tmp_path / "a.avif")
    assert image.shape == expected.shape
    inner = (slice(4, None, 8), slice(4, None, 8))
    assert np.abs(image[inner].astype(int) - expected[inner]).mean() < 6


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_heic_is_turned_upright(tmp_path, orientation):
    heif = pytest.importorskip("pillow_heif", reason="needs the heic extra")
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    heif.from_pillow(PIL.Image.fromarray(corners())).save(tmp_path / "a.jpg", exif=exif.tobytes(), quality=95)
    expected = {1: corners(), 3: np.rot90(corners(), 2), 6: np.rot90(corners(), -1)}[orientation]
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == expected.shape
    inner = (slice(4, None, 8), slice(4, None, 8))
    assert np.abs(image[inner].astype(int) - expected[inner]).mean() < 6


def test_heic_without_its_extra_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40)
    pytest.importorskip("pillow_heif", reason="needs the heic extra")
    with pytest.raises(ValueError, match="a truncated or damaged HEIC image"):
        read_image(tmp_path / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImportError, match=r'a\.heic: reading a HEIC image needs pillow-heif: pip install "\.\[heic\]"'):
        read_image(tmp_path / "a.heic")


@pytest.mark.parametrize("orientation", [1, 6])
def test_tiff_is_turned_once(tmp_path, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(corners()).save(tmp_path / "a.tiff", exif=exif)
    expected = np.rot90(corners(), -1) if orientation == 6 else corners()
    assert (read_image(tmp_path / "a.tiff") == expected).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_image_size_and_textures(suffix):
    data = encoded(suffix, corners())
    assert image_size(data) == (64, 48)
    assert image_size(data[:10]) is None and image_size(b"") is None and image_size(encoded(".bmp", corners())) is None
    texture = decode_rgba(data, 64 * 48, "texture")
    assert texture is not None and texture.shape == (48, 64, 4) and (texture[..., 3] == 255).all()
    with pytest.raises(ValueError, match="texture: 64 x 48 px is more than the limit"):
        decode_rgba(data, 64 * 48 - 1, "texture")


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (3, np.uint16), (4, np.uint8)])
def test_textures_become_rgba(channels, dtype):
    pixels = np.full((5, 6, channels), 200 * (257 if dtype == np.uint16 else 1), dtype)
    texture = decode_rgba(encoded(".png", pixels[:, :, 0] if channels == 1 else pixels), 100, "texture")
    assert texture is not None and texture[0, 0].tolist() == [200, 200, 200, 200 if channels == 4 else 255]


def test_jpeg_round_trips():
    data = encode_jpeg(corners(), 95)
    assert near(decode_image(data), 4, 40, RED)
    changed = add_jpeg_artifacts(corners(), 30)
    assert changed.shape == corners().shape and not (changed == corners()).all() and near(changed, 44, 50, BLUE)


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_clear_line(tmp_path, name):
    data, message = BAD[name]
    (tmp_path / "bad.jpg").write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_image(tmp_path / "bad.jpg")
    assert str(caught.value).startswith(str(tmp_path / "bad.jpg")) and "\n" not in str(caught.value)


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    data = huge_png(64, 1)
    claim = b"IHDR" + struct.pack(">II", 1 << 16, 1 << 16) + data[24:29]
    (tmp_path / "a.png").write_bytes(data[:12] + claim + struct.pack(">I", zlib.crc32(claim)) + data[33:])
    with pytest.raises(ValueError, match=f"65536 x 65536 px is more than the limit of {MAX_PIXELS / 1e6:.0f} million"):
        read_image(tmp_path / "a.png")


def test_missing_and_directory(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ValueError, match="a directory where an image was expected"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"expected an RGB image \(H, W, 3\) uint8, got \(4, 4\) uint8"),
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        ([1, 2], "got list"),
        (None, "got NoneType"),
    ],
)
def test_arrays_are_checked(source, message):
    with pytest.raises(ValueError, match=message):
        as_image(source)


def test_paths_bytes_and_pillow_images_are_sources(tmp_path):
    write_image(tmp_path / "a.png", corners())
    for source in (
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        encoded(".png", corners()),
        PIL.Image.fromarray(corners()),
    ):
        assert (as_image(source) == corners()).all()
    clear = PIL.Image.new("RGBA", (3, 2), (0, 0, 0, 0))
    assert (as_image(clear) == 255).all()


def test_arrays_are_given_back_as_they_are():
    picture = corners()
    assert as_image(picture) is picture


@pytest.mark.parametrize(("suffix", "limit"), [(".jpg", "65,500"), (".JPEG", "65,500"), (".webp", "16,383")])
def test_an_image_that_is_too_long_for_its_format(tmp_path, suffix, limit):
    with pytest.raises(ValueError, match=rf"1 x 70000 px, but a side of a {suffix} image has at most {limit} px: use .png"):
        write_image(tmp_path / f"a{suffix}", np.zeros((70_000, 1, 3), np.uint8))
    write_image(tmp_path / "a.png", np.zeros((70_000, 1, 3), np.uint8))


def test_write_then_read(tmp_path):
    write_image(tmp_path / "a.png", corners())
    assert (read_image(tmp_path / "a.png") == corners()).all()
    with pytest.raises(ValueError, match=r"not written as \.xyz"):
        write_image(tmp_path / "a.xyz", corners())
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
