"""The recipe of the networks `free`: what a company may use, from FairFace's photos to integers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from experiments.reproduce.research import RARE_SHAPES
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


def free_stages(options: argparse.Namespace) -> list[Stage]:
    """Return all stages, in order. `options`: the command line; photos come from `data`/faces/fairface.tar."""
    return [*_data_stages(options), *_network_stages(options)]


def _data_stages(options: argparse.Namespace) -> Iterator[Stage]:
    """Yield the stages up to the training data."""
    data, out = options.data, options.out
    task = ("--landmarker", options.landmarker) if options.landmarker else ()
    unpack = module("tarfile", "-e", data / "faces" / "fairface.tar", out / "photos")
    label = module("mfn", "annotate", out / "photos", "--out", out / "faces" / "fairface.npz", "--mediapipe-only", *task)
    yield Stage("fairface", "labels of the photos, by MediaPipe alone", (unpack, label), 30)
    montages = module("experiments.data_generation.montages", "--pack", out / "faces" / "fairface", "--scenes", 1150, "--out", out)
    yield Stage("montages", "pictures without faces, and crowds", (montages,), 5)
    takes = ("--takes", data / "arkit_takes.npz") if (data / "arkit_takes.npz").is_file() else ()
    render = ("experiments.data_generation.heads", "--backgrounds", out / "backgrounds.tar")
    heads = module(*render, *takes, "--out", out / "heads", "--count", 6000)
    yield Stage("heads", "synthetic heads with exact labels", (heads,), 8)
    shapes = [part for name in RARE_SHAPES for part in ("--shape", name)]
    rare = module(*render, *takes, *shapes, "--out", out / "rare_heads", "--count", 4500, "--seed", 1501)
    moods = module(*render, "--out", out / "mood_heads", "--count", 2500, "--seed", 1502)
    yield Stage("rare", "heads of rare shapes, and in any mood", (rare, moods), 10)
    pack = ("--data", out, "--labels", out / "faces" / "labels", "--pack", "fairface=1")
    for name, count in (("profiles", 3500), ("winks", 3000)):
        command = module(f"experiments.data_generation.{name}", *pack, "--out", out / name, "--count", count)
        yield Stage(name, f"{count} pictures", (command,), 6)


def _network_stages(options: argparse.Namespace) -> Iterator[Stage]:
    """Yield the trainings, and what is made of them."""
    out = options.out
    yield Stage("mfn", "the multi-face network", (_training("mfn", ["mfn"], options),), 800)
    yield Stage("face_reader", "the face reader", (_training("face_reader", ["face_reader"], options),), 60)
    second = _training("reader", ["face_reader", "face_reader_second"], options, f"--model.weights={checkpoint('face_reader', options)}")
    yield Stage("reader", "the face reader, with more around the faces", (second,), 160)
    three = ["face_reader", "face_reader_second", "face_reader_expression"]
    third = _training("expression", three, options, f"--model.weights={checkpoint('reader', options)}")
    yield Stage("expression", "the expressions of the face reader", (third,), 20)
    four = ["face_reader", "face_reader_second", "face_reader_rare"]
    fourth = _training("rare_reader", four, options, f"--model.weights={checkpoint('expression', options)}")
    yield Stage("rare_reader", "the face reader, with heads of rare shapes", (fourth,), 50)
    yield Stage("eyes", "the eye reader", (_training("eye_reader", ["eye_reader"], options),), 80)
    portrait = _training("portrait", ["portrait_reader"], options, f"--model.weights={checkpoint('mfn', options)}")
    yield Stage("portrait", "the portrait reader", (portrait,), 75)
    export = module("mfn", "export", *trained("mfn", options), "--mirror-tta", "--out", out / "mfn-float.onnx")
    found = out / "candidates.npz"
    collect = module("experiments.data_generation.candidates", "--data", out, "--out", found, "--network", out / "mfn-float.onnx")
    files = [f"--data.candidates={found}", f"--data.scenes={out / 'scenes' / 'scenes.tar'}",
             f"--data.backgrounds={out / 'backgrounds.tar'}"]  # fmt: skip
    learn = fitting("candidates", ["free/candidates.yaml"], options, *files, f"--model.weights={checkpoint('rare_reader', options)}")
    yield Stage("candidates", "the face reader on right and wrong candidates", (export, collect, learn), 25)
    eyes = module("mfn", "export", *trained("eye_reader", options), "--out", out / "eyes-float.onnx")
    photos = ("--data", out, "--labels", out / "faces" / "labels", "--pack", "fairface")
    portraits = module("mfn", "export", *trained("portrait", options), "--out", out / "sfn-float.onnx")
    exports = [*matched_reader("candidates", options, *photos), eyes, portraits]
    faces = (out / "faces" / "fairface.tar", out / "scenes" / "scenes.tar", "--max-pictures", 96, "--weights", "free")
    # With the pictures of `faces` alone the multi-face network lost small faces: an average precision of 0.46 instead of 0.58 for photos of
    # crowds at a quarter of their size.
    whole = (out / "backgrounds.tar", out / "widened" / "widened.tar", out / "scenes" / "scenes.tar", "--max-pictures", 240)
    pictures = {"mfn": whole, "reader": faces, "eyes": faces, "sfn": faces}
    integers = [module("mfn", "quantize", out / f"{n}-float.onnx", *tars, "--out", out / f"{n}.onnx") for n, tars in pictures.items()]
    yield Stage("files", "ONNX files of 8-bit integers", (*exports, *integers), 10)
    if options.eval:
        figures = measuring("mfn", options, "--reader-alone", "--portrait-reader", str(out / "sfn.onnx"))
        yield Stage("tables", "figures of the new networks, in logs/tables.log and results", figures, 10)


def _training(name: str, configs: Sequence[str], options: argparse.Namespace, *more: str) -> Command:
    """Return the command of the training NAME with some of configs/free, the last of which names the packs, on the packs of this run."""
    files = [f"free/{config}.yaml" for config in configs]
    sources = yaml.safe_load((CONFIGS / files[-1]).read_text(encoding="utf-8"))["data"]["init_args"]["sources"]
    packs = {str(options.out / Path(pack).relative_to("runs/free")): share for pack, share in sources["weights"].items()}
    folder = f"--data.sources.folder={options.out}"
    return fitting(name, files, options, folder, f"--data.sources.weights={json.dumps(packs)}", *more)
