"""`retarget convert`: write a take in another format."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from retarget.cli.options import add_out, add_take, load_take, output_path
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser
from retarget.io.scene_arguments import DEFAULT_TOLERANCE

_DESCRIPTION = "Write a take in another format. The suffix of --out chooses the format."


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget convert` and return the exit code."""
    parser = _parser(verb)
    options = parser.parse_args(arguments)
    if (options.out is None) == (options.out_argument is None):
        parser.error("expected one file to write, such as --out take.npz")
    from retarget.animation.vrma import SUFFIX, write_vrma
    from retarget.performance.files import write_take

    out = output_path(options.out or options.out_argument, Path(), options.take)
    take = load_take(options)
    is_vrma = out.suffix.lower() == SUFFIX
    for file in write_vrma(take, out, tolerance=DEFAULT_TOLERANCE) if is_vrma else write_take(take, out):
        print(f"wrote {file}")
    print(f"{len(take.actors())} people, {len(take)} samples")
    return EXIT_DONE


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    add_take(parser)
    parser.add_argument("out_argument", nargs="?", help=argparse.SUPPRESS)  # `convert TAKE OUT` keeps working
    text = "file to write: .npz or .jsonl; .csv (Live Link Face), .txt (iFacialMocap) or .vrma (VRM animation), one file for "
    add_out(parser, text + "each person; required")
    return parser
