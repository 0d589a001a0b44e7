"""Measure the time of a picture of 24 megapixels with 0 to 300 faces, and of one of 6 megapixels.

    python -m experiments.speed.large_picture --photo crowd.jpg --yunet yunet.onnx

The time follows the size of the picture, not the number of faces. The pictures are gray; crops of the photo's faces of
24 px and more are scattered over them. A picture of fewer faces holds a part of the faces of the others. `found` counts
the places where a face is reported, `false` the other reports. The figures are CPU seconds on one core, median over
rounds, everything included, and of YuNet's network on 640 x 360 px where it is given. `peak_megabytes` is the largest
memory of the process so far. The script prints Markdown and writes experiments/results/speed/large_picture.json.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.common import RESULTS, Figures, make_parser, markdown_table, save_report
from experiments.speed.runtime import face_crops, load_yunet
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from retarget.io.images import Image

RESULT = RESULTS / "speed" / "large_picture.json"
CASES = ((6000, 4000, 0), (6000, 4000, 5), (6000, 4000, 50), (6000, 4000, 300), (3000, 2000, 50))  # width, height px, faces
CELL_PX = 260  # each face lies in a cell of its own
CROP_PX = (38, 256)  # smallest and largest side of a crop; its face fills about two thirds of it
GRAY = 96
UNIT_RUNS = 9


class Scattered(NamedTuple):
    """A picture (height, width, 3) uint8 RGB, and the places (N, 4) of its faces' crops, x1 y1 x2 y2 px."""

    picture: Image
    places: NDArray[np.int64]


def scatter(width: int, height: int, count: int, crops: Sequence[Image]) -> Scattered:
    """Scatter faces over a gray picture; the first faces are the same for every count.

    Args:
        width, height: Size of the picture, px.
        count: Number of faces.
        crops: Pictures of faces.

    Raises:
        ValueError: The picture has too few cells for the faces.
    """
    import cv2

    rng, columns = np.random.default_rng(0), width // CELL_PX
    cells = rng.permutation(columns * (height // CELL_PX))
    sides = np.exp(rng.uniform(np.log(CROP_PX[0]), np.log(CROP_PX[1]), len(cells))).astype(int)
    if count > len(cells):
        raise ValueError(f"expected at most {len(cells)} faces in {width} x {height} px, got {count}")
    picture, places = np.full((height, width, 3), GRAY, np.uint8), np.zeros((count, 4), np.int64)
    for number, (cell, side) in enumerate(zip(cells[:count], sides, strict=False)):
        x, y = cell % columns * CELL_PX, cell // columns * CELL_PX
        crop = crops[number % len(crops)]
        picture[y : y + side, x : x + side] = cv2.resize(crop, (int(side), int(side)), interpolation=cv2.INTER_AREA)
        places[number] = x, y, x + side, y + side
    return Scattered(picture, places)


def measure(predictor: Predictor, scattered: Scattered, rounds: int) -> Figures:
    """Measure one picture: faces found, false ones, the network's input in megapixels, CPU seconds."""
    height, width = scattered.picture.shape[:2]
    seconds, faces = [], Faces.empty()
    for _ in range(rounds):
        start = time.process_time()
        faces = predictor(scattered.picture)
        seconds.append(time.process_time() - start)
    middle = (faces.box[:, None, :2] + faces.box[:, None, 2:]) / 2
    inside = ((middle > scattered.places[:, :2]) & (middle < scattered.places[:, 2:])).all(2)  # (faces, places)
    found = int(inside.any(0).sum())
    input_px = sum(len(p.tiles) * p.tiles[0].width * p.tiles[0].height * p.factor**2 for p in predictor.passes(height, width))
    return {
        "found": found,
        "false": len(faces) - found,
        "input_megapixels": round(input_px / 1e6, 1),
        "cpu_seconds": round(float(np.median(seconds)), 2),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--photo", type=Path, required=True, help="a photo with faces to scatter")
    parser.add_argument("--weights", default="large", help="small, large or an ONNX file")
    parser.add_argument("--min-face", type=float, help="height of the smallest face to find, px of the picture (default: Predictor's)")
    parser.add_argument("--yunet", type=Path, help="YuNet's ONNX file of any input size")
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    predictor = Predictor.load(args.weights, min_face_px=args.min_face, threads=1)
    crops, yunet = face_crops(args.photo, predictor), load_yunet(args.yunet) if args.yunet else None
    rows: list[Figures] = []
    for width, height, count in CASES:
        figures = measure(predictor, scatter(width, height, count, crops), args.rounds)
        if yunet is not None:
            figures["of_yunet"] = round(figures["cpu_seconds"] / float(np.median([yunet() for _ in range(UNIT_RUNS)])), 1)
        rows.append({"picture": f"{width} x {height}", "faces": count} | figures)
        print(rows[-1], flush=True)
    print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))
    large = [row["cpu_seconds"] for row in rows if row["picture"] == rows[0]["picture"]]
    report = {
        "min_face_px": args.min_face,
        "threads": 1,
        "rounds": args.rounds,
        "rows": rows,
        "slowest_over_fastest_24_megapixels": round(max(large) / min(large), 3),
    }
    save_report(args, __file__, report, find_model(args.weights).path)


if __name__ == "__main__":
    main()
