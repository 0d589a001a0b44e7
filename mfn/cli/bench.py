"""`mfn bench`: what a frame costs on this machine, from uint8 picture to rig weights, by the number of faces in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from mfn.inference.decode import decode
from mfn.inference.letterbox import letterbox_image, unletterbox
from mfn.inference.predictor import Predictor
from mfn.structures.head_model import HeadModel
from mfn.synthesis.appearance import palette_appearances
from mfn.synthesis.crowd import backdrop, paint_crowd, random_crowd
from retarget.arkit import ARKIT_NAMES
from retarget.io.images import Picture

SIZE = (1280, 720)
CROWDS = (0, 1, 10, 50, 100)
STAGES = ("resize", "network", "decode", "weights")
TARGETS = 60  # morph targets of the rig that is driven


def bench(predictor: Predictor, repeats: int = 20, crowds: Sequence[int] = CROWDS) -> int:
    """Prints a table, a row for each crowd. -> exit code"""
    if repeats < 1:
        raise ValueError(f"--repeats {repeats}: expected 1 or more")
    print("faces found" + "".join(f"{s + ' ms':>12}" for s in (*STAGES, "whole")))
    for people in crowds:
        found, stages, whole = time_crowd(predictor, people, repeats)
        print(f"{people:5d} {found:5d}" + "".join(f"{ms:12.2f}" for ms in (*stages, whole)), flush=True)
    return 0


def crowd_picture(people: int, seed: int = 0) -> Picture:
    """A rendered picture of so many people, (720, 1280, 3) uint8."""
    random = np.random.default_rng(seed)
    head_model = HeadModel.load()
    picture = backdrop(SIZE[1], SIZE[0], random)
    paint_crowd(picture, random_crowd(head_model, people, SIZE, random), head_model, palette_appearances(people, random))
    return picture


def time_crowd(predictor: Predictor, people: int, repeats: int) -> tuple[int, list[float], float]:
    """Faces found, median ms of each of STAGES and of the whole path, for a picture of `people`."""
    picture = crowd_picture(people)
    box = predictor.letterbox(*picture.shape[:2])
    image = letterbox_image(picture, box)[None]
    cells = predictor.cells(image)
    height, width = image.shape[1:3]
    matrix = np.eye(len(ARKIT_NAMES), TARGETS, dtype=np.float32)

    def weights(expression: np.ndarray) -> np.ndarray:
        """What `Rig.weights` does: one product for all faces."""
        full = np.concatenate([expression, np.zeros((len(expression), 1), np.float32)], 1)
        return np.clip(full @ matrix, 0, 1)

    faces = unletterbox(decode(cells, height, width, predictor.score), box)
    stages = [
        median_ms(lambda: letterbox_image(picture, box), repeats),
        median_ms(lambda: predictor.cells(image), repeats),
        median_ms(lambda: unletterbox(decode(cells, height, width, predictor.score), box), repeats),
        median_ms(lambda: weights(faces.expression), repeats),
    ]
    return len(faces), stages, median_ms(lambda: weights(predictor(picture).expression), repeats)


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000
