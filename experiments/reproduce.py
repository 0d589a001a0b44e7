"""Make everything that ships again, from labels to quantized networks, as stages that go on where they were stopped.

    python -m experiments.reproduce --list
    python -m experiments.reproduce --data data --landmarker face_landmarker.task --eval EVAL
    python -m experiments.reproduce --quick

A stage that was finished is skipped, unless its commands changed; --from STAGE does it and all later ones again. A training that was
stopped goes on from its last checkpoint. Output of the commands is kept in OUT/logs. --quick needs no data: it renders heads that stand
for photos, and does every stage with a few pictures and steps, in about 15 minutes on two cores. It shows that the recipe runs; its
networks are of no use. The crowds stage needs the packs `fairface` and `scenes`, which --quick leaves out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from experiments.common import make_parser
from retarget.io.files import atomic_write

CONFIGS = Path(__file__).parents[1] / "configs"
PYTHON = (sys.executable, "-m")
PHOTO_PACKS = {"photos": 6.0}  # of --quick
GENERATED = ("profiles", "heads", "edits", "winks")
TRAIN_QUICKLY = ["--trainer.max_steps=6", "--trainer.limit_train_batches=3", "--trainer.precision=32-true", "--data.batch_size=4"]
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


def sources_of(config: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the packs of a configuration, with the folders of this run.

    Args:
        config: Path below configs/.
        options: The command line. With `quick`, the photos are those that were rendered, and packs that nothing makes are left out.
    """
    data = yaml.safe_load((CONFIGS / config).read_text(encoding="utf-8"))["data"]["init_args"]
    named = data["sources"]["weights"] if "weights" in data["sources"] else data["sources"]
    placed = {str(options.out / name.removeprefix("runs/")) if name.startswith("runs/") else name: share for name, share in named.items()}
    placed = {str(options.data / name.removeprefix("data/")) if name.startswith("data/") else name: s for name, s in placed.items()}
    if not options.quick:
        return placed
    return PHOTO_PACKS | {name: share for name, share in placed.items() if Path(name).name in GENERATED}


def data_options(config: str, options: argparse.Namespace) -> list[str]:
    """Return the options that name the data of a training."""
    packs = json.dumps(sources_of(config, options))
    planned = "reader" in config or "crowds" in config  # by the data modules that compose on the device
    before = "--data.sources." if planned else "--data."
    return [f"{before}folder={options.data}", f"{before}labels={options.out / 'labels'}",
            f"{before}weights={packs}" if planned else f"--data.sources={packs}"]  # fmt: skip


def training(name: str, configs: Sequence[str], options: argparse.Namespace, *more: str) -> Command:
    """Return the command of a training on packs, whose folder is OUT/NAME/run. It goes on from its last checkpoint."""
    validation = [] if "eye_reader" in configs[0] else ["--data.validation=2"]  # all held-out eyes are one batch
    quick = [*TRAIN_QUICKLY, *validation, "--trainer.enable_progress_bar=false"] if options.quick else []
    return fitting(name, configs, options, *data_options(configs[0], options), *quick, *more)


def fitting(name: str, configs: Sequence[str], options: argparse.Namespace, *more: str) -> Command:
    """Return the command of a training whose options name its data."""
    given = [part for config in configs for part in ("--config", str(CONFIGS / config))]
    folder = [f"--trainer.logger.save_dir={options.out}", f"--trainer.logger.name={name}", "--trainer.logger.version=run"]
    return module("mfn", "fit", *given, *folder, *more)


def checkpoint(name: str, options: argparse.Namespace) -> Path:
    """Return the last checkpoint of a training."""
    return Path(options.out / name / "run" / "checkpoints" / "last.ckpt")


def label_stages(options: argparse.Namespace) -> Iterator[Stage]:
    """Yield the stages up to the training data."""
    data, out = options.data, options.out
    task = ("--landmarker", options.landmarker) if options.landmarker else ()
    if options.quick:
        make_data = module("experiments.data_generation.simulated_photos", "--out", data, "--count", 160)
        yield Stage("data", "rendered heads that stand for photos", (make_data,), 1)
    fit = module("experiments.labels.fit", "--data", data, "--out", out / "labels", *task)
    yield Stage("labels", "the head model fitted to each face", (fit,), 90)
    packs = [part for name in PHOTO_PACKS for part in ("--pack", f"{name}=1")] if options.quick else []
    both = ("--data", data, "--labels", out / "labels", *packs)
    counts = {"profiles": 8000, "edits": 6000, "winks": 5000, "heads": 6000}
    few = {"profiles": 24, "edits": 16, "winks": 6, "heads": 24}
    scripts = {"profiles": "profiles", "edits": "expressions", "winks": "winks"}
    for name, script in scripts.items():
        count = (few if options.quick else counts)[name]
        command = module(f"experiments.data_generation.{script}", *both, "--out", out / name, "--count", count)
        yield Stage(name, f"{count} pictures", (command,), 45)
    heads = ("--backgrounds", data / "backgrounds.tar", "--out", out / "heads", "--count", (few if options.quick else counts)["heads"])
    yield Stage("heads", "synthetic heads with exact labels", (module("experiments.data_generation.heads", *heads),), 30)
    if not options.quick:
        photos = out / "fairface" / "photos"
        unpack = module("tarfile", "-e", data / "faces" / "fairface.tar", photos)
        label = module("mfn", "annotate", photos, "--out", out / "fairface" / "fairface.npz", *task)
        yield Stage("fairface", "labels of the photos of another set", (unpack, label), 120)


def network_stages(options: argparse.Namespace) -> Iterator[Stage]:
    """Yield the trainings, and what is made of them."""
    out = options.out
    weights = "--model.weights={}".format
    yield Stage("pretrain", "MFN on single faces", (training("pretrain", ["mfn/default.yaml", "mfn/pretrain.yaml"], options),), 400)
    first = weights(checkpoint("pretrain", options))
    yield Stage("scenes", "MFN on whole scenes", (training("scenes", ["mfn/default.yaml"], options, first),), 500)
    last = "scenes"
    if not options.quick:
        crowds = training("crowds", ["mfn/crowds.yaml"], options, weights(checkpoint("scenes", options)))
        yield Stage("crowds", "MFN on photos of crowds with hand-drawn boxes", (crowds,), 400)
        last = "crowds"
    yield Stage("reader", "the face reader", (training("reader", ["others/face_reader.yaml"], options),), 600)
    yield Stage("eyes", "the eye reader", (training("eyes", ["others/eye_reader.yaml"], options),), 60)
    multi_face = module("mfn", "export", *trained(last, options), "--mirror-tta", "--out", out / "mfn-float.onnx")
    exports = [multi_face]
    reader = "reader"
    if not options.quick:
        yield candidate_stage(multi_face, options)
        reader = "candidates"
    for network, name in ((reader, "reader"), ("eyes", "eyes")):
        exports.append(module("mfn", "export", *trained(network, options), "--out", out / f"{name}-float.onnx"))
    yield Stage("export", "ONNX files", tuple(exports), 2)
    names = PHOTO_PACKS if options.quick else ("lfw", "youtube", "masks_without")
    tars = [*(options.data / "faces" / f"{name}.tar" for name in names), options.data / "backgrounds.tar"]
    few = ("--max-pictures", 4) if options.quick else ()
    shipped = ("mfn", "reader", "eyes")
    integers = tuple(module("mfn", "quantize", out / f"{n}-float.onnx", *tars, "--out", out / f"{n}.onnx", *few) for n in shipped)
    yield Stage("quantization", "networks of 8-bit integers", integers, 20)
    config = ("--config", out / last / "run" / "config.yaml")
    measure = [module("mfn", "validate", *config, "--ckpt_path", checkpoint(last, options), "--trainer.logger=false")]
    if options.eval:
        files = ("--weights", out / "mfn.onnx", "--out", out / "results" / "mfn.json")
        measure.append(module("experiments.accuracy.benchmarks", "--eval", options.eval, *files))
    yield Stage("tables", "figures of the new networks, in logs/tables.log and results", tuple(measure), 10)


def trained(name: str, options: argparse.Namespace) -> tuple[object, ...]:
    """Return the options of `mfn export` for a training of this run."""
    return "--config", options.out / name / "run" / "config.yaml", "--checkpoint", checkpoint(name, options)


def candidate_stage(export: Command, options: argparse.Namespace) -> Stage:
    """Return the stage that teaches the face reader which candidates of MFN are faces.

    Args:
        export: Exports MFN as OUT/mfn-float.onnx, whose candidates are collected.
        options: The command line.
    """
    data, out = options.data, options.out
    found = out / "candidates.npz"
    collect = module("experiments.data_generation.candidates", "--data", data, "--out", found, "--network", out / "mfn-float.onnx")
    files = [f"--data.candidates={found}", f"--data.scenes={data / 'scenes' / 'scenes.tar'}",
             f"--data.backgrounds={data / 'backgrounds.tar'}"]  # fmt: skip
    start = f"--model.weights={checkpoint('reader', options)}"
    learn = fitting("candidates", ["others/candidates.yaml"], options, *files, start)
    return Stage("candidates", "the face reader on right and wrong candidates", (export, collect, learn), 60)


def stages_of(options: argparse.Namespace) -> list[Stage]:
    """Return all stages, in order."""
    stages = [*label_stages(options), *network_stages(options)]
    return [replace(stage, minutes=1.0) for stage in stages] if options.quick else stages


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


def parse_arguments(arguments: Sequence[str] | None = None) -> Any:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="folder of the packs (default: data)")
    parser.add_argument("--out", type=Path, help="folder of all that is made (default: runs; with --quick runs/quick)")
    parser.add_argument("--eval", type=Path, help="folder of the evaluation sets; without it, validation data alone measures the networks")
    parser.add_argument("--landmarker", type=Path, help="MediaPipe's .task file: detect turned faces again in more views")
    parser.add_argument("--quick", action="store_true", help="try every stage with rendered heads, in about 15 minutes")
    parser.add_argument("--list", action="store_true", help="list the stages, and which are done")
    parser.add_argument("--from", dest="first", metavar="STAGE", help="do this stage and all later ones again")
    options = parser.parse_args(arguments)
    options.out = options.out or Path("runs/quick" if options.quick else "runs")
    options.data = options.data or (options.out / "data" if options.quick else Path("data"))
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parse_arguments(arguments)
    stages = stages_of(options)
    names = [stage.name for stage in stages]
    if options.first and options.first not in names:
        raise SystemExit(f"--from: expected one of {', '.join(names)}, got {options.first!r}")
    if options.list:
        for stage in stages:
            print(f"{'done' if is_done(stage, options.out) else '    '}  {stage.name:13} {stage.makes}")
        return
    if options.first:
        for name in names[names.index(options.first) :]:
            (options.out / "stages" / f"{name}.json").unlink(missing_ok=True)
            checkpoint(name, options).unlink(missing_ok=True)  # else a training would go on from it
    run_all(stages, options.out)


if __name__ == "__main__":
    main()
