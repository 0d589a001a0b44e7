"""`mfn fit --config configs/mfn/synthetic.yaml` needs no photo, and what it trains is exported and finds faces."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("onnx")
from mfn.cli.main import main  # noqa: E402
from retarget.io.images import write_image  # noqa: E402
from tests.helpers.training import two_face_scene  # noqa: E402

CONFIG = Path(__file__).parents[4] / "configs" / "mfn" / "synthetic.yaml"
TINY = [
    "--trainer.max_steps=2",
    "--trainer.limit_train_batches=2",
    "--trainer.enable_progress_bar=false",
    "--model.network.backbone.widths=[8,8,16,16,16]",
    "--model.network.context=[16,16]",
    "--model.network.hidden=[16,16]",
    "--model.network.refinement_channels=8",
    "--data.rendered.count=24",
    "--data.rendered.size_px=48",
    "--data.size=64",
    "--data.batch_size=2",
    "--data.validation=2",
    "--data.workers=0",
]


def test_training_without_a_photo(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mfn.training.packs.rendered_heads.BACKGROUNDS", 20)
    monkeypatch.setattr("mfn.training.packs.rendered_heads.BACKGROUND_PX", 64)
    assert main(["fit", "--config", str(CONFIG), *TINY]) == 0
    (checkpoint,) = tmp_path.glob("runs/synthetic/*/checkpoints/last.ckpt")
    config = checkpoint.parents[1] / "config.yaml"
    assert main(["export", "--config", str(config), "--checkpoint", str(checkpoint), "--out", "own.onnx"]) == 0
    write_image(tmp_path / "photo.png", two_face_scene().picture)
    assert main(["detect", "photo.png", "--weights", "own.onnx"]) == 0
    assert (tmp_path / "photo.faces.json").is_file()
