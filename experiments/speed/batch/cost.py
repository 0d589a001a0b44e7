"""Measure what one photo costs, and compute from it what a billion cost.

    python -m experiments.speed.batch.cost PHOTOS

PHOTOS is a folder of pictures. Each of the first --pictures is read as it is. A quarter of them is also scaled up to --megapixels, saved
as JPEG and read twice: with the smallest face that `mfn batch` looks for by default, and with --min-face. The script measures the CPU time
of reading and decoding, of the network, and of all that `mfn batch` adds, on one core; and the size of the tables of all pictures as one
Parquet part. From these it computes the core hours and the terabytes of a billion photos. It writes
experiments/results/speed/batch/cost.json.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from experiments.common import RESULTS, Figures, make_parser, save_report
from mfn.batch.picture import DecodedPicture, add_picture, decode_picture
from mfn.batch.sources import list_pictures
from mfn.batch.tables.columns import FACE_COLUMNS, PICTURE_COLUMNS, Rows
from mfn.batch.tables.formats import encode_rows
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from retarget.io.images import write_image

RESULT = RESULTS / "speed" / "batch" / "cost.json"
BILLION = 1e9
FACES_A_PHOTO = 3.0  # assumed for the projection


def cpu_ms(call: Callable[[], object]) -> float:
    """Return the CPU time of a call in ms."""
    started = time.process_time()
    call()
    return (time.process_time() - started) * 1000


def scaled_up(path: str, megapixels: float, folder: Path) -> str:
    """Write a picture scaled to a number of megapixels as JPEG and return its path."""
    import cv2

    pixels = decode_picture(path).pixels
    factor = float(np.sqrt(megapixels * 1e6 / (pixels.shape[0] * pixels.shape[1])))
    target = folder / f"{Path(path).stem}.jpg"
    write_image(target, np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8))
    return str(target)


def measure_photos(predictor: Predictor, paths: Sequence[str], rows: Rows) -> Figures:
    """Return the mean CPU times of reading some photos, in ms, and their mean size. The first is read twice, to warm up."""
    times: list[tuple[float, float, float]] = []
    sizes = []
    for path in (paths[0], *paths):
        kept: list[DecodedPicture] = []
        decode = cpu_ms(lambda path=path, kept=kept: kept.append(decode_picture(path)))  # type: ignore[misc]
        started = time.process_time()
        faces = predictor(kept[0].pixels)
        network = (time.process_time() - started) * 1000
        target = rows if times else Rows()
        added = cpu_ms(lambda kept=kept, faces=faces, target=target: add_picture(predictor, kept[0], faces, target))  # type: ignore[misc]
        times.append((decode, network, added))
        sizes.append(kept[0].bytes)
    decode, network, added = np.mean(times[1:], axis=0)
    return {
        "read_and_decode_cpu_ms": round(float(decode), 1),
        "network_cpu_ms": round(float(network), 1),
        "rows_cpu_ms": round(float(added), 1),
        "photos_a_core_and_second": round(1000 / float(decode + network + added), 2),
        "mean_file_mb": round(float(np.mean(sizes)) / 1e6, 3),
    }


def projection(photo: Figures, face_bytes: float, picture_bytes: float) -> Figures:
    """Return what a billion of these photos take: computed, not measured."""
    return {
        "core_hours": round(BILLION / photo["photos_a_core_and_second"] / 3600),
        "days_on_1000_cores": round(BILLION / photo["photos_a_core_and_second"] / 1000 / 86400, 1),
        "input_tb": round(BILLION * photo["mean_file_mb"] / 1e6, 1),
        "tables_tb": round(BILLION * (FACES_A_PHOTO * face_bytes + picture_bytes) / 1e12, 2),
    }


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("photos", type=Path, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=60, help="number of pictures")
    parser.add_argument("--megapixels", type=float, default=12.0, help="size of the large photos")
    parser.add_argument("--min-face", type=float, default=60.0, metavar="PX", help="smallest face of the large photos, second reading")
    parser.add_argument("--weights", default="large", help="network")
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    predictor = Predictor.load(args.weights, threads=1)
    paths = [picture.path for picture in list_pictures([str(args.photos)]).pictures][: args.pictures]
    rows = Rows()
    with tempfile.TemporaryDirectory() as folder:
        large_paths = [scaled_up(path, args.megapixels, Path(folder)) for path in paths[: max(1, args.pictures // 4)]]
        large = measure_photos(predictor, large_paths, Rows())
        large_faces = measure_photos(Predictor.load(args.weights, threads=1, min_face_px=args.min_face), large_paths, Rows())
    small = measure_photos(predictor, paths, rows)
    face_bytes = len(encode_rows(rows.faces, FACE_COLUMNS, "parquet")) / max(1, len(rows.faces))
    picture_bytes = len(encode_rows(rows.pictures, PICTURE_COLUMNS, "parquet")) / len(rows.pictures)
    name = f"{args.megapixels:g} megapixels"
    photos = {"as they are": small, name: large, f"{name}, faces from {args.min_face:g} px": large_faces}
    computed = {key: projection(photo, face_bytes, picture_bytes) for key, photo in photos.items()}
    figures = photos | {
        "faces": len(rows.faces),
        "parquet_bytes_a_face": round(face_bytes),
        "parquet_bytes_a_picture": round(picture_bytes),
        "computed_for_a_billion": computed,
        "assumed_faces_a_photo": FACES_A_PHOTO,
    }
    print(figures)
    save_report(args, __file__, figures, {args.weights: find_model(args.weights).path})


if __name__ == "__main__":
    main()
