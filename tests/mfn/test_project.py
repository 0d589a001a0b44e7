"""The distribution: what is asked of pip, what ships, which commands there are."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import mfn
from retarget.rig.avatars import avatar_folder

ROOT = Path(__file__).parents[2]


def requirements(extra: str | None) -> set[str]:
    """Names of what an extra, or the bare distribution, requires."""
    found = set()
    for line in metadata.requires("mfn-retarget") or []:
        name = re.split(r"[\s<>=!;\[(]", line, maxsplit=1)[0]
        wanted = re.search(r"extra == ['\"](\w+)['\"]", line)
        if (wanted.group(1) if wanted else None) == extra:
            found.add(name)
    return found


def test_the_core_is_light():
    assert requirements(None) == {"numpy", "opencv-python", "pillow", "onnxruntime", "jsonargparse", "tqdm"}


def test_extras():
    assert {"torch", "torchvision", "lightning", "wandb", "jsonargparse"} <= requirements("train")
    assert requirements("annotate") == {"mediapipe", "torch"} and requirements("video") == {"av"}
    assert requirements("stream") == {"python-osc"} and "pytest" in requirements("dev")


def test_commands_and_version():
    distribution = metadata.distribution("mfn-retarget")
    commands = {e.name: e.value for e in distribution.entry_points if e.group == "console_scripts"}
    assert commands == {"mfn": "mfn.cli.main:main", "retarget": "retarget.cli:main"}
    assert distribution.version == mfn.__version__


def test_both_opencv_packages_together():
    """mediapipe installs opencv-contrib-python beside our opencv-python. Both own the folder cv2: the last one wins, and works."""
    versions = []
    for name in ("opencv-python", "opencv-contrib-python"):
        try:
            versions.append(metadata.version(name))
        except metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed: there is only one OpenCV here")
    code = "import cv2, numpy as np; ok, data = cv2.imencode('.png', np.full((8, 8, 3), 7, np.uint8)); "
    code += "assert ok and (cv2.imdecode(data, 1) == 7).all(); print(cv2.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert any(version.startswith(done.stdout.strip()) for version in versions)


def test_characters_ship():
    found = list(avatar_folder().glob("*.glb"))
    if not found:
        pytest.skip("there is no character in avatars/ yet")
    assert all(path.stat().st_size < 2_000_000 for path in found)


def test_ci_is_a_script_that_runs_everything():
    script = ROOT / ".ci" / "run"
    if not script.is_file():
        pytest.skip("this is not a checkout")
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text()
    assert script.stat().st_mode & 0o100 and all(word in text for word in ("ruff", "mypy", "pytest", ".[dev]"))


def test_every_folder_is_a_package():
    """Without `__init__.py` a folder is no package for import-linter, and its layers are not checked."""
    folders = {path.parent for package in ("mfn", "retarget") for path in (ROOT / package).rglob("*.py")}
    assert not sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file())
