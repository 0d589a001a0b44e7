"""Every script runs as `python -m experiments.FOLDER.NAME` and says so."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("accuracy", "accuracy/ablation", "accuracy/expression", "data_generation", "head_model")
FOLDERS += ("inspect", "labels", "rigs", "speed", "video", "weights")
FOLDERS += ("speed/batch", "head_model/measure", "reproduce")
FILES = [path for folder in ("", *FOLDERS) for path in sorted((ROOT / "experiments" / folder).glob("*.py"))]
SCRIPTS = [path for path in FILES if "blender" not in path.name and "def main(" in path.read_text(encoding="utf-8")]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_help_shows_the_exact_command(path, monkeypatch, capsys):
    name = name_of(path)
    script = importlib.import_module(name + (".__main__" if path.stem == "__main__" else ""))
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == 0
    assert f"python -m {name}" in capsys.readouterr().out


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_script_has_a_path_of_one_machine_or_a_command_by_file(path):
    text = path.read_text(encoding="utf-8")
    assert "sys.path" not in text and "/work" not in text and "    python experiments/" not in text
    assert text.startswith('"""')


@pytest.mark.parametrize("folder", ["", "results", *FOLDERS, *(f"results/{folder}" for folder in FOLDERS)])
def test_a_folder_has_at_most_12_entries(folder):
    entries = [path for path in (ROOT / "experiments" / folder).glob("*") if path.name not in ("__pycache__", "__init__.py")]
    assert len(entries) <= 12
