"""Measure the CPU time of drawing three characters into pictures of 1920 x 1080, before and after a change, in turn.

    OMP_NUM_THREADS=1 python -m experiments.speed.drawing --before ../older-checkout

`--before` is another checkout of this repository. Each round runs one process for each way to draw, one after the other, so
that other work on the machine slows all alike. The times are CPU seconds of all threads. The script also compares the
pictures with those of the older checkout, and writes experiments/results/speed/drawing.json.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from experiments.common import RESULTS, Figures, make_parser, save_report
from retarget import Rig, Take, load_rig, render_scene
from retarget.arkit import ARKIT_NAMES
from retarget.rig.avatars import find_avatar

RESULT = RESULTS / "speed" / "drawing.json"
ROOT = Path(__file__).resolve().parents[2]
NAMES = ("robot", "lion", "person")
SIZE = 1920, 1080
FOCAL_PX = 1.2 * SIZE[0]
_WAYS = {"before": None, "numpy": "0", "opengl": "1"}  # value of RETARGET_OPENGL


def moment(number: int) -> Take:
    """Return three people side by side, who move from frame to frame."""
    time_s, person = number / 30, np.arange(len(NAMES))
    weights = np.clip(0.4 * np.sin(np.arange(len(ARKIT_NAMES)) * 1.7 + time_s * 6 + person[:, None]) + 0.1, 0, 1)
    half = 0.15 * np.sin(time_s + person)
    rotation = np.stack([0 * half, np.sin(half), 0 * half, np.cos(half)], axis=1)
    places = np.array([[-0.45, 0, -1.6], [0, 0.05, -1.4], [0.45, 0, -1.6]])
    return Take(np.full(len(NAMES), time_s), person, weights, rotation, places)


def draw(frames: int, out: Path) -> None:
    """Draw frames, print the CPU seconds of one, and save the pictures. It also runs in older checkouts."""
    rigs: list[Rig] = [load_rig(find_avatar(name)) for name in NAMES]
    background = np.random.default_rng(0).integers(0, 255, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
    background = background.repeat(8, 0).repeat(8, 1)
    render_scene(moment(0), rigs, *SIZE, FOCAL_PX, background)  # the first picture also loads libraries
    start = time.process_time()
    pictures = [render_scene(moment(number), rigs, *SIZE, FOCAL_PX, background) for number in range(frames)]
    print((time.process_time() - start) / frames)
    np.savez(out, np.stack(pictures), background)


def run(way: str, checkout: Path, frames: int, out: Path) -> float:
    """Draw in a process of its own. Returns CPU seconds a frame."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    if _WAYS[way] is not None:
        environment["RETARGET_OPENGL"] = str(_WAYS[way])
    command = [sys.executable, str(Path(__file__).resolve()), "--draw", str(frames), str(out)]
    done = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def compare(out: Path, before: Path) -> Figures:
    """Return how far pictures are from the older ones: shares of the drawn pixels, in gray levels of 255."""
    (new, background), old = np.load(out).values(), np.load(before)["arr_0"]
    difference = np.abs(new.astype(int) - old).max(axis=3)[(old != background).any(axis=3)]
    figures: Figures = {f"percent_above_{level}": round(100 * float((difference > level).mean()), 3) for level in (1, 2, 8)}
    return figures | {"mean": round(float(difference.mean()), 4)}


def measure(before: Path, rounds: int, frames: int) -> Figures:
    """Measure all ways in turn and take the median of the rounds."""
    times: dict[str, list[float]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory() as folder:
        outs = {way: Path(folder) / f"{way}.npz" for way in _WAYS}
        for _ in range(rounds):
            for way in _WAYS:
                times[way].append(run(way, before if way == "before" else ROOT, frames, outs[way]))
        pictures = {way: compare(outs[way], outs["before"]) for way in _WAYS if way != "before"}
    seconds = {way: float(np.median(values)) for way, values in times.items()}
    figures: Figures = {"frames": frames, "rounds": rounds, "size": list(SIZE), "characters": list(NAMES)}
    figures |= {f"{way}_ms_of_a_frame": round(1e3 * value) for way, value in seconds.items()}
    figures |= {f"{way}_times_faster_in_ms": round(seconds["before"] / value, 1) for way, value in seconds.items() if way != "before"}
    return figures | {f"{way}_picture": value for way, value in pictures.items()}


def main() -> None:
    """Run the command."""
    if sys.argv[1:2] == ["--draw"]:
        draw(int(sys.argv[2]), Path(sys.argv[3]))
        return
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--before", type=Path, required=True, help="folder of an older checkout")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is measured (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=2, help="pictures a round (default: %(default)s)")
    args = parser.parse_args()
    figures = measure(args.before.resolve(), args.rounds, args.frames)
    print(figures)
    save_report(args, __file__, figures)


if __name__ == "__main__":
    main()
