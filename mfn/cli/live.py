"""`mfn live`: drive VTuber programs, Unreal or a window from a camera or clip."""

from __future__ import annotations

from collections.abc import Sequence

from mfn.animation.live import TARGETS, WINDOW, LiveOptions, live
from mfn.cli.main import PROGRAM
from mfn.cli.options import add_avatar, add_network, add_quiet, load_predictor
from retarget.io.command_line import EXIT_DONE, color, number_in, one_of, whole_number

_MAX_PORT = 65535
_DESCRIPTION = (
    "Drive other programs from a camera, or from a clip at its own speed. Frames are dropped, never queued. "
    "Type n and Enter (in the window: press n) while your face rests: it becomes the neutral face. Ctrl-C ends it."
)


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `mfn live` and return the exit code."""
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    parser.add_argument("input", metavar="CAMERA|CLIP", help="number of a camera (0 is the first), or a video")
    text = "one or several of vmc (VTuber programs), livelink (Unreal), ifacialmocap, ifacialmocap-v2 and window (default: window)"
    parser.add_argument("--to", type=one_of(*TARGETS), nargs="+", action="extend", default=None, metavar="PROGRAM", help=text)
    parser.add_argument("--host", default="127.0.0.1", help="machine that runs the program (default: this one)")
    text = "port of the program (default: 39540 for vmc, 11111 for livelink, 49983 for ifacialmocap); 39539 if it only draws by vmc"
    parser.add_argument("--port", type=whole_number(1, _MAX_PORT), default=None, help=text)
    text = "vmc and ifacialmocap: number of people to send, each to a port of their own, from --port on (default: %(default)s)"
    parser.add_argument("--people", type=whole_number(1), default=1, metavar="N", help=text)
    text = "vmc: names of the expressions: vrm0, vrm1, arkit, or your avatar's .vrm file for all that it has (default: %(default)s)"
    parser.add_argument("--names", default="vrm0", help=text)
    text = "stop after this number of seconds (default: never)"
    parser.add_argument("--seconds", type=number_in(0, above=True), default=None, metavar="S", help=text)
    add_avatar(parser, "meshes of the faces; only the window shows avatars")
    text = "window: color behind the people, six hexadecimal digits, such as 00ff00 for green (default: the camera's picture)"
    parser.add_argument("--background", type=color, default=None, metavar="COLOR", help=text)
    add_quiet(parser)
    add_network(parser, "small")
    options = parser.parse_args(arguments)
    settings = LiveOptions(
        to=options.to or [WINDOW],
        host=options.host,
        port=options.port,
        people=options.people,
        names=options.names,
        avatars=options.avatar,
        background=options.background,
        seconds=options.seconds,
        quiet=options.quiet,
    )
    live(load_predictor(options), options.input, settings)
    return EXIT_DONE
