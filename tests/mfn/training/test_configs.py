"""Every configuration builds."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
import yaml  # noqa: E402

from mfn.models.mfn import MFN  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402

MODEL = HeadModel.load()
ROOT = Path(__file__).parents[3]

BASE = "mfn/default.yaml"  # configurations without a seed of their own hold only what differs from it


OVER = {
    "free/face_reader_second.yaml": ("free/face_reader.yaml",),
    "free/face_reader_expression.yaml": ("free/face_reader.yaml", "free/face_reader_second.yaml"),
    "free/face_reader_rare.yaml": ("free/face_reader.yaml", "free/face_reader_second.yaml"),
    "others/dense520_second.yaml": ("others/dense520_branches.yaml",),
    "others/face_reader_second.yaml": ("others/face_reader.yaml",),
    "others/face_reader_branches.yaml": ("others/face_reader.yaml", "others/face_reader_second.yaml"),
    "others/face_reader_expression.yaml": ("others/face_reader.yaml", "others/face_reader_second.yaml"),
    "sfn/hard_faces.yaml": ("sfn/default.yaml",),
}
"""A configuration -> those whose differences it holds; those of mfn/ and the loggers differ from BASE."""
LOGGERS = ("tensorboard.yaml", "wandb.yaml")
CONFIGS = sorted(str(p.relative_to(ROOT / "configs")) for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "parts")


@pytest.mark.parametrize("config", CONFIGS)
def test_averages_follow_short_trainings_and_free_networks_train_in_float32(config):
    text = (ROOT / "configs" / config).read_text()
    assert "EMAWeightAveraging" not in text, "its average of a short training is mostly the weights that it began with"
    assert not config.startswith("free/") or config in OVER or yaml.safe_load(text)["trainer"]["precision"] == "32-true"


@pytest.mark.parametrize("config", CONFIGS)
def test_configs_build(config, monkeypatch):
    from lightning.pytorch import LightningDataModule, LightningModule
    from lightning.pytorch.cli import LightningCLI

    monkeypatch.chdir(ROOT)  # paths of weights begin there
    whole = "seed_everything" in (ROOT / "configs" / config).read_text() or config.split("/")[0] not in ("mfn", *LOGGERS)
    files = [*OVER[config], config] if config in OVER else [config] if whole else [BASE, config]
    args = [part for name in files for part in ("--config", str(ROOT / "configs" / name))]
    args += ["--trainer.logger", "false"] if config not in LOGGERS else []
    if config in LOGGERS:
        pytest.importorskip(config.removesuffix(".yaml"))
    cli = LightningCLI(run=False, args=args, save_config_callback=None)
    assert isinstance(cli.model, LightningModule) and isinstance(cli.datamodule, LightningDataModule)
    assert isinstance(cli.model.network, MFN) == (config.split("/")[0] in ("mfn", *LOGGERS) or config.startswith("free/mfn"))


@pytest.mark.parametrize("config", sorted(str(p.relative_to(ROOT / "configs")) for p in (ROOT / "configs").rglob("*.yaml")))
def test_last_ckpt_is_the_newest(config):
    """Lightning writes last.ckpt whenever a ModelCheckpoint keeps a file: with `monitor`, only where the figure got better."""
    content = yaml.safe_load((ROOT / "configs" / config).read_text()) or {}
    trainer = content.get("trainer", content)
    callbacks = trainer.get("callbacks") if isinstance(trainer, dict) else None
    kept = [c["init_args"] for c in callbacks or [] if c["class_path"].endswith(".ModelCheckpoint")]
    assert sum(bool(args.get("save_last")) for args in kept) == (1 if kept else 0)
    assert not any(args.get("save_last") and args.get("monitor") for args in kept)
