"""The distribution: its dependencies, what ships, its commands, and what CI runs."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import mfn
from retarget.rig.avatars import AVATAR_NAMES, avatar_folder

ROOT = Path(__file__).parents[1]
DISTRIBUTION = "mfn-retarget"


def requirements(extra: str | None) -> set[str]:
    """Return the names of the packages that an extra requires, or the core (None)."""
    found = set()
    for line in metadata.requires(DISTRIBUTION) or []:
        name = re.split(r"[\s<>=!;\[(]", line, maxsplit=1)[0]
        wanted = re.search(r"extra == ['\"](\w+)['\"]", line)
        if (wanted.group(1) if wanted else None) == extra:
            found.add(name)
    return found


def test_the_core_is_light():
    assert requirements(None) == {"numpy", "opencv-python", "pillow", "onnxruntime", "tqdm"}


def test_extras():
    assert {"torch", "torchvision", "lightning", "wandb", "jsonargparse"} <= requirements("train")
    assert requirements("annotate") == {"mediapipe", "torch"}
    assert "av" in requirements("video") and "scipy" in requirements("rig")
    assert requirements("heic") == {"pillow-heif"}
    assert requirements("stream") == {"python-osc"} and requirements("gl") == {"moderngl"}
    assert requirements("openvino") == {"onnxruntime", "onnxruntime-ep-openvino"}
    assert requirements("studio") == {"gradio", "av"}
    assert requirements("heads") == {"scipy", "h5py"} and requirements("render") == {"easypytorch3d", "torch"}
    assert requirements("batch") == {"ray", "pyarrow", "fsspec"}
    assert {"pytest", "import-linter", "build"} <= requirements("dev") and "mkdocs-material" in requirements("docs")


def test_commands_and_version():
    distribution = metadata.distribution(DISTRIBUTION)
    commands = {entry.name: entry.value for entry in distribution.entry_points if entry.group == "console_scripts"}
    assert commands == {"mfn": "mfn.cli.main:main", "retarget": "retarget.cli:main"}
    assert distribution.version == mfn.__version__


def test_both_opencv_packages_together():
    """MediaPipe requires opencv-contrib-python, we require opencv-python; both own the folder cv2.

    The package that was installed last provides the files. Either is enough for us, see docs/faq.md.
    """
    versions = []
    for name in ("opencv-python", "opencv-contrib-python"):
        try:
            versions.append(metadata.version(name))
        except metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed; the extra `dev` installs both")
    code = "import cv2, numpy as np; ok, data = cv2.imencode('.png', np.full((8, 8, 3), 7, np.uint8)); "
    code += "assert ok and (cv2.imdecode(data, 1) == 7).all(); print(cv2.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert any(version.startswith(done.stdout.strip()) for version in versions)


def test_the_checkout_has_every_character():
    """That they are in the wheel, too, is checked by .ci/package."""
    files = {path.name: path.stat().st_size for path in avatar_folder().iterdir() if path.suffix in (".glb", ".npz")}
    assert files.keys() == {f"{name}{ending}" for name in AVATAR_NAMES for ending in (".glb", ".likeness.npz")}
    assert all(size < 2_000_000 for size in files.values())


def test_every_folder_is_a_package():
    """Without `__init__.py` a folder is no package for import-linter, and its layers are not checked."""
    folders = {path.parent for package in ("mfn", "retarget") for path in (ROOT / package).rglob("*.py")}
    assert not sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file())


def test_folders_are_small():
    """At most 12 entries a folder, so that a newcomer can read a listing."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("this is not a checkout")
    entries: dict[str, set[str]] = {}
    for name in tracked.stdout.splitlines():
        parts = Path(name).parts
        for depth in range(len(parts)):
            if parts[depth] not in ("py.typed", "__main__.py"):  # these two have to lie in the folder of the package
                entries.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
    assert not {folder: len(names) for folder, names in entries.items() if len(names) > 12}


def test_ci_runs_every_check():
    script = ROOT / ".ci" / "run"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8")
    assert script.stat().st_mode & 0o100
    assert all(word in text for word in (".[dev]", "ruff", "mypy", "lint-imports", "mkdocs", ".ci/package", "pytest"))
    (nightly,) = (line for line in text.splitlines() if line.startswith("[[") and "--nightly" in line)
    for given, passed in (("--nightly -x tests", "--slow -x tests"), ("-x tests", "-x tests"), ("", "")):
        command = ["bash", "-euc", f'{nightly}\necho "$@"', "run", *given.split()]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == passed
