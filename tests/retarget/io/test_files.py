"""Tests of `retarget.io.files`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from retarget.io.files import (
    atomic_write,
    check_file,
    decode_recording,
    decode_text,
    make_folder,
    one_line_error,
    read_json_object,
    same_file,
)


def test_atomic_write_of_bytes_replaces_the_file(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    atomic_write(target, b"new")
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["result.bin"]


@pytest.mark.skipif(os.name != "posix", reason="this system has no such permissions")
def test_atomic_write_heeds_the_umask_and_keeps_the_mode_of_a_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "new.bin", b"")
        (tmp_path / "old.bin").write_bytes(b"old")
        (tmp_path / "old.bin").chmod(0o604)
        atomic_write(tmp_path / "old.bin", b"new")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("new.bin", "old.bin")] == [0o640, 0o604]


def test_atomic_write_names_the_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("retarget.io.files.os.open", refuse)
    with pytest.raises(PermissionError) as caught:
        atomic_write(tmp_path / "result.bin", b"data")
    assert one_line_error(caught.value) == f"{tmp_path / 'result.bin'}: Permission denied"


def test_atomic_write_calls_the_function_with_a_path_of_the_same_suffix(tmp_path: Path) -> None:
    target = tmp_path / "arrays.npz"
    atomic_write(target, lambda path: np.savez(path, values=np.arange(3)))  # savez appends .npz to any other suffix
    assert os.listdir(tmp_path) == ["arrays.npz"]
    with np.load(target) as arrays:
        assert arrays["values"].tolist() == [0, 1, 2]


def test_atomic_write_keeps_the_old_file_if_writing_fails(tmp_path: Path) -> None:
    def write_half(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        atomic_write(target, write_half)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["result.bin"]


def test_atomic_write_accepts_a_long_name(tmp_path: Path) -> None:
    for name in ("a" * 250 + ".bin", "ä" * 124 + ".json", "a." + "b" * 250):
        atomic_write(tmp_path / name, b"data")
        assert (tmp_path / name).read_bytes() == b"data"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("missing/result.bin", FileNotFoundError, "its folder does not exist"),
        (".", ValueError, "is a directory"),
        (os.devnull, ValueError, "not a regular file"),
    ],
)
def test_atomic_write_rejects_paths_that_are_not_files(
    tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        atomic_write(tmp_path / name, b"data")


def test_check_file_returns_the_path_or_names_the_problem(tmp_path: Path) -> None:
    path = tmp_path / "mesh.obj"
    path.write_bytes(b"12345")
    assert check_file(str(path), "an .obj file") == path
    with pytest.raises(ValueError, match="5 bytes is more than the limit of 4 bytes"):
        check_file(path, "an .obj file", max_bytes=4)
    with pytest.raises(ValueError, match=r"is a directory \(expected an \.obj file\)"):
        check_file(tmp_path, "an .obj file")
    with pytest.raises(FileNotFoundError, match=r"no such file \(expected an \.obj file\)"):
        check_file(tmp_path / "other.obj", "an .obj file")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_decode_text_accepts_the_common_encodings(encoding: str) -> None:
    assert decode_text("Mund ö".encode(encoding)) == "Mund ö"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_decode_recording_accepts_an_incomplete_character_at_the_end_only(encoding: str) -> None:
    data = "Mund ö".encode(encoding)
    assert decode_recording(data) == "Mund ö" and decode_recording(data[:-1]) == "Mund \ufffd"
    with pytest.raises(UnicodeDecodeError):
        decode_recording("é\n".encode("latin-1") + "ö".encode()[:1])


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "expected an object, a map, got a list"), ("{", "not JSON, expected a map"), ("[" * 100_000, "not JSON")],
)
def test_read_json_object_rejects_other_content(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "map.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_json_object(path, "a map")


def test_read_json_object(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text('{"jawOpen": 1}', encoding="utf-16")
    assert read_json_object(path, "a map") == {"jawOpen": 1}


def test_same_file_follows_links(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    assert not same_file(path, path), "a missing file is not the same as another"
    path.write_bytes(b"")
    (tmp_path / "link.jpg").symlink_to(path)
    assert same_file(path, tmp_path / "link.jpg")
    (tmp_path / "copy.jpg").write_bytes(b"")
    assert not same_file(path, tmp_path / "copy.jpg")


def test_make_folder_creates_parents_and_rejects_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == folder
    assert folder.is_dir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match="expected a directory to write into, this is a file"):
        make_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\n  two"), "one two"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (FileNotFoundError(2, "No such file", "in.png"), "in.png: No such file"),
        (PermissionError(13, "Permission denied", ".x.tmp", None, "out.png"), "out.png: Permission denied"),
    ],
)
def test_one_line_error(error: BaseException, line: str) -> None:
    assert one_line_error(error) == line
