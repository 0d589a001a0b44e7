"""Measure the time of one 1280 x 720 frame against the number of faces, on one core, from the frame to rig weights.

    python -m experiments.speed.runtime --photo crowd.jpg
    python -m experiments.speed.runtime --photo crowd.jpg --weights small --out experiments/results/speed/runtime_small.json

The frames hold 0 to 200 faces, cut from a photo (`mfn demo` makes one). `detect` is the time of letterbox, network,
decoding, NMS and the way back to px of the frame; `rig` adds the rig's weights for all faces. The figures are medians
over rounds. Each round times all counts in turn, so that other work on the machine slows all counts alike; the speed of
a float32 matrix product is measured beside them. With `--yunet FILE.onnx` each round also runs YuNet's network on 640 x 360
px in ONNX Runtime, the unit of `of_yunet`. The script prints a table and writes experiments/results/speed/runtime.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.common import RESULTS, make_parser, markdown_table, save_report
from mfn.animation.bridge import faces_to_take
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.sessions.onnx_session import open_session
from mfn.inference.single_face import SingleFace
from mfn.structures.faces import Faces
from retarget import Rig, load_rig
from retarget.io.images import Image, read_image
from retarget.rig.avatars import find_avatar

RESULT = RESULTS / "speed" / "runtime.json"
COUNTS = (0, 1, 10, 50, 100, 200)
WIDTH, HEIGHT = 1280, 720
MAX_TILE_PX = 300
GRAY = 96
PRODUCT_SIDE = 512
SEPARATE_ROUNDS = 5
YUNET_SIZE = (384, 640)  # 640 x 360 px, padded to multiples of 32 as OpenCV does
# method -> number of faces -> ms on one core
PEERS: dict[str, dict[int, float]] = {
    name: {int(count): ms for count, ms in times.items()}
    for name, times in json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))["to_rig_ms"].items()
}


class FrameSeconds(NamedTuple):
    """Hold the seconds from a frame to `Faces`, and to the rig's weights."""

    detect: float
    rig: float


def face_crops(photo: Path, predictor: Predictor) -> list[Image]:
    """Cut a square around each face of a photo.

    Raises:
        ValueError: The photo holds no face.
    """
    picture = read_image(photo)
    crops = []
    for x1, y1, x2, y2 in predictor(picture).box:
        half, cx, cy = 0.75 * max(x2 - x1, y2 - y1), (x1 + x2) / 2, (y1 + y2) / 2
        low = np.maximum(np.array([cy - half, cx - half]).astype(int), 0)
        high = np.array([cy + half, cx + half]).astype(int)
        crops.append(picture[low[0] : high[0], low[1] : high[1]])
    if not crops:
        raise ValueError(f"{photo}: expected a photo with faces, found none; give another with --photo")
    return crops


def frame_with(count: int, crops: Sequence[Image]) -> Image:
    """Return a gray frame (HEIGHT, WIDTH, 3) uint8 with `count` faces in rows."""
    import cv2

    frame = np.full((HEIGHT, WIDTH, 3), GRAY, np.uint8)
    columns = max(1, int(np.ceil(np.sqrt(count * WIDTH / HEIGHT))))
    side = min(WIDTH // columns, HEIGHT // max(1, int(np.ceil(count / columns))), MAX_TILE_PX)
    for i in range(count):
        y, x = i // columns * side, i % columns * side
        frame[y : y + side, x : x + side] = cv2.resize(crops[i % len(crops)], (side, side), interpolation=cv2.INTER_AREA)
    return frame


def time_frame(predictor: Callable[..., Faces], rig: Rig, frame: Image) -> FrameSeconds:
    """Time one frame."""
    start = time.perf_counter()
    faces = predictor(frame, video=True)
    middle = time.perf_counter()
    rig.weights(faces_to_take(faces, (WIDTH, HEIGHT)).coefficients)
    return FrameSeconds(middle - start, time.perf_counter() - start)


def time_product(side: int = PRODUCT_SIDE) -> float:
    """Return the seconds of one float32 product of two square matrices: how fast the machine is now."""
    a = np.full((side, side), 0.5, np.float32)
    start = time.perf_counter()
    np.matmul(a, a)
    return time.perf_counter() - start


def load_yunet(path: Path) -> Callable[[], float]:
    """Return a function that runs YuNet's network once on an input of YUNET_SIZE, one core, and returns the seconds."""
    session = open_session(path, threads=1)
    feed = {session.get_inputs()[0].name: np.full((1, 3, *YUNET_SIZE), 127, np.float32)}

    def run() -> float:
        start = time.perf_counter()
        session.run(None, feed)
        return time.perf_counter() - start

    return run


def time_counts(
    predictor: Callable[..., Faces], rig: Rig, frames: Mapping[int, Image], rounds: int, yunet: Callable[[], float] = time_product
) -> tuple[dict[int, FrameSeconds], float, float]:
    """Time all frames, in turn.

    Returns:
        For each number of faces the median seconds, and the median seconds of a matrix product and of `yunet` meanwhile.
    """
    seconds: dict[int, list[FrameSeconds]] = {count: [] for count in frames}
    products, units = [], []
    for _ in range(rounds):
        products.append(min(time_product() for _ in range(3)))
        units.append(min(yunet() for _ in range(3)))
        for count, frame in frames.items():
            seconds[count].append(time_frame(predictor, rig, frame))
    medians = {count: FrameSeconds(*np.median(np.array(rows), 0)) for count, rows in seconds.items()}
    return medians, float(np.median(products)), float(np.median(units))


def separate_ms(path: Path, predictor: Predictor, frames: Mapping[int, Image]) -> dict[int, float]:
    """Return the median ms of a frame when a single-face network reads each box of the detector in a crop of its own."""
    single, result = SingleFace.load(path, threads=1), {}
    for count, frame in frames.items():
        seconds = []
        for _ in range(SEPARATE_ROUNDS):
            start = time.perf_counter()
            single(frame, predictor(frame, video=True).box)
            seconds.append(time.perf_counter() - start)
        result[count] = float(np.median(seconds) * 1e3)
    return result


def table(found: Mapping[int, int], seconds: Mapping[int, FrameSeconds], separate: Mapping[int, float]) -> str:
    """Return a Markdown table with one column a number of faces."""
    rows: list[list[object]] = [
        ["found", *(found[n] for n in COUNTS)],
        ["frame to Faces, ms", *(f"{seconds[n].detect * 1e3:.1f}" for n in COUNTS)],
        ["frame to rig weights, ms", *(f"{seconds[n].rig * 1e3:.1f}" for n in COUNTS)],
    ]
    if separate:
        rows.append(["ours, a crop and a network for every face, ms", *(f"{separate[n]:.1f}" for n in COUNTS)])
    rows += [[f"{peer}, ms", *(known.get(n, "–") for n in COUNTS)] for peer, known in PEERS.items()]
    return markdown_table(["faces in the frame", *COUNTS], rows)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--photo", type=Path, required=True, help="a photo with faces that fill the frames")
    parser.add_argument("--avatar", type=Path, help="the rig (default: a character that ships)")
    parser.add_argument("--weights", default="large", help="small, large or an ONNX file")
    parser.add_argument("--min-face", type=float, help="height of the smallest face to find, px of the frame (default: the model's)")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file of any input size, which is timed in turn")
    parser.add_argument("--single", type=Path, help="a single-face network: adds the row with one crop for every face")
    parser.add_argument("--rounds", type=int, default=40)
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_arguments()
    import cv2

    cv2.setNumThreads(1)
    predictor = Predictor.load(args.weights, min_face_px=args.min_face, threads=1)
    crops = face_crops(args.photo, predictor)
    frames = {count: frame_with(count, crops) for count in COUNTS}
    found = {count: len(predictor(frame, video=True)) for count, frame in frames.items()}
    rig, yunet = load_rig(args.avatar or find_avatar()), load_yunet(args.yunet) if args.yunet else time_product
    seconds, product_s, unit_s = time_counts(predictor, rig, frames, args.rounds, yunet)
    separate = separate_ms(args.single, predictor, frames) if args.single else {}
    print(table(found, seconds, separate))
    total = [row.rig for row in seconds.values()]
    spread, gmac = max(total) / min(total), PRODUCT_SIDE**3 / product_s / 1e9
    if args.yunet:
        print(f"YuNet's network on 640 x 360: {unit_s * 1e3:.1f} ms; ours, of that: {max(total) / unit_s:.2f}")
    print(f"slowest over fastest: {spread:.3f}; float32 products meanwhile: {gmac:.0f} billion multiply-adds a second")
    figures = {
        "frame": [WIDTH, HEIGHT],
        "threads": 1,
        "rounds": args.rounds,
        "float32_gmac_per_second": round(gmac, 1),
        "found": found,
        "detect_ms": {n: round(row.detect * 1e3, 2) for n, row in seconds.items()},
        "to_rig_ms": {n: round(row.rig * 1e3, 2) for n, row in seconds.items()},
        "of_yunet": {n: round(row.rig / unit_s, 2) for n, row in seconds.items()} if args.yunet else None,
        "slowest_over_fastest": round(spread, 3),
        "separate_ms": {n: round(value, 2) for n, value in separate.items()},
    }
    save_report(args, __file__, figures, find_model(args.weights).path)


if __name__ == "__main__":
    main()
