"""`retarget stream`: play a take to another program over the network."""

from __future__ import annotations

from collections.abc import Sequence

from retarget.cli.options import add_quiet, add_take, load_take
from retarget.cli.program import PROGRAM
from retarget.io.command_line import EXIT_DONE, CommandParser, one_of, whole_number
from retarget.io.progress import Progress
from retarget.performance.udp import MAX_PEOPLE

_DESCRIPTION = "Play a take in its own time to VTuber programs (VMC, iFacialMocap) or Unreal (Live Link Face)."


def main(verb: str, arguments: Sequence[str]) -> int:
    """Run `retarget stream` and return the exit code. Ctrl-C ends it without an error."""
    options = _parser(verb).parse_args(arguments)
    from retarget.performance.stream import avatar_for, open_sender, play

    take = load_take(options)
    sender = open_sender(options.to, options.host, options.port, options.people, avatar_for(options.names))
    try:
        with Progress(options.quiet) as progress:
            result = play(take, sender, options.repeat, progress.bar("moments"))
    except KeyboardInterrupt:
        return EXIT_DONE
    finally:
        sender.close()
    if not options.quiet:
        lost = f", {result.lost} lost (by the network, or for want of --people)" if result.lost else ""
        print(f"{result.sent} moments sent, {result.skipped} skipped because they were late{lost}")
    return EXIT_DONE


def _parser(verb: str) -> CommandParser:
    parser = PROGRAM.parser(verb, _DESCRIPTION)
    add_take(parser)
    text = "protocol: vmc (VTuber programs), livelink (Unreal), ifacialmocap or ifacialmocap-v2 (programs that know this phone app) "
    text += "(default: %(default)s)"
    parser.add_argument(
        "--to",
        type=one_of("vmc", "livelink", "ifacialmocap", "ifacialmocap-v2"),
        default="vmc",
        metavar="PROGRAM",
        help=text,
    )
    parser.add_argument("--host", default="127.0.0.1", help="where that program runs (default: this machine)")
    text = "its port (default: 39540 for vmc, 11111 for livelink, 49983 for ifacialmocap); 39539 for a program that only draws by vmc"
    parser.add_argument("--port", type=whole_number(1, 65535), metavar="PORT", help=text)
    text = "vmc and ifacialmocap: send this many people, each to a port of their own, from --port on (default: %(default)s)"
    parser.add_argument("--people", type=whole_number(1, MAX_PEOPLE), default=1, metavar="N", help=text)
    text = "vmc: names of the expressions: vrm0, vrm1, arkit, or your avatar's .vrm file for all that it has, with its eye bones "
    parser.add_argument("--names", default="vrm0", metavar="NAMES", help=text + "(default: %(default)s)")
    parser.add_argument("--repeat", action="store_true", help="play it again and again, until Ctrl-C")
    add_quiet(parser)
    return parser
