"""`mfn fit --config configs/mfn/synthetic.yaml` needs no photo, and what it trains is exported and finds faces."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("onnx")
from mfn.cli.main import main  # noqa: E402
from retarget.io.images import write_image  # noqa: E402
from tests.helpers.training import two_face_scene  # noqa: E402
from tests.mfn.training.run.runs import SCENES, fewer_backgrounds, train  # noqa: E402


def test_training_without_a_photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fewer_backgrounds(monkeypatch)
    assert train("fit", *SCENES, "--trainer.max_steps=2", "--trainer.limit_train_batches=2") == 0
    (checkpoint,) = tmp_path.glob("runs/synthetic/*/checkpoints/last.ckpt")
    config = checkpoint.parents[1] / "config.yaml"
    assert main(["export", "--config", str(config), "--checkpoint", str(checkpoint), "--out", "own.onnx"]) == 0
    write_image(tmp_path / "photo.png", two_face_scene().picture)
    assert main(["detect", "photo.png", "--weights", "own.onnx"]) == 0
    assert (tmp_path / "photo.faces.json").is_file()
    trained = ["--config", str(config), "--ckpt_path", str(checkpoint)]
    assert main(["predict", "photo.png", *trained, "--score", "0", "--out", "predictions"]) == 0
    assert json.loads((tmp_path / "predictions" / "photo.faces.json").read_text())["faces"]
    assert main(["predict", "photo.png", *trained, "--score", "0", "--out", "faces.csv"]) == 0
    assert len((tmp_path / "faces.csv").read_text().splitlines()) > 1
