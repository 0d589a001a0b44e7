"""`retarget rig`: an OBJ or a glTF head without shapes becomes a rig; bad input is one line and leaves nothing."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

pytest.importorskip("scipy", reason="making shapes needs SciPy: the `rig` extra")

import retarget.autorig.rig_mesh as rig_mesh
from retarget.arkit import ARKIT_NAMES
from retarget.autorig.deformation_transfer import Transfer
from retarget.autorig.obj_materials import SKIN_COLOR
from retarget.autorig.source_head import REQUIRED, load_source_head
from retarget.cli import main
from retarget.geometry.rotations import Similarity
from retarget.gltf.builder import Node, Part, Shape, build_glb
from retarget.gltf.document import read_glb, write_glb
from retarget.io.images import write_image
from retarget.rig.load import load_rig
from tests.helpers.characters import make_take
from tests.helpers.heads import make_head

SHIFT = np.array([1.0, 2.0, 3.0])


@pytest.fixture(scope="module")
def head():
    return make_head(load_source_head())


@pytest.fixture
def folder(head, tmp_path, monkeypatch):
    head.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Shapes that are known without work: target k moves vertex v by its place times k / 100."""

    def shapes(source, points, triangles, landmarks, on_step):
        to_source = Similarity(np.array(0.5), np.eye(3)[[1, 2, 0]], SHIFT)
        return Transfer(np.arange(51)[:, None, None] / 100 * points, to_source)

    monkeypatch.setattr(rig_mesh, "transfer_shapes", shapes)


def test_a_rig_from_few_landmarks(head, folder, capsys):
    few = [name for name in REQUIRED if not name.endswith("Right")] + ["noseBridge", "upperLip", "lowerLip"]
    (folder / "few.json").write_text(json.dumps({name: head.landmarks[name] for name in few}), encoding="utf-8")
    assert main(["rig", "head.obj", "--landmarks", "few.json"]) == 0
    out = capsys.readouterr().out
    assert "mirrored landmarks: eyeOuterRight, eyeInnerRight, mouthCornerRight" in out and "head.rigged.glb: 51 shapes" in out
    rig = load_rig("head.rigged.glb")
    assert rig.unmapped == ("tongueOut",) and rig.scale == 1
    low, high = rig.mesh.rest_positions().min(0), rig.mesh.rest_positions().max(0)
    assert (np.abs(high - low - [0.25, 0.36, 0.25]) < 0.12).all()
    assert rig.mesh.rest_positions()[head.landmarks["noseTip"], 2] > 0.8 * high[2]
    place = [rig.mesh.positions[head.landmarks[name]] for name in ("eyeOuterLeft", "eyeOuterRight", "chin")]
    assert place[0][0] > 0.02 and place[1][0] < -0.02 and place[2][1] < place[0][1] - 0.05
    true = head.shapes / head.units_per_m
    error = np.linalg.norm(np.linalg.norm(rig.mesh.parts[0].deltas[:51], axis=2) - np.linalg.norm(true, axis=2))
    assert error < 0.4 * np.linalg.norm(true)
    make_take(1, 3).save(folder / "take.npz")
    assert main(["animate", "take.npz", "head.rigged.glb", "--out", "scene.glb"]) == 0
    assert main(["inspect", "head.rigged.glb"]) == 0
    assert "51 of 52 have an effect" in capsys.readouterr().out


def test_obj_keeps_textures_and_materials(folder, quick):
    lines = (folder / "head.obj").read_text(encoding="utf-8").splitlines()
    faces = [k for k, line in enumerate(lines) if line.startswith("f")]
    lines[faces[0]] = "usemtl skin\n" + lines[faces[0]]
    textured = [f"usemtl eye\nvt 0 0\nvt 0.25 1\nvt 1 1\nf {' '.join(f'{v}/{k}' for k, v in enumerate(lines[-1].split()[1:], 1))}"]
    (folder / "head.obj").write_text("\n".join(lines[:-1] + textured), encoding="utf-8")
    assert main(["rig", "head.obj", "--landmarks", "points.json", "--out", "a.glb"]) == 0
    glb = read_glb("a.glb")
    assert [m["name"] for m in glb.document["materials"]] == ["skin", "eye"]
    rig = load_rig("a.glb")
    assert sorted(rig.mesh.uv[-3:].tolist()) == [[0, 1], [0.25, 0], [1, 0]]
    deltas, rest = rig.mesh.parts[0].deltas, rig.mesh.positions
    np.testing.assert_allclose(deltas[3], (rest - SHIFT) * 0.03, atol=1e-4)
    assert (deltas[51] == 0).all()


def test_obj_keeps_colors_and_pictures(folder, quick, capsys):
    """Five materials: a color, a texture, a texture that is missing, one of a format that glTF has not, and one without any statement."""
    picture = np.full((2, 2, 3), 90, np.uint8)
    (folder / "textures").mkdir()
    for name in ("textures/Face 1.png", "odd.bmp"):
        write_image(folder / "p.png", picture)
        (folder / name).write_bytes((folder / "p.png").read_bytes() if name.endswith("png") else b"BM")
    mtl = "newmtl red #1\nKd 1 0 nan\nKd 0.5 0 2\nnewmtl face\nKd 0 0 0\nmap_Kd -s 1 1 1 C:\\art\\p.png\n"
    mtl += "newmtl lost\nmap_Kd gone.png\nKd 0.1 0.2 0.3\nnewmtl odd\nmap_Kd odd.bmp\nnewmtl two\nmap_Kd ../art/face 1.png\nnewmtl bare\n"
    (folder / "head.mtl").write_text(mtl, encoding="utf-8")
    lines = (folder / "head.obj").read_text(encoding="utf-8").splitlines()
    names = ["red #1", "face", "lost", "odd", "two", "bare"]
    start = next(k for k, line in enumerate(lines) if line.startswith("f"))
    for k, name in enumerate(names):
        corners = " ".join(f"{vertex}/1" for vertex in lines[start + k].split()[1:])
        lines[start + k] = f"usemtl {name}\nf {corners}"
    (folder / "head.obj").write_text("\n".join(["mtllib head.mtl", "vt 0 0", *lines]), encoding="utf-8")
    assert main(["rig", "head.obj", "--landmarks", "points.json", "--out", "a.glb"]) == 0
    error = capsys.readouterr().err
    assert "head.obj: refers to 'gone.png', which is not beside it: this texture is left out" in error
    assert "head.obj: odd.bmp is neither .png nor .jpg (convert it, or give the head as .glb): this texture is left out" in error
    document = read_glb("a.glb").document
    surfaces = {material["name"]: material["pbrMetallicRoughness"] for material in document["materials"]}
    assert list(surfaces) == names and len(document["images"]) == 2
    assert surfaces["red #1"]["baseColorFactor"] == [0.5, 0, 1, 1] and surfaces["lost"]["baseColorFactor"] == [0.1, 0.2, 0.3, 1]
    assert surfaces["face"]["baseColorTexture"] == {"index": 0} and surfaces["two"]["baseColorTexture"] == {"index": 1}
    assert "baseColorFactor" not in surfaces["face"] and len(load_rig("a.glb").mesh.uv)
    assert surfaces["odd"]["baseColorFactor"] == surfaces["bare"]["baseColorFactor"] == [*SKIN_COLOR, 1]
    (folder / "head.mtl").unlink()
    assert main(["rig", "head.obj", "--landmarks", "points.json", "--out", "a.glb"]) == 0
    assert "head.obj: refers to 'head.mtl', which is not beside it: the colors of the mesh are not known" in capsys.readouterr().err


def test_a_gltf_file_keeps_what_it_has(head, folder, quick):
    half = len(head.triangles) // 2
    points = np.concatenate([head.points, head.points])  # a seam: everything is there twice
    parts = [Part(points, head.triangles[:half]), Part(points, head.triangles[half:] + len(head.points))]
    glb = build_glb([Node("all", (0, 9, 0), (0, 0, 0.6, 0.8), [1]), Node("mesh", shape=0)], [Shape("face", parts)], copyright="me")
    glb.document["nodes"][1]["scale"] = [2, 3, 4]
    write_glb(glb, "bare.glb")
    world = glb_rest(read_glb("bare.glb"))
    landmarks = {name: world[vertex].tolist() for name, vertex in head.landmarks.items()}
    (folder / "world.json").write_text(json.dumps(landmarks), encoding="utf-8")
    assert main(["rig", "bare.glb", "--landmarks", "world.json", "--out", "a.glb"]) == 0
    back = read_glb("a.glb")
    assert back.document["asset"]["copyright"] == "me" and back.document["nodes"] == glb.document["nodes"]
    assert back.document["meshes"][0]["extras"]["targetNames"] == list(ARKIT_NAMES)
    rig = load_rig("a.glb")
    character = rig.mesh
    rest = character.rest_positions()
    weights = np.zeros((1, 52))
    weights[0, 3] = 1
    moved = character.apply_skinning(character.apply_morphs([weights]), np.tile(np.eye(4), (1, 4, 1, 1)))[0]
    used = np.unique(character.triangles)
    np.testing.assert_allclose(moved[used], rest[used] * 1.03, rtol=1e-3, atol=1e-2)
    assert main(["rig", "a.glb", "--landmarks", "world.json", "--out", "b.glb"]) == 1


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_small_movements_are_kept_under_any_scale_of_a_node(scale, head, folder, monkeypatch):
    """Movements from 0.02 mm of a human head on are stored, whatever the unit of the mesh."""
    points = head.points / head.units_per_m
    lengths_m = np.zeros(51)
    lengths_m[:4] = 0.5e-3, 1e-4, 3e-5, 1e-5

    def shapes(source, points, triangles, landmarks, on_step):
        movement = np.zeros((51, len(points), 3))
        movement[:, ::7, 1] = lengths_m[:, None]
        return Transfer(movement, Similarity(np.array(1.0), np.eye(3), np.zeros(3)))

    monkeypatch.setattr(rig_mesh, "transfer_shapes", shapes)
    glb = build_glb([Node("mesh", shape=0)], [Shape("face", [Part(points / scale, head.triangles)])])
    glb.document["nodes"][0]["scale"] = [scale] * 3
    write_glb(glb, "bare.glb")
    assert main(["rig", "bare.glb", "--landmarks", "points.json", "--out", "a.glb"]) == 0
    deltas = load_rig("a.glb").mesh.parts[0].deltas * scale
    np.testing.assert_allclose(deltas[:5, :, 1].max(axis=1), [0.5e-3, 1e-4, 3e-5, 0, 0], rtol=1e-4)


def glb_rest(glb):
    from retarget.rig.skinned_mesh import load_skinned_mesh

    return load_skinned_mesh(glb, None, None).rest_positions()


def test_weld_closes_seams_and_keeps_lips_apart():
    sheet = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    points = np.concatenate([sheet, sheet, sheet])
    up, down = [[0, 1, 2], [4, 6, 7]], [[8, 10, 9], [8, 11, 10]]
    result = rig_mesh.weld_vertices(points, np.array(up + down))
    assert result[:4].tolist() == [0, 1, 2, 3] and result[[4, 6]].tolist() == [0, 2] and result[8:].tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["gone.obj", "--landmarks", "points.json"], "gone.obj: no such file"),
        (["head.obj", "--landmarks", "gone.json"], "gone.json: no such file"),
        (["none.obj", "--landmarks", "points.json"], "none.obj: 1 vertices but no faces"),
        (["nan.obj", "--landmarks", "points.json"], "nan.obj, line 1: a vertex 'nan"),
        (["points.json", "--landmarks", "points.json", "--out", "a.glb"], "no faces"),
        (["head.obj", "--landmarks", "few.json"], "few.json: landmarks noseTip"),
        (["head.obj", "--landmarks", "swapped.json"], "swapped.json: left and right are exchanged"),
        (["head.obj", "--landmarks", "mixed.json"], "mixed.json: the landmarks do not lie as on a face"),
        (["head.obj", "--landmarks", "off.json"], "off.json: landmark chin lies"),
        (["head.obj", "--landmarks", "points.json", "--out", "a.fbx"], "a.fbx: expected a name that ends in .glb"),
        (["head.obj", "--landmarks", "points.json", "--out", "no/a.glb"], "its folder does not exist"),
        (["head.obj", "--landmarks", "points.json", "--source", "gone.npz"], "gone.npz: no such head model"),
        (["head.obj", "--landmarks", "points.json", "--source", "head.obj"], "head.obj: not a head model"),
    ],
)
def test_bad_input_is_one_line_and_1(arguments, message, head, folder, capsys):
    landmarks = head.landmarks
    swapped = {name[:-4] + "Right" if name.endswith("Left") else name.replace("Right", "Left"): v for name, v in landmarks.items()}
    files = {
        "few.json": {"chin": 1, "eyeOuterLeft": 5, "eyeOuterRight": 7, "eyeInnerLeft": 9, "mouthCornerLeft": 11},
        "swapped.json": swapped,
        "mixed.json": dict(zip(landmarks, np.roll(list(landmarks.values()), 7).tolist())),
        "off.json": {**landmarks, "chin": [1e4, 0, 0]},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    (folder / "none.obj").write_text("v 0 0 0\n", encoding="utf-8")
    (folder / "nan.obj").write_text("v nan 0 0\nf 1 1 1\n", encoding="utf-8")
    before = sorted(folder.rglob("*"))
    assert main(["rig", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("retarget: ") and captured.err.count("\n") == 1
    assert message in captured.err and sorted(folder.rglob("*")) == before


def test_too_many_vertices(folder, monkeypatch, capsys):
    monkeypatch.setattr(rig_mesh, "_MAX_VERTICES", 1000)
    assert main(["rig", "head.obj", "--landmarks", "points.json"]) == 1
    assert "vertices are more than the limit of 1000" in capsys.readouterr().err


def test_without_scipy(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert main(["rig", "head.obj", "--landmarks", "points.json"]) == 1
    assert 'pip install ".[rig]"' in capsys.readouterr().err
