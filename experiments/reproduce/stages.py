"""Stages: steps of a recipe that are done once, and go on where they were stopped."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from experiments.common import sha256
from retarget.io.files import atomic_write

CONFIGS = Path(__file__).parents[2] / "configs"
PYTHON = (sys.executable, "-m")
SHOWN_LINES = 12  # of the output of a command that failed
INPUTS = (".yaml", ".ckpt", ".safetensors", ".onnx")  # configurations and networks: what a command reads, apart from data
NETWORKS = {"--weights": "mfn.onnx", "--reader": "reader.onnx", "--eye-reader": "eyes.onnx"}
"""Option of experiments.accuracy.benchmarks -> file of a recipe."""

Command = tuple[str, ...]
Record = dict[str, Any]
"""A command, and the digests of the configurations and networks that it reads, by file."""


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


def matched_reader(name: str, options: argparse.Namespace, *photos: object) -> tuple[Command, Command]:
    """Return the commands that let the expressions of a face reader vary as labels do, and export it as OUT/reader-float.onnx.

    Args:
        name: Its last training.
        options: The command line.
        photos: Options of `experiments.labels.match_spread` that name photos and labels.
    """
    state, config = options.out / "reader.safetensors", options.out / name / "run" / "config.yaml"
    report = ("--report", options.out / "results" / "match_spread.json")
    match = module("experiments.labels.match_spread", checkpoint(name, options), *photos, "--out", state, *report)
    return match, module("mfn", "export", "--config", config, "--checkpoint", state, "--out", options.out / "reader-float.onnx")


def measuring(name: str, options: argparse.Namespace, *more: str) -> tuple[Command, ...]:
    """Return the commands that measure the networks of a run: the multi-face training NAME alone, and with --eval all of them.

    Args:
        name: The training.
        options: The command line.
        more: Options of `experiments.accuracy.benchmarks`.
    """
    config = ("--config", options.out / name / "run" / "config.yaml")
    validate = module("mfn", "validate", *config, "--ckpt_path", checkpoint(name, options), "--trainer.logger=false")
    if not options.eval:
        return (validate,)
    files = [part for option, file in NETWORKS.items() for part in (option, options.out / file)]
    figures = ("--out", options.out / "results" / "mfn.json")
    return validate, module("experiments.accuracy.benchmarks", "--eval", options.eval, *files, *figures, *more)


def record_of(command: Command) -> Record:
    """Return what a command does: the command, and the digests of the files of `INPUTS` that it names."""
    return {"command": list(command), "files": {str(path): sha256(path) for path in _inputs(command)}}


def _inputs(command: Command) -> Iterator[Path]:
    """Yield the files of `INPUTS` that a command reads, and those that a configuration names, such as ../parts/trainer.yaml."""
    for before, part in zip(("", *command), command, strict=False):
        path = Path(part.partition("=")[2] or part)
        if before != "--out" and path.suffix in INPUTS and path.is_file():
            yield path
            values = yaml.safe_load(path.read_text(encoding="utf-8")) if path.suffix == ".yaml" else None
            named = [path.parent / value for value in (values or {}).values() if isinstance(value, str) and value.endswith(".yaml")]
            yield from (other for other in named if other.is_file())


def is_same(known: Record | list[str], command: Command) -> bool:
    """Return whether a command is that of a record, and reads the same files. Files that were deleted since then do not count."""
    if isinstance(known, list):  # of an older version, which kept no digests
        return known == list(command)
    return bool(known["command"] == list(command) and record_of(command)["files"].items() <= known["files"].items())


def is_done(stage: Stage, out: Path) -> bool:
    """Return whether a stage was finished with the same commands, configurations and networks."""
    known = _read(_done_file(stage, out), [])
    return len(known) == len(stage.commands) and all(map(is_same, known, stage.commands))


def forget(stage: Stage, out: Path) -> None:
    """Let a stage be done again from its beginning."""
    _done_file(stage, out).unlink(missing_ok=True)
    for command in stage.commands:
        if folder := training_folder(command):
            _running_file(folder).unlink(missing_ok=True)


def training_folder(command: Command) -> Path | None:
    """Return the folder of the run of a training; None for other commands."""
    values = dict(part.removeprefix("--trainer.logger.").split("=", 1) for part in command if part.startswith("--trainer.logger."))
    return Path(values["save_dir"], values["name"], values["version"]) if "save_dir" in values else None


def started(command: Command) -> Command:
    """Return how to start a command: a training that was stopped goes on from its last checkpoint.

    A training that was finished, or whose command, configuration or first weights are others now, begins anew: its old checkpoints are
    deleted. Those of a run that this script did not start are kept as `checkpoints.old`.
    """
    folder = training_folder(command)
    if folder is None:
        return command
    last, known = folder / "checkpoints" / "last.ckpt", _read(_running_file(folder), None)
    if known and is_same(known, command):
        return (*command, f"--ckpt_path={last}") if last.is_file() else command
    if known is None and last.is_file() and not last.parent.with_suffix(".old").exists():
        last.parent.rename(last.parent.with_suffix(".old"))
    shutil.rmtree(last.parent, ignore_errors=True)
    _write(_running_file(folder), record_of(command))
    return command


def run_stage(stage: Stage, out: Path) -> None:
    """Run the commands of a stage, and remember that it is done.

    Raises:
        SystemExit: A command failed, or Ctrl-C. Of a command that failed, the message has the end of its output.
    """
    log, records = out / "logs" / f"{stage.name}.log", []
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        for command in stage.commands:
            records.append(record_of(command))
            if _run(started(command), output):
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN_LINES:]
                raise SystemExit("\n".join([*lines, f"{stage.name} failed; all of its output is in {log}. Start again to go on here."]))
            if folder := training_folder(command):
                _running_file(folder).unlink(missing_ok=True)
    _write(_done_file(stage, out), records)


def _run(command: Command, output: IO[bytes]) -> int:
    """Run a command and return its exit code. After Ctrl-C, which reaches it too, it has the time to write its checkpoint."""
    output.write(f"$ {' '.join(command)}\n".encode())
    output.flush()
    with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise SystemExit("stopped. Start again to go on here.") from None


def _done_file(stage: Stage, out: Path) -> Path:
    return out / "stages" / f"{stage.name}.json"


def _running_file(folder: Path) -> Path:
    """Return the file with the record of a training that has begun and is not finished."""
    return folder.with_name("running.json")


def _read(path: Path, missing: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else missing


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, json.dumps(value, indent=1).encode())


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
