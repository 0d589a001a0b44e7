"""`mfn pick`: the best of several shots of one group."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mfn.cli.main import PROGRAM
from mfn.cli.options import add_network, add_quiet, load_predictor
from retarget.io.command_line import EXIT_BAD_INPUT, EXIT_DONE
from retarget.io.files import atomic_write, make_folder, one_line_error
from retarget.io.progress import Progress

if TYPE_CHECKING:
    from mfn.batch.burst.rank import Shot
    from mfn.batch.sources import PictureName
    from mfn.inference.predictor import Predictor

_DESCRIPTION = (
    "Compare the shots of one group: who blinks, looks away, is hidden, blurred or missing, and who smiles. "
    "Prints the shots, the best first, and what is still wrong in the best one."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn pick` and return the exit code."""
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    parser.add_argument("shots", nargs="+", metavar="SHOT", help="photos of one group, folders of them, or patterns in quotes")
    text = "write one page with a crop of each person in each shot and a table that can be sorted; it needs no other file"
    parser.add_argument("--report", metavar="PAGE.html", help=text)
    parser.add_argument("--json", metavar="FILE.json", help="write the ranking as JSON")
    add_quiet(parser)
    add_network(parser)
    options = parser.parse_args(arguments)
    for name, suffix in ((options.report, ".html"), (options.json, ".json")):
        if name and not name.lower().endswith(suffix):
            raise ValueError(f"{name}: expected a name that ends in {suffix}")
    from mfn.batch.burst.rank import rank_shots
    from mfn.batch.burst.report import advice, ranking_json, ranking_table, report_page
    from mfn.batch.picture import decode_picture
    from mfn.batch.sources import list_pictures

    listing = list_pictures(options.shots)
    listing.print_skipped(options.quiet)
    for name in filter(None, (options.report, options.json)):
        _prepare_output(Path(name))
    paths = [picture.path for picture in listing.pictures]
    shots, paths = read_shots(load_predictor(options), list(zip(paths, distinct_names(listing.pictures))), options.quiet)
    if len(shots) < 2:
        raise ValueError(f"expected at least 2 shots of one group that can be read, got {len(shots)}")
    ranking = rank_shots(shots)
    if not options.quiet:
        print(ranking_table(ranking) + "\n\n" + "\n".join(advice(ranking)))
    if options.json:
        atomic_write(options.json, ranking_json(ranking).encode())
        if not options.quiet:
            print(f"wrote {options.json}: the shots, the best first, and what is wrong with each person")
    if options.report:
        atomic_write(options.report, report_page(ranking, lambda s: decode_picture(paths[s]).pixels).encode())
        if not options.quiet:
            print(f"wrote {options.report}: each person in each shot; open it in a browser")
    return EXIT_BAD_INPUT if len(shots) < len(listing.pictures) else EXIT_DONE


def _prepare_output(file: Path) -> None:
    """Make the folder of a file and check its name, before the shots are read."""
    if file.is_dir():
        raise ValueError(f"{file}: is a directory (expected a file name)")
    make_folder(file.parent)


def distinct_names(pictures: Sequence[PictureName]) -> list[str]:
    """Return a name for each shot. Where names repeat, each gets folders of its path in front, until they differ."""
    parts = [picture.path.split("/") for picture in pictures]
    names, count = [picture.name for picture in pictures], 1
    while count < max(map(len, parts), default=0) and len(set(names)) < len(names):
        shown = Counter(names)
        count += 1
        names = [name if shown[name] == 1 else "/".join(own[-count:]) for name, own in zip(names, parts)]
    return names


def read_shots(predictor: Predictor, pictures: Sequence[tuple[str, str]], quiet: bool) -> tuple[list[Shot], list[str]]:
    """Find the faces of shots. A shot that cannot be read is reported and left out.

    Args:
        predictor: Detects the faces.
        pictures: Path and name of each shot.
        quiet: Show no progress.

    Returns:
        The shots, by the time at which they were taken where all have one, else in the given order; and their paths.
    """
    from mfn.batch.burst.rank import Shot
    from mfn.batch.picture import decode_picture, face_columns, network_scale

    found: list[tuple[str, Shot, str]] = []
    with Progress(quiet) as progress:
        show = progress.bar("shots")
        for number, (path, name) in enumerate(pictures, 1):
            try:
                picture = decode_picture(path)
                faces = predictor(picture.pixels)
                scale = network_scale(predictor, *picture.pixels.shape[:2])
                found.append((picture.taken or "", Shot(name, faces, face_columns(picture.pixels, faces, scale)), path))
            except (ValueError, OSError, MemoryError, ImportError) as error:
                print(f"mfn: {one_line_error(error)}", file=sys.stderr)
            show(number, len(pictures))
    if all(taken for taken, _, _ in found):
        found.sort(key=lambda item: item[0])
    return [shot for _, shot, _ in found], [path for _, _, path in found]
