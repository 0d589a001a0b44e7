"""Tiny trainings on rendered heads, through the command line."""

from pathlib import Path

from mfn.cli.main import main

CONFIGS = Path(__file__).parents[4] / "configs"
NETWORK = [
    "--model.network.backbone.widths=[8,8,16,16,16]",
    "--model.network.context=[16,16]",
    "--model.network.hidden=[16,16]",
    "--model.network.refinement_channels=8",
]
DATA = ["--data.rendered.count=24", "--data.rendered.size_px=48", "--data.batch_size=2", "--data.validation=4", "--data.workers=0"]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
SCENES = [*NETWORK, *DATA, *QUIET, "--data.size=64", "--trainer.log_every_n_steps=1"]


def fewer_backgrounds(monkeypatch) -> None:
    """Draw few and small backgrounds, which takes less time."""
    monkeypatch.setattr("mfn.training.packs.rendered_heads.BACKGROUNDS", 20)
    monkeypatch.setattr("mfn.training.packs.rendered_heads.BACKGROUND_PX", 64)


def train(verb: str, *options: str, config: str = "mfn/synthetic.yaml") -> int:
    """Run a training verb of the command line with a configuration of this checkout."""
    return main([verb, "--config", str(CONFIGS / config), *options])


def run_folders(root: Path) -> list[Path]:
    """Return the folders of the runs with saved configurations, oldest first."""
    return sorted((path.parent for path in root.rglob("config.yaml")), key=lambda path: (path / "config.yaml").stat().st_mtime_ns)
