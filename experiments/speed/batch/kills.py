"""Kill `mfn batch` with SIGKILL at random moments, resume it, and compare its tables with those of an unbroken run.

    python -m experiments.speed.batch.kills PHOTOS --pictures 120 --kills 5

PHOTOS is a folder of pictures, which are copied until there are --pictures of them; one more is damaged. The command writes Parquet, once
on a Ray cluster of one node and once on processes. It is started with --resume and killed when a random number of further parts is done,
--kills times; then it may end. What counts is whether each file of each table is, byte for byte, that of an unbroken run on processes. The
script writes experiments/results/speed/batch/kills.json and ends with code 1 if a table differs.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.speed.batch.cluster import tables_of
from experiments.speed.batch.processes import ROOT, copy_pictures, run_command
from mfn.batch.sources import list_pictures
from mfn.inference.model_zoo import find_model

RESULT = RESULTS / "speed" / "batch" / "kills.json"
PART = 4
MOST_PARTS = 4  # between two kills
WAIT_S = 600.0


def parts_done(out: Path) -> int:
    """Return how many parts of a job are done."""
    folder = out.with_name(f"{out.stem}.pictures.parquet")
    return len(list(folder.glob("part-*"))) if folder.is_dir() else 0


def kill_once(command: Sequence[str], out: Path, chance: random.Random) -> int | None:
    """Start a command, kill it at a random moment, and return the number of parts done then; None if it ended before.

    Raises:
        RuntimeError: It failed by itself, for example because Ray did not start.
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wanted, until = parts_done(out) + chance.randint(0, MOST_PARTS), time.monotonic() + WAIT_S
    while run.poll() is None and parts_done(out) < wanted and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(chance.random() * 2)
    ended = run.poll()
    run.send_signal(signal.SIGKILL)
    errors = run.communicate()[1]
    if ended:
        raise RuntimeError(f"the command ended with code {ended}: {errors[-300:]}")
    return parts_done(out) if ended is None else None


@contextmanager
def arguments_of(engine: str) -> Iterator[list[str]]:
    """Yield the arguments that choose an engine. For Ray a cluster of one node is started, which outlives the runs that are killed."""
    if engine != "ray":
        yield ["--engine", engine]
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        yield ["--engine", "ray", "--address", cluster.address]
    finally:
        cluster.shutdown()


def broken_run(engine: Sequence[str], photos: Path, out: Path, kills: int, weights: str) -> Figures:
    """Kill a job again and again, let it end, and return what happened."""
    command = ["mfn", "batch", str(photos), "--out", str(out), *engine, "--workers", "2", "--resume"]
    command += ["--part", str(PART), "--weights", weights, "--quiet"]
    chance = random.Random(0)
    moments = []
    while len(moments) < kills and (done := kill_once(command, out, chance)) is not None:
        moments.append(done)
    last = run_command(command)
    if last.code:
        raise RuntimeError(f"the last run ended with code {last.code}: {last.errors[-300:]}")
    return {"kills": len(moments), "parts_done_at_each_kill": moments}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("photos", type=Path, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=120, help="number of pictures")
    parser.add_argument("--kills", type=int, default=5, help="how often each job is killed")
    parser.add_argument("--engines", nargs="*", default=["ray", "processes"], help="what runs the workers")
    parser.add_argument("--weights", default="small", help="network")
    args = parser.parse_args()
    sources = [Path(picture.path) for picture in list_pictures([str(args.photos)]).pictures]
    figures: Figures = {"pictures": args.pictures, "parts": -(-(args.pictures + 1) // PART), "engines": {}}
    with tempfile.TemporaryDirectory() as folder:
        photos, whole = Path(folder, "photos"), Path(folder, "whole.parquet")
        copy_pictures(sources, photos, args.pictures)
        (photos / "damaged.jpg").write_bytes(b"\xff\xd8\xff")
        command = ["mfn", "batch", str(photos), "--out", str(whole), "--engine", "processes", "--part", str(PART)]
        unbroken = run_command([*command, "--weights", args.weights, "--quiet"])
        if unbroken.code:
            raise SystemExit(unbroken.errors)
        for engine in args.engines:
            out = Path(folder, f"{engine}.parquet")
            with arguments_of(engine) as arguments:
                found = broken_run(arguments, photos, out, args.kills, args.weights)
            found["same_files_as_the_unbroken_run"] = tables_of(out) == tables_of(whole)
            figures["engines"][engine] = found
            print(engine, found, flush=True)
    save_report(args, __file__, figures, {args.weights: find_model(args.weights).path})
    if not all(found["same_files_as_the_unbroken_run"] for found in figures["engines"].values()):
        raise SystemExit("a table differs")


if __name__ == "__main__":
    main()
