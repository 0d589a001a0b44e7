import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mfn.animation.photo import detect
from mfn.cli.main import guarded, main
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from retarget.io.images import write_image
from tests.conftest import ROOT


@pytest.fixture
def crowd(tmp_path, monkeypatch):
    """A working directory with a picture in which the spot network finds two faces, and one in which it finds none."""
    monkeypatch.chdir(tmp_path)
    picture = np.zeros((768, 1280, 3), np.uint8)
    picture[160:176, 320:336] = picture[480:496, 960:976] = 255
    write_image("crowd.png", picture)
    write_image("nobody.png", np.zeros((300, 400, 3), np.uint8))
    return tmp_path


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def test_help_and_version(capsys):
    assert run("--help") == run("-h") == 0
    assert "detect PICTURES" in capsys.readouterr().out
    assert run("--version") == 0


@pytest.mark.parametrize("verb", ["detect", "animate", "demo", "bench"])
def test_every_command_has_help(verb, capsys):
    assert run(verb, "--help") == 0
    assert f"usage: mfn {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["detect"], ["detect", "a.png", "--colour", "red"], ["detect", "a.png", "--score", "high"]],
)
def test_usage_is_2(arguments, capsys):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert err and "Traceback" not in err and not out


def test_detect_writes_table_json(crowd, spots, capsys):
    assert run("detect", "crowd.png", "--weights", spots, "--size", "640x384", "--no-draw") == 0
    out = capsys.readouterr().out
    assert "crowd.png: 1280 x 768 px, 2 faces" in out and "wrote crowd.faces.json" in out
    text = (crowd / "crowd.faces.json").read_text()
    assert len(Faces.from_json(text)) == 2
    data = json.loads(text)
    assert data["picture"] == "crowd.png" and (data["width"], data["height"]) == (1280, 768)
    assert set(data["faces"][0]["pose_deg"]) == {"pitch", "yaw", "roll"}
    assert sorted(p.name for p in crowd.iterdir()) == ["crowd.faces.json", "crowd.png", "nobody.png"]


def test_detect_says_what_size_of_faces_it_may_lose(crowd, spots, capsys):
    for size, tiles, said in (("640x384", [], True), ("1280x768", [], False), ("640x384", ["--tiles", "--least", "40"], False)):
        assert run("detect", "crowd.png", "--weights", spots, "--size", size, *tiles, "--no-draw") == 0
        assert ("of less than about 40 px are often missed: --tiles" in capsys.readouterr().out) == said


def test_detect_without_a_face_is_done(crowd, spots, capsys):
    assert run("detect", "nobody.png", "--weights", spots, "--size", "640x384", "--no-draw", "--out", "new/folder") == 0
    assert "nobody.png: 400 x 300 px, no face" in capsys.readouterr().out
    assert len(Faces.from_json((crowd / "new/folder/nobody.faces.json").read_text())) == 0


def test_detect_draws(crowd, spots, head_model, capsys):
    assert run("detect", "crowd.png", "nobody.png", "--weights", spots, "--size", "640x384", "--no-json") == 0
    drawn = cv2.imread("crowd.faces.png")
    assert drawn.shape == (768, 1280, 3) and drawn.any(axis=2).mean() > 0.002
    assert not cv2.imread("nobody.faces.png").any()


def test_a_bad_picture_is_reported_and_the_others_go_on(crowd, spots, capsys):
    (crowd / "bad.jpg").write_bytes(b"not a picture")
    assert run("detect", "bad.jpg", "crowd.png", "none.png", "--weights", spots, "--size", "640x384", "--no-draw", "--quiet") == 1
    out, err = capsys.readouterr()
    assert [line.split(": ")[1] for line in err.splitlines()] == ["bad.jpg", "none.png"]
    assert not out and (crowd / "crowd.faces.json").is_file() and not (crowd / "bad.faces.json").exists()


def test_a_reader_who_leaves_is_no_fault_of_the_picture(crowd, spots, monkeypatch):
    def gone(*_):
        raise BrokenPipeError

    monkeypatch.setattr("mfn.animation.photo.table", gone)
    with pytest.raises(BrokenPipeError):
        detect(Predictor.load(spots, size=(640, 384)), ["crowd.png"], ".", {"json": False, "draw": False})


def test_a_directory_is_its_pictures_and_equal_names_do_not_overwrite(crowd, spots):
    write_image("nobody.jpg", np.zeros((30, 40, 3), np.uint8))
    assert run("detect", ".", "--weights", spots, "--size", "640x384", "--no-draw", "--quiet", "--out", "out") == 0
    assert sorted(p.name for p in (crowd / "out").iterdir()) == [
        "crowd.faces.json",
        "nobody-2.faces.json",
        "nobody.faces.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detect", "crowd.png", "--weights", "none.onnx"], "none.onnx: no such file"),
        (["detect", "crowd.png", "--weights", "crowd.png"], "crowd.png: not a network"),
        (["detect", "crowd.png", "--weights", "SPOTS", "--size", "big"], "--size big: expected WIDTHxHEIGHT"),
        (["detect", "crowd.png", "--weights", "SPOTS", "--size", "²x³"], "--size ²x³: expected WIDTHxHEIGHT"),
        (["detect", "crowd.png", "--weights", "SPOTS", "--threads", "-1"], "expected a number of threads"),
        (["demo", "--weights", "SPOTS", "--seed", "-1"], "--seed -1: expected 0 or more"),
        (["detect", "crowd.png", "--weights", "SPOTS", "--score", "3"], "expected a score from 0 to 1, got 3"),
        (["detect", "crowd.png", "--weights", "SPOTS", "--out", "crowd.png"], "expected a directory"),
        (["detect", "empty", "--weights", "SPOTS"], "empty: a directory without images"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--avatar", "no.glb"], "no.glb: no such file"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--map", "no.json"], "no.json: no such file"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--head", "Skull"], "head: it has no node 'Skull'"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--out", "x.fbx"], "x.fbx: a picture is written as .glb"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--out", "empty.glb"], "empty.glb: expected a file to write"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--out", "new/x.glb", "--head", "Skull"], "no node 'Skull'"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--focal", "-1"], "expected a focal length in px"),
        (["animate", "empty.mp4", "--weights", "SPOTS", "--out", "x.npz"], "empty.mp4: empty file"),
    ],
)
def test_bad_input_is_1_and_one_line(crowd, spots, arguments, message, capsys):
    (crowd / "empty").mkdir()
    (crowd / "empty.mp4").touch()
    (crowd / "empty.glb").mkdir()
    assert run(*[str(spots) if a == "SPOTS" else a for a in arguments]) == 1
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and err.startswith("mfn: ")
    assert not (crowd / "new").exists()


def test_animate_with_nobody_writes_nothing(crowd, spots, capsys):
    assert run("animate", "nobody.png", "--weights", spots, "--size", "640x384", "--out", "x.npz") == 1
    assert "no face was found" in capsys.readouterr().err
    assert not (crowd / "x.npz").exists()


def test_animate_to_a_take(crowd, spots):
    from retarget import Take

    assert run("animate", "crowd.png", "--weights", spots, "--size", "640x384", "--out", "x.npz", "--quiet") == 0
    take = Take.load("x.npz")
    assert len(take) == 2 and (take.translation[:, 2] < 0).all()


def test_ctrl_c_is_clean(capsys):
    def stopped(_: list[str]) -> int:
        raise KeyboardInterrupt

    assert guarded(stopped, []) == 130
    assert capsys.readouterr().err == "\nmfn: stopped\n"


def test_training_without_its_extra_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run("fit", "--config", "x.yaml") == run("export") == 1
    assert "pip install '.[train]'" in capsys.readouterr().err


def test_names_that_the_terminal_cannot_show(crowd, spots):
    (crowd / "crowd.png").rename("群衆.png")
    arguments = ["detect", "群衆.png", "--weights", str(spots), "--size", "640x384", "--no-draw"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "mfn", *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == 0 and b"2 faces" in done.stdout and (crowd / "群衆.faces.json").is_file()


def test_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mfn", "detect", "none.jpg", "--weights", "none.onnx"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.startswith("mfn: none.onnx: no such file (expected small, large")
