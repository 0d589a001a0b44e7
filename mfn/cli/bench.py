"""`mfn bench`: measure the time of a frame on this machine, from the image to rig weights, by the number of faces."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.cli.main import PROGRAM
from mfn.cli.options import add_network, load_predictor
from mfn.inference.input.letterbox import make_letterbox
from mfn.inference.predictor import Predictor
from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import palette_appearances
from mfn.synthesis.crowd import backdrop, paint_crowd, random_crowd
from retarget.arkit import ARKIT_NAMES
from retarget.io.command_line import EXIT_DONE, whole_number
from retarget.io.images import Image

SIZE = (1280, 720)  # width, height of the frame, px
CROWDS = (0, 1, 10, 50, 100)
STAGES = ("network", "faces", "weights")
_MORPH_TARGETS = 60  # of the rig that is driven


class Timing(NamedTuple):
    """Times of one frame."""

    found: int  # faces
    stages_ms: list[float]  # median time of each of STAGES: the multi-face network alone, image to faces, faces to rig weights
    total_ms: float  # median time of the whole path


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn bench` and return the exit code."""
    parser = PROGRAM.parser(verb, "Measure the time of a 1280 x 720 frame on this machine, by the number of faces in it.")
    text = "frames to measure for each row (default: %(default)s)"
    parser.add_argument("--repeats", type=whole_number(1), default=20, metavar="N", help=text)
    add_network(parser, "small")
    parser.set_defaults(threads=1)
    options = parser.parse_args(arguments)
    return bench(load_predictor(options), options.repeats)


def bench(predictor: Predictor, repeats: int = 20, crowds: Sequence[int] = CROWDS) -> int:
    """Print a table of times, a row for each crowd.

    Args:
        predictor: Detects the faces.
        repeats: Frames to measure for each row.
        crowds: Numbers of people in the frames.

    Returns:
        The exit code.
    """
    print("faces found" + "".join(f"{stage + ' ms':>12}" for stage in (*STAGES, "total")))
    for people in crowds:
        timing = time_crowd(predictor, people, repeats)
        times = "".join(f"{ms:12.2f}" for ms in (*timing.stages_ms, timing.total_ms))
        print(f"{people:5d} {timing.found:5d}{times}", flush=True)
    print("Faces that are not found are too small: a lower --min-face finds more, and takes longer.")
    return EXIT_DONE


def crowd_image(people: int, seed: int = 0) -> Image:
    """Render an image (720, 1280, 3) uint8 of a number of people."""
    rng = np.random.default_rng(seed)
    head_model = HeadModel.load()
    image = backdrop(SIZE[1], SIZE[0], rng)
    paint_crowd(image, random_crowd(head_model, people, SIZE, rng), head_model, palette_appearances(people, rng))
    return image


def time_crowd(predictor: Predictor, people: int, repeats: int) -> Timing:
    """Measure the time of a frame with a number of people."""
    picture = crowd_image(people)
    inputs = []
    for part in predictor.passes(*SIZE[::-1], video=True):
        box = make_letterbox(part.tiles[0].height, part.tiles[0].width, part.factor, *predictor.finder.limits[:2])
        inputs += [np.zeros((1, box.height, box.width, 3), np.uint8)] * len(part.tiles)
    matrix = np.eye(len(ARKIT_NAMES), _MORPH_TARGETS, dtype=np.float32)

    def weights(expression: NDArray[np.float32]) -> NDArray[Any]:
        """Do what `Rig.weights` does: one product for all faces."""
        coefficients = np.concatenate([expression, np.zeros((len(expression), 1), np.float32)], 1)
        return np.clip(coefficients @ matrix, 0, 1)

    faces = predictor(picture, video=True)
    stages_ms = [
        median_ms(lambda: [predictor.finder.cells(image) for image in inputs], repeats),
        median_ms(lambda: predictor(picture, video=True), repeats),
        median_ms(lambda: weights(faces.expression), repeats),
    ]
    return Timing(len(faces), stages_ms, median_ms(lambda: weights(predictor(picture, video=True).expression), repeats))


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, ms. A first call is not counted."""
    call()
    times_s = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times_s.append(time.perf_counter() - start)
    return float(np.median(times_s)) * 1000
