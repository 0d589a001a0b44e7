"""Make damaged and hostile files. CASES holds the file name and the content of each, by a description of the fault."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np

from retarget.performance.files import to_jsonl
from tests.helpers.characters import make_face, make_take

CASES: dict[str, tuple[str, bytes]] = {}


def pack_glb(document, binary=b"", version=2, length=None, text=None):
    """Return a .glb file with any document, also a wrong one."""
    text = json.dumps(document).encode() if text is None else text
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(binary), 0x004E4942) + binary if binary else b""
    return struct.pack("<III", 0x46546C67, version, 12 + len(body) if length is None else length) + body


def face():
    """Return the document and the binary data of a correct character."""
    glb = make_face()
    glb.document["buffers"] = [{"byteLength": len(glb.binary)}]
    return json.loads(json.dumps(glb.document)), bytearray(glb.binary)


def add_glb_case(name, change):
    """Add a case: a correct character after change(document, binary), which may return another JSON text."""
    document, binary = face()
    text = change(document, binary)
    CASES[name] = ("bad.glb", pack_glb(document, bytes(binary), text=text if isinstance(text, bytes) else None))


def set_value(path, value):
    """Return a change that sets document[path[0]][path[1]]... to a value."""

    def change(document, binary):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def overwrite_floats(number, value):
    """Return a change that overwrites the first three floats of an accessor."""

    def change(document, binary):
        accessor = document["accessors"][number]
        source = accessor if "bufferView" in accessor else accessor["sparse"]["values"]
        view = document["bufferViews"][source["bufferView"]]
        data = np.array([value] * 3, np.float32).tobytes()
        binary[view["byteOffset"] : view["byteOffset"] + 12] = data

    return change


def primitive():
    """Return the first primitive of the character's mesh."""
    return face()[0]["meshes"][0]["primitives"][0]


POSITION, TARGET = primitive()["attributes"]["POSITION"], primitive()["targets"][0]["POSITION"]
INDICES = primitive()["indices"]
FLOATS = {"bufferView": face()[0]["accessors"][POSITION]["bufferView"], "componentType": 5125, "byteOffset": 4}


def add_container_cases():
    """Add .glb files with a damaged container or JSON text."""
    whole = pack_glb(face()[0], bytes(face()[1]))
    text_end = 20 + struct.unpack_from("<I", whole, 12)[0]
    for at in (0, 3, 11, 19, 24, text_end // 2, text_end, text_end + 7, (text_end + len(whole)) // 2, len(whole) - 1):
        CASES[f"glb cut at {at}"] = ("bad.glb", whole[:at])
    CASES["glb with a length above its size"] = ("bad.glb", pack_glb(face()[0], length=1 << 31))
    CASES["glb shorter than its chunk"] = ("bad.glb", pack_glb(face()[0], length=40))
    CASES["chunk of 4 GB"] = ("bad.glb", whole[:12] + struct.pack("<I", 0xFFFFFFFF) + whole[16:])
    CASES["glb version 1"] = ("bad.glb", pack_glb(face()[0], version=1))
    CASES["no JSON chunk first"] = ("bad.glb", whole[:16] + struct.pack("<I", 0x004E4942) + whole[20:])
    CASES["glb of noise"] = ("bad.glb", b"glTF" + np.random.default_rng(0).bytes(4000))
    CASES["JSON text that ends too early"] = ("bad.glb", pack_glb({}, text=b'{"asset": {"version": "2.0"'))
    CASES["JSON that is a list"] = ("bad.glb", pack_glb([]))
    CASES["JSON nested 100000 deep"] = ("bad.glb", pack_glb({}, text=b'{"asset":' + b"[" * 100_000))
    CASES["JSON with NaN"] = ("bad.glb", pack_glb({}, text=b'{"asset":{"version":"2.0"},"x":NaN}'))
    CASES["JSON that is not UTF-8"] = ("bad.glb", pack_glb({}, text=b'{"asset":{"version":"2.0\xff"}}'))
    CASES["a number of 5000 digits"] = (
        "bad.glb",
        pack_glb({}, text=b'{"asset":{"version":"2.0"},"scene":' + b"9" * 5000 + b"}"),
    )


def add_buffer_cases():
    """Add .glb files with damaged buffers, views and accessors."""
    add_glb_case("10^9 vertices", set_value(("accessors", POSITION, "count"), 10**9))
    add_glb_case(
        "10^9 vertices without data",
        set_value(("accessors", POSITION), {"componentType": 5126, "type": "VEC3", "count": 10**9}),
    )
    add_glb_case("view outside its buffer", set_value(("bufferViews", 0, "byteLength"), 10**7))
    add_glb_case("view with a negative offset", set_value(("bufferViews", 0, "byteOffset"), -4))
    add_glb_case("buffer of 10^12 bytes", set_value(("buffers", 0, "byteLength"), 10**12))
    add_glb_case("accessor without its view", set_value(("accessors", POSITION, "bufferView"), 999))
    add_glb_case("accessor past its view", set_value(("accessors", POSITION, "byteOffset"), 64))
    add_glb_case("stride of 1", set_value(("bufferViews", 0, "byteStride"), 1))
    add_glb_case("unknown component type", set_value(("accessors", POSITION, "componentType"), 9999))
    add_glb_case("count as text", set_value(("accessors", POSITION, "count"), "many"))
    add_glb_case(
        "sparse index too large",
        set_value(("accessors", TARGET, "sparse"), {"count": 1, "indices": FLOATS, "values": {"bufferView": 0}}),
    )
    add_glb_case("accessors as an object", set_value(("accessors",), {"0": {}}))


def add_scene_cases():
    """Add .glb files with damaged nodes, meshes, skins and materials."""
    add_glb_case("node that is its own child", set_value(("nodes", 0, "children"), [0]))
    add_glb_case("cyclic nodes", lambda d, b: d["nodes"][1].update(children=[0]))
    add_glb_case("two parents", lambda d, b: d["nodes"][1].update(children=[2]))
    add_glb_case("child that does not exist", set_value(("nodes", 0, "children"), [77]))
    add_glb_case("mesh that does not exist", set_value(("nodes", 1, "mesh"), 77))
    add_glb_case("scene that does not exist", set_value(("scene",), 5))
    add_glb_case("scene of a node that does not exist", set_value(("scenes", 0, "nodes"), [123]))
    add_glb_case("rotation of three numbers", set_value(("nodes", 0, "rotation"), [0, 0, 1]))
    add_glb_case("nodes as numbers", set_value(("nodes",), [1, 2, 3]))
    add_glb_case(
        "skin of joints that do not exist",
        lambda d, b: d.update(skins=[{"joints": [9999]}]) or d["nodes"][1].update(skin=0),
    )
    add_glb_case("positions of NaN", overwrite_floats(POSITION, np.nan))
    add_glb_case("targets of infinity", overwrite_floats(TARGET, np.inf))
    add_glb_case(
        "weights of infinity",
        lambda d, b: d["meshes"][0].update(weights=["W", 0, 0]) or json.dumps(d).replace('"W"', "1e999").encode(),
    )
    add_glb_case(
        "weights of NaN",
        lambda d, b: d["meshes"][0].update(weights=["W", 0, 0]) or json.dumps(d).replace('"W"', "NaN").encode(),
    )
    add_glb_case("mesh without primitives", set_value(("meshes", 0, "primitives"), []))
    add_glb_case("index that is no vertex", overwrite_floats(INDICES, np.float32(np.finfo(np.float32).max)))
    add_glb_case("a file outside the folder", set_value(("buffers", 0, "uri"), "../../../../etc/passwd"))
    add_glb_case("a file of the system", set_value(("buffers", 0, "uri"), "/etc/passwd"))
    add_glb_case("a file over the network", set_value(("buffers", 0, "uri"), "http://127.0.0.1/x.bin"))
    add_glb_case(
        "data that is not base64", set_value(("buffers", 0, "uri"), "data:application/octet-stream;base64,&&&&")
    )
    add_glb_case("image of a view that does not exist", set_value(("images",), [{"bufferView": 999}]))
    add_glb_case(
        "40000 copies of a mesh",
        lambda d, b: (
            d["nodes"].extend({"mesh": 0} for _ in range(40_000))
            or d["scenes"][0].update(nodes=list(range(len(d["nodes"]) - 40_000, len(d["nodes"]))))
        ),
    )
    add_glb_case(
        "color of two values", set_value(("materials", 0, "pbrMetallicRoughness"), {"baseColorFactor": [1, "red"]})
    )


def npz(**arrays):
    """Return a compressed .npz file."""
    memory = io.BytesIO()
    np.savez_compressed(memory, **arrays)
    return memory.getvalue()


def take_arrays(**changes):
    """Return the arrays of a take, some of them replaced."""
    take = make_take(2, 50)
    names = ("time_s", "actor", "coefficients", "rotation", "translation")
    return {**{name: getattr(take, name) for name in names}, **changes}


def npy_with_shape(shape, data=b"\0" * 64):
    """Return an .npy file whose header has a shape that its data need not have."""
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def zipped(members):
    """Return a .zip file."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return memory.getvalue()


def add_take_cases():
    """Add the takes: .npz, .csv and .json files."""
    whole = npz(**take_arrays())
    for at in (0, 10, len(whole) // 2, len(whole) - 5):
        CASES[f"npz cut at {at}"] = ("bad.npz", whole[:at])
    middle = bytearray(whole)
    for at in range(300, 400):
        middle[at] ^= 0x5A
    CASES["npz with wrong bytes"] = ("bad.npz", bytes(middle))
    CASES["npz of objects (pickle)"] = ("bad.npz", npz(**take_arrays(time_s=np.array([print] * 100, object))))
    members = {f"{name}.npy": npy_with_shape((2,)) for name in take_arrays()}
    CASES["npz of 10^9 samples"] = ("bad.npz", zipped({**members, "coefficients.npy": npy_with_shape((10**9, 52))}))
    CASES["npz of a negative shape"] = ("bad.npz", zipped({**members, "coefficients.npy": npy_with_shape((-1, 52))}))
    CASES["npz with code for a header"] = (
        "bad.npz",
        zipped({**members, "time_s.npy": b"\x93NUMPY\1\0\x20\0" + b"__import__('os').abort()".ljust(32)}),
    )
    CASES["npz of empty members"] = ("bad.npz", zipped(dict.fromkeys(members, b"")))
    secret = bytearray(whole)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag of encrypted data
        at = -1
        while (at := secret.find(signature, at + 1)) >= 0:
            secret[at + offset] |= 1
    CASES["npz encrypted"] = ("bad.npz", bytes(secret))
    CASES["npz of NaN weights"] = ("bad.npz", npz(**take_arrays(coefficients=np.full((100, 52), np.nan))))
    CASES["npz of 51 weights"] = ("bad.npz", npz(**take_arrays(coefficients=np.zeros((100, 51)))))
    CASES["npz of quaternions of length 0"] = ("bad.npz", npz(**take_arrays(rotation=np.zeros((100, 4)))))
    CASES["npz of something else"] = ("bad.npz", npz(photo=np.zeros(3)))
    CASES["npz of text"] = ("bad.npz", npz(**take_arrays(actor=np.array(["Ann"] * 100))))
    header = "Timecode,BlendShapeCount,JawOpen\n"
    for name, text in {
        "csv without a header": b"1,2,3\n",
        "csv of noise": np.random.default_rng(1).bytes(3000),
        "csv with a word": (header + "00:00:00:01.0,61,wide\n").encode(),
        "csv with NaN": (header + "00:00:00:01.0,61,nan\n").encode(),
        "csv with a short row": (header + "00:00:00:01.0\n").encode(),
        "csv with a wrong time code": (header + "yesterday,61,0.5\n").encode(),
        "csv of one field": (header + '"' + "x" * 300_000).encode(),
        "empty csv": b"",
    }.items():
        CASES[name] = ("bad.csv", text)
    lines = to_jsonl(make_take(1, 4)).encode()
    for name, text in {
        "json cut": lines[: len(lines) // 2 + 7],
        "json of noise": b"{" + np.random.default_rng(2).bytes(3000),
        "json with NaN": lines.replace(b'"jawOpen":0.', b'"jawOpen":NaN,"x":0.'),
        "json with infinity": b'[{"jawOpen": 1e999}]',
        "json of a number": b"42",
        "json of text": b'["jawOpen"]',
        "json nested deeply": b'{"frames":' * 50_000,
        "json of unknown names": b'[{"smile": 0.3}]',
        "json without the rotation": lines.replace(b'"rotation":[', b'"rotation":[],"r":['),
        "json with a bad matrix": b'[{"jawOpen": 1, "transform": [[1, 2], [3]]}]',
        "empty json": b"",
    }.items():
        CASES[name] = ("bad.json", text)


add_container_cases()
add_buffer_cases()
add_scene_cases()
add_take_cases()
