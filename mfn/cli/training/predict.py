"""`mfn predict`: the faces that a training checkpoint finds in photos, without an export by hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mfn.cli.batch import ProgressLine
from mfn.cli.detect import DetectOutput, detect
from mfn.cli.main import PROGRAM
from mfn.cli.options import add_network, add_quiet, load_predictor
from mfn.cli.training.train import require_training
from mfn.inference.model_zoo import MODELS
from mfn.inference.predictor import Predictor
from retarget.io.command_line import EXIT_BAD_INPUT, EXIT_DONE
from retarget.io.progress import Progress

TABLES = (".parquet", ".csv", ".jsonl")
_DESCRIPTION = (
    "Find every face of photos with the network of a training. Writes NAME.faces.json for each photo, as `mfn detect`, or one table, as "
    "`mfn batch`. The network runs as `mfn export` would write it, followed by the readers that ship."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn predict` and return the exit code."""
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    parser.add_argument("pictures", nargs="+", metavar="PHOTOS", help="picture files, patterns, or folders with their subfolders")
    text = "configuration of the training, such as RUN/config.yaml; repeat the option for every file, in the same order"
    parser.add_argument("--config", action="append", required=True, metavar="FILE.yaml", help=text)
    text = "checkpoint that the training wrote, or a .safetensors file"
    parser.add_argument("--ckpt_path", "--checkpoint", required=True, metavar="FILE.ckpt", help=text)
    text = "folder to write into, or a table: a name that ends in .parquet, .csv or .jsonl (default: the current directory)"
    parser.add_argument("--out", default=".", metavar="FOLDER", help=text)
    text = "go on with a run that was stopped; into a folder: leave out photos whose files are there already"
    parser.add_argument("--resume", action="store_true", help=text)
    add_quiet(parser)
    add_network(parser, weights_help=f"model whose readers follow the network of the checkpoint: {', '.join(MODELS)}")
    options = parser.parse_args(arguments)
    if options.weights not in MODELS:
        raise ValueError(f"--weights {options.weights}: expected one of {', '.join(MODELS)}; the network itself is that of --ckpt_path")
    require_training()
    with TemporaryDirectory() as folder:
        network = Path(folder) / "network.onnx"
        with Progress(options.quiet) as progress:
            progress.stage("loading the checkpoint")
            _export([Path(config) for config in options.config], Path(options.ckpt_path), network)
        if options.out.lower().endswith(TABLES):
            options.threads = options.threads or 1  # each of the processes has one
            return _write_table(load_predictor(options, network), options)
        output = DetectOutput(options.out, ("json",), resume=options.resume)
        return detect(load_predictor(options, network), options.pictures, output, options.quiet)


def _export(configs: Sequence[Path], checkpoint: Path, out: Path) -> None:
    """Write the network of a checkpoint as an ONNX file.

    Raises:
        ValueError: The network finds no faces, because it reads one face of a crop.
    """
    from mfn.models.export.to_onnx import write_onnx  # loads torch
    from mfn.models.mfn import MFN
    from mfn.training.checkpoints import load_network

    network = load_network(configs, checkpoint)
    if not isinstance(network, MFN):
        raise ValueError(
            f"{checkpoint}: expected a multi-face network, got {type(network).__name__}, which needs the boxes of the faces; "
            "export it with `mfn export`, and give the boxes to mfn.SingleFace"
        )
    write_onnx(network, out)


def _write_table(predictor: Predictor, options: argparse.Namespace) -> int:
    """Write the table of `mfn batch` and return the exit code."""
    from mfn.batch.run import BatchOptions, run_batch
    from mfn.batch.sources import list_pictures

    listing = list_pictures(options.pictures)
    listing.print_skipped(options.quiet)
    line = ProgressLine(options.quiet)
    try:
        paths = [picture.path for picture in listing.pictures]
        summary = run_batch(predictor, paths, options.out, BatchOptions(resume=options.resume), line.show)
    finally:
        line.clear()
    if not options.quiet:
        before = f"; {summary.before} pictures were done before" if summary.before else ""
        print(f"wrote {options.out}: {summary.faces} faces of {summary.pictures} pictures, {summary.failures} failures{before}")
    return EXIT_BAD_INPUT if summary.failures and not summary.pictures and not summary.before else EXIT_DONE
