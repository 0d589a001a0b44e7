"""`mfn predict` with a stand-in for the export of a checkpoint, which `tests/mfn/training/run/test_synthetic.py` tests."""

import json
import pickle

import pytest

from mfn.cli.batch import ProgressLine
from mfn.cli.main import main
from mfn.cli.training import predict
from mfn.inference.model_zoo import default_eye_reader, default_portrait_reader, default_reader
from mfn.inference.readers.reading_rules import FREE_RULES, RULES
from retarget.io.files import file_digest
from retarget.io.images import write_image
from tests.mfn.batch.conftest import spotted


@pytest.fixture
def trained(tmp_path, spots, monkeypatch):
    """A working directory with the folder photos, and a training whose network detects white spots."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(predict, "require_training", lambda: None)
    monkeypatch.setattr(predict, "_export", lambda configs, checkpoint, out: out.write_bytes(spots.read_bytes()))
    monkeypatch.setattr("mfn.batch.run._workers", lambda options: 1)
    (tmp_path / "photos").mkdir()
    for i in range(3):
        write_image(tmp_path / "photos" / f"{i}.png", spotted(i))
    return tmp_path


def run(*arguments: object) -> int:
    given = ["--config", "config.yaml", "--ckpt_path", "last.ckpt", "--min-face", "24"]
    return main(["predict", *map(str, arguments), *given])


def test_a_table_that_was_stopped_goes_on(trained, capsys, monkeypatch):
    stops = [True]

    def show(line, progress):
        assert progress.total == 3
        if progress.done == 2 and stops.pop():
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLine, "show", show)
    assert run("photos", "--out", "faces.csv") == 130
    stops[:] = [False] * 9
    assert run("photos", "--out", "faces.csv") == 1 and "go on with --resume" in capsys.readouterr().err
    assert run("photos", "--out", "faces.csv", "--resume") == 0 and len(stops) < 9
    out = capsys.readouterr().out  # whether the second picture was written before the stop depends on the machine
    ends = ("3 faces of 2 pictures, 0 failures; 1 pictures were done", "2 faces of 1 pictures, 0 failures; 2 pictures were done")
    assert any(end in out for end in ends)
    assert len((trained / "faces.csv").read_text().splitlines()) == 4


def test_a_folder_of_files_goes_on(trained, capsys):
    assert run("photos/1.png", "--out", "found") == 0
    assert run("photos", "--out", "found", "--resume") == 0
    assert "1 of 3 pictures were done before" in capsys.readouterr().out
    assert [len(json.loads((trained / "found" / f"{i}.faces.json").read_text())["faces"]) for i in range(3)] == [0, 1, 2]


def test_the_readers_are_those_of_the_model_that_is_chosen(trained, shipped, monkeypatch, capsys):
    if default_reader("free") is None:
        pytest.skip("the free networks are not here")
    monkeypatch.setattr(predict, "_export", lambda configs, checkpoint, out: out.write_bytes(shipped.read_bytes()))
    seen = []

    def check(predictor, *_):
        for each in (predictor, pickle.loads(pickle.dumps(predictor))):
            seen.append((file_digest(each.weights), each.reader.weights, each.eye_reader.weights, each.reader.rules))
            assert (each.portrait_reader and each.portrait_reader.weights) == default_portrait_reader(name)
        return 0

    monkeypatch.setattr(predict, "detect", check)
    for name, rules in (("free", FREE_RULES), ("large", RULES)):
        assert run("photos", "--weights", name) == 0
        assert seen == [(file_digest(shipped), default_reader(name), default_eye_reader(name), rules)] * 2
        seen.clear()
    assert run("photos", "--weights", "own.onnx") == 1
    assert "--weights own.onnx: expected one of small, large, free; the network itself is that of --ckpt_path" in capsys.readouterr().err
