"""`retarget calibrate`: subtract each person's neutral face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retarget.cli.options import add_out, add_take, load_take, output_path
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser

_DESCRIPTION = (
    "Learn each person's neutral face from the take itself and subtract it, so that a resting face has weights near 0. "
    "People with fewer than 15 samples stay as they are."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget calibrate` and return the exit code."""
    options = _parser(verb).parse_args(arguments)
    from retarget.performance.calibrate import MIN_SAMPLES, apply_calibration, learn_calibration
    from retarget.performance.files import write_take

    out = output_path(options.out, Path(options.take).with_suffix(".calibrated.npz"), options.take)
    take = load_take(options)
    calibration = learn_calibration(take)
    written = write_take(apply_calibration(take, calibration), out)
    for actor, offset, gain in zip(calibration.actor, calibration.offset, calibration.gain, strict=True):
        count = int((take.actor == actor).sum())
        if count < MIN_SAMPLES:
            print(f"person {actor}: unchanged (samples: {count}, expected {MIN_SAMPLES} or more: use a longer clip)")
        else:
            print(f"person {actor}: offset {offset.mean():.3f} on average, at most {offset.max():.2f}; gain at most {gain.max():.2f}")
    for file in written:
        print(f"wrote {file}")
    return EXIT_DONE


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    add_take(parser)
    add_out(parser, "take to write, .npz, .jsonl, .csv or .txt (default: NAME.calibrated.npz)")
    return parser
