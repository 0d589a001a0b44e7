"""Run `mfn batch` on a Ray cluster of two nodes on this machine, and kill one of them on the way.

    python -m experiments.speed.batch.cluster PHOTOS --pictures 200

Two raylets run on this machine, each with one core. When a third of the parts are done, the second one is killed. The run must come to its
end, and its tables must be those of an unbroken run without Ray. The script writes experiments/results/speed/batch/cluster.json.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from experiments.common import RESULTS, make_parser, save_report
from experiments.speed.batch.processes import copy_pictures, run_command
from mfn.batch.sources import list_pictures
from mfn.inference.model_zoo import find_model

RESULT = RESULTS / "speed" / "batch" / "cluster.json"
PART = 4


def tables_of(out: Path) -> dict[str, bytes]:
    """Return the content of the files of all tables, by name."""
    folders = [out, *(out.with_name(f"{out.stem}.{table}.parquet") for table in ("pictures", "failures"))]
    return {f"{i}/{file.name}": file.read_bytes() for i, folder in enumerate(folders) for file in folder.glob("part-*")}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("photos", type=Path, help="folder of pictures")
    parser.add_argument("--pictures", type=int, default=200, help="number of pictures")
    parser.add_argument("--weights", default="small", help="network")
    args = parser.parse_args()
    from ray.cluster_utils import Cluster

    sources = [Path(picture.path) for picture in list_pictures([str(args.photos)]).pictures]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    killed: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        photos, out, plain = Path(folder, "photos"), Path(folder, "ray.parquet"), Path(folder, "plain.parquet")
        copy_pictures(sources, photos, args.pictures)
        done = out.with_name("ray.pictures.parquet")

        def kill_one() -> None:
            parts = len(list(done.glob("part-*"))) if done.is_dir() else 0
            if not killed and parts >= args.pictures / PART / 3:
                cluster.remove_node(second, allow_graceful=False)
                killed.append(parts)

        common = ["mfn", "batch", str(photos), "--part", str(PART), "--weights", args.weights, "--quiet"]
        on_ray = run_command([*common, "--address", cluster.address, "--out", str(out)], watch=kill_one)
        alone = run_command([*common, "--engine", "processes", "--workers", "1", "--out", str(plain)])
        same = tables_of(out) == tables_of(plain)
    cluster.shutdown()
    figures = {
        "pictures": args.pictures,
        "parts": -(-args.pictures // PART),
        "parts_done_when_the_node_was_killed": killed[0] if killed else None,
        "exit_codes": [on_ray.code, alone.code],
        "same_tables_as_without_ray": same,
        "seconds": round(on_ray.seconds),
    }
    print(figures, on_ray.errors[-400:] if on_ray.code else "")
    save_report(args, __file__, figures, {args.weights: find_model(args.weights).path})


if __name__ == "__main__":
    main()
