"""glTF as web shops deliver it: buffers and textures beside the document, in folders and in archives."""

from __future__ import annotations

import base64
import json
import zipfile
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from retarget.cli.report import list_effects
from retarget.gltf.document import read_glb, write_glb
from retarget.rig.load import load_rig
from tests.helpers.characters import make_face

PICTURE = cv2.imencode(".png", np.full((4, 4, 3), (0, 0, 255), np.uint8))[1].tobytes()
FILES = {"model/face data.bin": "buffer", "model/textures/Skin 1.png": "picture"}


def parts(buffer="face%20data.bin", picture="textures/Skin%201.png"):
    """The document of a face with a buffer and a texture in files, and the bytes of the buffer."""
    glb = make_face()
    document = json.loads(json.dumps(glb.document))
    document["buffers"] = [{"byteLength": len(glb.binary), "uri": buffer}]
    document.update(images=[{"uri": picture}], textures=[{"source": 0}])
    document["materials"][0]["pbrMetallicRoughness"] = {"baseColorTexture": {"index": 0}}
    return json.dumps(document).encode(), bytes(glb.binary)


def unpack(folder, document, buffer, skip=()):
    (folder / "textures").mkdir()
    for name, content in (("face.gltf", document), ("face data.bin", buffer), ("textures/Skin 1.png", PICTURE)):
        if name not in skip:
            (folder / name).write_bytes(content)
    return folder / "face.gltf"


def is_red(rig):
    return rig.materials[0].mips[0][0, 0].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize("buffer, picture", [
    ("face%20data.bin", "textures/Skin%201.png"),
    ("face data.bin", "textures/Skin 1.png"),
    ("FACE DATA.BIN", "Textures\\skin 1.PNG"),
    ("./face%20data.bin", "Skin%201.png"),  # the picture lies in a folder that the document does not name
])  # fmt: skip
def test_files_beside_the_document(buffer, picture, tmp_path):
    document, data = parts(buffer, picture)
    rig = load_rig(unpack(tmp_path, document, data))
    assert is_red(rig) and rig.remarks == ()
    write_glb(make_face(), tmp_path / "plain.glb")
    assert list_effects(rig) == list_effects(load_rig(tmp_path / "plain.glb"))


@pytest.mark.parametrize("encode", [
    lambda data: "data:application/octet-stream;base64," + base64.b64encode(data).decode(),
    lambda data: "data:application/gltf-buffer;base64," + quote(base64.b64encode(data).decode()),
    lambda data: "data:application/octet-stream," + quote(data),
])  # fmt: skip
def test_embedded_buffers_and_pictures(encode, tmp_path):
    data = parts()[1]
    (tmp_path / "face.gltf").write_bytes(parts(encode(data), encode(PICTURE))[0])
    assert is_red(load_rig(tmp_path / "face.gltf"))


def test_a_picture_that_is_missing_is_a_remark_and_a_buffer_an_error(tmp_path):
    document, data = parts()
    path = unpack(tmp_path, document, data, skip=("textures/Skin 1.png",))
    rig = load_rig(path)
    assert rig.materials[0].mips == ()
    assert rig.remarks[0] == "refers to 'textures/Skin%201.png', which is not beside it: this texture is not drawn"
    write_glb(rig.glb, tmp_path / "out.glb")
    assert "source" not in read_glb(tmp_path / "out.glb").document["textures"][0]
    (tmp_path / "face data.bin").unlink()
    with pytest.raises(ValueError, match=r"face\.gltf: refers to 'face%20data.bin', which is not beside it"):
        load_rig(path)


@pytest.mark.parametrize("root, picture", [("", "textures/Skin%201.png"), ("source/", "../textures/Skin%201.png")])
def test_an_archive_opens_as_it_is(root, picture, tmp_path):
    document, data = parts(picture=picture)
    with zipfile.ZipFile(tmp_path / "shop.zip", "w") as archive:
        archive.writestr(f"{root}scene.gltf", document)
        archive.writestr(f"{root}face data.bin", data)
        archive.writestr("textures/Skin 1.png", PICTURE)
        archive.writestr("__MACOSX/._scene.gltf", b"?")
        archive.writestr("license.txt", b"CC0")
    assert is_red(load_rig(tmp_path / "shop.zip"))


def test_an_archive_with_a_glb(tmp_path):
    write_glb(make_face(), tmp_path / "a.glb")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "a.glb", "avatar/a.glb")
        archive.write(tmp_path / "a.glb", "avatar/low.glb")
    assert "jawOpen" not in load_rig(tmp_path / "a.zip").unmapped  # the one with the archive's name
    (tmp_path / "a.zip").rename(tmp_path / "b.zip")
    with pytest.raises(ValueError, match=r"an archive with 2 models \(avatar/a.glb, avatar/low.glb\)"):
        load_rig(tmp_path / "b.zip")


def test_hostile_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("readme.txt", b"")
    with pytest.raises(ValueError, match="an archive without one"):
        load_rig(tmp_path / "none.zip")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.glb", bytes(65 << 20))
    with pytest.raises(ValueError, match="claims 68157440 bytes"):
        load_rig(tmp_path / "bomb.zip")
    document, _ = parts("../../secret.bin")
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        archive.writestr("a.gltf", document)
    with pytest.raises(ValueError, match="which is not beside it"):
        load_rig(tmp_path / "up.zip")
    whole = (tmp_path / "up.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"not a readable .zip archive"):
        load_rig(tmp_path / "cut.zip")
