"""Measure the time of the face reader and of the eye reader against K, the number of crops of a frame that they read.

    python -m experiments.speed.readers --photo crowd.jpg

In frames with few faces, the face reader reads K / 2 crops and the portrait reader K / 4 instead; these are timed together.

The frame of 1280 x 720 px holds 128 faces, cut from a photo (`mfn demo` makes one). Each round times all K in turn, then the
multi-face network of `small` and of `large` on the same frame, so that other work on the machine slows all alike. The figures
are medians over rounds, on one core. `float32_gmac_per_second` is the speed of a float32 matrix product meanwhile. `small`
reads K = 16 faces of a frame and `large` 64. The script prints a table and writes experiments/results/speed/readers.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.common import RESULTS, Figures, make_parser, markdown_table, save_report
from experiments.speed.runtime import PRODUCT_SIDE, face_crops, frame_with, time_product
from mfn.inference.face_finder import Found
from mfn.inference.model_zoo import DEFAULT_WEIGHTS, MODELS
from mfn.inference.predictor import Predictor
from mfn.inference.readers.face_reader import CANDIDATE_SCORE
from mfn.inference.readers.portrait_reader import share_crops
from retarget.io.images import Image

RESULT = RESULTS / "speed" / "readers.json"
COUNTS = (0, 8, 16, 32, 64, 128)
NETWORKS = ("small", "large")


class ReaderSeconds(NamedTuple):
    """Hold the seconds of the face reader, of the eye reader, and of face and portrait reader in a frame with few faces."""

    face: float
    eyes: float
    few: float


def find(predictor: Predictor, frame: Image) -> Found:
    """Find the faces of a frame (H, W, 3) as `Predictor` does, without reading them."""
    passes = predictor.passes(frame.shape[0], frame.shape[1], video=True)
    return predictor.finder.find(frame, passes, CANDIDATE_SCORE)


def time_readers(predictor: Predictor, frame: Image, found: Found, count: int) -> ReaderSeconds:
    """Time the readers on `count` of the faces that were found in a frame (H, W, 3).

    Raises:
        ValueError: The network has no readers.
    """
    if predictor.reader is None or predictor.eye_reader is None or predictor.portrait_reader is None:
        raise ValueError("expected a network with a face reader, an eye reader and a portrait reader")
    few, crops = found.faces[: count // 4], share_crops(found.faces.score[:0], count)
    start = time.perf_counter()
    faces = predictor.reader.refine(frame, found.faces, found.height_px, count)
    middle = time.perf_counter()
    predictor.eye_reader.refine(frame, faces, count)
    end = time.perf_counter()
    read = predictor.reader.refine(frame, few, found.height_px[: len(few)], crops.face)
    predictor.portrait_reader.refine(frame, read, crops.portrait)
    return ReaderSeconds(middle - start, end - middle, time.perf_counter() - end)


def measure(predictors: Mapping[str, Predictor], frame: Image, rounds: int) -> Figures:
    """Time the readers for all K, and each multi-face network, in turn.

    Args:
        predictors: The models by name. The faces that the last one finds are read.
        frame: (H, W, 3) uint8 RGB.
        rounds: Number of rounds. One more comes first and does not count.

    Returns:
        Medians in ms: `face_reader_ms`, `eye_reader_ms` and `few_faces_ms` by K, and `network_ms` by model.
    """
    last = list(predictors.values())[-1]
    found = find(last, frame)
    readers: dict[int, list[ReaderSeconds]] = {count: [] for count in COUNTS}
    networks: dict[str, list[float]] = {name: [] for name in predictors}
    products = []
    for _ in range(rounds + 1):
        products.append(min(time_product() for _ in range(3)))
        for count in COUNTS:
            readers[count].append(time_readers(last, frame, found, count))
        for name, predictor in predictors.items():
            start = time.perf_counter()
            find(predictor, frame)
            networks[name].append(time.perf_counter() - start)
    medians = {count: ReaderSeconds(*np.median(rows[1:], 0)) for count, rows in readers.items()}
    return {
        "frame": [frame.shape[1], frame.shape[0]],
        "threads": 1,
        "rounds": rounds,
        "float32_gmac_per_second": round(PRODUCT_SIDE**3 / float(np.median(products)) / 1e9, 1),
        "found": len(found.faces),
        "face_reader_ms": {str(count): round(row.face * 1e3, 2) for count, row in medians.items()},
        "eye_reader_ms": {str(count): round(row.eyes * 1e3, 2) for count, row in medians.items()},
        "few_faces_ms": {str(count): round(row.few * 1e3, 2) for count, row in medians.items()},
        "network_ms": {name: round(float(np.median(seconds[1:])) * 1e3, 2) for name, seconds in networks.items()},
    }


def table(figures: Figures) -> str:
    """Return a Markdown table with one row for each K. It also shows the share of the readers in the time of a frame."""
    rows: list[list[object]] = []
    for count, face in figures["face_reader_ms"].items():
        eyes = figures["eye_reader_ms"][count]
        shares = [f"{100 * (face + eyes) / (face + eyes + ms):.0f} %" for ms in figures["network_ms"].values()]
        each = f"{(face + eyes) / int(count):.2f}" if int(count) else "–"
        rows.append([count, f"{face:.1f}", f"{figures['few_faces_ms'][count]:.1f}", f"{eyes:.1f}", f"{face + eyes:.1f}", each, *shares])
    shares = [f"of a frame with {name}'s network" for name in figures["network_ms"]]
    few = "few faces: face and portrait reader"
    return markdown_table(["K", "face reader, ms", few, "eye reader", "face and eye reader", "for each face", *shares], rows)


def readers() -> str:
    """Return the paragraph of docs/results.md on the readers' time, or "" as long as it is not measured."""
    if not RESULT.is_file():
        return ""
    figures = json.loads(RESULT.read_text(encoding="utf-8"))
    found = " and ".join(f"{ms:.0f} ms (`{name}`)" for name, ms in figures["network_ms"].items())
    kept = " and ".join(f"{MODELS[name].frame_faces} with `{name}`" for name in figures["network_ms"])
    text = f"`python -m experiments.speed.readers`. The time of the readers by K, the number of crops of a frame: {kept}.\n"
    return f"{text}The multi-face network takes {found} for the same frame.\n\n{table(figures)}"


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--photo", type=Path, required=True, help="a photo with faces that fill the frame")
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    predictors = {name: Predictor.load(name, threads=1) for name in NETWORKS}
    frame = frame_with(max(COUNTS), face_crops(args.photo, predictors["large"]))
    figures = measure(predictors, frame, args.rounds)
    print(table(figures))
    save_report(args, __file__, figures, DEFAULT_WEIGHTS)


if __name__ == "__main__":
    main()
