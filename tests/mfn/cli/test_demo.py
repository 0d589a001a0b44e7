import numpy as np
import pytest

from mfn.cli.bench import bench
from mfn.cli.demo import report
from mfn.cli.main import main
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from mfn.structures.metrics import landmark_nme, match_faces
from mfn.synthesis.appearance import palette_appearances
from mfn.synthesis.crowd import backdrop, paint_crowd, random_crowd

SIZE = (640, 360)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
def test_everybody_is_in_the_picture_in_a_place_of_their_own(head_model, count):
    faces = random_crowd(head_model, count, SIZE, np.random.default_rng(0))
    assert len(faces) == count
    assert (faces.box[:, :2] > 0).all() and (faces.box[:, 2:] < SIZE).all()
    rows, _ = match_faces(faces, faces)
    assert rows.tolist() == list(range(count))


def test_heads_are_painted_where_the_faces_are(head_model):
    random = np.random.default_rng(1)
    faces = random_crowd(head_model, 3, SIZE, random)
    before = backdrop(SIZE[1], SIZE[0], random)
    after = before.copy()
    paint_crowd(after, faces, head_model, palette_appearances(3, random))
    changed = (before != after).any(axis=2)
    for x, y in faces.center.astype(int):
        assert changed[y, x]
    assert 0.03 < changed.mean() < 0.5


def test_the_truth_compared_with_itself_has_no_error(head_model):
    faces = random_crowd(head_model, 4, SIZE, np.random.default_rng(2))
    assert np.allclose(landmark_nme(faces, faces, head_model), 0)
    lines = report(faces, faces[[2, 0, 1, 3]], head_model)
    assert lines[0] == "4 people rendered, 4 found, 0 false"
    assert "box IoU 1.00, error of pitch 0.0, yaw 0.0, roll 0.0 deg" in lines[-1] and "NME 0.00 %" in lines[-1]


def test_misses_and_false_faces_are_counted(head_model):
    faces = random_crowd(head_model, 4, SIZE, np.random.default_rng(2))
    assert report(faces, Faces.empty(3), head_model) == ["4 people rendered, 0 found, 0 false"]
    moved = faces.replace(box=faces.box + 1000)
    assert report(faces, Faces.concatenate([faces[:3], moved]), head_model)[0] == "4 people rendered, 3 found, 4 false"


@pytest.mark.parametrize(("arguments", "code", "message"),
    [
        (["--people", "0"], 2, "argument --people: 0: expected a whole number, 1 to 500"),
        (["--seed", "-1"], 2, "argument --seed: -1: expected a whole number, 0 or more"),
        (["--out", "file"], 1, "directory"),
        (["--avatar", "roboter"], 1, "did you mean 'robot'?"),
    ],
)
def test_bad_options(tmp_path, monkeypatch, spots, arguments, code, message, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["demo", "--weights", str(spots), *arguments]) == code
    assert message in capsys.readouterr().err


def test_bench_prints_a_row_for_each_crowd(head_model, spots, capsys):
    assert bench(Predictor.load(spots, threads=1), repeats=1, crowds=(0, 2)) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_the_demo_finds_its_people(head_model, shipped, tmp_path, monkeypatch, capsys):
    """The whole path with the shipped weights: they were trained on real faces and must find rendered ones."""
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--people", "6"]) == 0
    out = capsys.readouterr().out.splitlines()
    first = out[0]
    assert [line.split(": ")[0].split("/")[-1] for line in out[-6:]][-1] == "demo.png"
    assert int(first.split(" found")[0].split()[-1]) >= 5, first
    assert {p.name for p in (tmp_path / "mfn-demo").iterdir()} == {
        "crowd.png",
        "crowd.faces.json",
        "crowd.faces.png",
        "crowd.glb",
        "crowd.characters.png",
        "demo.png",
    }
