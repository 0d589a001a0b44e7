"""Options of the command line for how a scene is written. `mfn animate` and `retarget animate` share them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from retarget.io.command_line import CommandParser, number_in

DEFAULT_TOLERANCE = 0.002
DEFAULT_SIZE_PX = 1280, 720
"""Width and height of a picture whose size is not known."""
DEFAULT_LIGHT_LUX = 2000.0
"""Illuminance of the main light: that of an overcast day. Blender's importer makes a sun of 2.9 W/m² of it."""
CHARACTERS_SUFFIX = ".characters.png"
"""Suffix of a picture of the characters where the name alone may be that of a photo."""
ExpressionKind = Literal["preset", "arkit"]


class Choice(NamedTuple):
    """An option, whether the user gave it, and whether the file that is written depends on it."""

    option: str
    is_given: bool
    has_effect: bool


def check_effects(out: Path, file: str, choices: Iterable[Choice]) -> None:
    """Check that every option that was given changes something.

    Args:
        out: The file to write.
        file: What it is, for the message, such as "the .vrma file".
        choices: The options to check.

    Raises:
        ValueError: An option has no effect on the file. The message names all of them.
    """
    unused = [choice.option for choice in choices if choice.is_given and not choice.has_effect]
    if unused:
        which = "it" if len(unused) == 1 else "them"
        raise ValueError(f"{out}: {', '.join(unused)} would change nothing in {file}; leave {which} out, or choose another file with --out")


def add_scene_arguments(parser: CommandParser) -> None:
    """Add --fps, --tolerance, --in-place, --animation-only, --separate-meshes, --light and --expressions."""
    text = "frames a second of a scene; keyframes lie on frames "
    text += "(default: those of the clip or take; of a varying rate the highest, up to 60)"
    parser.add_argument("--fps", type=number_in(0, 1000, above=True), metavar="N", help=text)
    text = "largest change of a weight (rotations: radians) that a removed keyframe may cause; 0 keeps every frame "
    tolerance = number_in(0, 1, below=True)
    parser.add_argument("--tolerance", type=tolerance, default=DEFAULT_TOLERANCE, metavar="T", help=text + "(default: %(default)s)")
    text = "keep each character at its own origin: only head, eyes and face move; one file for each person"
    parser.add_argument("--in-place", action="store_true", help=text)
    text = "leave out surfaces, textures, camera and light, for a character that is in your program already; "
    text += "nodes, meshes and arms are as in its file"
    parser.add_argument("--animation-only", action="store_true", help=text)
    text = "keep the meshes of a character apart (default: one object for each character without a skeleton)"
    parser.add_argument("--separate-meshes", action="store_true", help=text)
    text = "main light in lux; viewers without exposure need about 3, 0 is no light (default: %(default)g, for Blender)"
    parser.add_argument("--light", type=number_in(0, 1e6), default=DEFAULT_LIGHT_LUX, metavar="LUX", help=text)
    text = ".vrma: drive the avatar by VRM's presets, or by ARKit's shapes if it has them all (default: %(default)s)"
    parser.add_argument("--expressions", choices=get_args(ExpressionKind), default="preset", help=text)
