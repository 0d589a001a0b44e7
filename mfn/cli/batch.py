"""`mfn batch`: the faces of many photos as tables, on one machine or on a cluster."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mfn.cli.main import PROGRAM
from mfn.cli.options import add_network, add_quiet, load_predictor
from retarget.io.command_line import EXIT_BAD_INPUT, EXIT_DONE, number_in, one_of, whole_number

if TYPE_CHECKING:
    from mfn.batch.run import BatchOptions, Progress, Summary

_DESCRIPTION = (
    "Find every face of many photos and write tables: FACES with a row for each face, FACES.pictures with a row for each photo, "
    "FACES.failures with a row for each photo that cannot be read. Folders are read with their subfolders."
)
_EPILOG = "A run that was stopped goes on with --resume. docs/guides/batch.md explains the columns, Ray clusters and cloud storage."
_REDRAW_S, _LINE_S = 0.2, 30.0  # between two updates of the line on a terminal, and between two lines of a log


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn batch` and return the exit code."""
    options = _parse(verb, arguments)
    from mfn.batch.run import run_batch
    from mfn.batch.sources import list_pictures

    out, batch_options = _output(options), _batch_options(options)
    options.device = "cpu"  # of this process, which finds no faces; the workers have the device
    listing = list_pictures(options.pictures, options.list)
    listing.print_skipped(options.quiet)
    line = ProgressLine(options.quiet)
    try:
        summary = run_batch(load_predictor(options), [p.path for p in listing.pictures], out, batch_options, line.show)
    finally:
        line.clear()
    if not options.quiet:
        print(_report(out, summary))
    return EXIT_BAD_INPUT if summary.failures and not summary.pictures and not summary.before else EXIT_DONE


class ProgressLine:
    """The progress on stderr: one line that is drawn again on a terminal, a new line now and then in a log."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._terminal = quiet, sys.stderr.isatty()
        self._last = time.monotonic() if not self._terminal else 0.0
        self._drawn = False

    def show(self, progress: Progress) -> None:
        """Show how far a job is, unless that was shown a moment ago."""
        now = time.monotonic()
        if self._quiet or now - self._last < (_REDRAW_S if self._terminal else _LINE_S):
            return
        self._last, self._drawn = now, True
        begin, end = ("\r\x1b[K", "") if self._terminal else ("", "\n")
        print(begin + progress_text(progress), end=end, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._terminal and self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def progress_text(progress: Progress) -> str:
    """Return, for example, "1,200 of 5,000 pictures, 24.1 pictures/s, 3 min left"."""
    text, rate = f"{progress.done:,} of {progress.total:,} pictures", progress.rate()
    if progress.done <= progress.before or not rate:
        return text
    return f"{text}, {rate:.1f} pictures/s, {duration((progress.total - progress.done) / rate)} left"


def duration(seconds: float) -> str:
    """Return a time in words, such as "3 min" or "2 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _parse(verb: str, arguments: Sequence[str]) -> argparse.Namespace:
    parser = PROGRAM.parser(verb, _DESCRIPTION, _EPILOG)
    text = "picture files, folders, patterns in quotes such as 'photos/**/*.jpg', or URLs such as s3://bucket/photos"
    parser.add_argument("pictures", nargs="*", metavar="PHOTOS_OR_URLS", help=text)
    text = "text file with one of these a line; - reads standard input; may be repeated"
    parser.add_argument("--list", action="append", default=[], metavar="FILE", help=text)
    target = parser.add_mutually_exclusive_group(required=True)
    text = "table of faces to write; the suffix chooses the format: .parquet (a folder of files; needs the extra batch), .csv or .jsonl"
    target.add_argument("--out", metavar="FACES", help=text)
    target.add_argument("--csv", metavar="FACES.csv", help="the same as --out, for CSV")
    target.add_argument("--jsonl", metavar="FACES.jsonl", help="the same as --out, for JSON lines")
    _add_running(parser)
    add_quiet(parser)
    add_network(parser)
    parser.set_defaults(threads=1)
    options: argparse.Namespace = parser.parse_args(arguments)
    if not options.pictures and not options.list:
        parser.error("expected pictures, folders or URLs, or --list FILE")
    return options


def _add_running(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a job runs."""
    text = "go on with a run that was stopped; new pictures are added, to a finished job only if it is Parquet"
    parser.add_argument("--resume", action="store_true", help=text)
    parser.add_argument("--retry-failed", action="store_true", help="with --resume: read the parts with failures again")
    parser.add_argument("--workers", type=whole_number(0), default=0, metavar="N", help="processes or actors, 0: one a core (default: 0)")
    text = "what runs the workers: processes of this machine, or ray (default: ray for .parquet if it is installed or --address is given)"
    parser.add_argument("--engine", type=one_of("processes", "ray"), default=None, metavar="NAME", help=text)
    parser.add_argument("--address", default="", metavar="ADDRESS", help="address of a Ray cluster; auto: the cluster of this machine")
    text = "GPUs of each actor, such as 1 or 0.5; needs --engine ray; without --device it means --device cuda (default: 0)"
    parser.add_argument("--gpus", type=number_in(0, 64), default=0.0, metavar="N", help=text)
    text = "pictures of a part, which is read and written as a whole (default: as many as keep all workers busy, at most 256)"
    parser.add_argument("--part", type=whole_number(0), default=0, metavar="N", help=text)
    text = "refuse larger pictures; a worker needs about 10 MB a megapixel (default: %(default)s)"
    parser.add_argument("--max-megapixels", type=number_in(0, 268, above=True), default=268.0, metavar="N", help=text)
    text = "processes: give up a picture after this time; Ray has no such limit (default: %(default)s)"
    parser.add_argument("--timeout", type=number_in(0, 86400, above=True), default=300.0, metavar="SECONDS", help=text)


def _output(options: argparse.Namespace) -> str:
    """Return the table to write, and check that its suffix fits --csv and --jsonl."""
    for form in ("csv", "jsonl"):
        name = getattr(options, form)
        if name and not name.lower().endswith(f".{form}"):
            raise ValueError(f"--{form} {name}: expected a name that ends in .{form}")
    return str(options.out or options.csv or options.jsonl)


def _batch_options(options: argparse.Namespace) -> BatchOptions:
    from importlib.util import find_spec

    from mfn.batch.run import BatchOptions
    from mfn.inference.sessions.devices import check_device, choose_providers
    from retarget.io.image_decoder import MAX_PIXELS

    if options.retry_failed and not options.resume:
        raise ValueError("--retry-failed: give --resume too")
    engine = options.engine
    if engine is None:
        wants_ray = bool(options.address or options.gpus) or (_output(options).endswith(".parquet") and find_spec("ray") is not None)
        engine = "ray" if wants_ray else "processes"
    if engine == "processes" and (options.address or options.gpus):
        raise ValueError("--address and --gpus: only with --engine ray")
    device = "cuda" if options.gpus and options.device == "cpu" else options.device
    check_device(device)
    if not options.address:
        choose_providers(device)  # the workers run here: what is missing is said now
    return BatchOptions(
        engine=engine,
        workers=options.workers,
        resume=options.resume,
        retry_failed=options.retry_failed,
        part_pictures=options.part,
        max_pixels=min(MAX_PIXELS, int(options.max_megapixels * 1e6)) if options.max_megapixels < 268 else MAX_PIXELS,
        timeout_s=options.timeout,
        address=options.address,
        gpus_a_worker=options.gpus,
        batch=16 if options.gpus else 1,
        device=None if device == "cpu" else device,
    )


def _report(out: str, summary: Summary) -> str:
    """Return the lines that end a run."""
    rate = (summary.pictures + summary.failures) / max(summary.seconds, 1e-9)
    lines = [f"{summary.pictures:,} pictures, {summary.faces:,} faces, {summary.failures:,} failures in {duration(summary.seconds)}"]
    lines[0] += f" ({rate:.1f} pictures/s)" if summary.pictures else ""
    if summary.before:
        lines.append(f"{summary.before:,} pictures were done before")
    stem, _, suffix = out.rstrip("/").rpartition(".")
    lines.append(f"wrote {out}, {stem}.pictures.{suffix}" + f" and {stem}.failures.{suffix}" * bool(summary.failures))
    return "\n".join(lines)
