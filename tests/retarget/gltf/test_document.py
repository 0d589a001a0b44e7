"""Tests of reading and writing glTF files and accessors, with a table of damaged and hostile files."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from retarget.gltf.accessors import add_accessor, add_sparse_accessor, read_accessor
from retarget.gltf.document import Glb, add_view, read_glb, write_glb
from tests.helpers.characters import make_body, make_face


@pytest.mark.parametrize("make", [make_face, make_body])
@pytest.mark.parametrize("ending", ["glb", "gltf"])
def test_a_written_file_is_read_back(make, ending, tmp_path):
    glb = make()
    glb.document["extras"] = {"kept": [1, {"a": None}]}
    glb.document["extensions"] = {"XX_unknown": {"deep": [0.1]}}
    if ending == "glb":
        glb.chunks.append((0x12345678, b"abcd"))
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    write_glb(glb, first)
    back = read_glb(first)
    assert back.document == glb.document and back.binary == glb.binary and back.chunks == glb.chunks
    write_glb(back, second)
    assert first.read_bytes() == second.read_bytes()


def test_a_real_character_is_unchanged_after_reading_and_writing(brunette_path, tmp_path):
    glb = read_glb(brunette_path)
    write_glb(glb, tmp_path / "b.glb")
    back = read_glb(tmp_path / "b.glb")
    assert back.document == glb.document and back.binary == glb.binary


def test_the_glb_container_follows_the_specification(tmp_path):
    write_glb(make_face(), tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    magic, version, length = struct.unpack_from("<III", data)
    size, kind = struct.unpack_from("<II", data, 12)
    assert (magic, version, length) == (0x46546C67, 2, len(data)) and size % 4 == 0 and kind == 0x4E4F534A
    size_bin, kind_bin = struct.unpack_from("<II", data, 20 + size)
    assert kind_bin == 0x004E4942 and size_bin % 4 == 0 and 28 + size + size_bin == len(data)


def test_buffers_and_images_in_files_of_their_own(tmp_path):
    glb = make_face()
    document = json.loads(json.dumps(glb.document))
    document["buffers"] = [{"uri": "my%20data.bin", "byteLength": len(glb.binary)}]
    document["images"] = [{"uri": "a.png"}]
    (tmp_path / "my data.bin").write_bytes(glb.binary)
    (tmp_path / "a.png").write_bytes(b"\x89PNG and more")
    (tmp_path / "a.gltf").write_text(json.dumps(document))
    back = read_glb(tmp_path / "a.gltf")
    np.testing.assert_array_equal(read_accessor(back, 0), read_accessor(glb, 0))
    view = back.document["bufferViews"][back.document["images"][0]["bufferView"]]
    assert back.binary[view["byteOffset"] :][: view["byteLength"]] == b"\x89PNG and more"
    assert back.document["images"][0]["mimeType"] == "image/png" and len(back.document["buffers"]) == 1


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.uint16, np.uint32, np.int8, np.int16])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("target", [None, 34962])
def test_accessor_round_trip(kind, width, target):
    values = np.random.default_rng(0).integers(0, 100, (7, width)).astype(kind)
    glb = Glb({"asset": {"version": "2.0"}})
    add_accessor(glb, values[:1])
    number = add_accessor(glb, values, target)
    accessor = glb.document["accessors"][number]
    view = glb.document["bufferViews"][accessor["bufferView"]]
    np.testing.assert_array_equal(read_accessor(glb, number), values)
    assert accessor["min"] == values.min(axis=0).tolist() and accessor["max"] == values.max(axis=0).tolist()
    assert view["byteOffset"] % 4 == 0 and (target is None or view.get("byteStride", values[0].nbytes) % 4 == 0)


def test_normalized_integers():
    glb = Glb({"asset": {"version": "2.0"}})
    for values, expected in (
        (np.array([[0], [255]], np.uint8), [0, 1]),
        (np.array([[-128], [127]], np.int8), [-1, 1]),
        (np.array([[-32768], [32767]], np.int16), [-1, 1]),
        (np.array([[0], [65535]], np.uint16), [0, 1]),
    ):
        read = read_accessor(glb, add_accessor(glb, values, normalized=True))
        assert read.dtype == np.float32
        np.testing.assert_allclose(read[:, 0], expected)


@pytest.mark.parametrize("smallest", [1e-3, 0.0])
@pytest.mark.parametrize("count, changed", [(200, 3), (200, 0), (200, 200), (3000, 400), (70000, 9)])
def test_sparse_round_trip(count, changed, smallest):
    rng = np.random.default_rng(0)
    values = np.zeros((count, 3), np.float32)
    values[rng.choice(count, changed, replace=False)] = rng.uniform(0.1, 1, (changed, 3))
    glb = Glb({"asset": {"version": "2.0"}})
    number = add_sparse_accessor(glb, values, smallest)
    np.testing.assert_array_equal(read_accessor(glb, number), values)
    assert len(glb.binary) <= min(changed * 16 + 8, values.nbytes)


def test_nan_raises():
    glb = Glb({"asset": {"version": "2.0"}})
    number = add_accessor(glb, np.array([[np.nan, 0, 0]], np.float32))
    with pytest.raises(ValueError, match="NaN or infinity"):
        read_accessor(glb, number)


def make_glb_bytes(document, binary=b"", version=2, length=None):
    """Return a .glb file with any document, also a wrong one."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(binary), 0x004E4942) + binary if binary else b""
    return struct.pack("<III", 0x46546C67, version, length or 12 + len(body)) + body


def changed_file(**lists):
    """Return a .glb file whose lists are replaced by values or by the results of functions."""
    glb = make_body()
    document = json.loads(json.dumps(glb.document))
    for key, value in lists.items():
        document[key] = value(document.get(key)) if callable(value) else value
    return make_glb_bytes(document, bytes(glb.binary))


def with_item(number, **properties):
    """Return a function that changes properties of one item of a list."""

    def change(items):
        items = list(items or [])
        items[number] = {**items[number], **properties}
        return items

    return change


def with_huge_count(items):
    """Set the count of the first accessor to 10^9."""
    return [{**items[0], "count": 10**9}, *items[1:]]


SPARSE = {"count": 2, "indices": {"bufferView": 0, "componentType": 5123}, "values": {"bufferView": 0}}
HOSTILE = {
    "empty": (b"", "not a glTF file"),
    "text": (b"hello there", "not a glTF file"),
    "png": (b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "not a glTF file"),
    "magic alone": (b"glTF", "truncated GLB: 4 bytes"),
    "header alone": (make_glb_bytes({})[:12] + b"\0" * 8, "GLB"),
    "version 1": (make_glb_bytes({"asset": {"version": "2.0"}}, version=1), "GLB version 1"),
    "longer than it is": (make_glb_bytes({"asset": {"version": "2.0"}}, length=10**9), "truncated GLB"),
    "cut": (changed_file()[:-100], "truncated GLB"),
    "chunk too long": (make_glb_bytes({})[:12] + struct.pack("<II", 2**31, 0x4E4F534A) + b"{}  ", "does not fit|truncated"),
    "no json chunk": (struct.pack("<IIIII", 0x46546C67, 2, 24, 4, 0x004E4942) + b"abcd", "first chunk is not JSON"),
    "no json": (make_glb_bytes({})[:20] + b"{]" + make_glb_bytes({})[22:], "JSON cannot be read"),
    "not utf-8": (make_glb_bytes({"a": "bcdef"}).replace(b"bcdef", b"\xff\xfe\xff\xfe\xff"), "JSON cannot be read"),
    "deep": (b"{" + b'"a":[' * 200_000, "JSON cannot be read"),
    "a list": (make_glb_bytes([]), "not glTF 2.0"),
    "gltf 1": (make_glb_bytes({"asset": {"version": "1.0"}}), "not glTF 2.0"),
    "no asset": (make_glb_bytes({}), "not glTF 2.0"),
    "asset is text": (make_glb_bytes({"asset": "2.0"}), "damaged glTF"),
    "nan": (make_glb_bytes({"asset": {"version": "2.0"}, "x": float("nan")}), "NaN is not a JSON number"),
    "nodes no list": (changed_file(nodes={"a": 1}), "nodes is not a list of objects"),
    "node is text": (changed_file(nodes=["a"]), "nodes is not a list of objects"),
    "no binary": (changed_file()[: 12 + 8] + b"", "truncated"),
    "buffer longer": (changed_file(buffers=[{"byteLength": 10**12}]), "buffer 0 should have 1000000000000 bytes"),
    "buffer negative": (changed_file(buffers=[{"byteLength": -1}]), "byteLength is -1"),
    "second buffer": (
        changed_file(buffers=lambda b: [*b, {"byteLength": 4}]),
        "buffer 1 should have 4 bytes, there is nothing",
    ),
    "absolute uri": (changed_file(buffers=[{"byteLength": 4, "uri": "/etc/hostname"}]), "in its own folder"),
    "uri upwards": (changed_file(buffers=[{"byteLength": 4, "uri": "../x"}]), "in its own folder"),
    "uri in the net": (changed_file(buffers=[{"byteLength": 4, "uri": "https://a.b/c"}]), "in its own folder"),
    "uri missing": (changed_file(buffers=[{"byteLength": 4, "uri": "gone.bin"}]), "not beside it"),
    "uri no base64": (changed_file(buffers=[{"byteLength": 4, "uri": "data:;base64,@@@"}]), "not base64"),
    "view outside": (changed_file(bufferViews=with_item(0, byteLength=10**9)), "outside buffer 0"),
    "view offset": (changed_file(bufferViews=with_item(0, byteOffset=-4)), "byteOffset is -4"),
    "view of buffer 7": (changed_file(bufferViews=with_item(0, buffer=7)), "buffer 7 does not exist"),
    "accessor of view 999": (changed_file(accessors=with_item(0, bufferView=999)), "bufferView 999 does not exist"),
    "accessor outside": (changed_file(accessors=with_item(0, byteOffset=10**6)), "elements need"),
    "10^9 vertices": (changed_file(accessors=with_huge_count), "claims 1000000000 elements"),
    "10^9 zeros": (changed_file(accessors=lambda a: [{"componentType": 5126, "type": "VEC3", "count": 10**9}]), "claims"),
    "no count": (changed_file(accessors=with_item(0, count=None)), "count is None"),
    "count is true": (changed_file(accessors=with_item(0, count=True)), "count is True"),
    "odd type": (changed_file(accessors=with_item(0, type="VEC9")), "unknown componentType 5126 or type VEC9"),
    "odd component": (changed_file(accessors=with_item(0, componentType=5130)), "unknown componentType 5130"),
    "sparse too many": (changed_file(accessors=with_item(0, sparse={**SPARSE, "count": 999})), "sparse count 999"),
    "sparse falls": (changed_file(accessors=with_item(0, sparse=SPARSE)), "sparse indices do not rise|needs|need"),
    "sparse empty": (changed_file(accessors=with_item(0, sparse={})), "sparse: count is None"),
    "stride 1": (changed_file(bufferViews=with_item(0, byteStride=1)), "stride 1"),
    "mesh of accessor 99": (
        changed_file(meshes=[{"primitives": [{"attributes": {"POSITION": 99}}]}]),
        "POSITION 99 does not",
    ),
    "mesh without parts": (changed_file(meshes=[{"primitives": []}]), "has no primitives"),
    "mesh without list": (changed_file(meshes=[{}]), "has no primitives"),
    "cycle": (changed_file(nodes=with_item(3, children=[0])), "cycle"),
    "own child": (changed_file(nodes=[{"children": [0]}]), "cycle"),
    "two parents": (changed_file(nodes=with_item(9, children=[3])), "two parents"),
    "child 99": (changed_file(nodes=with_item(3, children=[99])), "child 99 does not exist"),
    "child is text": (changed_file(nodes=with_item(3, children=["a"])), "child a does not exist"),
    "node of mesh 5": (changed_file(nodes=with_item(9, mesh=5)), "mesh 5 does not exist"),
    "short rotation": (changed_file(nodes=with_item(3, rotation=[0, 0, 1])), "rotation is not 4 finite numbers"),
    "rotation of text": (changed_file(nodes=with_item(3, rotation=["a"] * 4)), "rotation is not 4 finite numbers"),
    "skin of joint 99": (changed_file(skins=with_item(0, joints=[99])), "joint 99 does not exist"),
    "skin without joints": (changed_file(skins=with_item(0, joints=[])), "has no joints"),
    "skin matrices": (changed_file(skins=with_item(0, inverseBindMatrices=0)), "not one MAT4 for each"),
    "scene of node 99": (changed_file(scenes=[{"nodes": [99]}]), "node 99 does not exist"),
    "scene 3": (changed_file(scene=3), "scene 3 does not exist"),
    "material 4": (
        changed_file(meshes=lambda m: [{"primitives": [{**m[0]["primitives"][0], "material": 4}]}]),
        "material 4 does not exist",
    ),
    "huge translation": (changed_file(nodes=with_item(3, translation=[0, 1e300, 0])), "translation is not 3 finite"),
    "weights of text": (changed_file(nodes=with_item(9, weights=["a", 1])), "weights are not finite"),
    "extensions 5": (changed_file(extensionsUsed=5), "extensionsUsed is not a list of names"),
    "unknown": (changed_file(extensionsRequired=["EXT_mesh_gpu_instancing"]), "requires the extension EXT_mesh_gpu_instancing"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_damaged_and_hostile_files_raise(name, tmp_path):
    content, message = HOSTILE[name]
    path = tmp_path / "bad.glb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_glb(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_missing_files_and_folders_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_glb(tmp_path / "a.glb")
    with pytest.raises(ValueError, match="is a directory"):
        read_glb(tmp_path)
    with pytest.raises(ValueError, match="is a directory"):
        write_glb(make_face(), tmp_path)
    with pytest.raises(FileNotFoundError, match="folder does not exist"):
        write_glb(make_face(), tmp_path / "no" / "a.glb")


def test_lost_or_changed_bytes_raise_only_value_error(tmp_path):
    """A file with lost or changed bytes is read or raises ValueError."""
    write_glb(make_body(), tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "b.glb"
    for _ in range(150):
        damaged = bytearray(data)
        for offset in rng.integers(0, 4000, 3):
            damaged[offset] = rng.integers(0, 256)
        path.write_bytes(damaged[: rng.choice([len(data), int(rng.integers(len(data)))])])
        try:
            glb = read_glb(path)
            for number in range(len(glb.document.get("accessors", []))):
                read_accessor(glb, number)
        except ValueError:
            pass


def test_views_are_aligned():
    glb = Glb({"asset": {"version": "2.0"}})
    add_view(glb, b"abc")
    assert glb.document["bufferViews"][add_view(glb, b"de")]["byteOffset"] == 4
