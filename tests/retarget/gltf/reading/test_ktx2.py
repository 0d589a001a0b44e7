"""Textures in KTX2: decoded with the extra `codecs`; damaged ones and those of another kind are left out, not guessed."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from retarget.gltf.reading.ktx2 import can_read_ktx2, decode_ktx2

pytest.importorskip("opengl_basisu", reason="needs the extra codecs")

BLUE_AND_RED = "179987e2fff30d010000000000000000", "d7030ff9ff14ed020000000000000000"  # UASTC blocks of one color each


def make_ktx2(blocks: list[bytes], width: int, height: int) -> bytes:
    """Build a KTX2 file of one level in UASTC, without supercompression."""
    sample = struct.pack("<HBB4BII", 0, 127, 0, 0, 0, 0, 0, 0, 0xFFFFFFFF)
    block = struct.pack("<HHHH4B4B4B4s", 0, 0, 2, 24 + len(sample), 166, 1, 2, 0, 3, 3, 0, 0, 16, 0, 0, 0, b"")
    description = struct.pack("<I", 4 + len(block) + len(sample)) + block + sample
    data, start = b"".join(blocks), 104 + len(description)
    start += -start % 16
    header = b"\xabKTX 20\xbb\r\n\x1a\n" + struct.pack("<9I", 0, 1, width, height, 0, 0, 1, 1, 0)
    header += struct.pack("<4I2Q", 104, len(description), 0, 0, 0, 0) + struct.pack("<3Q", start, len(data), len(data))
    return (header + description).ljust(start, b"\0") + data


DATA = make_ktx2([bytes.fromhex(block) for block in BLUE_AND_RED], 8, 4)


def test_colors_are_decoded():
    assert can_read_ktx2(DATA)
    picture = decode_ktx2(DATA, 1000, "texture")
    assert picture.shape == (4, 8, 4) and picture.dtype == np.uint8
    assert np.abs(picture[:, :4].astype(int) - (200, 60, 20, 255)).max() < 12
    assert np.abs(picture[:, 4:].astype(int) - (30, 120, 200, 255)).max() < 12


def test_what_is_damaged_is_not_read():
    assert not can_read_ktx2(DATA[:90]) and not can_read_ktx2(b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(80)) and not can_read_ktx2(b"hello")
    assert decode_ktx2(DATA[:120], 1000, "texture") is None


def test_a_small_file_cannot_claim_all_memory():
    with pytest.raises(ValueError, match="pixels"):
        decode_ktx2(DATA, 31, "texture")
