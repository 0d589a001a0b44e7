"""Run commands and watch what they take: seconds, CPU seconds, memory of a process and all that it started."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
_PAGE_BYTES = 4096


@dataclass
class Run:
    """What a command took. `memory_mb` are samples of the memory of all its processes together."""

    code: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    errors: str = ""
    memory_mb: list[float] = field(default_factory=list)


def run_command(
    arguments: Sequence[str], every_s: float = 0.5, watch: Callable[[], object] = lambda: None, timeout_s: float = 7200
) -> Run:
    """Run `python -m ARGUMENTS` with this checkout.

    Args:
        arguments: Module and its arguments.
        every_s: Time between two samples of the memory.
        watch: Called with each sample.
        timeout_s: The command is killed after this time.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run, started, before = Run(), time.monotonic(), _children_cpu_s()
    command = [sys.executable, "-m", *arguments]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:  # a pipe that nobody reads would fill up and stop the command
        process = subprocess.Popen(command, env=environment, stderr=errors, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            run.memory_mb.append(tree_memory_mb(process.pid))
            watch()
            if time.monotonic() - started > timeout_s:
                process.kill()
            time.sleep(every_s)
        errors.seek(0)
        run.code, run.errors = process.returncode, errors.read()
    run.seconds, run.cpu_seconds = time.monotonic() - started, _children_cpu_s() - before
    return run


def tree_memory_mb(pid: int) -> float:
    """Return the resident memory of a process and all its descendants, MB. Shared pages count for each. Linux only."""
    parents, pages = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                pages[int(entry.name)] = int((entry / "statm").read_text().split()[1])
            except (OSError, IndexError):  # it has just ended
                continue
    tree, size = {pid}, 0
    while len(tree) > size:
        size = len(tree)
        tree |= {child for child, parent in parents.items() if parent in tree}
    return sum(pages.get(member, 0) for member in tree) * _PAGE_BYTES / 1e6


def copy_pictures(sources: Sequence[Path], folder: Path, count: int) -> None:
    """Fill a folder with `count` pictures by copying the sources in turn, 1,000 in each of its folders."""
    for i in range(count):
        source = sources[i % len(sources)]
        place = folder / f"{i // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        target = place / f"{i:06d}{source.suffix}"
        if not target.exists():
            target.write_bytes(source.read_bytes())


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
