"""The command line as a whole: help, versions, exit codes, messages."""

import os
import subprocess
import sys

import pytest

import mfn
from mfn.cli.main import OLD_NAMES, VERBS, main
from tests.conftest import ROOT


def run(*arguments: object) -> int:
    return main([str(a) for a in arguments])


def without_torch(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process in which torch, lightning, onnx and jsonargparse cannot be imported."""
    block = "import sys, importlib.util as u; blocked = ('torch', 'lightning', 'onnx', 'jsonargparse')\n"
    block += "for name in blocked: sys.modules[name] = None\n"
    block += "real = u.find_spec\nu.find_spec = lambda name, *a: None if name in blocked else real(name, *a)\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", block + code], env=environment, capture_output=True, text=True, check=False)


def test_help_lists_every_command(capsys):
    assert run("--help") == run("-h") == run("help") == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: mfn COMMAND [options]") and all(f"\n  {verb}" in out for verb in VERBS)
    assert "quantise" not in out and max(map(len, out.splitlines())) <= 130


def test_version_everywhere(capsys):
    assert run("--version") == 0
    assert [run(verb, "--version") for verb in VERBS if verb not in ("fit", "validate", "test")] == [0] * (len(VERBS) - 3)
    assert set(capsys.readouterr().out.splitlines()) == {f"mfn {mfn.__version__}"}


def test_every_help_works_without_torch():
    code = f"from mfn.cli.main import main\nprint([main([verb, '--help']) for verb in {[*VERBS, *OLD_NAMES]!r}])\n"
    code += "print([main([verb, '--version']) for verb in ('fit', 'validate', 'test')])"
    done = without_torch(code)
    assert done.returncode == 0 and not done.stderr
    assert done.stdout.splitlines()[-1] == "[0, 0, 0]" and str([0] * (len(VERBS) + 1)) in done.stdout
    assert all(f"usage: mfn {verb}" in done.stdout for verb in VERBS)


def test_training_without_its_extra_is_one_line():
    for call in ("['fit', '--config', 'x.yaml']", "['export', '--config', 'a', '--checkpoint', 'b']"):
        done = without_torch(f"from mfn.cli.main import main\nsys.exit(main({call}))")
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert done.stderr == 'mfn: this command needs torch and lightning: pip install ".[train]"\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "mfn: a command is missing"),
        (["dance"], "mfn: no command 'dance'\n"),
        (["inspect", "robot"], "no command 'inspect'; did you mean `retarget inspect`?"),
        (["photo.jpg"], "the command comes before the file, such as `mfn detect photo.jpg`"),
        (["animte"], "no command 'animte'; did you mean 'animate'?"),
        (["quantse"], "did you mean 'quantize'?"),
        (["detect"], "the following arguments are required: PICTURE"),
        (["detect", "a.png", "--colour", "red"], "unrecognized arguments: --colour red"),
        (["detect", "a.png", "--weight", "large"], "did you mean '--weights'?"),
        (["detect", "a.png", "--score", "high"], "argument --score: 'high': expected a number"),
        (["detect", "a.png", "--score", "3"], "argument --score: 3: expected a number, 0 to 1"),
        (["detect", "a.png", "--threads", "-1"], "argument --threads: -1: expected a whole number, 0 or more"),
        (["animate", "a.png", "--focal", "-1"], "argument --focal: -1: expected a number, above 0"),
        (["annotate", "a.png", "--out", "x.npz", "--people", "folders"], "did you mean 'folder'?"),
    ],
)
def test_wrong_usage_is_2(arguments, message, capsys):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert message in err and "Traceback" not in err and not out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detect", "crowd.png", "--weights", "none.onnx"], "none.onnx: no such file (expected small, large, free, or an .onnx file)"),
        (["detect", "crowd.png", "--weights", "lrage"], "did you mean 'large'?"),
        (["detect", "crowd.png", "--weights", "crowd.png"], "crowd.png: not a network"),
        (["detect", "crowd.png", "--weights", "SPOTS", "--out", "crowd.png"], "expected a directory"),
        (["detect", "empty", "--weights", "SPOTS"], "empty"),
        (["detect", "crwd.png", "--weights", "SPOTS"], "crwd.png: no such file (expected a picture); did you mean 'crowd.png'?"),
        (["animate", "empty", "--weights", "SPOTS"], "empty: a directory (expected one picture or clip"),
        (["animate", "gone.mp4", "--weights", "SPOTS"], "gone.mp4: no such file"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--avatar", "no.glb"], "no.glb: no such file"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--avatar", "robt"], "did you mean 'robot'?"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--map", "no.json"], "no.json: no such file"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--head", "Skull"], "head: it has no node 'Skull'"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--out", "x.obj"], "x.obj: a picture can be written as .glb"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--out", "empty.glb"], "empty.glb: expected a file to write"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--out", "new/x.glb", "--head", "Skull"], "no node 'Skull'"),
        (["animate", "crowd.png", "--weights", "SPOTS", "--resume"], "--calibrate and --resume work on clips"),
        (["animate", "empty.mp4", "--weights", "SPOTS", "--out", "x.npz"], "empty.mp4: empty file"),
        (["animate", "nobody.png", "--weights", "SPOTS", "--out", "x.npz"], "nobody.png: no face found"),
    ],
)
def test_bad_input_is_1_and_one_line(crowd, spots, arguments, message, capsys):
    (crowd / "empty").mkdir()
    (crowd / "empty.mp4").touch()
    (crowd / "empty.glb").mkdir()
    assert run(*[str(spots) if a == "SPOTS" else a for a in arguments]) == 1
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and err.startswith("mfn: ")
    assert not (crowd / "new").exists() and not (crowd / "x.npz").exists()


def test_names_that_the_terminal_cannot_show(crowd, spots):
    (crowd / "crowd.png").rename("群衆.png")
    arguments = ["detect", "群衆.png", "--weights", str(spots), "--min-face", "48", "--no-draw"]
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
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1 and done.stderr.startswith("mfn: none.onnx: no such file (expected small, large")
