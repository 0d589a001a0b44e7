"""Measure the time of `--tiles` on a picture of 24 megapixels with 0 to 300 faces, and on one of 6 megapixels.

    python -m experiments.speed.tiles --photo crowd.jpg

The time follows the size of the picture, not the number of faces. The pictures are gray; crops of the photo's faces of
32 px and more are scattered over them. A picture of fewer faces holds a part of the faces of the others. The figures
are CPU seconds on one core, median over rounds, everything included. The script prints Markdown and writes
experiments/results/speed/tiles_speed.json.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.speed.runtime import face_crops
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.tiling import TiledPredictor, plan
from retarget.io.images import Image

RESULT = RESULTS / "speed" / "tiles_speed.json"
CASES = ((6000, 4000, 0), (6000, 4000, 5), (6000, 4000, 50), (6000, 4000, 300), (3000, 2000, 50))  # width, height px, faces
CELL_PX = 260  # each face lies in a cell of its own
CROP_PX = (64, 256)  # smallest and largest side of a crop; its face fills about two thirds of it
GRAY = 96


def scatter(width: int, height: int, count: int, crops: Sequence[Image]) -> Image:
    """Scatter faces over a gray picture; the first faces are the same for every count.

    Args:
        width, height: Size of the picture, px.
        count: Number of faces.
        crops: Pictures of faces.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        ValueError: The picture has too few cells for the faces.
    """
    import cv2

    rng, columns = np.random.default_rng(0), width // CELL_PX
    cells = rng.permutation(columns * (height // CELL_PX))
    sides = np.exp(rng.uniform(np.log(CROP_PX[0]), np.log(CROP_PX[1]), len(cells))).astype(int)
    if count > len(cells):
        raise ValueError(f"expected at most {len(cells)} faces in {width} x {height} px, got {count}")
    picture = np.full((height, width, 3), GRAY, np.uint8)
    for number, (cell, side) in enumerate(zip(cells[:count], sides, strict=False)):
        x, y = cell % columns * CELL_PX, cell // columns * CELL_PX
        crop = crops[number % len(crops)]
        picture[y : y + side, x : x + side] = cv2.resize(crop, (int(side), int(side)), interpolation=cv2.INTER_AREA)
    return picture


def measure(predictor: TiledPredictor, picture: Image, min_height_px: float, rounds: int) -> Figures:
    """Measure one picture: faces found, the network's input in megapixels, CPU seconds."""
    height, width = picture.shape[:2]
    seconds, found = [], 0
    for _ in range(rounds):
        start = time.process_time()
        found = len(predictor(picture))
        seconds.append(time.process_time() - start)
    scales = plan(height, width, predictor.letterbox(height, width), min_height_px, predictor.predictor.fixed_size)
    input_px = sum(len(s.corners) * s.box.height * s.box.width for s in scales)
    return {"found": found, "input_megapixels": round(input_px / 1e6, 1), "cpu_seconds": round(float(np.median(seconds)), 2)}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--photo", type=Path, required=True, help="a photo with faces to scatter")
    parser.add_argument("--weights", default="small", help="small, large or an ONNX file")
    parser.add_argument("--least", type=float, default=16.0, help="minimum height of a face, px of the picture")
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    crops = face_crops(args.photo, Predictor.load("large", threads=1))
    predictor = TiledPredictor(Predictor.load(args.weights, threads=1), args.least)
    rows: list[Figures] = []
    print("| picture | faces | found | network's input, megapixels | CPU seconds |\n" + "|---" * 5 + "|")
    for width, height, count in CASES:
        figures = measure(predictor, scatter(width, height, count, crops), args.least, args.rounds)
        rows.append({"picture": [width, height], "faces": count} | figures)
        print(f"| {width} x {height} | {count} | " + " | ".join(map(str, figures.values())) + " |", flush=True)
    large = [row["cpu_seconds"] for row in rows if row["picture"] == list(CASES[0][:2])]
    report = {
        "least_px": args.least,
        "threads": 1,
        "rounds": args.rounds,
        "rows": rows,
        "slowest_over_fastest_24_megapixels": round(max(large) / min(large), 3),
    }
    save_report(args, __file__, report, find_model(args.weights).path)


if __name__ == "__main__":
    main()
