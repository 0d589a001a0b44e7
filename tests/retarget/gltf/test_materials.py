"""Materials: emitted light, and textures that cannot be read."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image, features

from retarget.gltf.document import Glb, add_view, write_glb
from retarget.render.scene import render_scene
from retarget.rig.load import load_rig
from tests.helpers.characters import make_face, make_take

KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(80)


def png(color: tuple[int, int, int]) -> bytes:
    return cv2.imencode(".png", np.full((4, 4, 3), color[::-1], np.uint8))[1].tobytes()


def with_picture(material: dict, data: bytes, kind: str = "image/png", extension: str = "") -> Glb:
    """A face whose skin has this material; texture 0 is the picture."""
    glb = make_face()
    glb.document["images"] = [{"bufferView": add_view(glb, data), "mimeType": kind}]
    glb.document["textures"] = [{"extensions": {extension: {"source": 0}}} if extension else {"source": 0}]
    if extension:
        glb.document["extensionsUsed"] = glb.document["extensionsRequired"] = [extension]
    glb.document["materials"][0] = {"name": "skin", **material}
    return glb


def drawn(glb: Glb, tmp_path) -> tuple[np.ndarray, tuple[str, ...]]:
    """The color of the middle of the face, and the remarks."""
    del glb.document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    write_glb(glb, tmp_path / "a.glb")
    rig = load_rig(tmp_path / "a.glb")
    take = make_take(1)
    take.rotation[:], take.coefficients[:] = (0, 0, 0, 1), 0
    picture = render_scene(take, [rig], 120, 90, 900, np.zeros((90, 120, 3), np.uint8))
    return picture[45, 60].astype(int), rig.remarks


RED = {"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.02, 0.02, 1], "metallicFactor": 0}}
GLOW = {"emissiveFactor": [1, 1, 1], "emissiveTexture": {"index": 0}}


def test_a_black_emissive_map_leaves_the_base_color(tmp_path):
    plain, _ = drawn(with_picture(RED, png((0, 0, 0))), tmp_path)
    black, remarks = drawn(with_picture({**RED, **GLOW}, png((0, 0, 0))), tmp_path)
    assert black.tolist() == plain.tolist() and remarks == () and plain[0] > 3 * plain[1]


def test_an_emissive_map_is_added(tmp_path):
    color, _ = drawn(with_picture({**RED, **GLOW}, png((0, 255, 0))), tmp_path)
    assert color[1] == 255 and color[2] < 100
    strong = {"extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": 0}}}
    color, _ = drawn(with_picture({**RED, **GLOW, **strong}, png((0, 255, 0))), tmp_path)
    assert color[1] < 100


def test_an_emissive_map_that_is_not_read_does_not_glow(tmp_path):
    plain, _ = drawn(with_picture(RED, png((0, 0, 0))), tmp_path)
    glb = with_picture({**RED, **GLOW}, KTX2, "image/ktx2", "KHR_texture_basisu")
    color, remarks = drawn(glb, tmp_path)
    assert color.tolist() == plain.tolist()
    assert remarks[0].startswith("textures that are not read, so that the base color is drawn: skin (KTX2")


def test_an_emissive_map_with_its_own_coordinates_gives_its_mean(tmp_path):
    halves = np.zeros((4, 4, 3), np.uint8)
    halves[:, :2] = 255
    glow = {"emissiveFactor": [1, 1, 1], "emissiveTexture": {"index": 0, "texCoord": 1}}
    texture = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
    write_glb(with_picture({**texture, **glow}, cv2.imencode(".png", halves)[1].tobytes()), tmp_path / "a.glb")
    material = load_rig(tmp_path / "a.glb").materials[0]
    assert len(material.emission_mips) == 1 and abs(int(material.emission_mips[0].ravel()[0]) - 128) <= 1


@pytest.mark.parametrize("data, kind, extension, said", [
    (KTX2, "image/ktx2", "KHR_texture_basisu", "KTX2"),
    (b"\0\0\0\x1cftypavif" + bytes(60), "image/avif", "EXT_texture_avif", "AVIF"),
    (b"DDS " + bytes(124), "image/vnd-ms.dds", "MSFT_texture_dds", "DDS"),
    (b"hello there", "image/png", "", "unknown format"),
])  # fmt: skip
def test_a_texture_that_is_not_read_is_said_and_the_base_color_drawn(data, kind, extension, said, tmp_path):
    textured = {"pbrMetallicRoughness": {**RED["pbrMetallicRoughness"], "baseColorTexture": {"index": 0}}}
    plain, _ = drawn(with_picture(RED, png((0, 0, 0))), tmp_path)
    color, remarks = drawn(with_picture(textured, data, kind, extension), tmp_path)
    assert color.tolist() == plain.tolist()
    assert remarks[0].startswith(f"textures that are not read, so that the base color is drawn: skin ({said}")


def test_the_same_picture_in_a_format_that_is_read_is_taken(tmp_path):
    glb = with_picture({"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}, KTX2, "image/ktx2", "KHR_texture_basisu")
    glb.document["images"].append({"bufferView": add_view(glb, png((0, 0, 255))), "mimeType": "image/png"})
    glb.document["textures"][0]["source"] = 1
    color, remarks = drawn(glb, tmp_path)
    assert remarks == () and color[2] > 2 * color[0]


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("retarget.gltf.reading.ktx2.find_spec", lambda name: None)
    glb = with_picture({"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}, KTX2, "image/ktx2", "KHR_texture_basisu")
    assert 'skin (KTX2, which needs pip install ".[codecs]")' in drawn(glb, tmp_path)[1][0]


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow does not read AVIF")
def test_avif_is_drawn(tmp_path):
    memory = io.BytesIO()
    Image.new("RGB", (16, 16), (255, 0, 0)).save(memory, "AVIF")
    glb = with_picture({"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}, memory.getvalue(), "image/avif", "EXT_texture_avif")
    color, remarks = drawn(glb, tmp_path)
    assert remarks == () and color[0] > 3 * color[1]
