"""`retarget render`: draw one moment of a take as an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from retarget.cli.options import (
    add_avatars,
    add_out,
    add_picture,
    add_quiet,
    add_rig_options,
    add_take,
    avatar_paths,
    load_characters,
    output_path,
    read_take_and_camera,
)
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser, number_in
from retarget.io.progress import Progress
from retarget.io.scene_arguments import CHARACTERS_SUFFIX

_DESCRIPTION = "Draw the characters of one moment of a take as an image."
_FACES_SUFFIX = ".faces.json"


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget render` and return the exit code."""
    options = _parser(verb).parse_args(arguments)
    import numpy as np

    from retarget.io.images import read_image, write_image
    from retarget.render.scene import render_scene

    paths = avatar_paths(options)
    inputs = options.take, *paths, options.background
    out = output_path(options.out, _default_output(Path(options.take)), *inputs)
    with Progress(options.quiet) as progress:
        progress.stage(f"reading {options.take}")
        background = read_image(options.background) if options.background else None
        take, camera = read_take_and_camera(options, None if background is None else background.shape)
        rigs = load_characters(paths, options, progress.note)
        if len(take):
            wanted_s = take.time_s.min() + options.time
            take = take[take.time_s == take.time_s[np.abs(take.time_s - wanted_s).argmin()]]
        progress.stage(f"drawing {out}")
        image = render_scene(take, rigs, *camera, background, options.whole_body)
        write_image(out, image)
    if not options.quiet:
        print(f"wrote {out}: {len(take)} characters")
    return EXIT_DONE


def _default_output(take: Path) -> Path:
    """Where to write without --out: NAME.characters.png. NAME.png may be the photo that the take was made from."""
    if take.name.lower().endswith(_FACES_SUFFIX):
        return take.with_name(take.name[: -len(_FACES_SUFFIX)] + CHARACTERS_SUFFIX)
    return take.with_suffix(CHARACTERS_SUFFIX)


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    add_take(parser)
    add_avatars(parser)
    add_out(parser, "image to write, .png, .jpg or .webp (default: NAME.characters.png beside the take)")
    parser.add_argument("--background", metavar="IMAGE", help="image to draw over; its size replaces --width and --height")
    text = "moment in seconds from the take's start; the sample nearest to it is drawn (default: %(default)s)"
    parser.add_argument("--time", type=number_in(0, 1e12), default=0.0, metavar="S", help=text)
    text = "draw whole characters (default: only head and neck of characters that have a body)"
    parser.add_argument("--whole-body", action="store_true", help=text)
    add_rig_options(parser)
    add_picture(parser)
    add_quiet(parser)
    return parser
