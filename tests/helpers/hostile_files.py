"""Damaged and hostile files, made in code: CASES, what is wrong -> file name and content."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np

from retarget.performance.files import to_jsonl  # noqa: E402
from tests.helpers.characters import make_face, make_take  # noqa: E402

CASES: dict[str, tuple[str, bytes]] = {}  # what it is -> file name, content


def packed(document, binary=b"", version=2, length=None, text=None):
    """A .glb of any document, however wrong."""
    text = json.dumps(document).encode() if text is None else text
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(binary), 0x004E4942) + binary if binary else b""
    return struct.pack("<III", 0x46546C67, version, 12 + len(body) if length is None else length) + body


def face():
    """The document and bytes of a sound character."""
    glb = make_face()
    glb.document["buffers"] = [{"byteLength": len(glb.binary)}]
    return json.loads(json.dumps(glb.document)), bytearray(glb.binary)


def changed(name, change):
    """A case: the sound character with something wrong; change(document, binary) may give a new document's text."""
    document, binary = face()
    text = change(document, binary)
    CASES[name] = ("bad.glb", packed(document, bytes(binary), text=text if isinstance(text, bytes) else None))


def put(path, value):
    """change() that sets document[path[0]][path[1]]… to a value."""

    def change(document, binary):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def into(number, value):
    """change() that writes floats over the beginning of an accessor's values."""

    def change(document, binary):
        accessor = document["accessors"][number]
        place = accessor if "bufferView" in accessor else accessor["sparse"]["values"]
        view = document["bufferViews"][place["bufferView"]]
        data = np.array([value] * 3, np.float32).tobytes()
        binary[view["byteOffset"] : view["byteOffset"] + 12] = data

    return change


def primitive():
    return face()[0]["meshes"][0]["primitives"][0]


POSITION, TARGET = primitive()["attributes"]["POSITION"], primitive()["targets"][0]["POSITION"]
INDICES = primitive()["indices"]
FLOATS = {"bufferView": face()[0]["accessors"][POSITION]["bufferView"], "componentType": 5125, "byteOffset": 4}


def glb_cases():
    sound = packed(face()[0], bytes(face()[1]))
    text_end = 20 + struct.unpack_from("<I", sound, 12)[0]
    for at in (0, 3, 11, 19, 24, text_end // 2, text_end, text_end + 7, (text_end + len(sound)) // 2, len(sound) - 1):
        CASES[f"glb cut at {at}"] = ("bad.glb", sound[:at])
    CASES["glb longer than it is"] = ("bad.glb", packed(face()[0], length=1 << 31))
    CASES["glb shorter than its chunk"] = ("bad.glb", packed(face()[0], length=40))
    CASES["chunk of 4 GB"] = ("bad.glb", sound[:12] + struct.pack("<I", 0xFFFFFFFF) + sound[16:])
    CASES["glb version 1"] = ("bad.glb", packed(face()[0], version=1))
    CASES["no JSON chunk first"] = ("bad.glb", sound[:16] + struct.pack("<I", 0x004E4942) + sound[20:])
    CASES["glb of noise"] = ("bad.glb", b"glTF" + np.random.default_rng(0).bytes(4000))
    CASES["JSON that is not"] = ("bad.glb", packed({}, text=b'{"asset": {"version": "2.0"'))
    CASES["JSON that is a list"] = ("bad.glb", packed([]))
    CASES["JSON nested 100000 deep"] = ("bad.glb", packed({}, text=b'{"asset":' + b"[" * 100_000))
    CASES["JSON with NaN"] = ("bad.glb", packed({}, text=b'{"asset":{"version":"2.0"},"x":NaN}'))
    CASES["JSON that is not UTF-8"] = ("bad.glb", packed({}, text=b'{"asset":{"version":"2.0\xff"}}'))
    CASES["a number of 5000 digits"] = (
        "bad.glb",
        packed({}, text=b'{"asset":{"version":"2.0"},"scene":' + b"9" * 5000 + b"}"),
    )
    changed("10^9 vertices", put(("accessors", POSITION, "count"), 10**9))
    changed(
        "10^9 vertices of nothing",
        put(("accessors", POSITION), {"componentType": 5126, "type": "VEC3", "count": 10**9}),
    )
    changed("view outside its buffer", put(("bufferViews", 0, "byteLength"), 10**7))
    changed("view with a negative offset", put(("bufferViews", 0, "byteOffset"), -4))
    changed("buffer of 10^12 bytes", put(("buffers", 0, "byteLength"), 10**12))
    changed("accessor without its view", put(("accessors", POSITION, "bufferView"), 999))
    changed("accessor past its view", put(("accessors", POSITION, "byteOffset"), 64))
    changed("stride of 1", put(("bufferViews", 0, "byteStride"), 1))
    changed("unknown component type", put(("accessors", POSITION, "componentType"), 9999))
    changed("count as text", put(("accessors", POSITION, "count"), "many"))
    changed(
        "sparse index too large",
        put(("accessors", TARGET, "sparse"), {"count": 1, "indices": FLOATS, "values": {"bufferView": 0}}),
    )
    changed("accessors as an object", put(("accessors",), {"0": {}}))
    changed("node below itself", put(("nodes", 0, "children"), [0]))
    changed("cyclic nodes", lambda d, b: d["nodes"][1].update(children=[0]))
    changed("two parents", lambda d, b: d["nodes"][1].update(children=[2]))
    changed("child that is not there", put(("nodes", 0, "children"), [77]))
    changed("mesh that is not there", put(("nodes", 1, "mesh"), 77))
    changed("scene that is not there", put(("scene",), 5))
    changed("scene of a node that is not there", put(("scenes", 0, "nodes"), [123]))
    changed("a node with three corners", put(("nodes", 0, "rotation"), [0, 0, 1]))
    changed("nodes as numbers", put(("nodes",), [1, 2, 3]))
    changed(
        "skin of joints that are not there",
        lambda d, b: d.update(skins=[{"joints": [9999]}]) or d["nodes"][1].update(skin=0),
    )
    changed("positions of NaN", into(POSITION, np.nan))
    changed("targets of infinity", into(TARGET, np.inf))
    changed(
        "weights of infinity",
        lambda d, b: d["meshes"][0].update(weights=["W", 0, 0]) or json.dumps(d).replace('"W"', "1e999").encode(),
    )
    changed(
        "weights of NaN",
        lambda d, b: d["meshes"][0].update(weights=["W", 0, 0]) or json.dumps(d).replace('"W"', "NaN").encode(),
    )
    changed("too few target names", put(("meshes", 0, "extras", "targetNames"), ["jawOpen"]))
    changed("target names as text", put(("meshes", 0, "extras", "targetNames"), "jawOpen"))
    changed("mesh without primitives", put(("meshes", 0, "primitives"), []))
    changed("corner that is no vertex", into(INDICES, np.float32(np.finfo(np.float32).max)))
    changed("a file from elsewhere", put(("buffers", 0, "uri"), "../../../../etc/passwd"))
    changed("a file of the system", put(("buffers", 0, "uri"), "/etc/passwd"))
    changed("a file over the network", put(("buffers", 0, "uri"), "http://127.0.0.1/x.bin"))
    changed("data that is not base64", put(("buffers", 0, "uri"), "data:application/octet-stream;base64,&&&&"))
    changed("picture of a view that is not there", put(("images",), [{"bufferView": 999}]))
    changed("compressed", lambda d, b: d.update(extensionsRequired=["KHR_draco_mesh_compression"]))
    changed(
        "40000 copies of a mesh",
        lambda d, b: (
            d["nodes"].extend({"mesh": 0} for _ in range(40_000))
            or d["scenes"][0].update(nodes=list(range(len(d["nodes"]) - 40_000, len(d["nodes"]))))
        ),
    )
    changed("the whole is not the sum", put(("materials", 0, "pbrMetallicRoughness"), {"baseColorFactor": [1, "red"]}))


def npz(**arrays):
    memory = io.BytesIO()
    np.savez_compressed(memory, **arrays)
    return memory.getvalue()


def take_arrays(**changes):
    take = make_take(2, 50)
    names = ("time_s", "actor", "coefficients", "rotation", "translation")
    return {**{name: getattr(take, name) for name in names}, **changes}


def claimed(shape, data=b"\0" * 64):
    """An .npy that says it has a shape."""
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def zipped(members):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return memory.getvalue()


def take_cases():
    sound = npz(**take_arrays())
    for at in (0, 10, len(sound) // 2, len(sound) - 5):
        CASES[f"npz cut at {at}"] = ("bad.npz", sound[:at])
    middle = bytearray(sound)
    for at in range(300, 400):
        middle[at] ^= 0x5A
    CASES["npz with wrong bytes"] = ("bad.npz", bytes(middle))
    CASES["npz of objects (pickle)"] = ("bad.npz", npz(**take_arrays(time_s=np.array([print] * 100, object))))
    members = {f"{name}.npy": claimed((2,)) for name in take_arrays()}
    CASES["npz of 10^9 samples"] = ("bad.npz", zipped({**members, "coefficients.npy": claimed((10**9, 52))}))
    CASES["npz of a negative shape"] = ("bad.npz", zipped({**members, "coefficients.npy": claimed((-1, 52))}))
    CASES["npz with code for a header"] = (
        "bad.npz",
        zipped({**members, "time_s.npy": b"\x93NUMPY\1\0\x20\0" + b"__import__('os').abort()".ljust(32)}),
    )
    CASES["npz of empty members"] = ("bad.npz", zipped(dict.fromkeys(members, b"")))
    secret = bytearray(sound)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the bit that says: encrypted
        at = -1
        while (at := secret.find(mark, at + 1)) >= 0:
            secret[at + offset] |= 1
    CASES["npz encrypted"] = ("bad.npz", bytes(secret))
    CASES["npz of NaN weights"] = ("bad.npz", npz(**take_arrays(coefficients=np.full((100, 52), np.nan))))
    CASES["npz of 51 weights"] = ("bad.npz", npz(**take_arrays(coefficients=np.zeros((100, 51)))))
    CASES["npz of turns of length 0"] = ("bad.npz", npz(**take_arrays(rotation=np.zeros((100, 4)))))
    CASES["npz of something else"] = ("bad.npz", npz(photo=np.zeros(3)))
    CASES["npz of words"] = ("bad.npz", npz(**take_arrays(actor=np.array(["Ann"] * 100))))
    header = "Timecode,BlendShapeCount,JawOpen\n"
    for name, text in {
        "csv without a header": b"1,2,3\n",
        "csv of noise": np.random.default_rng(1).bytes(3000),
        "csv with a word": (header + "00:00:00:01.0,61,wide\n").encode(),
        "csv with NaN": (header + "00:00:00:01.0,61,nan\n").encode(),
        "csv with a short row": (header + "00:00:00:01.0\n").encode(),
        "csv with a bad clock": (header + "yesterday,61,0.5\n").encode(),
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
        "json of others": b'[{"smile": 0.3}]',
        "json with a turn of three": lines.replace(b'"rotation":[', b'"rotation":[],"r":['),
        "json with a bad matrix": b'[{"jawOpen": 1, "transform": [[1, 2], [3]]}]',
        "empty json": b"",
    }.items():
        CASES[name] = ("bad.json", text)


glb_cases()
take_cases()
