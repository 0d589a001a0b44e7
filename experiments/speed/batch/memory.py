"""Measure the memory of `mfn batch` over many pictures: it must not grow with their number.

    python -m experiments.speed.batch.memory PHOTOS --pictures 20000

PHOTOS is a folder of pictures, which are copied until there are --pictures of them; with --side they are scaled down first, so that many
pass in a short time. The memory of all processes of the command is sampled twice a second. The script reports the peak and the median of
each tenth of the run; pages that processes share count for each. It writes
experiments/results/speed/batch/memory.json.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from experiments.common import RESULTS, make_parser, save_report
from experiments.speed.batch.processes import copy_pictures, run_command
from mfn.batch.sources import list_pictures
from mfn.inference.model_zoo import find_model

RESULT = RESULTS / "speed" / "batch" / "memory.json"


def shrunk(sources: Sequence[Path], side_px: int, folder: Path) -> list[Path]:
    """Write pictures scaled down to a longer side as JPEG, and return their paths."""
    folder.mkdir()
    targets = []
    for i, source in enumerate(sources):
        with PIL.Image.open(source) as picture:
            picture.thumbnail((side_px, side_px))
            targets.append(folder / f"{i:04d}.jpg")
            picture.convert("RGB").save(targets[-1], quality=90)
    return targets


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("photos", type=Path, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=20000, help="number of pictures")
    parser.add_argument("--side", type=int, default=0, metavar="PX", help="scale the pictures to this longer side (default: as is)")
    parser.add_argument("--workers", type=int, default=2, help="number of processes")
    parser.add_argument("--weights", default="small", help="network")
    args = parser.parse_args()
    sources = [Path(picture.path) for picture in list_pictures([str(args.photos)]).pictures]
    with tempfile.TemporaryDirectory() as folder:
        if args.side:
            sources = shrunk(sources, args.side, Path(folder, "small"))
        copy_pictures(sources, Path(folder, "photos"), args.pictures)
        out = str(Path(folder, "faces.parquet"))
        command = ["mfn", "batch", str(Path(folder, "photos")), "--out", out, "--engine", "processes", "--workers", str(args.workers)]
        run = run_command([*command, "--weights", args.weights, "--quiet"])
        if run.code:
            raise SystemExit(run.errors)
        rows = sum(1 for _ in Path(folder, "faces.pictures.parquet").iterdir())
    tenths = np.array_split(np.array(run.memory_mb), 10)
    figures = {
        "pictures": args.pictures,
        "parts": rows,
        "longer_side_px": args.side or None,
        "workers": args.workers,
        "seconds": round(run.seconds),
        "peak_mb_by_tenth": [round(float(t.max())) for t in tenths],
        "median_mb_by_tenth": [round(float(np.median(t))) for t in tenths],
    }
    print(figures)
    save_report(args, __file__, figures, {args.weights: find_model(args.weights).path})


if __name__ == "__main__":
    main()
