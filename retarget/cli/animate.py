"""`retarget animate`: write a scene of animated characters."""

from __future__ import annotations

import argparse
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
    find_footage,
    load_characters,
    output_path,
    read_take_and_camera,
)
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser
from retarget.io.progress import Progress
from retarget.io.scene_arguments import DEFAULT_LIGHT_LUX, Choice, add_scene_arguments, check_effects

_DESCRIPTION = "Write a glTF scene in which each person of a take is a character, with one animation and the photo's camera."


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget animate` and return the exit code."""
    options = _parser(verb).parse_args(arguments)
    from retarget.animation.scene import SceneOptions, check_output, write_scene_files
    from retarget.animation.vrma import SUFFIX, write_vrma

    with Progress(options.quiet) as progress:
        progress.stage(f"reading {options.take}")
        take, camera = read_take_and_camera(options)
        paths = avatar_paths(options)
        out = output_path(options.out, Path(options.take).with_suffix(".glb"), options.take, *paths)
        is_vrma = out.suffix.lower() == SUFFIX
        _check_effects(out, options, is_vrma)
        if is_vrma:
            files = write_vrma(take, out, options.fps, options.tolerance, options.expressions)
        else:
            check_output(out)
            rigs = load_characters(paths, options, progress.note)
            settings = SceneOptions(
                camera=camera,
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


def _check_effects(out: Path, options: argparse.Namespace, is_vrma: bool) -> None:
    """Raise ValueError where an option changes nothing in the file that is written. A .vrma file has no characters and no camera."""
    scene_only = {
        "RIG": options.rig,
        "--avatar": options.avatar,
        "--map": options.map,
        "--strength": options.strength,
        **{f"--{name}": getattr(options, name) for name in ("head", "neck", "eyes", "jaw", "width", "height", "focal")},
        "--in-place": options.in_place,
        "--animation-only": options.animation_only,
        "--separate-meshes": options.separate_meshes,
        "--light": options.light != DEFAULT_LIGHT_LUX,
        "--footage": options.footage,
    }
    choices = [Choice(name, bool(given), not is_vrma) for name, given in scene_only.items()]
    choices.append(Choice("--expressions", options.expressions != "preset", is_vrma))
    check_effects(out, f"the {out.suffix.lower()} file", choices)


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    add_take(parser)
    add_avatars(parser)
    text = "scene to write: .glb or .gltf; .fbx or .blend where Blender is installed; .vrma, a VRM animation of each person "
    add_out(parser, text + "(default: the take's name with .glb)")
    add_scene_arguments(parser)
    text = "picture or clip behind the characters in Blender (default: the take's, if it lies beside the take)"
    parser.add_argument("--footage", metavar="FILE", help=text)
    add_rig_options(parser)
    add_picture(parser)
    add_quiet(parser)
    return parser
