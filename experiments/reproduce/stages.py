"""Stages: steps of a recipe that are done once, and go on where they were stopped."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retarget.io.files import atomic_write

CONFIGS = Path(__file__).parents[2] / "configs"
PYTHON = (sys.executable, "-m")
SHOWN_LINES = 12  # of the output of a command that failed

Command = tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One step of the recipe.

    Attributes:
        name: Its name, for --from.
        makes: What it makes.
        commands: What it runs, one after another.
        minutes: How long it took on two cores, for the time that is left; --quick takes about a minute for each.
    """

    name: str
    makes: str
    commands: tuple[Command, ...]
    minutes: float


def module(name: str, *arguments: object) -> Command:
    """Return the command of a script of this repository, or of `mfn`."""
    return (*PYTHON, name, *map(str, arguments))


def fitting(name: str, configs: Sequence[str], options: argparse.Namespace, *more: str) -> Command:
    """Return the command of a training whose options name its data."""
    given = [part for config in configs for part in ("--config", str(CONFIGS / config))]
    folder = [f"--trainer.logger.save_dir={options.out}", f"--trainer.logger.name={name}", "--trainer.logger.version=run"]
    return module("mfn", "fit", *given, *folder, *more)


def checkpoint(name: str, options: argparse.Namespace) -> Path:
    """Return the last checkpoint of a training."""
    return Path(options.out / name / "run" / "checkpoints" / "last.ckpt")


def trained(name: str, options: argparse.Namespace) -> tuple[object, ...]:
    """Return the options of `mfn export` for a training of this run."""
    return "--config", options.out / name / "run" / "config.yaml", "--checkpoint", checkpoint(name, options)


def is_done(stage: Stage, out: Path) -> bool:
    """Return whether a stage was finished with the same commands."""
    path = out / "stages" / f"{stage.name}.json"
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")) == [list(command) for command in stage.commands]


def continued(command: Command) -> Command:
    """Let a training go on from its last checkpoint, if it has one."""
    values = dict(part.removeprefix("--trainer.logger.").split("=", 1) for part in command if part.startswith("--trainer.logger."))
    last = Path(values.get("save_dir", ""), values.get("name", ""), "run", "checkpoints", "last.ckpt")
    return (*command, f"--ckpt_path={last}") if values and last.is_file() else command


def run_stage(stage: Stage, out: Path) -> None:
    """Run the commands of a stage, and remember that it is done.

    Raises:
        SystemExit: A command failed. The message has the end of its output.
    """
    log = out / "logs" / f"{stage.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        for command in map(continued, stage.commands):
            output.write(f"$ {' '.join(command)}\n".encode())
            output.flush()
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
                raise SystemExit("\n".join([*lines, f"{stage.name} failed; all of its output is in {log}. Start again to go on here."]))
    folder = out / "stages"
    folder.mkdir(exist_ok=True)
    atomic_write(folder / f"{stage.name}.json", json.dumps(stage.commands).encode())


def left_minutes(rest: Sequence[Stage], spent: Mapping[str, float], stages: Sequence[Stage]) -> float:
    """Estimate the minutes of the stages that are left, from those that were done in this run.

    Args:
        rest: The stages that are left.
        spent: Name of a stage of this run -> minutes that it took.
        stages: All stages.
    """
    expected = sum(stage.minutes for stage in stages if stage.name in spent)
    factor = sum(spent.values()) / expected if expected else 1.0
    return factor * sum(stage.minutes for stage in rest)


def run_all(stages: Sequence[Stage], out: Path) -> None:
    """Run the stages that are not done, with progress and the time that is left."""
    spent: dict[str, float] = {}
    for number, stage in enumerate(stages, 1):
        head = f"[{number}/{len(stages)}] {stage.name}: {stage.makes}"
        if is_done(stage, out):
            print(f"{head} - done before")
            continue
        rest = [later for later in stages[number - 1 :] if not is_done(later, out)]
        print(f"{head}; about {left_minutes(rest, spent, stages):.0f} min left", flush=True)
        start = time.monotonic()
        run_stage(stage, out)
        spent[stage.name] = (time.monotonic() - start) / 60
    print(f"all stages are done; see {out / 'logs'}")
