"""Tests of the commands on damaged and hostile files: an error of one line, exit code 1, no file written, bounded memory."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import wave
import zlib
from pathlib import Path

import numpy as np
import pytest

from retarget.cli import main as retarget
from retarget.gltf.document import write_glb
from tests.helpers.hostile_files import CASES, face, make_face, make_take, npz, pack_glb, take_arrays

MAX_BYTES = 64 << 20


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_glb(make_face(), "face.glb")
    make_take(1).save("take.npz")
    return tmp_path


def one_line(run, arguments, capfd):
    """Run a command. Check that it prints one line, changes no file and uses little memory. Returns the line."""
    capfd.readouterr()
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    tracemalloc.start()
    try:
        assert run(arguments) == 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "Traceback" not in captured.err
    assert captured.err.startswith(("retarget: ", "mfn: ")) and 10 < len(captured.err) < 500
    assert peak < MAX_BYTES, f"{peak} bytes"
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    return captured.err


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_an_error_of_one_line(name, folder, capfd):
    file, content = CASES[name]
    (folder / file).write_bytes(content)
    command = (
        ["animate", "take.npz", file] if file.endswith(".glb") else ["animate", file, "face.glb", "--out", "o.glb"]
    )
    assert file in one_line(retarget, command, capfd)


def test_there_are_50_cases_at_least():
    assert len(CASES) >= 50


@pytest.mark.parametrize("name", ["10^9 vertices", "index that is no vertex", "glb cut at 24"])
def test_mfn_prints_the_same_error(name, folder, spots, capfd):
    from mfn.cli.main import main

    (folder / "bad.glb").write_bytes(CASES[name][1])
    (folder / "photo.png").write_bytes(png(8, 8))
    assert "bad.glb" in one_line(main, ["animate", "photo.png", "--avatar", "bad.glb", "--weights", str(spots)], capfd)


def png(width, height, rows=None):
    """Return a gray PNG picture whose header has the given size and whose data has `rows` rows."""
    rows = height if rows is None else rows
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(b"\0" * (width + 1) * rows)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_texture_of_a_huge_size(folder, capfd):
    """The texture is rejected before it is decoded, and only by the command that draws."""
    document, binary = face()
    picture = png(60_000, 60_000, rows=1)
    document["bufferViews"].append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(picture)})
    document["buffers"][0]["byteLength"] = len(binary) + len(picture)
    document["images"] = [{"bufferView": len(document["bufferViews"]) - 1, "mimeType": "image/png"}]
    document["textures"] = [{"source": 0}]
    document["materials"][0]["pbrMetallicRoughness"] = {"baseColorTexture": {"index": 0}}
    (folder / "bad.glb").write_bytes(pack_glb(document, bytes(binary) + picture))
    assert "texture: 60000 x 60000 px" in one_line(retarget, ["render", "take.npz", "bad.glb"], capfd)


def clip_bytes():
    """Return a correct .mp4 file, or None if OpenCV cannot write one."""
    import cv2

    writer = cv2.VideoWriter("whole.mp4", cv2.VideoWriter_fourcc(*"mp4v"), 20.0, (64, 64))
    if not writer.isOpened():
        return None
    for k in range(10):
        writer.write(np.full((64, 64, 3), k * 20, np.uint8))
    writer.release()
    data = Path("whole.mp4").read_bytes()
    os.unlink("whole.mp4")
    return data


def audio_only():
    """Return a .wav file without samples."""
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
    return memory.getvalue()


@pytest.mark.parametrize("command", ["animate", "live"])
@pytest.mark.parametrize(
    "kind", ["noise", "empty", "text", "audio of no length", "index cut off", "only its beginning"]
)
def test_broken_clips(command, kind, folder, spots, capfd):
    from mfn.cli.main import main

    whole = clip_bytes() if kind in ("index cut off", "only its beginning") else b""
    if whole is None:
        pytest.skip("this OpenCV cannot write .mp4")
    content = {
        "noise": np.random.default_rng(0).bytes(20_000),
        "empty": b"",
        "text": b"not a video\n" * 100,
        "audio of no length": audio_only(),
        "index cut off": whole[: whole.find(b"moov") - 4],
        "only its beginning": whole[:40],
    }[kind]
    (folder / "bad.mp4").write_bytes(content)
    rest = ["--out", "x.npz"] if command == "animate" else ["--to", "livelink"]
    assert "bad.mp4" in one_line(main, [command, "bad.mp4", *rest, "--weights", str(spots), "--quiet"], capfd)


def test_a_directory_and_a_file_that_is_too_large(folder, capfd):
    (folder / "dir.glb").mkdir()
    (folder / "dir.csv").mkdir()
    for name in ("huge.glb", "huge.npz", "huge.csv", "huge.json"):
        with open(name, "wb") as file:
            file.truncate(3 << 30)  # a sparse file
    for name in ("dir.glb", "huge.glb"):
        one_line(retarget, ["inspect", name], capfd)
    for name in ("dir.csv", "huge.npz", "huge.csv", "huge.json"):
        one_line(retarget, ["animate", name, "face.glb", "--out", "o.glb"], capfd)


def test_memory_is_bounded_for_the_whole_process(folder):
    """The errors are the same when the process has too little memory for the sizes in the headers."""
    code = """
import resource, sys
import numpy
from retarget.cli import main
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20),) * 2)
print([main(["animate", "take.npz", name] if name.endswith("glb") else ["animate", name, "face.glb"]) for name in sys.argv[1:]])
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs Linux")
    names = ("10^9 vertices", "10^9 vertices without data", "buffer of 10^12 bytes", "npz of 10^9 samples")
    files = []
    for k, name in enumerate(names):
        file, content = CASES[name]
        files.append(f"{k}{file}")
        (folder / files[-1]).write_bytes(content)
    (folder / "bomb.npz").write_bytes(bomb())
    done = subprocess.run([sys.executable, "-c", code, *files, "bomb.npz"], capture_output=True, text=True, check=True)
    assert done.stdout == "[1, 1, 1, 1, 1]\n" and done.stderr.count("\n") == 5
    assert "Unable to allocate" not in done.stderr and "Traceback" not in done.stderr


def bomb():
    """Return a take whose zip directory gives 3 GB as the size of each array."""
    data = bytearray(npz(**take_arrays()))
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 24 : at + 28] = struct.pack("<I", 3 << 30)
    return bytes(data)
