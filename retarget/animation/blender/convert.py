"""Write .fbx and .blend files through Blender, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from retarget.gltf.document import Glb, write_glb
from retarget.io.files import atomic_write

SUFFIXES = (".fbx", ".blend")
"""What Blender writes for us."""

_SCRIPT = Path(__file__).with_name("blender_convert.py")
_MAX_SECONDS = 3600


def blender_command() -> list[str] | None:
    """Return the command that runs a Python file in Blender, or None where Blender is not installed.

    It is the program that the environment variable BLENDER names (or a Python that has the package `bpy`), else `blender`,
    else this Python if it has `bpy`.
    """
    program = os.environ.get("BLENDER") or shutil.which("blender")
    if program:
        is_python = Path(program).name.startswith("python")
        return [program] if is_python else [program, "--background", "--python-exit-code", "1", "--python"]
    return [sys.executable] if find_spec("bpy") is not None else None


def require_blender(path: Path) -> list[str]:
    """Return `blender_command()` for a file that Blender writes.

    Raises:
        ValueError: Blender is not installed.
    """
    command = blender_command()
    if command is None:
        raise ValueError(
            f"{path}: Blender writes {path.suffix}, and it was not found (install Blender, name its program in the environment "
            "variable BLENDER, or pip install bpy; without it write .glb)"
        )
    return command


def write_with_blender(glb: Glb, path: Path, tolerance: float, footage: Path | None = None) -> None:
    """Write a scene as .fbx or .blend, whole or not at all.

    Args:
        glb: The scene.
        path: The file to write.
        tolerance: See `blender_import.py`.
        footage: The picture or clip behind the characters.

    Raises:
        ValueError: Blender is not installed, fails, or takes longer than an hour. The message is one line.
    """
    command = require_blender(path)
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.glb"
        write_glb(glb, scene)

        def run(target: Path) -> None:
            arguments = ["--", str(scene), str(target.resolve()), "--tolerance", str(tolerance)]
            arguments += [] if footage is None else ["--footage", str(footage.resolve())]
            try:
                done = subprocess.run(
                    [*command, str(_SCRIPT), *arguments], capture_output=True, text=True, timeout=_MAX_SECONDS, check=False
                )
            except subprocess.TimeoutExpired:
                hint = "write a shorter part, or .glb, and import that in Blender"
                raise ValueError(f"{path}: Blender did not write it within {_MAX_SECONDS} s ({hint})") from None
            if done.returncode or not target.stat().st_size:
                lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
                raise ValueError(f"{path}: Blender could not write it ({lines[-1][:200]})")

        atomic_write(path, run)
