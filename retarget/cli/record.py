"""`retarget record`: record a take from the phone app iFacialMocap."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from retarget.cli.options import add_quiet
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser, number_in, whole_number
from retarget.io.files import make_folder
from retarget.performance.ifacialmocap import DEFAULT_PORT

_DESCRIPTION = "Record a take from the phone app iFacialMocap, until Ctrl-C. Phone and computer must be in one network."


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget record` and return the exit code. What came before Ctrl-C or before an error is written."""
    options = _parser(verb).parse_args(arguments)
    from retarget.performance.files import WRITE_SUFFIXES, write_take
    from retarget.performance.ifacialmocap import Sample, receive, samples_to_take

    out = Path(options.out)
    if out.suffix.lower() not in WRITE_SUFFIXES:
        raise ValueError(f"{out}: expected a take's file name that ends in {', '.join(WRITE_SUFFIXES)}")
    if out.is_dir():
        raise ValueError(f"{out}: expected a file to write, but this is a directory")
    make_folder(out.parent)  # a recording cannot be repeated, so what could fail at its end fails now
    if not options.quiet:
        print(f"waiting for {options.phone}; Ctrl-C ends the recording")
    samples: list[Sample] = []
    try:
        with suppress(KeyboardInterrupt):  # the usual end of a recording; extend() would lose what came before
            for sample in receive(options.phone, options.seconds, options.port):
                samples.append(sample)
    finally:
        if samples:
            files = write_take(samples_to_take(samples), out)
            if not options.quiet:
                print(f"wrote {files[0]}: {len(samples)} samples, {samples[-1].time_s:.1f} s")
    if not samples:
        raise ValueError(f"{options.phone}: nothing came (is the app open, and is this the address that it shows?)")
    return EXIT_DONE


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    parser.add_argument("out", metavar="TAKE", help="file to write: .npz, .jsonl, .csv or .txt")
    parser.add_argument("--phone", required=True, metavar="ADDRESS", help="address of the phone, which the app shows, such as 192.168.1.7")
    text = "port of the app, on which the answers arrive too (default: %(default)s)"
    parser.add_argument("--port", type=whole_number(1, 65535), default=DEFAULT_PORT, metavar="PORT", help=text)
    text = "end after this time, counted from the first sample (default: at Ctrl-C)"
    parser.add_argument("--seconds", type=number_in(0, above=True), metavar="S", help=text)
    add_quiet(parser)
    return parser
