"""`retarget animate`: write a scene of animated characters."""

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
    camera_of,
    load_characters,
    output_path,
)
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser, number_in
from retarget.io.progress import Progress

_DESCRIPTION = "Write a glTF scene in which each person of a take is a character, with one animation and the photo's camera."
_DEFAULT_TOLERANCE = 0.002


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget animate` and return the exit code."""
    options = _parser(verb).parse_args(arguments)
    from retarget.animation.scene import build_scene, write_built_scene
    from retarget.gltf.document import check_output_name
    from retarget.performance.files import read_take

    with Progress(options.quiet) as progress:
        progress.stage(f"reading {options.take}")
        take = read_take(options.take)
        paths = avatar_paths(options)
        rigs = load_characters(paths, options)
        out = output_path(options.out, Path(options.take).with_suffix(".glb"), options.take, *paths)
        check_output_name(out)
        glb = build_scene(take, rigs, options.tolerance, progress.bar("characters"))
        progress.stage(f"writing {out}")
        write_built_scene(glb, out, *camera_of(options, take.footage))
    if not options.quiet:
        print(f"wrote {out}: {len(take.actors())} characters, {len(take)} samples")
    return EXIT_DONE


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    add_take(parser)
    add_avatars(parser)
    add_out(parser, "scene to write, .glb or .gltf (default: the take's name with .glb)")
    text = "largest change of a weight (rotations: radians) that a removed keyframe may cause; 0 keeps every sample "
    tolerance = number_in(0, 1, below=True)
    parser.add_argument(
        "--tolerance", type=tolerance, default=_DEFAULT_TOLERANCE, metavar="T", help=text + "(default: %(default)s)"
    )
    add_rig_options(parser)
    add_picture(parser)
    add_quiet(parser)
    return parser
