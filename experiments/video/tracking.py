"""Measure our tracker beside ByteTrack on simulated people whose identity is known.

    python -m experiments.video.tracking

The simulation is `experiments.video.simulated_crowds`; the measures are HOTA, and those of motmetrics: IDF1, MOTA and
identity switches. The script also counts tracks that show nobody (false detections) and tracks that show several people.
It writes experiments/results/video/tracking.json.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.common import RESULTS, Figures, make_parser, save_report
from experiments.video.simulated_crowds import FPS, simulate
from experiments.video.trackers import Measured, Tracker, all_trackers, standard_measures

RESULT = RESULTS / "video" / "tracking.json"


class Case(NamedTuple):
    """What a simulated clip shows."""

    people: int
    cuts: int
    false: int  # number of false faces
    dialogue: bool = False  # one person in each shot, in turn


CASES = (Case(12, 0, 0), Case(12, 0, 4), Case(12, 2, 4), Case(4, 2, 3), Case(1, 0, 3), Case(3, 5, 2, True))


def measure(tracker: Tracker, case: Case, frames: int, seeds: Sequence[int]) -> Figures:
    """Measure a tracker over all seeds of one case together."""
    clips, seconds = [], 0.0
    for seed in seeds:
        clip = simulate(case.people, frames, seed, case.cuts, case.false, case.dialogue)
        start = time.perf_counter()
        track = tracker(clip.faces, np.arange(frames) / FPS, clip.new_shot, None)
        seconds += time.perf_counter() - start
        clips.append(Measured(clip.faces.image.astype(np.int64), clip.person, track))
    return {**standard_measures(clips), "ms_per_frame": round(1e3 * seconds / len(seeds) / frames, 2)}


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=4, help="number of clips of each case")
    parser.add_argument("--first", type=int, default=5, help="first seed (the tracker's constants were chosen on 0 to 4)")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.seeds)
    cases = []
    for case in CASES:
        figures = {name: measure(tracker, case, args.frames, seeds) for name, tracker in all_trackers().items()}
        cases.append({**case._asdict(), "trackers": figures})
        for name, row in figures.items():
            print(*case, name, row, flush=True)
    save_report(args, __file__, {"frames": args.frames, "seeds": list(seeds), "cases": cases})


if __name__ == "__main__":
    main()
