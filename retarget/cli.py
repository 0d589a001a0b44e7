"""The `retarget` command: look at a rig, put takes on rigs. Exit codes: 0 done, 1 bad input (one line), 2 usage,
130 stopped by Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from retarget.io.files import same_file

if TYPE_CHECKING:
    from retarget.rig.rig import Rig


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (usage errors leave with 2)."""
    arguments = _parser().parse_args(argv)
    try:
        commands = {"inspect": _inspect, "animate": _animate, "render": _render, "convert": _convert}
        commands |= {"stream": _stream, "calibrate": _calibrate, "rig": _rig}
        commands[arguments.command](arguments)
    except KeyboardInterrupt:
        print("\nretarget: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        print(f"retarget: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="retarget", description="Face performances (takes) to characters (glTF rigs)."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    inspect = commands.add_parser("inspect", help="what each of ARKit's 52 coefficients moves in a rig")
    inspect.add_argument("rig", help="character, .glb, .gltf or .vrm")
    _add_rig_options(inspect)
    inspect.add_argument("--write-map", metavar="NAMES.json", help="draft a map of its targets' names, to edit")

    animate = commands.add_parser("animate", help="write a scene of animated characters")
    _add_inputs(animate)
    animate.add_argument("--out", help="scene to write, .glb or .gltf (default: the take's name with .glb)")

    text = "most that a key left out may change a weight (turns: radians), default 0.002; 0 keeps every sample"
    animate.add_argument("--tolerance", type=_tolerance, default=0.002, help=text)

    convert = commands.add_parser("convert", help="write a take as .npz, .jsonl or Live Link Face .csv")
    convert.add_argument("take", help=_TAKE)
    convert.add_argument("out", help="file to write; of several people each gets a .csv of their own")

    calibrate = commands.add_parser("calibrate", help="make each person's resting face rest, as the take itself shows it")
    calibrate.add_argument("take", help=_TAKE)
    calibrate.add_argument("--out", help="take to write, .npz, .jsonl or .csv (default: NAME.calibrated.npz)")

    rig = commands.add_parser("rig", help="make ARKit's shapes for a head mesh that has none", description=_RIG)
    rig.add_argument("mesh", help="neutral head, .obj, .glb or .gltf, in any size and direction")
    rig.add_argument("--landmarks", required=True, help='.json: {"noseTip": vertex number from 0, or [x, y, z], ...}')
    rig.add_argument("--out", help="rig to write, .glb or .gltf (default: NAME.rigged.glb)")
    rig.add_argument("--source", help="head model to take the shapes from, .npz (default: ours)")

    stream = commands.add_parser("stream", help="play a take to another program over the network")
    stream.add_argument("take", help=_TAKE)
    stream.add_argument("--to", choices=("vmc", "livelink"), default="vmc", help="VTuber programs, or Unreal")
    stream.add_argument("--host", default="127.0.0.1", help="where the program runs (default: here)")
    stream.add_argument("--port", type=int, help="default 39540 for vmc, 11111 for livelink")
    stream.add_argument("--people", type=int, default=1, help="vmc: so many people, each on a port of their own")
    stream.add_argument(
        "--names", default="vrm0", help="vmc: vrm0, vrm1, arkit, or your avatar's .vrm for its own names"
    )
    stream.add_argument("--repeat", action="store_true", help="again and again, until Ctrl-C")

    render = commands.add_parser("render", help="draw the characters as a PNG")
    _add_inputs(render)
    render.add_argument("--out", help="picture to write (default: the take's name with .png)")
    render.add_argument("--background", help="picture to draw over; its size counts")
    render.add_argument("--time", type=float, help="which moment of a clip, seconds (default: the first)")
    render.add_argument("--whole-body", action="store_true", help="draw bodies too, not head and neck alone")
    return parser


_TAKE = "performance: .npz, .jsonl, .json (MediaPipe's results, ARKit coefficients), .csv (Live Link Face)"


_RIG = (
    "Landmarks, left being the subject's left: noseTip, chin, eyeOuterLeft, eyeInnerLeft, mouthCornerLeft (and Right) are "
    "needed; better with noseBridge, noseBase, foreheadTop, upperLip, lowerLip (the middle of the red's upper and lower edge), "
    "and for both sides eyeUpper, eyeLower (the middle of the lids' edges), browInner, browOuter, noseWing, jawAngle, ear (its front). "
    "What is missing on one side is mirrored. tongueOut stays without effect."
)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("take", help=_TAKE)
    parser.add_argument("rig", nargs="+", help="character, .glb, .gltf or .vrm; several are given to the actors in turn")
    _add_rig_options(parser)
    parser.add_argument("--width", type=_positive, default=1280, help="of the picture that was seen, px (default 1280)")
    parser.add_argument("--height", type=_positive, default=720, help="of the picture that was seen, px (default 720)")
    parser.add_argument("--focal-px", type=_positive_float, help="its focal length, px (default: its longer side)")


def _add_rig_options(parser: argparse.ArgumentParser) -> None:
    text = '.json: {"jawOpen": "Mouth_Open", "mouthSmileLeft": {"SmileL": 1, "CheekL": 0.3}}; one for all rigs or one for each'
    parser.add_argument("--map", action="append", default=[], metavar="NAMES.json", help=text)
    parser.add_argument("--head", metavar="NODE", help="joint to turn, its name or number (default: found)")
    parser.add_argument("--neck", metavar="NODE", help="joint below it that turns with it")
    parser.add_argument("--eyes", metavar="LEFT,RIGHT", help="the subject's left and right eye joint")


def _out(given: str | None, default: Path, *inputs: str | None) -> Path:
    """Where to write. ValueError if that is one of the files that are read."""
    out = Path(given or default)
    if any(name and same_file(out, name) for name in inputs):
        raise ValueError(f"{out}: this is one of the inputs; give the output another name with --out")
    return out


def _load(paths: Sequence[str], arguments: argparse.Namespace) -> list[Rig]:
    from retarget.rig.load import load_rigs

    return load_rigs(paths, arguments.map, arguments.head, arguments.neck, arguments.eyes)


def _positive(text: str) -> int:
    if not 1 <= int(text) <= 1 << 15:
        raise argparse.ArgumentTypeError(f"{text}: expected 1 to {1 << 15}")
    return int(text)


def _positive_float(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected more than 0")
    return float(text)


def _tolerance(text: str) -> float:
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected 0 or more, below 1")
    return float(text)


def _inspect(arguments: argparse.Namespace) -> None:
    from retarget.rig.report import describe_rig

    if arguments.write_map:
        out = _out(arguments.write_map, Path(), arguments.rig)
        from retarget.gltf.document import read_glb
        from retarget.rig.name_map import write_name_map_draft

        known = write_name_map_draft(out, read_glb(arguments.rig).document)
        print(f"{out}: {known} of 52 have a target; edit it, then give it as --map")
        return
    print("\n".join(describe_rig(*_load([arguments.rig], arguments))))


def _animate(arguments: argparse.Namespace) -> None:
    from retarget.animation.scene import write_scene
    from retarget.performance.files import read_take

    take, rigs = read_take(arguments.take), _load(arguments.rig, arguments)
    out = _out(arguments.out, Path(arguments.take).with_suffix(".glb"), arguments.take, *arguments.rig)
    write_scene(take, rigs, out, arguments.width, arguments.height, arguments.focal_px, arguments.tolerance)
    print(f"{out}: {len(take.actors())} characters, {len(take)} samples")


def _render(arguments: argparse.Namespace) -> None:
    import numpy as np

    from retarget.io.images import read_image, write_image
    from retarget.performance.files import read_take
    from retarget.render.scene import render_scene

    inputs = arguments.take, *arguments.rig, arguments.background
    out = _out(arguments.out, Path(arguments.take).with_suffix(".png"), *inputs)
    take, rigs = read_take(arguments.take), _load(arguments.rig, arguments)
    if len(take):
        wanted = take.time_s.min() if arguments.time is None else arguments.time
        take = take[take.time_s == take.time_s[np.abs(take.time_s - wanted).argmin()]]
    background = read_image(arguments.background) if arguments.background else None
    height, width = (arguments.height, arguments.width) if background is None else background.shape[:2]
    focal_px = arguments.focal_px or float(max(width, height))
    picture = render_scene(take, rigs, width, height, focal_px, background, arguments.whole_body)
    write_image(out, picture)
    print(f"{out}: {len(take)} characters")


def _convert(arguments: argparse.Namespace) -> None:
    from retarget.performance.files import read_take, write_take

    out = _out(arguments.out, Path(), arguments.take)
    take = read_take(arguments.take)
    written = write_take(take, out)
    print(f"{', '.join(map(str, written))}: {len(take.actors())} people, {len(take)} samples")


def _calibrate(arguments: argparse.Namespace) -> None:
    from retarget.performance.calibrate import apply_calibration, learn_calibration
    from retarget.performance.files import read_take, write_take

    out = _out(arguments.out, Path(arguments.take).with_suffix(".calibrated.npz"), arguments.take)
    take = read_take(arguments.take)
    calibration = learn_calibration(take)
    written = write_take(apply_calibration(take, calibration), out)
    for actor, offset, gain in zip(calibration.actor, calibration.offset, calibration.gain, strict=True):
        print(f"person {actor}: offset {offset.mean():.3f} on average, {offset.max():.2f} at most; gain at most {gain.max():.2f}")
    print(f"wrote {' and '.join(map(str, written))}")


def _rig(arguments: argparse.Namespace) -> None:
    from retarget.autorig.rig_mesh import rig_mesh

    default = Path(arguments.mesh).with_suffix(".rigged.glb")
    out = _out(arguments.out, default, arguments.mesh, arguments.landmarks, arguments.source)
    rigged = rig_mesh(arguments.mesh, arguments.landmarks, out, arguments.source)
    if rigged.mirrored:
        print(f"mirrored: {', '.join(rigged.mirrored)}")
    print(f"{out}: 51 shapes (tongueOut moves nothing), {rigged.moved} of {rigged.vertices} vertices move")


def _stream(arguments: argparse.Namespace) -> None:
    from retarget.performance.files import read_take
    from retarget.performance.stream import expressions_for, open_sender, play

    take = read_take(arguments.take)
    shown = expressions_for(arguments.names)
    sender = open_sender(arguments.to, arguments.host, arguments.port, arguments.people, shown)
    try:
        sent, late = play(take, sender, arguments.repeat)
    except KeyboardInterrupt:
        return
    finally:
        sender.close()
    print(f"{sent} moments sent, {late} left out because they were late")
