"""Make the networks of `large` and `small` again, from labels to quantized networks, as stages that go on where they were stopped.

    python -m experiments.reproduce --list
    python -m experiments.reproduce --data data --landmarker face_landmarker.task --eval EVAL
    python -m experiments.reproduce --free --data data --landmarker face_landmarker.task
    python -m experiments.reproduce --quick

A stage that was finished is skipped, unless its commands, their configurations or the networks that they read changed; --from STAGE does
it and all later ones again, from their beginning. A training that was stopped goes on from its last checkpoint if nothing of that changed.
Output of the commands is kept in OUT/logs. --quick needs no data: it renders heads that stand for photos, and does the stages with a few
pictures and steps, in about 15 minutes on two cores. It shows that the recipe runs; its networks are of no use. It leaves out fairface,
crowds and candidates, which need the packs `fairface` and `scenes`. --free makes the networks `free` instead, from the photos of
data/faces/fairface.tar and from what our own code draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.common import make_parser
from experiments.reproduce.free import free_stages
from experiments.reproduce.research import research_stages
from experiments.reproduce.stages import forget, is_done, run_all


def parse_arguments(arguments: Sequence[str] | None = None) -> Any:
    """Parse the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="folder of the packs (default: data)")
    parser.add_argument("--out", type=Path, help="folder of all that is made (default: runs, runs/quick or runs/free)")
    parser.add_argument("--eval", type=Path, help="folder of the evaluation sets; without it, validation data alone measures the networks")
    parser.add_argument("--landmarker", type=Path, help="MediaPipe's .task file: detect turned faces again in more views")
    parser.add_argument("--free", action="store_true", help="make the networks that a company may use")
    parser.add_argument("--quick", action="store_true", help="try the stages with rendered heads, in about 15 minutes")
    parser.add_argument("--list", action="store_true", help="list the stages, and which are done")
    parser.add_argument("--from", dest="first", metavar="STAGE", help="do this stage and all later ones again")
    options = parser.parse_args(arguments)
    if options.quick and options.free:
        parser.error("--quick: expected it without --free, which has no quick form")
    options.out = options.out or Path("runs/quick" if options.quick else "runs/free" if options.free else "runs")
    options.data = options.data or (options.out / "data" if options.quick else Path("data"))
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    options = parse_arguments(arguments)
    stages = free_stages(options) if options.free else research_stages(options)
    names = [stage.name for stage in stages]
    if options.first and options.first not in names:
        raise SystemExit(f"--from: expected one of {', '.join(names)}, got {options.first!r}")
    if options.list:
        for stage in stages:
            print(f"{'done' if is_done(stage, options.out) else '    '}  {stage.name:13} {stage.makes}")
        return
    if options.first:
        for stage in stages[names.index(options.first) :]:
            forget(stage, options.out)
    run_all(stages, options.out)


if __name__ == "__main__":
    main()
