"""`mfn annotate`: label photos, as training data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mfn.cli.main import PROGRAM
from mfn.cli.options import add_hidden, add_network, add_quiet, load_predictor
from retarget.io.command_line import one_of
from retarget.io.progress import Progress

_SCORE = 0.4  # lower than usual: the landmarks confirm or reject a face
_DESCRIPTION = (
    "Label photos by landmarks and model fitting. Writes X.npz, X.tar and labels/X.npz, which `mfn fit` reads. "
    "A run that was stopped continues when it is started again."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn annotate` and return the exit code."""
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    parser.add_argument("photos", nargs="+", help="picture files, patterns, or directories, which are searched with their subdirectories")
    parser.add_argument("--out", required=True, metavar="X.npz", help="the pack to write")
    text = "model file of MediaPipe's face landmarker (default: face_landmarker.task of the current directory; else it is downloaded once)"
    parser.add_argument("--landmarker", metavar="FILE", help=text)
    text = "do not download the model file; say where to get it instead"
    parser.add_argument("--no-download", dest="download", action="store_false", help=text)
    text = "folder: all photos of a directory show one person; unknown: they may show anybody (default: %(default)s)"
    parser.add_argument("--people", type=one_of("unknown", "folder"), default="unknown", metavar="HOW", help=text)
    text = "shrink photos whose longer side is larger, 64 to 3000 px (default: %(default)s)"
    parser.add_argument("--max-side", type=int, default=1600, metavar="PX", help=text)
    add_hidden(parser, "--longest", dest="max_side", type=int)
    text = "whether to detect each face in several views and average them: slower, but finds more and is more stable"
    parser.add_argument("--multi-view", action=argparse.BooleanOptionalAction, default=True, help=text)
    add_hidden(parser, "--second-look", "--no-second-look", dest="multi_view", action=argparse.BooleanOptionalAction)
    text = "also fit the colors of the photo, not only its landmarks (with priors on the mesh if PyTorch3D is installed)"
    parser.add_argument("--photometric", action="store_true", help=text)
    text = "some faces wink: keep the lids of each eye as they are fitted; otherwise both eyes get the mean, which is mostly truer"
    parser.add_argument("--winks", action="store_true", help=text)
    text = "label by MediaPipe alone, without our networks and learned priors: for weights that a company may ship (configs/free)"
    parser.add_argument("--mediapipe-only", action="store_true", help=text)
    add_quiet(parser)
    add_network(parser, score=_SCORE)
    options = parser.parse_args(arguments)
    from mfn.batch.sources import list_pictures
    from mfn.fitting.annotate import AnnotateOptions, annotate  # loads torch
    from mfn.fitting.landmarker import find_model

    listing = list_pictures(options.photos)
    listing.print_skipped(options.quiet)
    with Progress(options.quiet) as progress:
        landmarker = options.landmarker or str(find_model(options.download, progress.note))
        settings = AnnotateOptions(
            landmarker, options.multi_view, options.max_side, options.people, options.quiet, options.photometric, options.winks,
            options.mediapipe_only,
        )
        predictor = None if options.mediapipe_only else load_predictor(options)
        return annotate(predictor, [photo.path for photo in listing.pictures], options.out, settings, progress.bar("photos"))
