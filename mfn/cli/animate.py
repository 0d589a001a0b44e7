"""`mfn animate`: put characters in the places of the people in a photo or clip."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mfn.animation.animate import animate
from mfn.animation.options import AnimateOptions, AnimateResult, Hooks
from mfn.animation.output import PURPOSES
from mfn.cli.main import PROGRAM
from mfn.cli.options import (
    add_avatar,
    add_focal,
    add_network,
    add_quiet,
    load_predictor,
)
from mfn.video.reader import is_clip
from retarget.io.command_line import (
    EXIT_DONE,
    EXIT_INTERRUPTED,
    CommandParser,
    number_in,
    numbers,
    seconds,
    whole_number,
)
from retarget.io.progress import GracefulInterrupt, Progress
from retarget.io.scene_arguments import add_scene_arguments
from retarget.rig.joints.find import JointNames
from retarget.rig.names.response import AREA_NAMES, parse_strength

_SHEET = "the people with their numbers, for --drop"
_DESCRIPTION = (
    "Put characters in the places of the people in a picture or clip. Writes NAME.glb, a 3D scene, and of a picture also "
    "NAME.characters.png. Ctrl-C stops a clip and keeps what is done; --resume continues it."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn animate` and return the exit code."""
    options = _parser(verb).parse_args(arguments)
    settings = AnimateOptions(
        out=None if options.out is None else Path(options.out),
        avatars=options.avatar,
        maps=options.map,
        joints=JointNames(options.head, options.neck, options.eyes, options.jaw),
        strength=parse_strength(options.strength),
        focal_px=options.focal,
        plain=options.plain,
        tolerance=options.tolerance,
        fps=options.fps,
        in_place=options.in_place,
        animation_only=options.animation_only,
        separate_meshes=options.separate_meshes,
        light_lux=options.light,
        expressions=options.expressions,
        calibrate=options.calibrate,
        resume=options.resume,
        neutral=None if options.neutral is None else Path(options.neutral),
        people=options.people,
        drop=options.drop,
        people_sheet=None if options.people_sheet is None else Path(options.people_sheet),
        start_s=options.start,
        end_s=options.end,
        likeness=options.likeness,
    )
    with Progress(options.quiet) as progress:
        progress.stage("loading the network")
        predictor = load_predictor(options)
        hooks = Hooks(
            on_stage=progress.stage,
            on_remark=progress.note,
            on_frame=progress.bar("frames"),
            on_drawn=progress.bar("frames drawn"),
        )
        if not is_clip(options.input):
            result = animate(predictor, options.input, settings, hooks)
        else:
            with GracefulInterrupt() as interrupt:
                clip_hooks = Hooks(
                    on_stage=hooks.on_stage,
                    on_remark=hooks.on_remark,
                    on_frame=hooks.on_frame,
                    on_drawn=hooks.on_drawn,
                    should_stop=interrupt.take_request,
                )
                result = animate(predictor, options.input, settings, clip_hooks)
    return _report(result, options.quiet, settings.people_sheet)


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    parser.add_argument("input", metavar="PICTURE|CLIP", help="a picture or a video")
    add_avatar(parser)
    text = "X.glb (of a picture also X.characters.png) or X.png; of a clip also X.mp4, with its sound; X.fbx or X.blend where Blender is "
    text += "installed; or the performance alone: X.npz, X.jsonl, or, with one file for each person, "
    text += "X.csv (Live Link Face), X.txt (iFacialMocap) or X.vrma (VRM animation) (default: NAME.glb in the current directory)"
    parser.add_argument("--out", default=None, metavar="FILE", help=text)
    add_focal(parser)
    parser.add_argument("--plain", action="store_true", help="draw the picture on a plain background instead of over the photo")
    add_scene_arguments(parser)
    text = "clips: subtract each person's neutral expression, as the clip shows it"
    parser.add_argument("--calibrate", action="store_true", help=text)
    parser.add_argument("--resume", action="store_true", help="clips: continue a run that Ctrl-C stopped")
    text = "how much each character looks like its person: head form, and colors of skin, hair and eyes; 0 to 1 (default: 0)"
    parser.add_argument("--likeness", type=number_in(0, 1), default=0.0, metavar="A", help=text)
    text = "names of the avatar's own targets (see retarget inspect --write-map); one file for all avatars, or one for each"
    parser.add_argument("--map", action="append", default=[], metavar="NAMES.json", help=text)
    text = f"how strongly the avatars answer, such as brows=1.5; {', '.join(AREA_NAMES)}, or ARKit's names"
    parser.add_argument("--strength", action="append", default=[], metavar="NAME=FACTOR", help=text)
    for joint, nodes, what in (
        ("head", "NODE", "name or number of the avatar's head joint"),
        ("neck", "NODE", "name or number of the avatar's neck joint"),
        ("eyes", "LEFT,RIGHT", "names or numbers of the avatar's left and right eye joint"),
        ("jaw", "NODE", "name or number of the avatar's jaw joint"),
    ):
        parser.add_argument(f"--{joint}", default=None, metavar=nodes, help=f"{what} (default: found automatically)")
    _add_choices(parser)
    add_quiet(parser)
    add_network(parser)
    return parser


def _add_choices(parser: CommandParser) -> None:
    """Add the options that choose people and a part of the clip."""
    text = "number of people; the N who are largest and longest in the picture are kept (default: everybody)"
    parser.add_argument("--people", type=whole_number(1), default=None, metavar="N", help=text)
    text = "people to leave out, by number, such as 1 or 0,3; the numbers are printed for a clip, and --people-sheet shows them"
    parser.add_argument("--drop", type=numbers, default=[], metavar="NUMBERS", help=text)
    text = "image file for a contact sheet of the people with their numbers"
    parser.add_argument("--people-sheet", default=None, metavar="FILE", help=text)
    text = "a photo of the same people with resting faces; their expressions there become 0"
    parser.add_argument("--neutral", default=None, metavar="PHOTO", help=text)
    text = "clips: where to begin, as seconds or minutes:seconds, such as 83.5 or 1:23.5 (default: %(default)s)"
    parser.add_argument("--start", type=seconds, default=0.0, metavar="TIME", help=text)
    parser.add_argument("--end", type=seconds, default=None, metavar="TIME", help="clips: where to end (default: at the end)")


def _report(result: AnimateResult, quiet: bool, sheet: Path | None = None) -> int:
    """Print what was written and what it is for. Return the exit code."""
    if not result.finished:
        if result.files:
            whole = f" of about {result.frames_total}" if result.frames_total else ""
            names = ", ".join(map(str, result.files))
            message = f"{names} has the first {result.frames_done}{whole} frames"
        else:
            message = f"no face in the first {result.frames_done} frames"
        print(f"mfn: stopped; {message}; --resume continues", file=sys.stderr)
        return EXIT_INTERRUPTED
    if not quiet:
        for note in result.notes:
            print(note)
        left_out = len(result.found) - result.people
        more = f" ({left_out} left out)" if result.found and left_out else ""
        print(f"{result.people} {'person' if result.people == 1 else 'people'}{more}")
        for person in result.found:
            print(person)
        for file in result.files:
            print(f"wrote {file}: {_SHEET if file == sheet else PURPOSES[file.suffix.lower()]}")
    return EXIT_DONE
