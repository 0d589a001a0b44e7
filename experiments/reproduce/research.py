"""The recipe of the networks `small` and `large`, from labels to integers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from experiments.reproduce.stages import (
    CONFIGS,
    Command,
    Stage,
    checkpoint,
    fitting,
    matched_reader,
    measuring,
    module,
    trained,
)

PHOTO_PACKS = {"photos": 6.0}  # of --quick
GENERATED = ("profiles", "heads", "edits", "winks")
RARE_SHAPES = (
    "jawLeft",
    "jawRight",
    "mouthLeft",
    "mouthRight",
    "mouthPucker",
    "mouthRollLower",
    "mouthFrown",
    "mouthShrugLower",
)
"""What every picture of the packs rare_heads and rare_edits shows one of."""
TRAIN_QUICKLY = ["--trainer.max_steps=6", "--trainer.limit_train_batches=3", "--trainer.precision=32-true", "--data.batch_size=4"]


def sources_of(config: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the packs of a configuration, with the folders of this run.

    Args:
        config: Path below configs/.
        options: The command line. With `quick`, the photos are those that were rendered, and packs that nothing makes are left out.
    """
    sources = _sources(config)
    named = sources.get("weights", sources)
    placed = {str(options.out / name.removeprefix("runs/")) if name.startswith("runs/") else name: share for name, share in named.items()}
    placed = {str(options.data / name.removeprefix("data/")) if name.startswith("data/") else name: s for name, s in placed.items()}
    if not options.quick:
        return placed
    return PHOTO_PACKS | {name: share for name, share in placed.items() if Path(name).parent.name in GENERATED}


def _sources(config: str) -> Mapping[str, Any]:
    """Return what a configuration says of its packs: their shares by name, or as `weights` beside the folders."""
    read: Mapping[str, Any] = yaml.safe_load((CONFIGS / config).read_text(encoding="utf-8"))["data"]["init_args"]["sources"]
    return read


def _data_config(configs: Sequence[str]) -> str:
    """Return the last configuration that names packs."""
    read = {config: yaml.safe_load((CONFIGS / config).read_text(encoding="utf-8")) for config in configs}
    return next(config for config in reversed(configs) if "sources" in read[config].get("data", {}).get("init_args", {}))


def data_options(config: str, options: argparse.Namespace) -> list[str]:
    """Return the options that name the data of a training."""
    packs = json.dumps(sources_of(config, options))
    planned = "weights" in _sources(config)  # by the data modules that compose on the device
    before = "--data.sources." if planned else "--data."
    return [f"{before}folder={options.data}", f"{before}labels={options.out / 'labels'}",
            f"{before}weights={packs}" if planned else f"--data.sources={packs}"]  # fmt: skip


def training(name: str, configs: Sequence[str], options: argparse.Namespace, *more: str) -> Command:
    """Return the command of a training on packs, whose folder is OUT/NAME/run. It goes on from its last checkpoint."""
    validation = [] if "eye_reader" in configs[0] else ["--data.validation=2"]  # all held-out eyes are one batch
    quick = [*TRAIN_QUICKLY, *validation, "--trainer.enable_progress_bar=false"] if options.quick else []
    return fitting(name, configs, options, *data_options(_data_config(configs), options), *quick, *more)


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
        yield rare_stage(options)
        photos = out / "fairface" / "photos"
        unpack = module("tarfile", "-e", data / "faces" / "fairface.tar", photos)
        label = module("mfn", "annotate", photos, "--out", out / "fairface" / "fairface.npz", *task)
        yield Stage("fairface", "labels of the photos of another set", (unpack, label), 120)


def rare_stage(options: argparse.Namespace) -> Stage:
    """Return the stage of the packs for rarely seen expressions: heads in any mood, and heads and edits that show rare shapes."""
    data, out = options.data, options.out
    shapes = [part for name in RARE_SHAPES for part in ("--shape", name)]
    heads = ("experiments.data_generation.heads", "--backgrounds", data / "backgrounds.tar")
    takes = ("--takes", data / "arkit_takes.npz") if (data / "arkit_takes.npz").is_file() else ()
    moods = module(*heads, "--out", out / "mood_heads", "--count", 4000, "--seed", 1303)
    rare_heads = module(*heads, *takes, *shapes, "--out", out / "rare_heads", "--count", 6000, "--seed", 1301)
    edits = ("experiments.data_generation.expressions", "--data", data, "--labels", out / "labels", *shapes)
    rare_edits = module(*edits, "--out", out / "rare_edits", "--count", 3500, "--seed", 1302)
    return Stage("rare", "heads and edits of rare shapes", (moods, rare_heads, rare_edits), 4)


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
    yield Stage("face_reader", "the face reader", (training("face_reader", ["others/face_reader.yaml"], options),), 200)
    configs, start = ["others/face_reader.yaml", "others/face_reader_second.yaml"], weights(checkpoint("face_reader", options))
    yield Stage("reader", "the face reader, with a loss on gains", (training("reader", configs, options, start),), 200)
    if not options.quick:
        third, start = [*configs, "others/face_reader_expression.yaml"], weights(checkpoint("reader", options))
        yield Stage("expression", "the expressions of the face reader", (training("expression", third, options, start),), 55)
        fourth, start = [*configs, "others/face_reader_branches.yaml"], weights(checkpoint("expression", options))
        yield Stage("branches", "the branches of the face reader alone", (training("branches", fourth, options, start),), 60)
    portrait = training("portrait", ["sfn/second.yaml"], options, weights(checkpoint("scenes", options)))
    yield Stage("portrait", "SFN, the portrait reader", (portrait,), 80)
    yield Stage("eyes", "the eye reader", (training("eyes", ["others/eye_reader.yaml"], options),), 60)
    multi_face = module("mfn", "export", *trained(last, options), "--mirror-tta", "--out", out / "mfn-float.onnx")
    if not options.quick:
        yield candidate_stage(multi_face, options)
    photos = ["--data", options.data, "--labels", out / "labels"]
    photos += [part for name in PHOTO_PACKS for part in ("--pack", name)] if options.quick else []
    readers = matched_reader("reader" if options.quick else "candidates", options, *photos)
    eyes = module("mfn", "export", *trained("eyes", options), "--out", out / "eyes-float.onnx")
    portraits = module("mfn", "export", *trained("portrait", options), "--out", out / "sfn-float.onnx")
    yield Stage("export", "ONNX files", (multi_face, *readers, eyes, portraits), 2)
    names = PHOTO_PACKS if options.quick else ("lfw", "youtube", "masks_without")
    tars = [*(options.data / "faces" / f"{name}.tar" for name in names), options.data / "backgrounds.tar"]
    few = ("--max-pictures", 4) if options.quick else ()
    shipped = ("mfn", "reader", "eyes", "sfn")
    integers = tuple(module("mfn", "quantize", out / f"{n}-float.onnx", *tars, "--out", out / f"{n}.onnx", *few) for n in shipped)
    yield Stage("quantization", "networks of 8-bit integers", integers, 20)
    figures = measuring(last, options, "--portrait-reader", str(out / "sfn.onnx"))
    yield Stage("tables", "figures of the new networks, in logs/tables.log and results", figures, 10)


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
    start = f"--model.weights={checkpoint('branches', options)}"
    learn = fitting("candidates", ["others/candidates.yaml"], options, *files, start)
    return Stage("candidates", "the face reader on right and wrong candidates", (export, collect, learn), 60)


def research_stages(options: argparse.Namespace) -> list[Stage]:
    """Return all stages, in order."""
    stages = [*label_stages(options), *network_stages(options)]
    return [replace(stage, minutes=1.0) for stage in stages] if options.quick else stages
