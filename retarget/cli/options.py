"""Options that several verbs share, and what they stand for. The words are those of `mfn`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retarget.io import scene_arguments
from retarget.io.command_line import number_in, whole_number
from retarget.io.files import check_file, same_file
from retarget.rig.avatars import AVATAR_NAMES, DEFAULT_AVATAR, character_path
from retarget.rig.names.response import AREA_NAMES, parse_strength

if TYPE_CHECKING:
    from retarget.animation.surroundings import Camera
    from retarget.performance.take import Footage, Take
    from retarget.rig.rig import Rig

_MAX_SIDE_PX = 1 << 15
_MAX_FOCAL_PX = 1e6
_RIG_SUFFIXES = (".glb", ".gltf", ".vrm")


def add_take(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument TAKE, and --code-rate."""
    text = "performance: .npz, .jsonl, .json (MediaPipe's results, ARKit coefficients, mfn detect), .csv (Live Link Face) "
    text += "or .txt (iFacialMocap)"
    parser.add_argument("take", metavar="TAKE", help=text)
    text = "frames a second of the time codes of a .csv file, such as 29.97 (default: found from the file, but never 29.97 or 59.94, "
    text += "except for drop-frame codes such as 00:00:01;12; within one second most often 60)"
    parser.add_argument("--code-rate", type=number_in(0, 1000, above=True), metavar="RATE", help=text)


def load_take(options: argparse.Namespace, focal_px: float | None = None) -> Take:
    """Read the take with the options of `add_take`.

    Args:
        options: The options.
        focal_px: See `retarget.performance.files.read_take`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no take, or --code-rate has no effect on it.
    """
    from retarget.performance.files import read_take

    if options.code_rate is not None and Path(options.take).suffix.lower() != ".csv":
        raise ValueError(f"{options.take}: --code-rate is for the time codes of a .csv file; leave it out")
    return read_take(options.take, options.code_rate, focal_px)


def add_avatars(parser: argparse.ArgumentParser) -> None:
    """Add characters: the positional arguments RIG and the option --avatar, which mean the same."""
    kinds = f"a {', '.join(_RIG_SUFFIXES[:-1])} or {_RIG_SUFFIXES[-1]} file, or one of ours: {', '.join(AVATAR_NAMES)}"
    parser.add_argument("rig", nargs="*", metavar="RIG", help=f"characters, which people take in turn: {kinds}")
    text = f"the same as RIG; repeat the option for several characters (default: {DEFAULT_AVATAR})"
    parser.add_argument("--avatar", action="append", default=[], metavar="FILE", help=text)


def add_rig_options(parser: argparse.ArgumentParser) -> None:
    """Add --map, --strength, --head, --neck, --eyes and --jaw."""
    text = 'names of the character\'s own targets, a .json file: {"jawOpen": "Mouth_Open", "mouthSmileLeft": '
    text += '{"SmileL": 1, "CheekL": 0.3}}; one file for all characters, or one for each'
    parser.add_argument("--map", action="append", default=[], metavar="NAMES.json", help=text)
    text = "how strongly the character answers, such as brows=1.5 or eyeBlink=1.2,jaw=0.8; "
    text += f"{', '.join(AREA_NAMES)}, or ARKit's names; nothing moves farther than at 1"
    parser.add_argument("--strength", action="append", default=[], metavar="NAME=FACTOR", help=text)
    for joint, nodes, what in (
        ("head", "NODE", "name or number of the head joint"),
        ("neck", "NODE", "name or number of the neck joint"),
        ("eyes", "LEFT,RIGHT", "names or numbers of the subject's left and right eye joint"),
        ("jaw", "NODE", "name or number of the jaw joint"),
    ):
        parser.add_argument(f"--{joint}", metavar=nodes, help=f"{what} (default: found automatically)")


def add_picture(parser: argparse.ArgumentParser) -> None:
    """Add --width, --height and --focal: the camera that saw the people."""
    for name, side in zip(("width", "height"), scene_arguments.DEFAULT_SIZE_PX, strict=True):
        text = f"{name} of the picture that the take was made from, px (default: that of the take, else {side})"
        parser.add_argument(f"--{name}", type=whole_number(1, _MAX_SIDE_PX), metavar="PX", help=text)
    focal = number_in(0, _MAX_FOCAL_PX, above=True)
    text = "focal length of the camera in px, if you know it (default: that of the take, else 1.2 times the longer side)"
    parser.add_argument("--focal", type=focal, metavar="PX", help=text)
    parser.add_argument("--focal-px", type=focal, dest="focal", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def camera_of(options: argparse.Namespace, footage: Footage, background: tuple[int, ...] | None = None) -> Camera:
    """Return the camera that --width, --height and --focal, the take or the defaults state, in this order.

    Args:
        options: The options of `add_picture`.
        footage: What the take knows of its footage.
        background: (height, width, …) of an image to draw over, which replaces the size. px
    """
    from retarget.animation.surroundings import camera_of_footage

    width, height = options.width, options.height
    if background is not None:
        height, width = background[:2]
    if max(footage.width or 0, footage.height or 0) > _MAX_SIDE_PX:
        footage = replace(footage, width=None, height=None)
    return camera_of_footage(footage, width, height, options.focal)


class TakeAndCamera(NamedTuple):
    """A take, and the camera that saw it."""

    take: Take
    camera: Camera


def read_take_and_camera(options: argparse.Namespace, background: tuple[int, ...] | None = None) -> TakeAndCamera:
    """Read the take, and return it with the camera of `camera_of`.

    Args:
        options: The options of `add_take` and `add_picture`.
        background: See `camera_of`.

    --focal is in px of the camera's picture. It also places the faces of a `.faces.json` file, in px of its own picture.
    """
    take = load_take(options)
    camera = camera_of(options, take.footage, background)
    if options.focal is not None and Path(options.take).suffix.lower() in (".json", ".jsonl"):
        take = load_take(options, options.focal * (take.footage.width or camera.width) / camera.width)
    return TakeAndCamera(take, camera)


def find_footage(options: argparse.Namespace, footage: Footage) -> Path | None:
    """Return the file of --footage, or the take's footage if it lies beside the take, or None.

    Raises:
        FileNotFoundError: There is no such file as --footage names.
    """
    if options.footage is not None:
        return check_file(options.footage, "the picture or clip of the take", max_bytes=1 << 62)
    beside = Path(options.take).parent / Path(footage.name or "").name
    return beside if footage.name and beside.is_file() else None


def add_out(parser: argparse.ArgumentParser, text: str) -> None:
    """Add --out."""
    parser.add_argument("--out", metavar="FILE", help=text)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add --quiet."""
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def avatar_paths(options: argparse.Namespace) -> list[Path]:
    """Return the files of the characters that `add_avatars` read.

    Raises:
        FileNotFoundError: A name is neither a file nor one of our characters.
    """
    return [character_path(name) for name in [*options.rig, *options.avatar] or [DEFAULT_AVATAR]]


def load_characters(
    paths: list[Path], options: argparse.Namespace, on_remark: Callable[[str], None] | None = None
) -> list[Rig]:
    """Load characters with the options of `add_rig_options`. Call a function with each remark on them."""
    from retarget.rig.joints.find import JointNames
    from retarget.rig.load import load_rigs

    joints = JointNames(options.head, options.neck, options.eyes, options.jaw)
    rigs = load_rigs(paths, options.map, joints, parse_strength(options.strength))
    for remark in dict.fromkeys(f"{rig.glb.path}: {remark}" for rig in rigs for remark in rig.remarks):
        if on_remark is not None:
            on_remark(remark)
    return rigs


def output_path(given: str | None, default: Path, *inputs: str | Path | None) -> Path:
    """Return where to write.

    Args:
        given: The value of --out, or None.
        default: The path without it.
        inputs: The files that are read.

    Raises:
        ValueError: The output is one of the inputs.
    """
    out = Path(given) if given else default
    if any(name and same_file(out, name) for name in inputs):
        raise ValueError(f"{out}: this is one of the inputs; give the output another name")
    return out
