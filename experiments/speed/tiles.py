"""`--tiles` on a picture of 24 megapixels with 0 to 300 faces, and on one of 6: time follows the picture's size, not the faces' number.

    python -m experiments.speed.tiles --photo crowd.jpg [--weights small] [--least 16] [--rounds 1]

The pictures are gray, with crops of the photo's faces of 32 px and more strewn over them; those of fewer faces are a part of the others'.
CPU seconds on one core, everything included, median over rounds. Prints Markdown, writes experiments/results/speed/tiles_speed.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np

from experiments.speed.runtime import crops_of
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.tiling import TiledPredictor, plan
from retarget.io.images import Picture

RESULT = Path(__file__).parents[1] / "results" / "speed" / "tiles_speed.json"
CASES = ((6000, 4000, 0), (6000, 4000, 5), (6000, 4000, 50), (6000, 4000, 300), (3000, 2000, 50))  # width, height px, faces
CELL, CROP = 260, (64, 256)  # px: of a place, and from the least to the largest side of a crop; its face has some two thirds of it


def strewn(width: int, height: int, count: int, crops: list[Picture]) -> Picture:
    """A gray picture (H, W, 3) uint8 with `count` crops, each in a place of its own; the first are the same for every count."""
    import cv2

    rng, columns = np.random.default_rng(0), width // CELL
    places = rng.permutation(columns * (height // CELL))
    sides = np.exp(rng.uniform(*np.log(CROP), len(places))).astype(int)
    if count > len(places):
        raise ValueError(f"expected at most {len(places)} faces in {width} x {height} px, got {count}")
    out = np.full((height, width, 3), 96, np.uint8)
    for number, (place, side) in enumerate(zip(places[:count], sides)):
        x, y = place % columns * CELL, place // columns * CELL
        crop = crops[number % len(crops)]
        out[y : y + side, x : x + side] = cv2.resize(crop, (int(side), int(side)), interpolation=cv2.INTER_AREA)
    return out


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--photo", type=Path, required=True, help="a photo with faces to strew")
    parser.add_argument("--weights", default="small", help="small, large or an ONNX file")
    parser.add_argument("--least", type=float, default=16.0, help="height of the least face that is looked for, px of the picture")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    crops = crops_of(args.photo, Predictor.load("large", threads=1))
    predictor = TiledPredictor(Predictor.load(args.weights, threads=1), args.least)
    rows = []
    print("| picture | faces | found | network's input, megapixels | CPU seconds |\n" + "|---" * 5 + "|")
    for width, height, count in CASES:
        picture, taken = strewn(width, height, count, crops), []
        for _ in range(args.rounds):
            start = time.process_time()
            found = len(predictor(picture))
            taken.append(time.process_time() - start)
        scales = plan(height, width, predictor.letterbox(height, width), args.least, predictor.predictor.fixed_size)
        seen = sum(len(s.corners) * s.box.height * s.box.width for s in scales) / 1e6
        rows.append({"picture": [width, height], "faces": count, "found": found, "input_megapixels": round(seen, 1)})
        rows[-1]["cpu_seconds"] = round(float(np.median(taken)), 2)
        print(f"| {width} x {height} | {count} | {found} | {seen:.1f} | {rows[-1]['cpu_seconds']} |", flush=True)
    large = [row["cpu_seconds"] for row in rows if row["picture"] == list(CASES[0][:2])]
    report = {
        "weights_sha256": hashlib.sha256(find_model(args.weights).path.read_bytes()).hexdigest(),
        "least_px": args.least,
        "threads": 1,
        "rounds": args.rounds,
        "rows": rows,
        "slowest_over_fastest_24_megapixels": round(max(large) / min(large), 3),
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
