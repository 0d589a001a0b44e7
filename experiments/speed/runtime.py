"""Time of one 1280 x 720 frame against the number of faces, one core, from uint8 frame to rig weights.

    python -m experiments.speed.runtime [--photo crowd.jpg] [--avatar avatars/robot.glb] [--rounds 40]

The frames hold 0 to 200 faces: crops of `mfn.cli.demo`'s rendered heads, or of the faces found in a photo of yours. What is timed: letterbox,
network, decode, NMS, back to the frame's pixels (`detect`), then the rig's weights for all of them (`rig`). Median over rounds, the
counts taken in turn so that the machine's mood falls on all alike. Prints a table, writes experiments/results/speed/runtime.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np

from mfn.animation.bridge import faces_to_take
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.single_face import SingleFace
from retarget import Rig, load_rig
from retarget.io.images import read_image
from retarget.rig.avatars import find_avatar

RESULT = Path(__file__).parents[1] / "results" / "speed" / "runtime.json"
COUNTS = (0, 1, 10, 50, 100, 200)
WIDTH, HEIGHT = 1280, 720
PEERS = {"3DDFA_V2 (FaceBoxes, regression, dense mesh)": {1: 22.6, 10: 57.3, 50: 204, 100: 382}, "MediaPipe": {1: 9.2, 5: 38.0}}


def crops_of(photo: Path, predictor: Predictor) -> list[np.ndarray]:
    """Squares round the faces of a photo, for pasting."""
    picture = read_image(photo)
    out = []
    for x1, y1, x2, y2 in predictor(picture).box:
        half, cx, cy = 0.75 * max(x2 - x1, y2 - y1), (x1 + x2) / 2, (y1 + y2) / 2
        low = np.maximum(np.array([cy - half, cx - half]).astype(int), 0)
        high = np.array([cy + half, cx + half]).astype(int)
        out.append(picture[low[0] : high[0], low[1] : high[1]])
    if not out:
        raise SystemExit(f"{photo}: no face found to make frames of")
    return out


def frame_with(count: int, crops: list[np.ndarray]) -> np.ndarray:
    """A gray frame with `count` faces in rows."""
    import cv2

    frame = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
    columns = max(1, int(np.ceil(np.sqrt(count * WIDTH / HEIGHT))))
    side = min(WIDTH // columns, HEIGHT // max(1, int(np.ceil(count / columns))), 300)
    for i in range(count):
        y, x = i // columns * side, i % columns * side
        frame[y : y + side, x : x + side] = cv2.resize(crops[i % len(crops)], (side, side), interpolation=cv2.INTER_AREA)
    return frame


def frame_seconds(predictor: Predictor, rig: Rig, frame: np.ndarray) -> tuple[float, float]:
    """Time of one frame to Faces, and to the rig's weights."""
    start = time.perf_counter()
    faces = predictor(frame)
    middle = time.perf_counter()
    rig.weights(faces_to_take(faces, (WIDTH, HEIGHT)).coefficients)
    return middle - start, time.perf_counter() - start


def product_seconds(side: int = 512) -> float:
    """Time of a float32 product of two matrices of this side, by NumPy: how fast the machine is now (taskset -c 0 gives it one core)."""
    a = np.full((side, side), 0.5, np.float32)
    start = time.perf_counter()
    np.matmul(a, a)
    return time.perf_counter() - start


def separate_ms(path: Path, predictor: Predictor, frames: dict[int, np.ndarray]) -> dict[int, float]:
    """Median time of the same boxes, each cut out and read by a network of one face: what the one pass saves."""
    single, out = SingleFace.load(path, threads=1), {}
    for n, frame in frames.items():
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            single(frame, predictor(frame).box)
            taken.append(time.perf_counter() - start)
        out[n] = float(np.median(taken) * 1e3)
    return out


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photo", type=Path, required=True, help="a photo with faces to fill the frames with")
    parser.add_argument("--avatar", type=Path, help="the rig (default: the shipped one)")
    parser.add_argument("--weights", default="large", help="small, large or an ONNX file")
    parser.add_argument("--single", type=Path, help="a network of one face, for the row that looks at every face in a crop of its own")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    predictor = Predictor.load(args.weights, threads=1)
    rig = load_rig(args.avatar or find_avatar())
    crops = crops_of(args.photo, predictor)
    frames = {n: frame_with(n, crops) for n in COUNTS}
    found = {n: len(predictor(f)) for n, f in frames.items()}
    seconds: dict[int, list[tuple[float, float]]] = {n: [] for n in COUNTS}
    products = []
    for _ in range(args.rounds):
        products.append(min(product_seconds() for _ in range(3)))
        for n, frame in frames.items():
            seconds[n].append(frame_seconds(predictor, rig, frame))
    ms = {n: np.median(np.array(s), 0) * 1e3 for n, s in seconds.items()}
    print("| faces in the frame | " + " | ".join(map(str, COUNTS)) + " |\n" + "|---" * (len(COUNTS) + 1) + "|")
    print("| found | " + " | ".join(str(found[n]) for n in COUNTS) + " |")
    for row, name in enumerate(("frame to Faces, ms", "frame to rig weights, ms")):
        print(f"| {name} | " + " | ".join(f"{ms[n][row]:.1f}" for n in COUNTS) + " |")
    separate = separate_ms(args.single, predictor, frames) if args.single else {}
    if separate:
        print("| ours, a crop and a network for every face, ms | " + " | ".join(f"{separate[n]:.1f}" for n in COUNTS) + " |")
    for peer, known in PEERS.items():
        print(f"| {peer}, ms | " + " | ".join(str(known.get(n, "–")) for n in COUNTS) + " |")
    total = [ms[n][1] for n in COUNTS]
    spread = max(total) / min(total)
    speed = 512**3 / float(np.median(products)) / 1e9
    print(f"slowest over fastest: {spread:.3f}; meanwhile float32 products at {speed:.0f} thousand million multiplications a second")
    result = {
        "weights_sha256": hashlib.sha256(find_model(args.weights).path.read_bytes()).hexdigest(),
        "frame": [WIDTH, HEIGHT],
        "threads": 1,
        "rounds": args.rounds,
        "float32_gmac_per_second": round(speed, 1),
        "found": found,
        "detect_ms": {n: round(float(ms[n][0]), 2) for n in COUNTS},
        "to_rig_ms": {n: round(float(ms[n][1]), 2) for n in COUNTS},
        "slowest_over_fastest": round(spread, 3),
        "separate_ms": {n: round(value, 2) for n, value in separate.items()},
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
