"""Measure what `mfn batch` costs beside a plain loop over the same pictures.

    python -m experiments.speed.batch.throughput PHOTOS --pictures 200

PHOTOS is a folder of pictures; they are copied until there are --pictures of them. The plain loop reads each and calls the predictor, with
one thread. `mfn batch` does the same with 1 and 2 workers, once on processes and, with --ray, on Ray. Each command also runs on two
pictures, and the difference counts, so that the start of the programs is left out. CPU seconds are those of the command and all its
processes; on Ray only seconds are known. The script writes experiments/results/speed/batch/throughput.json.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.speed.batch.processes import Run, copy_pictures, run_command
from mfn.batch.sources import list_pictures
from mfn.inference.model_zoo import find_model

RESULT = RESULTS / "speed" / "batch" / "throughput.json"
FEW = 2


def difference(few: Run, many: Run, pictures: int) -> Figures:
    """Return what each of the further pictures takes."""
    if few.code or many.code:
        return {"failed": (few.errors or many.errors)[-300:]}
    seconds, cpu = many.seconds - few.seconds, many.cpu_seconds - few.cpu_seconds
    return {"pictures/s": round(pictures / seconds, 2), "cpu_ms_a_picture": round(1000 * cpu / pictures, 1)}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("photos", type=Path, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=200, help="number of pictures")
    parser.add_argument("--ray", action="store_true", help="measure Ray too")
    args = parser.parse_args()
    sources = [Path(picture.path) for picture in list_pictures([str(args.photos)]).pictures]
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        copy_pictures(sources, few, FEW)
        copy_pictures(sources, many, args.pictures)
        commands: dict[str, list[str]] = {"plain loop": ["experiments.speed.batch.loop"]}
        for engine in ("processes", *(("ray",) if args.ray else ())):
            for workers in (1, 2):
                options = ["--engine", engine, "--workers", str(workers), "--quiet", "--out"]
                commands[f"{engine}, {workers} workers"] = ["mfn", "batch", *options]
        figures: Figures = {}
        for name, command in commands.items():
            runs = []
            for place in (few, many):
                out = [] if name == "plain loop" else [f"{place}-{name.replace(', ', '-')}.parquet"]
                runs.append(run_command([*command, *out, str(place)]))
            figures[name] = difference(*runs, args.pictures - FEW)
            print(name, figures[name], flush=True)
    loop = figures["plain loop"].get("cpu_ms_a_picture")
    for name, row in figures.items():
        if name.startswith("processes") and loop and "cpu_ms_a_picture" in row:
            row["cpu_overhead_percent"] = round(100 * (row["cpu_ms_a_picture"] / loop - 1), 1)
    report = {"pictures": args.pictures, "cores": os.cpu_count(), "load_at_the_end": round(os.getloadavg()[0], 1), "commands": figures}
    save_report(args, __file__, report, {"large": find_model("large").path})


if __name__ == "__main__":
    main()
