"""`mfn export` and `mfn quantize`: a training checkpoint to an ONNX file, and that to 8-bit integers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mfn.cli.main import PROGRAM
from mfn.cli.options import add_hidden
from mfn.cli.training.train import require_training
from mfn.inference.model_zoo import DEFAULT_MODEL, find_model
from mfn.models.export.deployment import MAX_OPSET, MIN_OPSET, OPSET
from mfn.structures.network_metadata import Size
from retarget.io.command_line import EXIT_DONE, whole_number
from retarget.io.images import Image, as_image
from retarget.io.progress import Progress

_MAX_REFINEMENT_STEPS = 9


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn export` or `mfn quantize` and return the exit code."""
    return _export(arguments) if verb == "export" else _quantize(arguments)


def _export(arguments: Sequence[str]) -> int:
    parser = PROGRAM.parser("export", "Convert a trained network to an ONNX file.")
    text = "configuration of the training; repeat the option for every file, in the same order"
    parser.add_argument("--config", action="append", required=True, metavar="FILE.yaml", help=text)
    parser.add_argument("--checkpoint", required=True, metavar="FILE.ckpt", help="checkpoint that the training wrote")
    text = "multi-face network: process the image a second time, mirrored, and average; improves large faces"
    parser.add_argument("--mirror-tta", action="store_true", help=text)
    add_hidden(parser, "--mirror", dest="mirror_tta", action="store_true")
    text = "multi-face network: number of refinement steps of each face (default: as in the configuration)"
    steps = whole_number(1, _MAX_REFINEMENT_STEPS)
    parser.add_argument("--refinement-steps", type=steps, default=None, metavar="N", help=text)
    add_hidden(parser, "--looks", dest="refinement_steps", type=steps)
    parser.add_argument("--out", default="mfn.onnx", metavar="FILE", help="file to write (default: %(default)s)")
    _add_form(parser)
    options = parser.parse_args(arguments)
    configs, checkpoint, out = [Path(c) for c in options.config], Path(options.checkpoint), Path(options.out)
    require_training()
    with Progress() as progress:
        progress.stage("loading the checkpoint")
        from mfn.models.export.deployment import OnnxForm
        from mfn.models.export.to_onnx import enable_mirror_tta, set_refinement_steps, write_onnx  # loads torch
        from mfn.training.checkpoints import load_network

        network = load_network(configs, checkpoint)
        if options.refinement_steps is not None:
            set_refinement_steps(network, options.refinement_steps)
        progress.stage(f"writing {out}")
        form = OnnxForm(options.batch, options.size, options.fp16, options.opset)
        write_onnx(enable_mirror_tta(network) if options.mirror_tta else network, out, form=form)
    if not form.is_plain:
        print(f"wrote {out}: a network for another runtime; docs/guides/devices.md has the commands")
        return EXIT_DONE
    kind = getattr(network, "kind", "")
    uses = {"multi_face": f"the network for --weights {out}", "cell": "a face reader", "eyes": "an eye reader"}
    use = uses.get(kind, "a network of one face, for `mfn.SingleFace.load`")
    gain = "twice as fast" if kind in uses else "faster, with pictures" if kind == "parameters" else "half as large"
    print(f"wrote {out}: {use}; `mfn quantize` makes it {gain}")
    return EXIT_DONE


def _add_form(parser: argparse.ArgumentParser) -> None:
    """Add the options of networks for other runtimes."""
    text = "multi-face network: the only size of its input, such as 864x480, multiples of 16; for TensorRT, Core ML, LiteRT (default: any)"
    parser.add_argument("--size", type=size, default=None, metavar="WxH", help=text)
    text = "the only number of pictures of one call (default: any)"
    parser.add_argument("--batch", type=whole_number(1), default=None, metavar="N", help=text)
    parser.add_argument("--fp16", action="store_true", help="calculate in float16, except for the positions of landmarks")
    text = f"version of ONNX's operators, {MIN_OPSET} to {MAX_OPSET} (default: %(default)s)"
    parser.add_argument("--opset", type=whole_number(MIN_OPSET, MAX_OPSET), default=OPSET, metavar="N", help=text)


def size(text: str) -> Size:
    """Read a size such as 864x480."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected a size such as 864x480, got {text!r}")
    return Size(int(width), int(height))


def _quantize(arguments: Sequence[str]) -> int:
    text = "Convert a multi-face network, a face reader or an eye reader to 8-bit integers: twice as fast on a CPU, and half as large."
    parser = PROGRAM.parser("quantize", f"{text} A network of one face gets faster if it predicts parameters and if there are pictures.")
    parser.add_argument("source", metavar="NETWORK.onnx", help="file that `mfn export` wrote")
    text = "pictures like those it will see, which set the ranges: files, directories with their subdirectories, or .tar archives"
    parser.add_argument("pictures", nargs="*", help=f"{text}; without them, a network of one face becomes smaller only")
    parser.add_argument("--out", default="mfn-int8.onnx", metavar="FILE", help="file to write (default: %(default)s)")
    text = "number of pictures to use (default: %(default)s)"
    parser.add_argument("--max-pictures", type=whole_number(1), default=128, metavar="N", help=text)
    add_hidden(parser, "--most", dest="max_pictures", type=whole_number(1))
    text = "networks that read crops: the network that finds the faces: large, free, or an .onnx file (default: %(default)s)"
    parser.add_argument("--weights", default=DEFAULT_MODEL, metavar="NAME", help=text)
    options = parser.parse_args(arguments)
    source, out = Path(options.source), Path(options.out)
    if not source.is_file():
        raise FileNotFoundError(f"{source}: no such network")
    find_model(options.weights)  # a wrong name ends the command here, before the pictures are read
    require_training()
    out.parent.mkdir(parents=True, exist_ok=True)
    with Progress() as progress:
        progress.stage("reading the pictures")
        from mfn.models.export.quantize import quantize  # loads onnx

        pictures = sample_pictures(options.pictures, options.max_pictures)
        progress.stage("measuring the ranges, which takes minutes")
        quantize(source, out, pictures, options.weights)
    print(f"wrote {out}: the quantized network")
    return EXIT_DONE


def sample_pictures(names: Sequence[str], count: int) -> list[Image]:
    """Read pictures, spread evenly over all sources.

    Args:
        names: Picture files, directories of pictures, or .tar archives of pictures as the training reads them.
        count: Largest number of pictures. Of more sources, some give none.

    Returns:
        Images (H, W, 3) uint8 RGB.
    """
    from mfn.batch.sources import list_pictures
    from mfn.training.packs.reader import read_pictures  # loads torch

    chosen: list[Image] = []
    names = [names[i] for i in np.linspace(0, len(names) - 1, min(count, len(names))).astype(int)]
    for name in names:
        files = [] if name.endswith(".tar") else [picture.path for picture in list_pictures([name]).pictures]
        source: Sequence[Any] = files or read_pictures(Path(name))
        share = min(count // len(names), len(source))
        chosen += [as_image(source[i]) for i in np.linspace(0, len(source) - 1, share).astype(int)]
    return chosen
