"""Options that several commands share, and the predictor that they describe."""

from __future__ import annotations

import argparse
from pathlib import Path

from mfn.inference.decode import SCORE
from mfn.inference.model_zoo import DEFAULT_MODEL, MODELS
from mfn.inference.predictor import Predictor
from mfn.inference.tiling import TiledPredictor
from retarget.io.command_line import number_in, whole_number
from retarget.io.suggest import did_you_mean
from retarget.rig.avatars import AVATAR_NAMES, DEFAULT_AVATAR

_LARGEST_FOCAL_PX = 1e6


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add --quiet."""
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def add_network(parser: argparse.ArgumentParser, weights: str = DEFAULT_MODEL, score: float = SCORE) -> None:
    """Add the options of the network that detects faces, with the given defaults."""
    text = "report faces of at least this probability, 0 to 1 (default: %(default)s)"
    parser.add_argument("--score", type=number_in(0, 1), default=score, metavar="P", help=text)
    text = "number of pixels that the network sees, as width x height, such as 960x576; a larger size finds smaller faces "
    text += "and takes longer (default: the size of the model)"
    parser.add_argument("--size", default="", metavar="WxH", help=text)
    text = "model: large, small (faster, misses the smallest faces), or an .onnx file of your own (default: %(default)s)"
    parser.add_argument("--weights", default=weights, metavar="NAME", help=text)
    text = "CPU cores to use, 0 for all (default: %(default)s)"
    parser.add_argument("--threads", type=whole_number(0), default=0, metavar="N", help=text)


def add_tiles(parser: argparse.ArgumentParser) -> None:
    """Add the options of tiled detection."""
    text = "pictures: also search overlapping, enlarged tiles, for the small faces of large group photos; takes seconds per megapixel"
    parser.add_argument("--tiles", action="store_true", help=text)
    text = "with --tiles: height of the smallest face to find; twice the height takes a quarter of the time (default: %(default)s)"
    parser.add_argument("--least", type=float, default=8.0, metavar="PX", help=text)


def add_avatar(parser: argparse.ArgumentParser, default: str = DEFAULT_AVATAR) -> None:
    """Add --avatar, which may be given several times. `default` describes what happens without it."""
    text = f"a rigged .glb or .vrm file, or one of ours: {', '.join(AVATAR_NAMES)}; repeat the option for several avatars, "
    text += f"which people take in turn (default: {default})"
    parser.add_argument("--avatar", action="append", default=[], metavar="FILE", help=text)


def add_focal(parser: argparse.ArgumentParser) -> None:
    """Add --focal."""
    text = "focal length of the camera in px, if you know it (default: 1.2 times the longer side of the picture)"
    parser.add_argument("--focal", type=number_in(0, _LARGEST_FOCAL_PX, above=True), default=None, metavar="PX", help=text)


def add_hidden(parser: argparse.ArgumentParser, *names: str, dest: str, **settings: object) -> None:
    """Add old names of an option, which keep working but are not shown in the help."""
    parser.add_argument(*names, dest=dest, help=argparse.SUPPRESS, default=argparse.SUPPRESS, **settings)  # type: ignore[arg-type]


def load_predictor(options: argparse.Namespace) -> Predictor:
    """Load the predictor that the options of `add_network` describe.

    Raises:
        ValueError: An option is wrong.
        FileNotFoundError: There is no such model.
    """
    width, cross, height = options.size.lower().partition("x")
    if options.size and not (cross and width.isascii() and width.isdecimal() and height.isascii() and height.isdecimal()):
        raise ValueError(f"--size {options.size}: expected WIDTHxHEIGHT, such as 640x384")
    if options.weights not in MODELS and not Path(options.weights).is_file():
        expected = f"{', '.join(MODELS)}, or an .onnx file"
        raise FileNotFoundError(f"{options.weights}: no such file (expected {expected}){did_you_mean(options.weights, MODELS)}")
    if options.threads > 0:
        import cv2

        cv2.setNumThreads(options.threads)
    size = (int(width), int(height)) if options.size else None
    return Predictor.load(options.weights, size=size, score=options.score, threads=options.threads)


def load_tiled_predictor(options: argparse.Namespace) -> Predictor | TiledPredictor:
    """Load the predictor that the options of `add_network` and `add_tiles` describe. See `load_predictor`."""
    predictor = load_predictor(options)
    return TiledPredictor(predictor, options.least) if options.tiles else predictor
