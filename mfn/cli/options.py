"""Options that several commands share, and the predictor that they describe."""

from __future__ import annotations

import argparse
from pathlib import Path

from mfn.inference.decode import SCORE
from mfn.inference.model_zoo import DEFAULT_MODEL, FACES_ACROSS, MAX_ENLARGED_PX, MIN_FACE_PX, MODELS
from mfn.inference.predictor import SMALLEST_FACE_PX, Predictor
from mfn.inference.sessions.devices import DEVICES
from retarget.io.command_line import number_in, whole_number
from retarget.rig.avatars import AVATAR_NAMES, DEFAULT_AVATAR

_LARGEST_FOCAL_PX = 1e6
_LARGEST_FACE_PX = 1e5
_WEIGHTS = (
    "model: large, small (faster in clips and live, where it leaves out the smallest faces), free (less accurate, learned from what "
    "a company may use), or an .onnx file of your own"
)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add --quiet."""
    parser.add_argument("--quiet", action="store_true", help="print errors only, and the photos that cannot be read")


def add_network(
    parser: argparse.ArgumentParser, weights: str = DEFAULT_MODEL, score: float = SCORE, weights_help: str = _WEIGHTS
) -> None:
    """Add the options of the network that detects faces, with the given defaults."""
    text = "report faces of at least this probability, 0 to 1 (default: %(default)s)"
    parser.add_argument("--score", type=number_in(0, 1), default=score, metavar="P", help=text)
    text = "height of the smallest face to find, in px of the picture; half the height takes up to four times as long "
    frames = " or ".join(f"{model.min_face_px:.0f} ({name})" for name, model in MODELS.items())
    photos = f"{MIN_FACE_PX:.0f} in photos, down to 12 in those with a side below {MIN_FACE_PX * FACES_ACROSS:.0f} px, "
    photos += f"up to 24 in those of {MAX_ENLARGED_PX / 1e6:.0f} megapixels and more"
    text += f"(default: {photos}; in frames of 720 px height {frames}, in proportion in others)"
    parser.add_argument("--min-face", type=number_in(SMALLEST_FACE_PX, _LARGEST_FACE_PX), default=None, metavar="PX", help=text)
    parser.add_argument("--weights", default=weights, metavar="NAME", help=f"{weights_help} (default: %(default)s)")
    text = "CPU cores to use, 0 for all (default: %(default)s)"
    parser.add_argument("--threads", type=whole_number(0), default=0, metavar="N", help=text)
    text = f"what runs the network: {', '.join(DEVICES)}; cuda:1 is the second GPU; docs/guides/devices.md says what each needs "
    parser.add_argument("--device", default="cpu", metavar="NAME", help=text + "(default: %(default)s)")


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


def load_predictor(options: argparse.Namespace, finder: Path | None = None) -> Predictor:
    """Load the predictor that the options of `add_network` describe.

    Args:
        options: The options.
        finder: A multi-face network that takes the place of that of `--weights`, whose readers follow it.

    Raises:
        FileNotFoundError: There is no such model.
        ValueError: There is no such device, or its package is not installed.
    """
    if options.threads > 0:
        import cv2

        cv2.setNumThreads(options.threads)
    settings = {"min_face_px": options.min_face, "score": options.score, "threads": options.threads}
    return Predictor.load(options.weights, **settings, finder=finder, device=options.device)
