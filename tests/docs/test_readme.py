"""What README promises exists: commands, files, options, names."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)
LINES = [line.split("#")[0].strip() for kind, block in BLOCKS if kind == "" for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("line", [x for x in LINES if x.startswith("python ") and "-m" not in x])
def test_scripts_exist_and_know_their_options(line):
    words = shlex.split(line)
    script = ROOT / words[1]
    assert script.is_file()
    source = script.read_text(encoding="utf-8")
    for option in (w for w in words[2:] if w.startswith("--")):
        assert f'"{option}"' in source, option


def test_commands_are_in_the_help(capsys):
    from mfn.cli.main import main

    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    named = set(re.findall(r"`?\bmfn (detect|animate|demo|bench|fit|export|live|annotate)\b", TEXT))
    assert {"detect", "animate", "demo", "bench", "fit", "export"} <= named
    assert all(re.search(rf"\b{verb}\b", told) for verb in named), "README speaks of a command that the help does not know"


def test_python_names():
    for kind, block in BLOCKS:
        if kind == "python":
            for module, names in re.findall(r"from (\w+) import (.+)", block):
                for name in names.split(","):
                    assert hasattr(importlib.import_module(module), name.strip())
            from mfn import Faces

            assert all(field in Faces.__dataclass_fields__ for field in re.findall(r"faces\.(\w+)", block))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w./-]+)\)|(?<=`)((?:configs|experiments|mfn|avatars)/[\w./-]+)`", TEXT))))
def test_paths_exist(path):
    assert (ROOT / next(filter(None, path))).exists()
