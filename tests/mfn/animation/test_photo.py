"""`mfn animate` from picture to files, with the spot network and the characters that ship."""

import json
import struct

import cv2
import numpy as np
import pytest

from mfn.cli.main import main
from retarget.gltf.document import read_glb, write_glb
from retarget.io.images import write_image
from retarget.rig.avatars import avatar_folder
from tests.helpers.skeletons import TARGETS, make_character


@pytest.fixture
def place(tmp_path, monkeypatch, spots):
    """A working directory with a picture of two spots; skipped while there is no character."""
    if not list(avatar_folder().glob("*.glb")):
        pytest.skip("there is no character in avatars/ yet")
    monkeypatch.chdir(tmp_path)
    picture = np.zeros((768, 1280, 3), np.uint8)
    picture[160:176, 320:336] = picture[480:496, 960:976] = 255
    write_image("crowd.png", picture)
    return tmp_path


def nodes_of(path) -> list[str]:
    """Names of a GLB's nodes."""
    data = path.read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    return [node.get("name", "") for node in json.loads(data[20 : 20 + length])["nodes"]]


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_scene_and_a_picture(place, spots, capsys):
    assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--out", "out/scene.glb"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 people"
    assert [line.split(": ")[0] for line in lines[1:]] == ["wrote out/scene.glb", "wrote out/scene.characters.png"]
    assert "Blender" in lines[1]
    assert names(place / "out") == {"scene.glb", "scene.characters.png"}
    assert len(nodes_of(place / "out/scene.glb")) >= 2
    before, after = cv2.imread("crowd.png"), cv2.imread("out/scene.characters.png")
    changed = (before != after).any(axis=2)
    for x, y in ((328, 168), (968, 488)):  # a character where each person is, and nothing elsewhere
        assert changed[y - 10 : y + 10, x - 10 : x + 10].mean() > 0.9
    assert changed.mean() < 0.2


def test_options_of_a_scene_reach_it(place, spots):
    arguments = ["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--quiet", "--in-place", "--animation-only"]
    assert main([*arguments, "--fps", "12", "--out", "a.glb"]) == 0
    files = sorted(place.glob("a*.glb"))
    assert len(files) == 2 and all(file.name.startswith("a-person-") for file in files)
    document = read_glb(files[0]).document
    extras = document["scenes"][0]["extras"]
    assert "materials" not in document and (extras["fps"], extras["width"], extras["footage"]) == (12, 1280, "crowd.png")
    assert main([*arguments[:6], "--out", "b.vrma"]) == 0 and len(list(place.glob("b-person-*.vrma"))) == 2
    assert main([*arguments[:6], "--separate-meshes", "--light", "0", "--out", "c.glb"]) == 0
    document = read_glb(place / "c.glb").document
    assert len(document["meshes"]) > 3 and "KHR_lights_punctual" not in document.get("extensionsUsed", [])
    assert main([*arguments[:6], "--expressions", "arkit", "--out", "d.vrma"]) == 0
    vrma = read_glb(next(place.glob("d-person-*.vrma"))).document["extensions"]["VRMC_vrm_animation"]
    assert "JawOpen" in vrma["expressions"]["custom"] and not vrma["expressions"].get("preset")


@pytest.mark.parametrize("photo", ["crowd.png", "crowd.jpg"])
def test_no_photo_is_overwritten(place, spots, photo):
    """Neither the input nor another photo of its name."""
    before = (place / "crowd.png").read_bytes()
    if photo != "crowd.png":
        write_image(photo, cv2.imread("crowd.png"))
    assert main(["animate", photo, "--weights", str(spots), "--min-face", "48", "--quiet"]) == 0
    assert (place / "crowd.png").read_bytes() == before
    assert names(place) == {"crowd.png", photo, "crowd.glb", "crowd.characters.png"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--out", "./crowd.png"], "crowd.png: this is the input, which would be overwritten; choose another name with --out"),
        (["--out", "rest.png", "--neutral", "rest.png"], "this is the photo of --neutral, which would be overwritten"),
        (["--out", "rest.glb", "--neutral", "rest.characters.png"], "rest.characters.png: this is the photo of --neutral"),
        (["--out", "a.glb", "--avatar", "a.glb"], "a.glb: this is the file of the avatar"),
        (["--people-sheet", "rest.png", "--neutral", "rest.png"], "choose another name with --people-sheet"),
        (["--people-sheet", "crowd.png"], "crowd.png: this is the input, which would be overwritten"),
        (["--people-sheet", "new.characters.png", "--out", "new.glb"], "--out and --people-sheet both write this file"),
        (["--people-sheet", "./new.png", "--out", "new.png"], "--out and --people-sheet both write this file"),
        (["--people-sheet", "who.xyz"], "--people-sheet who.xyz: expected an image file that ends in .png, .jpg"),
        (["--people-sheet", "folder.png"], "--people-sheet folder.png: expected a file to write, but this is a directory"),
    ],
)
def test_what_is_read_is_never_written(place, spots, capsys, options, error):
    for name in ("rest.png", "rest.characters.png"):
        (place / name).write_bytes((place / "crowd.png").read_bytes())
    (place / "folder.png").mkdir()
    write_glb(make_character(TARGETS), "a.glb")
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", *options]) == 1
    err = capsys.readouterr().err
    assert error in err and err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("options", "unused"),
    [
        (["--out", "p.csv", "--strength", "jaw=2", "--likeness", ".5"], "--strength, --likeness would change nothing in the .csv file"),
        (["--out", "p.png", "--in-place", "--fps", "3", "--animation-only"], "--fps, --in-place, --animation-only would change nothing"),
        (["--out", "p.jsonl", "--tolerance", "0", "--plain"], "--tolerance, --plain would change nothing in the .jsonl file"),
        (["--out", "p.vrma", "--light", "3", "--fps", "3"], "--light would change nothing in the .vrma file of a picture; leave it out"),
        (["--out", "p.jpg", "--separate-meshes"], "--separate-meshes would change nothing"),
        (["--out", "p.glb", "--expressions", "arkit"], "--expressions would change nothing"),
    ],
)
def test_an_option_that_does_nothing_is_an_error(place, spots, capsys, options, unused):
    assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", *options]) == 1
    err = capsys.readouterr().err
    assert unused in err and err.count("\n") == 1 and names(place) == {"crowd.png"}


def test_the_character_of_a_performance_is_remarked_on(place, spots, capsys):
    """It is no error, so that a command can be repeated with another file to write."""
    run = ["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--out", "p.jsonl"]
    assert main([*run, "--avatar", "lion"]) == 0 and (place / "p.jsonl").is_file()
    assert "p.jsonl: the performance alone, so the characters and their joints are not used" in capsys.readouterr().err
    assert main(run) == 0 and "not used" not in capsys.readouterr().err


def test_the_folder_of_the_sheet_is_made(place, spots):
    """Before the faces are looked for: of a clip that takes long."""
    run = ["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--quiet", "--out", "x.npz"]
    assert main([*run, "--people-sheet", "new/who.png"]) == 0 and (place / "new" / "who.png").is_file()


def test_a_picture_alone_on_plain_ground(place, spots):
    arguments = ["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--out", "x.png", "--plain", "--avatar", "robot"]
    if "robot" not in {p.stem for p in avatar_folder().glob("*.glb")}:
        pytest.skip("there is no robot")
    assert main([*arguments, "--quiet"]) == 0
    assert names(place) == {"crowd.png", "x.png"} and cv2.imread("x.png")[0, 0].min() > 150


def test_a_glb_without_a_mesh_is_one_line(place, spots, capsys):
    document = json.dumps({"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{}]}).encode()
    document += b" " * (-len(document) % 4)
    header = struct.pack("<III", 0x46546C67, 2, 20 + len(document)) + struct.pack("<II", len(document), 0x4E4F534A)
    (place / "plain.glb").write_bytes(header + document)
    assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--avatar", "plain.glb"]) == 1
    err = capsys.readouterr().err
    assert "no triangles" in err and "plain.glb" in err and err.count("\n") == 1
    assert names(place) == {"crowd.png", "plain.glb"}


def test_takes_for_other_programs(place, spots, capsys):
    """By the ending of --out: JSON lines, and a Live Link CSV for each person."""
    from retarget.performance.files import read_take

    for out, wrote in (("x.csv", ["x-person-0.csv", "x-person-1.csv"]), ("x.jsonl", ["x.jsonl"]), ("x.npz", ["x.npz"])):
        assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--out", out]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "2 people" and [line.split(": ")[0] for line in lines[1:]] == [f"wrote {name}" for name in wrote]
    assert len(read_take("x.jsonl")) == len(read_take("x.npz")) == 2 and len(read_take("x-person-1.csv")) == 1
    assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--out", "x.obj"]) == 1
    assert "can be written as .glb" in capsys.readouterr().err
    assert main(["animate", "crowd.png", "--weights", str(spots), "--min-face", "48", "--tolerance", "2"]) == 2
