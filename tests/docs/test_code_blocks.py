"""The commands and the Python of README and docs work as they are pasted, in a folder with the files that they name."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.docs.pages import PAGES, ROOT, blocks, name_of

ONLY_OPTIONS = {  # commands that need a webcam, another program, a data set or hours: only their options are checked
    ("mfn", name) for name in ("live", "studio", "pick", "fit", "validate", "test", "predict", "export", "quantize", "annotate", "bench")
} | {("retarget", "stream"), ("retarget", "record")}
NOT_OURS = {"openssl", "git", "cd", "lint-imports", "npx", "npm"}
_ran: set[str] = set()
TOOLS = {"ruff", "mypy", "pytest", "mkdocs", "build"}


@pytest.fixture(scope="module")
def files(tmp_path_factory, head_model) -> Path:
    """A folder with the photo, the clip, the character and the head mesh that the pages speak of."""
    from mfn.synthesis.appearance import palette_appearances
    from mfn.synthesis.crowd import backdrop, paint_crowd, random_crowd
    from retarget.autorig.source_head import load_source_head
    from tests.helpers.heads import make_head
    from tests.helpers.meshes import SmallHead, write_flame_pickle

    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(3)
    crowd, image = random_crowd(head_model, 2, (640, 360), random), backdrop(360, 640, random)
    paint_crowd(image, crowd, head_model, palette_appearances(2, random))
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "group.jpg", "photos/photo.jpg"):
        cv2.imwrite(str(folder / name), image[..., ::-1])
    writer = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (640, 360))
    assert writer.isOpened()
    for shift in range(5):
        writer.write(np.roll(image, 2 * shift, axis=1)[..., ::-1])
    writer.release()
    shutil.copy(ROOT / "avatars" / "robot.glb", folder / "character.glb")
    frames = [{"time": n / 30, "coefficients": {"jawOpen": 0.02 * n, "eyeBlinkLeft": 0.1}} for n in range(30)]
    (folder / "take.json").write_text(json.dumps({"fps": 30, "frames": frames}), encoding="utf-8")
    make_head(load_source_head()).write(folder)
    identity = np.zeros((300, *head_model.mean.shape))  # as many as FLAME has
    identity[: head_model.identity_size] = head_model.identity_basis
    flame = SmallHead(head_model.mean, identity, head_model.expression_basis, head_model.triangles)
    write_flame_pickle(folder / "flame2023.pkl", flame, expressions=50)
    return folder


def run_command(words: list[str], capsys) -> None:
    """Run or check one command line."""
    if words[0] in ("mfn", "retarget"):
        run_ours(words, capsys)
    elif words[:2] == ["python", "-m"]:
        module = words[2]
        assert importlib.util.find_spec(module) or module in TOOLS, module
        if module.startswith("experiments."):
            files = (script(module), ROOT / "experiments" / "common.py")  # common has shared options
            source = "".join(file.read_text(encoding="utf-8") for file in files)
            assert not [word for word in words if word.startswith("--") and f'"{word}"' not in source]
    elif words[0] == "pip":
        check_extras(words)
    else:
        assert words[0] in NOT_OURS, f"a command that this test does not know: {words[0]}"


def script(module: str) -> Path:
    """Return the file that `python -m` runs for a module of experiments."""
    path = ROOT / module.replace(".", "/")
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def run_ours(words: list[str], capsys) -> None:
    """Run `mfn` or `retarget` in this process, or look for its options in the help."""
    main = importlib.import_module(f"{words[0]}.cli.main" if words[0] == "mfn" else "retarget.cli").main
    if tuple(words[:2]) not in ONLY_OPTIONS:
        if " ".join(words) not in _ran:
            assert main(words[1:]) == 0, capsys.readouterr().err
        _ran.update({" ".join(words)} & {"mfn demo"})  # it reads no file and takes long: once is enough
        return
    options = [word for word in words if word.startswith("--") and "." not in word]
    if words[1] in ("fit", "validate", "test"):
        assert set(options) <= {"--config"} and all((ROOT / w).is_file() for w in words if w.startswith("configs/"))
        return
    capsys.readouterr()
    try:
        assert main([words[1], "--help"]) == 0
    except SystemExit as stop:
        assert not stop.code
    text = capsys.readouterr().out
    assert not [option for option in options if not re.search(rf"{option}\b", text)]


def check_extras(words: list[str]) -> None:
    """Look for the extras of a `pip install` in pyproject.toml."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for word in words:
        for extra in re.findall(r"^\.\[(\w+)\]$", word):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name_of)
def test_blocks(page, files, tmp_path, monkeypatch, capsys):
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, name_of(page), "exec"), {})
        elif language == "bash":
            for line in text.splitlines():
                for command in line.split(" && "):
                    words = shlex.split(command, comments=True)
                    if words:
                        run_command(words, capsys)
        else:
            assert language in ("json", "text", "mermaid", "dockerfile", "yaml"), f"a block of an unknown language: {language!r}"


def test_commands_of_the_training_page_name_the_folders_that_a_checkout_lacks():
    """The data lie in `data/`; the scripts' own default is a folder beside the checkout."""
    (page,) = (page for page in PAGES if name_of(page).endswith("guides/training.md"))
    lines = [line for language, text in blocks(page) if language == "bash" for line in text.splitlines()]
    scripts = [shlex.split(line)[2:] for line in lines if line.startswith("python -m experiments.")]
    assert scripts
    for module, *words in scripts:
        source = script(module).read_text(encoding="utf-8")
        needed = re.findall(r'add_argument\(\s*"(--[a-z-]+)"[^)]*?Path\("\.\./', source) + ["--eval"] * ("add_eval_option(" in source)
        assert not set(needed) - set(words), module
