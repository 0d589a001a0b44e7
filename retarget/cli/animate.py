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
    find_footage,
    load_characters,
    output_path,
)
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser, number_in
from retarget.io.progress import Progress

_DESCRIPTION = "Write a glTF scene in which each person of a take is a character, with one animation and the photo's camera."
_DEFAULT_TOLERANCE = 0.002
_DEFAULT_LIGHT_LUX = 2000


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget animate` and return the exit code."""
    options = _parser(verb).parse_args(arguments)
    from retarget.animation.scene import SceneOptions, check_output, write_scene_files
    from retarget.animation.vrma import SUFFIX, write_vrma
    from retarget.performance.files import read_take

    with Progress(options.quiet) as progress:
        progress.stage(f"reading {options.take}")
        take = read_take(options.take)
        paths = avatar_paths(options)
        out = output_path(options.out, Path(options.take).with_suffix(".glb"), options.take, *paths)
        if out.suffix.lower() == SUFFIX:
            files = write_vrma(take, out, options.fps, options.tolerance, options.expressions)
        else:
            check_output(out)
            rigs = load_characters(paths, options, progress.note)
            settings = SceneOptions(
                camera=camera_of(options, take.footage),
                footage_file=find_footage(options, take.footage),
                fps=options.fps,
                tolerance=options.tolerance,
                in_place=options.in_place,
                animation_only=options.animation_only,
                separate_meshes=options.separate_meshes,
                light_lux=options.light,
            )
            files = write_scene_files(take, rigs, out, settings, progress.bar("characters"))
    if not options.quiet:
        number = f"{len(take.actors())} characters, {len(take)} samples"
        for file in files[1:]:
            print(f"wrote {file}")
        print(f"wrote {files[0]}: {number}" if len(files) == 1 else f"wrote {files[0]}; in all {number}")
    return EXIT_DONE


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    add_take(parser)
    add_avatars(parser)
    text = "scene to write: .glb or .gltf; .fbx or .blend where Blender is installed; .vrma, a VRM animation of each person "
    add_out(parser, text + "(default: the take's name with .glb)")
    fps = number_in(0, 1000, above=True)
    parser.add_argument("--fps", type=fps, metavar="N", help="frames a second; keyframes lie on frames (default: the take's)")
    text = "largest change of a weight (rotations: radians) that a removed keyframe may cause; 0 keeps every frame "
    tolerance = number_in(0, 1, below=True)
    parser.add_argument(
        "--tolerance", type=tolerance, default=_DEFAULT_TOLERANCE, metavar="T", help=text + "(default: %(default)s)"
    )
    _add_scene_options(parser)
    add_rig_options(parser)
    add_picture(parser)
    add_quiet(parser)
    return parser


def _add_scene_options(parser: CommandParser) -> None:
    """Add what only some programs need."""
    text = "keep each character at its own origin: only head, eyes and face move; one file for each person"
    parser.add_argument("--in-place", action="store_true", help=text)
    text = "leave out surfaces, textures, camera and light, for a character that is in your program already"
    parser.add_argument("--animation-only", action="store_true", help=text)
    text = "keep the meshes of a character apart (default: one object for each character without a skeleton)"
    parser.add_argument("--separate-meshes", action="store_true", help=text)
    text = "main light in lux; viewers without exposure need about 3, 0 is no light (default: %(default)g, for Blender)"
    parser.add_argument("--light", type=number_in(0, 1e6), default=_DEFAULT_LIGHT_LUX, metavar="LUX", help=text)
    text = "picture or clip behind the characters in Blender (default: the take's, if it lies beside the take)"
    parser.add_argument("--footage", metavar="FILE", help=text)
    text = ".vrma: drive the avatar by VRM's presets, or by ARKit's shapes if it has them all (default: %(default)s)"
    parser.add_argument("--expressions", choices=("preset", "arkit"), default="preset", help=text)
