"""The `retarget` command: what it prints and writes, its exit codes, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import metadata

import numpy as np
import pytest

from retarget.cli import main
from retarget.cli.animate import _parser
from retarget.cli.options import read_take_and_camera
from retarget.cli.program import PROGRAM
from retarget.gltf.document import read_glb, write_glb
from retarget.io.images import read_image, write_image
from retarget.performance.files import write_take
from retarget.performance.take import Footage, Take
from retarget.render.scene import render_scene
from retarget.rig.load import load_rig
from tests.helpers.characters import make_face, make_take


@pytest.fixture
def take_path(tmp_path):
    make_take(2, 3).save(tmp_path / "take.npz")
    return tmp_path / "take.npz"


def test_inspect(face_path, capsys):
    assert main(["inspect", str(face_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 63 and lines[0].split() == ["eyeBlinkLeft", "skin.eyeBlink_L"]
    assert lines[51] == "tongueOut            no effect" and lines[52] == "head joint           head (by its name)"
    assert lines[-1].startswith("11 of 52 have an effect; missing: eyeSquintLeft, eyeWideLeft, eyeBlinkRight,")


def test_animate_and_render(take_path, face_path, body_path, tmp_path, capsys):
    assert main(["animate", str(take_path), str(face_path), str(body_path)]) == 0
    assert len(read_glb(tmp_path / "take.glb").document["skins"]) == 1
    assert main(["render", str(take_path), str(face_path), "--width", "80", "--height", "60", "--time", "0.04"]) == 0
    assert read_image(tmp_path / "take.characters.png").shape == (60, 80, 3)
    background = ["--background", str(tmp_path / "take.characters.png"), "--out", str(tmp_path / "b.png"), "--whole-body"]
    assert main(["render", str(take_path), str(body_path), *background]) == 0
    out = capsys.readouterr().out
    assert "take.glb: 2 characters, 6 samples" in out and "take.characters.png: 2 characters" in out


@pytest.mark.parametrize("name", ["photo.npz", "photo.jsonl"])
def test_render_keeps_the_photo_of_the_take(name, face_path, tmp_path):
    write_image(tmp_path / "photo.png", np.full((8, 8, 3), 90, np.uint8))
    photo = (tmp_path / "photo.png").read_bytes()
    write_take(replace(make_take(1), footage=Footage(8, 8, name="photo.png")), tmp_path / name)
    assert main(["render", str(tmp_path / name), str(face_path), "--quiet"]) == 0
    assert (tmp_path / "photo.png").read_bytes() == photo and (tmp_path / "photo.characters.png").is_file()


def test_names_and_joints_may_be_given(take_path, tmp_path, capsys):
    glb = make_face(("Jaw_Opn", "MouthSmyle_L"))
    for number, name in ((0, "Skull"), (2, "Ball1"), (3, "Ball2")):
        glb.document["nodes"][number]["name"] = name
    write_glb(glb, tmp_path / "odd.glb")
    rig, names = str(tmp_path / "odd.glb"), str(tmp_path / "names.json")
    assert main(["inspect", rig]) == 1 and "none of its 2 morph targets" in capsys.readouterr().err
    assert main(["inspect", rig, "--write-map", names]) == 0
    assert capsys.readouterr().out.endswith("names.json: 2 of 52 have a target; edit it, then give it as --map\n")
    given = ["--map", names, "--head", "Skull", "--eyes", "Ball1,Ball2"]
    assert main(["inspect", rig, *given]) == 0
    out = capsys.readouterr().out
    assert "jawOpen              skin.Jaw_Opn" in out and "head joint           Skull (given)" in out
    assert "right eye joint      Ball2 (given)" in out and "gaze                 eye joints" in out
    assert main(["animate", str(take_path), rig, rig, *given]) == 0
    assert main(["animate", str(take_path), rig, *given, "--map", names]) == 1
    assert "2 name maps for 1 characters" in capsys.readouterr().err
    edited = (tmp_path / "names.json").read_bytes()
    assert main(["inspect", rig, "--map", names, "--write-map", names]) == 1
    assert "names.json: this is one of the inputs; give the output another name" in capsys.readouterr().err
    assert (tmp_path / "names.json").read_bytes() == edited


def test_a_faces_file_states_the_size_of_its_picture(face_path, tmp_path, capsys):
    faces = {"width": 64, "height": 48, "faces": [{"expression": {"jawOpen": 0.4}}]}
    (tmp_path / "a.faces.json").write_text(json.dumps(faces), encoding="utf-8")
    take = str(tmp_path / "a.faces.json")
    assert main(["render", take, str(face_path)]) == 0
    assert read_image(tmp_path / "a.characters.png").shape == (48, 64, 3) and not (tmp_path / "a.faces.png").exists()
    assert main(["render", take, str(face_path), "--width", "32", "--out", str(tmp_path / "b.png")]) == 0
    assert read_image(tmp_path / "b.png").shape == (48, 32, 3)
    assert main(["animate", take, str(face_path)]) == 0
    camera = read_glb(tmp_path / "a.faces.glb").document["cameras"][0]["perspective"]
    assert camera["aspectRatio"] == pytest.approx(64 / 48)


def test_a_take_states_its_camera_and_its_time_starts_at_zero(face_path, tmp_path, capsys):
    take = replace(make_take(2, 3), footage=Footage(64, 48, 80.0))
    take.save(tmp_path / "a.npz")
    for name, time_s in (("first", "0"), ("second", "0.03"), ("last", "99")):
        assert main(["render", str(tmp_path / "a.npz"), str(face_path), "--time", time_s, "--out", str(tmp_path / f"{name}.png")]) == 0
    moments = [take[take.time_s == time_s] for time_s in np.unique(take.time_s)]
    for name, moment in zip(("first", "second", "last"), moments, strict=True):
        drawn = render_scene(moment, [load_rig(face_path)], 64, 48, 80.0)
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png"), drawn)


def test_short_takes_are_not_calibrated(take_path, capsys):
    assert main(["calibrate", str(take_path)]) == 0
    assert "person 1: unchanged (samples: 3, expected 15 or more" in capsys.readouterr().out


def test_equal_targets_of_a_scene_are_one_entry(take_path, face_path, tmp_path, capsys):
    assert main(["animate", str(take_path), str(face_path)]) == 0
    assert main(["inspect", str(tmp_path / "take.glb")]) == 0
    assert "skin.eyeBlink_L (2 times)" in capsys.readouterr().out


def test_empty_take(face_path, tmp_path, capsys):
    Take.empty().save(tmp_path / "none.npz")
    assert main(["animate", str(tmp_path / "none.npz"), str(face_path)]) == 0
    assert main(["render", str(tmp_path / "none.npz"), str(face_path), "--width", "8", "--height", "8"]) == 0
    assert "0 characters" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["inspect", "gone.glb"], "gone.glb: no such file"),
        (["inspect", "."], "is a directory"),
        (["inspect", "fcae.glb"], "fcae.glb: no such file (expected a .glb or .gltf file); did you mean 'face.glb'?"),
        (["inspect", "face.glb", "--head", "Skull"], "it has no node 'Skull'; expected one of its nodes: "),
        (["inspect", "take.npz"], "not a glTF file"),
        (["inspect", "plain.glb"], "it has no morph targets"),
        (["animate", "gone.npz", "face.glb"], "gone.npz: no such file"),
        (["animate", "face.glb", "take.npz"], "give the take first, then the rigs"),
        (["animate", "noise.npz", "face.glb"], "not a readable .npz take"),
        (["animate", "take.npz", "face.glb", "--out", "no/folder.glb"], "folder does not exist"),
        (["render", "take.npz", "face.glb", "--background", "take.npz"], "not an image"),
        (["render", "take.npz", "face.glb", "--out", "a.bmpx"], "use .png, .jpg or .webp"),
        (["animate", "take.npz", "face.glb", "--out", "a.obj"], "a.obj: expected a file name that ends in .glb or .gltf; Blender"),
        (["animate", "take.npz", "face.glb", "--out", "./face.glb"], "face.glb: this is one of the inputs"),
        (["render", "take.npz", "face.glb", "--background", "take.characters.png"], "take.characters.png: this is one of the inputs"),
        (["convert", "take.npz", "--out", "take.npz"], "take.npz: this is one of the inputs"),
        (
            ["animate", "take.npz", "--avatar", "robt"],
            "robt: no such file, and none of our characters (robot, lion, person, monster); did you mean 'robot'?",
        ),
        (["inspect", "robt"], "did you mean 'robot'?"),
        (["inspect", "face.glb", "--write-map", "face.glb"], "face.glb: this is one of the inputs"),
        (["inspect", "face.glb", "--write-map", "person"], "--write-map person: expected a file name that ends in .json"),
    ],
)
def test_bad_input_is_one_line_and_1(arguments, message, take_path, face_path, tmp_path, capsys, monkeypatch):
    write_glb(make_face(()), tmp_path / "plain.glb")
    (tmp_path / "noise.npz").write_bytes(bytes(range(200)))
    write_image(tmp_path / "take.characters.png", np.zeros((8, 8, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("retarget: ") and captured.err.count("\n") == 1
    assert message in captured.err and sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a command is missing"),
        (["dance"], "no command 'dance'"),
        (["animte"], "no command 'animte'; did you mean 'animate'?"),
        (["inspect"], "the following arguments are required: RIG"),
        (["animate"], "the following arguments are required: TAKE"),
        (["animate", "a", "b", "--speed", "2"], "unrecognized arguments: --speed 2"),
        (["animate", "a", "--avatr", "robot"], "did you mean '--avatar'?"),
        (["render", "a", "b", "--width", "0"], "0: expected a whole number, 1 to 32768"),
        (["animate", "a", "b", "--tolerance", "1"], "1: expected a number, 0 or more, below 1"),
        (["stream", "a", "--to", "vcm"], "did you mean 'vmc'?"),
        (["convert", "a"], "expected one file to write, such as --out take.npz"),
        (["convert", "a", "b.npz", "--out", "c.npz"], "expected one file to write"),
        (["detect", "a.png"], "no command 'detect'; did you mean `mfn detect`?"),
        (["robot.glb"], "the command comes before the file, such as `retarget inspect robot.glb`"),
    ],
)
def test_wrong_usage_is_2(arguments, message, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "usage: retarget" in captured.err and message in captured.err.splitlines()[-1]


def test_our_characters_are_known_by_name(take_path, tmp_path, capsys):
    out = str(tmp_path / "named.glb")
    assert main(["animate", str(take_path), "--avatar", "robot", "--avatar", "lion", "--out", out]) == 0
    names = [node.get("name") for node in read_glb(out).document["nodes"]]
    assert "robot 1" in names and "lion 3" in names
    assert main(["inspect", "robot"]) == 0 and "52 of 52 have an effect" in capsys.readouterr().out


def test_robot_is_the_default(take_path, tmp_path):
    assert main(["animate", str(take_path), "--quiet"]) == 0
    assert "robot 1" in [node.get("name") for node in read_glb(tmp_path / "take.glb").document["nodes"]]


def test_quiet_prints_nothing(take_path, face_path, capsys):
    small = ["--width", "16", "--height", "16", "--quiet"]
    for arguments in (["animate", str(take_path), str(face_path), "--quiet"], ["render", str(take_path), str(face_path), *small]):
        assert main(arguments) == 0
        assert capsys.readouterr() == ("", "")


def test_focal_is_the_cameras(take_path, face_path, tmp_path):
    fields = []
    for option in ("--focal", "--focal-px"):
        assert main(["animate", str(take_path), str(face_path), option, "900", "--height", "600"]) == 0
        fields.append(read_glb(tmp_path / "take.glb").document["cameras"][0]["perspective"]["yfov"])
    assert fields == [pytest.approx(2 * np.arctan(300 / 900))] * 2


@pytest.mark.parametrize("options", [[], ["--focal", "300"], ["--focal", "150", "--width", "32", "--height", "24"]])
def test_the_focal_length_also_places_the_faces(face_path, tmp_path, options):
    """So that the camera shows each character where the face was, with whatever focal length and size."""
    face = {"rotation": [1, 0, 0, 0, -1, 0, 0, 0, -1], "scale": 20.0, "center": [56, 12], "expression": {"jawOpen": 0.4}}
    take = tmp_path / "a.faces.json"
    take.write_text(json.dumps({"width": 64, "height": 48, "faces": [face]}), encoding="utf-8")
    read, camera = read_take_and_camera(_parser("animate").parse_args([str(take), str(face_path), *options]))
    x, y, z = read.translation[0]
    shown = np.array([camera.width / 2 - camera.focal_px * x / z, camera.height / 2 + camera.focal_px * y / z])
    np.testing.assert_allclose(shown * 64 / camera.width, [56, 12], rtol=1e-5)
    assert -z == pytest.approx((300 if options else 1.2 * 64) / 20)


@pytest.mark.parametrize("verb", PROGRAM.verbs)
def test_every_help_needs_numpy_only(verb):
    """`--help` works in an installation without any extra."""
    blocked = "('scipy', 'pythonosc', 'torch', 'cv2', 'PIL', 'tqdm', 'lightning', 'onnxruntime', 'mfn')"
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
    code += f"from retarget.cli import main; sys.exit(main(['{verb}', '--help']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"usage: retarget {verb} ") and done.stderr == ""


@pytest.mark.parametrize("arguments", [["--version"], ["animate", "--version"]])
def test_version(arguments, capsys):
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"retarget {metadata.version('mfn-retarget')}\n"


def test_general_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in PROGRAM.verbs) and "Exit codes: 0 done" in out


def test_imports_stay_light():
    code = "import retarget, retarget.cli, sys; retarget.Take; retarget.load_rig; retarget.write_scene;"
    code += "retarget.render_scene;"
    code += "print([m for m in ('torch', 'cv2', 'mfn', 'lightning', 'onnxruntime') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n" and result.stderr == ""


def test_the_module_runs():
    result = subprocess.run([sys.executable, "-m", "retarget", "--help"], capture_output=True, text=True, check=True)
    assert "inspect" in result.stdout


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "\nretarget: stopped\n"),
        (MemoryError(), 1, "retarget: not enough memory for this input\n"),
        (PermissionError(13, "Permission denied", "out.glb"), 1, "retarget: out.glb: Permission denied\n"),
    ],
)
def test_errors_are_one_line_and_an_exit_code(error, code, line, face_path, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("retarget.cli.inspect.load_characters", fail)
    assert main(["inspect", str(face_path)]) == code
    assert capsys.readouterr().err == line


def test_a_closed_pipe_is_no_error(face_path):
    command = f'"{sys.executable}" -m retarget inspect "{face_path}" | head -1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0" and "Traceback" not in done.stderr
