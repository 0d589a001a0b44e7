"""OBJ files: polygons, negative numbers, textures, materials; damaged ones are one line."""

from __future__ import annotations

import numpy as np
import pytest

import retarget.io.obj as obj
from retarget.io.obj import read_obj, read_obj_positions

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0.5 2 0\n"


def read(tmp_path, text):
    path = tmp_path / "a.obj"
    path.write_text(text, encoding="utf-8")
    return read_obj(path)


def test_triangles_quads_and_polygons(tmp_path):
    mesh = read(tmp_path, "# a\nmtllib x.mtl\n" + SQUARE + "f 1 2 3\nf 1 2 3 4\nf 1 2 3 5 4\n")
    assert mesh.positions.shape == (5, 3) and mesh.positions.dtype == np.float64
    expected = [[0, 1, 2], [0, 1, 2], [0, 2, 3], [0, 1, 2], [0, 2, 4], [0, 4, 3]]
    assert mesh.triangles.tolist() == expected and (mesh.uv_triangles == -1).all()
    assert mesh.material_names == ("mesh",)


def test_negative_numbers_count_from_the_newest(tmp_path):
    mesh = read(tmp_path, SQUARE + "f -5 -4 -3\nv 9 9 9\nf -1 1 2\n")
    assert mesh.triangles.tolist() == [[0, 1, 2], [5, 0, 1]]


def test_textures_normals_and_materials(tmp_path):
    text = SQUARE + "vt 0 0\nvt 1 0\nvt 1 1 0\nvn 0 0 1\nusemtl skin\nf 1/1/1 2/2/1 3/3/1\n"
    text += "usemtl eye white\nf 1//1 2//1 3//1\nusemtl skin\nf 1/-1 2/-2 3/-3"
    mesh = read(tmp_path, text)
    assert mesh.uv.tolist() == [[0, 0], [1, 0], [1, 1]]
    assert mesh.uv_triangles.tolist() == [[0, 1, 2], [-1, -1, -1], [2, 1, 0]]
    assert mesh.material_names == ("skin", "eye white") and mesh.material.tolist() == [0, 1, 0]


def test_names_of_materials_may_have_a_number_sign(tmp_path):
    mesh = read(tmp_path, SQUARE + "usemtl Material #25\nf 1 2 3 # a\nusemtl Material #26 \nf 1 2 4\n#usemtl x\nf 1 2 5#b\n")
    assert mesh.material_names == ("Material #25", "Material #26") and mesh.material.tolist() == [0, 1, 1]
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 1, 3], [0, 1, 4]]


def test_files_of_materials(tmp_path):
    lines = "mtllib a #1.mtl\nmtllib b c.mtl d.MTL\nmtllib\nmtllib a #1.mtl\n"
    assert read(tmp_path, lines + SQUARE + "f 1 2 3\n").material_files == ("a #1.mtl", "b c.mtl", "d.MTL")


def test_a_backslash_joins_lines(tmp_path):
    mesh = read(tmp_path, "# C:\\heads\\\n" + SQUARE + "f 1 2 \\\n3 \\ \n  4\nf 1\\\r\n 2 5\nf 1 2 3\\")
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 4], [0, 1, 2]]
    assert read(tmp_path, SQUARE + "f 1 2 3 # C:\\heads\\\nf 2 3 4\n").triangles.tolist() == [[0, 1, 2], [1, 2, 3]]
    with pytest.raises(ValueError, match="line 6: a face names number 9"):
        read(tmp_path, SQUARE + "f 1 \\\n2 9\n")


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "0 vertices but no faces"),
        (SQUARE, "5 vertices but no faces"),
        (SQUARE + "f 1 2\n", "line 6: a face with 2 corners"),
        (SQUARE + "f 1 2 6\n", "line 6: a face names number 6 of 5 vertices"),
        (SQUARE + "f 1 2 0\n", "number 0 of 5"),
        (SQUARE + "f 1 2 -6\n", "number -6 of 5"),
        (SQUARE + "f 1 2 x\n", "line 6: invalid literal"),
        (SQUARE + "f 1/1 2/1 3/1\n", "number 1 of 0 texture coordinates"),
        ("v 0 0\n", "line 1: a vertex of 2 numbers"),
        ("v 0 0 nan\n", "expected numbers below 1e"),
        ("v 0 0 inf\n", "expected numbers below 1e"),
        ("v 0 0 1e300\n", "expected numbers below 1e"),
        ("\0\0\0\x01 binary", "no faces"),
    ],
)
def test_bad_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


def test_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(obj, "_MAX_VERTICES", 4)
    with pytest.raises(ValueError, match="more than 4 vertices"):
        read(tmp_path, SQUARE)
    monkeypatch.setattr(obj, "_MAX_TRIANGLES", 1)
    with pytest.raises(ValueError, match="more than 1 triangles"):
        read(tmp_path, "v 0 0 0\n" * 4 + "f 1 2 3 4\n")
    monkeypatch.setattr(obj, "_MAX_BYTES", 10)
    with pytest.raises(ValueError, match="more than the limit of 10 bytes"):
        read(tmp_path, SQUARE)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file \(expected an \.obj"):
        read_obj(tmp_path / "gone.obj")
    with pytest.raises(ValueError, match="is a directory"):
        read_obj(tmp_path)


def test_positions_alone(tmp_path):
    path = tmp_path / "head.obj"
    path.write_text("# a head\nv 1 2 3\nvn 0 0 1\nv 4 5.5 -6e-1 0.2 0.2 0.2\nf 1 2 1\n")
    assert read_obj_positions(path).tolist() == [[1, 2, 3], [4, 5.5, -0.6]]
    for text in ("f 1 2 3\n", "v 1 2\n", "v 1 2 x\n", "v 1 2 nan\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"head\.obj"):
            read_obj_positions(path)
